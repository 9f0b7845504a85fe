import type { EpochMs } from '../model/names.ts'
import { isEnded, type Rollout, type RolloutState, type Stage } from '../model/rollout.ts'
import {
  differingArtifacts,
  evidence,
  harmOf,
  hasControl,
  improvementOf,
  isSkewed,
  NO_COUNTS,
  type Progress,
  safetyOf,
  standingOf,
} from './compare.ts'
import { finalReport } from './rollout-report.ts'

/** What a limit on sites says while it is not kept. */
export interface LimitFinding {
  readonly action: 'hold' | 'narrow' | 'rollback'
  /** `ams/h100 queue.depth 90, wanted <= 60 requests`. */
  readonly says: string
}

/** What the judge looks at beside the arms. */
export interface Surroundings {
  /** Why nothing at all is done: routing is off, the flag is not there. */
  readonly standsStill: string | undefined
  /** Why no stage may begin. */
  readonly frozen: string | undefined
  readonly findings: readonly LimitFinding[]
}

/** A share is halved again only after so long: the pressure that it causes needs time to go. */
const NARROW_EVERY_MS = 60_000
/** How long pressure must have been gone before the stage's share comes back. */
const WIDEN_AFTER_MS = 300_000
/** A stage's share is halved at most four times. */
const NARROW_TO = 1 / 16

/**
 * The rollout as the judge leaves it: what the arms and the sites show, against what the document asks. Going back and
 * narrowing need no stage and no human; going on needs everything: time, units, both arms alike, harm refuted, success
 * shown, nobody against it. Pure, and the same whenever it is called.
 */
export function judge(rollout: Rollout, state: RolloutState, around: Surroundings, now: EpochMs): RolloutState {
  if (isEnded(state.status)) return state
  const harm = harmSaid(rollout, state, around)
  if (harm !== undefined) return goBack(rollout, state, harm, now)
  const pressed = around.findings.find(({ action }) => action === 'narrow')
  const narrowed = pressed === undefined ? widened(rollout, state, now) : narrowedBy(rollout, state, pressed, now)
  if (narrowed !== undefined) return narrowed
  const stop = stopSaid(rollout, state, around)
  if (stop !== undefined) return says(state, 'held', stop)
  return progressed(rollout, state, around, now)
}

const says = (
  state: RolloutState,
  status: 'running' | 'held',
  text: string,
  needed: number | null = null,
): RolloutState =>
  state.status === status && state.says === text && state.needed === needed
    ? state
    : { ...state, status, says: text, needed }

/** What is proven against the treatment, or a site that must not be as it is; a sentence, or undefined. */
function harmSaid(rollout: Rollout, state: RolloutState, { findings }: Surroundings): string | undefined {
  const site = findings.find(({ action }) => action === 'rollback')
  if (site !== undefined) return site.says
  const guardrail = harmOf(rollout, state)
  if (guardrail !== undefined) {
    const { event } = guardrail
    const { control, treatment } = state.totals
    const e = Math.exp(Math.min(700, evidence(state, `harm ${event}`)))
    return `${event}: ${treatment.bad[event] ?? 0} of ${treatment.units} in the treatment, ${control.bad[event] ?? 0} of ${control.units} in the control (E = ${e.toPrecision(3)})`
  }
  const broken = rollout.success.find((one) => standingOf(rollout, state, one, false).fails === 'broken')
  if (broken === undefined) return undefined
  const better = improvementOf(state.criteria.find(({ metric }) => metric === broken.metric)!, rollout)
  return `${broken.metric} is worse by ${number(-better.high!)} at least, and ${number(broken.worseByAtMost!)} at most are allowed`
}

const number = (value: number): string => String(Number(value.toPrecision(3)))

/**
 * Exposure taken back: to nothing, or, where a person has decided on a stage, to that stage and no further. It is held
 * there, and said, until somebody speaks.
 */
function goBack(rollout: Rollout, state: RolloutState, harm: string, now: EpochMs): RolloutState {
  const floor = state.decidedStage
  if (floor === undefined) return ended(state, 'rolled-back', `rolled back: ${harm}`)
  const said = `harm: ${harm}; ${state.order?.author ?? 'somebody'} has decided on this stage: abort ends it, resume leaves it to the judge`
  const back = floor < state.stage ? atStage(rollout, state, floor, now) : state
  return says(back.harm === said ? back : { ...back, harm: said }, 'held', said)
}

