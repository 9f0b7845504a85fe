import type { Because, Decision, Forecast } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { LayerTrace } from '../model/flag.ts'
import type { EpochMs, TargetName } from '../model/names.ts'
import { REASONS } from '../model/reason.ts'
import type { DecisionInput } from '../model/record.ts'
import type { Tally } from '../model/tally.ts'
import type { Block } from './block.ts'
import { decide } from './decide.ts'
import { HARD, hardBecause, holds } from './eligibility.ts'
import { softBlock } from './fitness.ts'
import { rampShare } from './gates.ts'
import { legsInWords, nearOf, pathTo } from './gravity.ts'
import { tiersOf } from './judge-tiers.ts'
import { networkTo } from './network-ties.ts'
import { coversTarget } from './orders.ts'
import { choose, policyFor } from './precedence.ts'
import { type EngineSnapshot, PATH_COST, type PolicyProgram } from './programs.ts'
import { type Scene, sceneOf } from './scene.ts'

/** One candidate with everything that stood in its way, not only the first thing. */
export interface Candidate {
  readonly target: TargetName
  /** The tier it stands in, from 1; 0 for the degraded target. */
  readonly tier: number
  readonly because: readonly Because[]
}

/** A decision told in full. */
export interface Explanation {
  readonly decision: Decision
  /** Which policy was asked, and which were not and why. */
  readonly policies: readonly string[]
  readonly candidates: readonly Candidate[]
  /** What would have had to be otherwise for a candidate to be chosen, where one thing alone stood in the way. */
  readonly wouldHaveChanged: readonly string[]
  /** The decision in words, a sentence a line. */
  readonly text: readonly string[]
}

/** The decision for these facts with the full list of reasons, worked out anew by the same rules. */
export const explain = (
  facts: Facts,
  snapshot: EngineSnapshot,
  tally: Tally,
  now: EpochMs,
  id = 'explain',
): Explanation => {
  const decision = decide(facts, snapshot, tally, now, id)
  const { data, programs } = snapshot
  const workload = programs.classes.get(facts.class)
  const { policy } = choose(facts, snapshot, now)
  const own = policyFor(facts, workload, programs)
  const scene = sceneOf(facts, data, programs, tally, now, policy, workload?.doc)
  const candidates = policy === undefined ? [] : candidatesOf(scene, policy)
  const policies = (workload?.policies ?? []).map((one) =>
    one === own
      ? `${one.ref} is in force${own === policy ? '' : `, and a flag puts ${policy?.ref === one.ref ? 'an overlay on it' : `${policy?.ref} in its place`}`}`
      : `${one.ref} ${one.when !== undefined && !one.when(facts) ? `does not match: ${one.doc.when}` : 'comes after it'}`,
  )
  const chosen = decision.action === 'route' || decision.action === 'degrade' ? decision.target : undefined
  const place = candidates.findIndex((candidate) => candidate.target === chosen)
  const before = place < 0 ? candidates : candidates.slice(0, place)
  const wouldHaveChanged = before
    .filter((candidate) => candidate.because.length === 1)
    .map((candidate) => `${candidate.target} would have been a candidate with ${wish(candidate.because[0]!)}`)
  return {
    decision,
    policies,
    candidates,
    wouldHaveChanged,
    text: [
      ...inWords(decision),
      ...(policy === undefined ? [] : waysInWords(scene, policy, chosen)),
      ...wouldHaveChanged.map((line) => `${line}.`),
    ],
  }
}

/** How many ways are told: of a ladder over every site the first ones. */
const WAYS_MAX = 8

/** What the way to each candidate is made of, where the request or its policy asks, and whether networks broke a tie. */
const waysInWords = (scene: Scene, policy: PolicyProgram, chosen: TargetName | undefined): string[] => {
  const { facts, programs } = scene
  const lines: string[] = []
  const isRanked = policy.rank.some(({ signal }) => signal === PATH_COST)
  if (isRanked || policy.pathCostMax !== undefined || nearOf(scene).length > 0) {
    const indexes = [
      ...new Set(
        tiersOf(scene, policy)
          .flat()
          .flatMap(({ targets }) => targets),
      ),
    ]
    for (const index of indexes.slice(0, WAYS_MAX)) {
      const target = programs.targets[index]!
      const path = pathTo(scene, target)
      const { ms, missing } = path
      const says = legsInWords(path)
      const whole = ms === null ? 'not known' : `${Math.round(ms * 100) / 100} ms`
      const lacks = missing === undefined ? '' : `, and ${missing} is held by no site in reach`
      lines.push(`The way to ${target.name} is ${whole}${says === '' ? '' : `: ${says}`}${lacks}.`)
    }
  }
  const index = chosen === undefined ? undefined : programs.indexOf.get(chosen)
  const site = index === undefined ? undefined : programs.targets[index]!.site
  const how = facts.asn === undefined || site === undefined ? undefined : networkTo(programs, facts.asn, site)
  if (how !== undefined)
    lines.push(
      `Of equals ${site} goes first: its network ${how === 'reaches' ? '' : 'meets one that '}reaches AS${facts.asn}.`,
    )
  return lines
}

const candidatesOf = (scene: Scene, policy: PolicyProgram): Candidate[] => {
  const all: Candidate[] = []
  for (const [number, tier] of tiersOf(scene, policy).entries()) {
    for (const entry of tier)
      for (const index of entry.targets) all.push(candidateOf(scene, index, number + 1, scene.facts.model))
  }
  for (const index of policy.degraded?.targets ?? []) all.push(candidateOf(scene, index, 0, policy.doc.degraded?.model))
  return all
}

const candidateOf = (scene: Scene, index: number, tier: number, model: string | undefined): Candidate => {
  const target = scene.programs.targets[index]!
  const because: Because[] = []
  for (let code = 0; code < HARD.length; code++)
    if (!holds(scene, target, model, code)) because.push(hardBecause(scene, target, model, code))
  for (const pin of scene.pins) {
    if (!coversTarget(pin.scope, target))
      because.push({
        target: target.name,
        constraint: 'pin',
        measured: `pinned elsewhere by ${pin.author}`,
        op: '==',
        limit: 'not pinned elsewhere',
      })
  }
  if (tier > 0) {
    const blocks: Block[] = []
    softBlock(scene, target, { stale: [], insufficient: [], waivedBy: null }, blocks)
    because.push(...blocks.map((block) => block.because))
  }
  return { target: target.name, tier, because }
}

/** A reason as one phrase: `queue.depth 41 requests, wanted <= 40, 420 ms old, by ams-vllm`. */
export const becauseText = (because: Because): string => {
  const unit = because.unit === undefined || because.unit === '' ? '' : ` ${because.unit}`
  const wanted =
    because.limit === undefined
      ? ''
      : `, wanted ${because.op ?? '=='} ${because.limit}${typeof because.limit === 'number' ? unit : ''}`
  const age = because.ageMs === undefined ? '' : `, ${because.ageMs} ms old`
  const source = because.source === undefined || because.source === '' ? '' : `, by ${because.source}`
  return `${because.constraint} ${because.measured ?? 'unknown'}${typeof because.measured === 'number' ? unit : ''}${wanted}${age}${source}`
}

const wish = (because: Because): string =>
  `${because.constraint} ${because.op ?? '=='} ${because.limit ?? 'otherwise'} (it was ${because.measured ?? 'unknown'})`

/** A forecast in words: `It is expected to fit at ams/h100 in 1800 s, give or take 60 s; it waits for price.per_mwh.` */
export const forecastText = ({ at, errorMs, waitsFor, target }: Forecast, now: EpochMs): string => {
  if (at === null) return `When it will fit can't be foretold: it waits for ${waitsFor} at ${target}.`
  const error = errorMs === null ? '' : `, give or take ${Math.ceil(errorMs / 1_000)} s`
  const waits = waitsFor === '' ? '' : `; it waits for ${waitsFor}`
  return `It is expected to fit at ${target} in ${Math.ceil((at - now) / 1_000)} s${error}${waits}.`
}

/** What a flag had to say in one phrase: `The incident flag drain-ams-chat gave "frankfurt" and had its say`. */
export const layerText = ({ layer, flag, variant, shadowed, error, stale }: LayerTrace): string => {
  const gave = variant === '' ? 'said nothing' : `gave "${variant}"`
  const then =
    shadowed === true ? ', and a stronger one spoke before it' : error === undefined ? ', and had its say' : ''
  const why = error === undefined ? '' : variant === '' ? `: ${error}` : `, which came to nothing: ${error}`
  const old = stale === true ? '; its source has been silent for too long' : ''
  return `The ${layer} flag ${flag} ${gave}${why}${then}${old}`
}