/** What stands in the way of going on, whatever the arms say; undefined: nothing. */
function stopSaid(rollout: Rollout, state: RolloutState, { standsStill, findings }: Surroundings): string | undefined {
  if (standsStill !== undefined) return standsStill
  // The comparison began anew when the share went back: that nothing is wrong any more is no reason to go on.
  if (state.harm !== undefined) return state.harm
  if (state.order?.order === 'hold') return `held by ${state.order.author}: ${state.order.reason}`
  if (state.narrowedAt !== undefined)
    return `narrowed to ${percent(state.shareBp)}: comes back once nothing has pressed for ${WIDEN_AFTER_MS / 60_000} minutes`
  const limit = findings.find(({ action }) => action === 'hold')
  if (limit !== undefined) return limit.says
  if (isSkewed(state))
    return 'the split between the arms is not the one that was meant (sample ratio): requests of an arm are lost or not measured, and nothing that is compared can be trusted'
  const artifacts = rollout.differingArtifacts ? undefined : differingArtifacts(state)
  return artifacts === undefined ? undefined : `the arms are served by different models: ${artifacts}`
}

/** `0.5 %`. */
export const percent = (bp: number): string => `${Number((bp / 100).toPrecision(3))} %`

function progressed(rollout: Rollout, state: RolloutState, around: Surroundings, now: EpochMs): RolloutState {
  const stage = rollout.stages[state.stage]!
  const bakeLeftMs = state.stageSince + stage.bakeMs - now
  if (bakeLeftMs > 0) return says(state, 'running', `${stage.name}: looked at for another ${duration(bakeLeftMs)}`)
  const isLast = state.stage === rollout.stages.length - 1
  const next = rollout.stages[state.stage + 1]
  // The step that ends the comparison is the one that asks for success; before it, only that nothing is worse.
  const isProof = hasControl(state) && (isLast || !hasControl(next!))
  const missing = missingOf(rollout, state, isProof)
  const isOver = rollout.endAfterMs !== undefined && now - state.startedAt >= rollout.endAfterMs
  if (missing?.isFutile || (isOver && missing !== undefined && hasControl(state)))
    return ended(state, 'no-effect', `no effect: ${missing.says}`)
  if (missing !== undefined) return says(state, 'held', `${stage.name}: ${missing.says}`, missing.needed)
  if (around.frozen !== undefined) return says(state, 'held', around.frozen, 0)
  if (rollout.promotion === 'human')
    return says(state, 'held', `${stage.name}: all is shown; waits for a person to promote it`, 0)
  return promoted(rollout, state, now)
}

/** What a stage still lacks. */
interface Missing {
  readonly says: string
  readonly needed: number | null
  readonly isFutile: boolean
}

function missingOf(rollout: Rollout, state: RolloutState, isProof: boolean): Missing | undefined {
  const { control, treatment } = state.stageUnits
  const units = hasControl(state) ? Math.min(control, treatment) : treatment
  const unit = rollout.unit === 'job' ? 'jobs' : 'requests'
  if (units < rollout.unitsMin) {
    const arm = hasControl(state) && control < treatment ? 'control' : 'treatment'
    const needed = rollout.unitsMin - units
    return { says: `${units} ${unit} in the ${arm}, ${needed} more are needed`, needed, isFutile: false }
  }
  if (!hasControl(state)) return undefined
  const lacking: { readonly what: string; readonly needed: number | null; readonly isFutile?: boolean }[] = []
  const note = (what: string, progress: Progress): void => {
    if (!progress.isDone) lacking.push({ what, needed: progress.needed })
  }
  for (const one of rollout.guardrails)
    note(`that ${one.event} is not ${one.ratioMax} times as frequent`, safetyOf(rollout, state, one))
  for (const one of rollout.success) {
    const standing = standingOf(rollout, state, one, isProof)
    if (standing.fails === 'futile')
      lacking.push({ what: `${one.metric} does not improve by ${one.improveBy}`, needed: null, isFutile: true })
    else note(`${one.metric} ${wanted(one, isProof)}`, standing)
  }
  if (lacking.length === 0) return undefined
  const futile = lacking.find(({ isFutile }) => isFutile)
  if (futile !== undefined) return { says: futile.what, needed: null, isFutile: true }
  const isOpen = lacking.some(({ needed }) => needed === null)
  const needed = isOpen ? null : Math.max(...lacking.map((one) => one.needed!))
  const more =
    needed === null
      ? 'how many more requests that takes is not foreseeable'
      : `about ${needed} more ${unit} of the scarcer arm are needed`
  return { says: `not shown yet: ${lacking.map(({ what }) => what).join('; ')}; ${more}`, needed, isFutile: false }
}