/** Which arm a request is in, of which rollout, and whether a tester put it there. */
export const armText = ({ arm, rollout, forced }: Pick<Decision, 'arm' | 'rollout' | 'forced'>): string => {
  const of = rollout === undefined ? '' : ` of the rollout ${rollout}`
  const by = forced === true ? ', because a tester forced it, so nothing of it is measured' : ''
  return `It is in the ${arm} arm${of}${by}`
}

/** A decision in words, a sentence a line. */
export const inWords = (decision: Decision): readonly string[] => {
  const what = {
    route: () =>
      decision.action === 'route' && decision.target !== undefined
        ? `goes to ${decision.target} by cluster ${decision.cluster}`
        : 'goes where Envoy sends it by itself',
    degrade: () =>
      decision.action === 'degrade'
        ? `goes to ${decision.target}, where the smaller model ${decision.model} answers`
        : '',
    queue: () => (decision.action === 'queue' ? `is held for at most ${decision.holdMsMax} ms` : ''),
    delay: () =>
      decision.action === 'delay'
        ? `is asked to come back in ${decision.retryAfterMs} ms${decision.until === undefined ? '' : ` (${decision.until})`}`
        : '',
    deny: () => (decision.action === 'deny' ? `is refused with ${decision.status}` : ''),
  }[decision.action]()
  const lines = [`The ${decision.class} request ${what}: ${decision.reason}, that is, ${REASONS[decision.reason]}.`]
  if (decision.policy !== null)
    lines.push(
      `Policy ${decision.policy}, ladder ${decision.ladder.map((tier) => tier.join(' or ')).join(', then ') || 'none'}.`,
    )
  for (const trace of decision.layers) lines.push(`${layerText(trace)}.`)
  if (decision.arm !== null) lines.push(`${armText(decision)}.`)
  else if (decision.forced === true) lines.push('A tester forced a cohort, so nothing of it is measured.')
  for (const because of decision.because) lines.push(`${because.target} was not chosen: ${becauseText(because)}.`)
  const more =
    Object.values(decision.becauseCounts ?? {}).reduce((sum, count) => sum + count, 0) - decision.because.length
  if (more > 0) lines.push(`${more} more reasons are counted in becauseCounts.`)
  if (decision.override !== null) lines.push(`Override ${decision.override} had a say.`)
  if (decision.session !== 'none') lines.push(`Session: ${decision.session}.`)
  if (decision.movedFrom !== undefined)
    lines.push(`The session was on ${decision.movedFrom} before, and what it has cached is there.`)
  if (decision.forecast !== undefined) lines.push(forecastText(decision.forecast, decision.at))
  if (decision.suggest !== undefined) lines.push(`With ${decision.suggest.gpus} accelerators it could run now.`)
  for (const name of decision.insufficient) lines.push(`${name}: too few events behind the number, taken as met.`)
  for (const name of decision.stale) lines.push(`${name}: stale or missing.`)
  return lines
}

/** Every gate state, value and ramp share that a decision for these facts may have read: the log record carries them. */
export const inputsOf = (facts: Facts, snapshot: EngineSnapshot, now: EpochMs): readonly DecisionInput[] => {
  const { data, programs } = snapshot
  const workload = programs.classes.get(facts.class)
  const { policy } = choose(facts, snapshot, now)
  if (policy === undefined) return []
  const scene = sceneOf(facts, data, programs, { dispatched: {}, held: {}, sidecars: 1 }, now, policy, workload?.doc)
  const inputs: DecisionInput[] = []
  const indexes = new Set(
    tiersOf(scene, policy)
      .flat()
      .flatMap((entry) => entry.targets),
  )
  for (const index of indexes) {
    // Of a ladder over every site only the first hundred targets are written down; the record then says it can't be replayed.
    if (inputs.length >= 400) break
    for (const gate of policy.gates) {
      const column = data.columns[gate.signal]
      const row = data.gates[gate.key]
      inputs.push({
        target: programs.targets[index]!.name,
        signal: gate.signal,
        value: (column?.at[index] ?? 0) > 0 ? column!.value[index]! : null,
        at: column?.at[index] ?? 0,
        failed: row?.failed[index] === 1,
        share: row === undefined ? 1 : rampShare(row.returnedAt[index]!, row.spec.failBackMs, now),
      })
    }
  }
  return inputs
}