const wanted = ({ improveBy, worseByAtMost }: Rollout['success'][number], isProof: boolean): string =>
  [
    ...(isProof && improveBy !== undefined ? [improveBy === 0 ? 'better' : `better by ${improveBy}`] : []),
    ...(worseByAtMost === undefined ? [] : [`worse by ${worseByAtMost} at most`]),
  ].join(' and ')

/** `3 h`, `12 min`, `5 s`: in its largest unit, rounded up. */
const duration = (ms: number): string =>
  ms > 7_200_000
    ? `${Math.ceil(ms / 3_600_000)} h`
    : ms > 120_000
      ? `${Math.ceil(ms / 60_000)} min`
      : `${Math.ceil(ms / 1_000)} s`

/** The rollout at its next stage; after the last one it is finished. */
export function promoted(rollout: Rollout, state: RolloutState, now: EpochMs): RolloutState {
  if (state.stage + 1 < rollout.stages.length) return atStage(rollout, state, state.stage + 1, now)
  const { cohort: _, ...rest } = state
  const end = { ...rest, status: 'finished' as const, shareBp: 10_000, tenantsBp: 10_000, exposedAt: now, needed: null }
  return { ...end, says: finalReport(rollout, end) }
}

/** The rollout at the begin of a stage. */
export function atStage(rollout: Rollout, state: RolloutState, index: number, now: EpochMs): RolloutState {
  const stage = rollout.stages[index]!
  const { cohort: _, narrowedAt: __, reach: ___, ...rest } = state
  return exposedAnew(
    {
      ...rest,
      status: 'running',
      stage: index,
      stageSince: now,
      stageUnits: { control: 0, treatment: 0 },
      says: `${stage.name}: begun`,
      needed: null,
      tenantsBp: stage.tenantsBp,
      ...(stage.cohort === undefined ? {} : { cohort: stage.cohort }),
    },
    stage.shareBp,
    now,
  )
}

/** With other shares the comparison begins anew: arms that were filled at different times differ by the time of day. */
function exposedAnew(state: RolloutState, shareBp: number, now: EpochMs): RolloutState {
  const { split: _, ...tests } = state.tests
  const criteria = shareBp < 10_000 ? [] : state.criteria
  return { ...state, shareBp, exposedAt: now, tests, criteria, pending: NO_COUNTS, exposed: NO_COUNTS }
}

/** The rollout after its end: nobody is in the treatment any more. */
export const ended = (
  state: RolloutState,
  status: 'rolled-back' | 'aborted' | 'no-effect',
  text: string,
): RolloutState => ({
  ...state,
  status,
  shareBp: 0,
  says: text,
  needed: null,
})

function narrowedBy(rollout: Rollout, state: RolloutState, finding: LimitFinding, now: EpochMs): RolloutState {
  const least = Math.max(1, Math.floor(stageOf(rollout, state).shareBp * NARROW_TO))
  const isTime = state.narrowedAt === undefined || now - (state.exposedAt ?? 0) >= NARROW_EVERY_MS
  const text = `narrowed: ${finding.says}`
  if (!isTime || state.shareBp <= least) return { ...says(state, 'held', text), narrowedAt: now }
  const shareBp = Math.max(least, Math.floor(state.shareBp / 2))
  return { ...exposedAnew(says(state, 'held', text), shareBp, now), narrowedAt: now }
}

/** The stage's own share again, once nothing has pressed for long enough; undefined: nothing to do. */
function widened(rollout: Rollout, state: RolloutState, now: EpochMs): RolloutState | undefined {
  if (state.narrowedAt === undefined || now - state.narrowedAt < WIDEN_AFTER_MS) return undefined
  const { narrowedAt: _, ...rest } = state
  return exposedAnew(
    says(rest, 'running', "the pressure has gone: the share is the stage's again"),
    stageOf(rollout, state).shareBp,
    now,
  )
}

const stageOf = (rollout: Rollout, state: RolloutState): Stage => rollout.stages[state.stage]!
