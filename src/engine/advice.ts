import type { Because } from '../model/decision.ts'
import type { WorkloadClass } from '../model/documents.ts'
import type { Advice, AdviceAction, AdviceReason, Job } from '../model/job.ts'
import type { EpochMs } from '../model/names.ts'
import type { Reservation } from '../model/reservation.ts'
import { signalOf } from '../model/signal.ts'
import type { Tally } from '../model/tally.ts'
import type { Block } from './block.ts'
import { decide } from './decide.ts'
import { HARD, hardBecause, hardBlock, holds } from './eligibility.ts'
import { softBlock } from './fitness.ts'
import { claimOf } from './job-needs.ts'
import { choose } from './precedence.ts'
import type { EngineSnapshot, TargetProgram } from './programs.ts'
import { withReservation } from './reserve.ts'
import { type Scene, sceneOf } from './scene.ts'
import { type Line, lineOf, reaches } from './trend.ts'

/** How long before a maintenance window jobs are told: time for a checkpoint of a large model and its way elsewhere. */
export const MAINTENANCE_NOTICE_MS = 1_800_000
/** A deadline that a trend gives lies at most so far ahead: beyond it a straight line says nothing. */
const TREND_MS_MAX = 3_600_000

/** What stands against a job's staying where it is. */
interface Trouble {
  readonly reason: AdviceReason
  readonly because?: Because
  readonly deadline: EpochMs | null
  readonly red?: Advice['red']
}

/** What is done about a trouble, by the job's flexibility; `move` is a pause where it has to leave and nothing else fits. */
const ANSWERS: Readonly<
  Record<Exclude<AdviceReason, 'fits'>, Readonly<Record<WorkloadClass['flexibility'], AdviceAction>>>
> = {
  red: { pausable: 'pause', movable: 'move', delayable: 'pause', inflexible: 'pause' },
  gone: { pausable: 'pause', movable: 'move', delayable: 'pause', inflexible: 'pause' },
  maintenance: { pausable: 'pause', movable: 'move', delayable: 'pause', inflexible: 'pause' },
  drained: { pausable: 'pause', movable: 'move', delayable: 'run', inflexible: 'run' },
  // A dead target neither pauses nor resumes anything: what can run elsewhere should.
  down: { pausable: 'run', movable: 'move', delayable: 'run', inflexible: 'run' },
  readiness: { pausable: 'pause', movable: 'move', delayable: 'run', inflexible: 'run' },
  stale: { pausable: 'pause', movable: 'move', delayable: 'run', inflexible: 'run' },
}

/** Troubles in which a job may not stay, even where nothing else fits. */
const MUST_LEAVE: ReadonlySet<AdviceReason> = new Set(['red', 'gone', 'maintenance'])
/** Decisions that name a target on its merits, not for want of a better one. */
const GOOD_REASONS: ReadonlySet<string> = new Set(['first-choice', 'fallback', 'pinned', 'session'])

/**
 * What each of these admitted jobs is to be told now; a job whose advice stands keeps the very object it had. A running
 * job is not asked to meet the thresholds it was admitted by, since its own draw is in the numbers: it stays unless its
 * target is red for its class, in maintenance or nearly so, drained, has left what readiness admits, or is unknown. A
 * job that was told to stop is asked to meet all of them before it is told to go on, with the dwell of every gate.
 */
export const adviseJobs = (
  snapshot: EngineSnapshot,
  tally: Tally,
  jobs: readonly Job[],
  now: EpochMs,
  before: Claims = claimsOf(snapshot, jobs),
): { readonly advice: readonly Advice[]; readonly claims: Claims } => {
  let claims = before
  const advice = jobs.map((job) => {
    const told = adviseJob(snapshot, claims, tally, job, now)
    if (told !== job.advice && told.to !== undefined)
      claims = withReservation(claims, wayOf(job), claimOn(job, told.to))
    return told
  })
  return { advice, claims }
}

/** What is held and what jobs that are told to move will take where they go, so that not all are sent to the same room. */
export type Claims = EngineSnapshot['data']['reservations']

/** The claims of what is held and of the jobs that are on their way already. */
export const claimsOf = ({ data }: EngineSnapshot, jobs: Iterable<Job>): Claims => {
  let claims: Record<string, Reservation> | undefined
  for (const job of jobs) {
    if (job.advice.to === undefined) continue
    claims ??= { ...data.reservations }
    claims[wayOf(job)] = claimOn(job, job.advice.to)
  }
  return claims ?? data.reservations
}

const wayOf = ({ id }: Job): string => `${id} on its way`

const claimOn = (job: Job, { target }: NonNullable<Advice['to']>): Reservation => ({
  id: wayOf(job),
  class: job.class,
  target,
  ...claimOf(job.facts.needs),
  drawMw: 0,
  madeAt: job.advice.since,
  expiresAt: job.expiresAt,
})

const adviseJob = (snapshot: EngineSnapshot, claims: Claims, tally: Tally, job: Job, now: EpochMs): Advice => {
  const { data, programs } = snapshot
  const workload = programs.classes.get(job.class)
  const scene = sceneOf(job.facts, data, programs, tally, now, choose(job.facts, snapshot, now).policy, workload?.doc)
  const index = programs.indexOf.get(job.target)
  const target = index === undefined ? undefined : programs.targets[index]
  const trouble = target === undefined ? GONE : troubleOf(scene, target)
  if (trouble === undefined) return withoutTrouble(scene, target!, job)
  const flexibility = workload?.doc?.flexibility ?? 'inflexible'
  let action = ANSWERS[trouble.reason as keyof typeof ANSWERS][flexibility]
  const to = action === 'move' ? (onItsWay(scene, job) ?? elsewhere(snapshot, claims, tally, job, now)) : undefined
  if (action === 'move' && to === undefined) action = MUST_LEAVE.has(trouble.reason) ? 'pause' : 'run'
  if (action === 'run') return withoutTrouble(scene, target!, job)
  const { reason, because, deadline, red } = trouble
  const before = job.advice
  const isSame = before.action === action && before.reason === reason && before.to?.target === to?.target
  // A deadline that a trend gave moves with every sample; it is told anew only when it has come a good deal nearer.
  if (isSame && !isNearer(before.deadline, deadline, now)) return before
  return {
    action,
    reason,
    ...(because === undefined ? {} : { because }),
    deadline,
    ...(red === undefined ? {} : { red }),
    ...(to === undefined ? {} : { to }),
    since: isSame ? before.since : now,
  }
}

const GONE: Trouble = { reason: 'gone', deadline: null }

const isNearer = (before: EpochMs | null | undefined, after: EpochMs | null, now: EpochMs): boolean =>
  after !== null && after > now && (before === null || before === undefined || after - now < (before - now) / 2)

/** What a job that nothing stands against is told: to run; to resume, once it fits again, where it had been told to stop. */
const withoutTrouble = (scene: Scene, target: TargetProgram, job: Job): Advice => {
  const before = job.advice
  if (before.action === 'run' || before.action === 'resume') return before
  if (hardBlock(scene, target, job.facts.model) >= 0) return before
  // One that was to move and has not still draws its power: only timers and freshness keep it from staying.
  const against = before.action === 'move' ? blocksOf(scene, target).filter(isOfTime) : standing(scene, target, job)
  return against.length > 0 ? before : { action: 'resume', reason: 'fits', since: scene.now }
}

const isOfTime = ({ kind }: Block): boolean => kind === 'held' || kind === 'stale'

const blocksOf = (scene: Scene, target: TargetProgram): readonly Block[] => {
  const blocks: Block[] = []
  softBlock(scene, target, { stale: [], insufficient: [], waivedBy: null }, blocks)
  return blocks
}

/** What keeps a paused job out. What it holds itself is there for it, so it is not counted against it. */
const standing = (scene: Scene, target: TargetProgram, job: Job): readonly Block[] => {
  const blocks = blocksOf(scene, target)
  // Leaving it out copies all the others, so it is done only where it may help.
  if (blocks.length === 0 || blocks.some(isOfTime)) return blocks
  const reservations = withReservation(scene.data.reservations, job.id, undefined)
  return blocksOf({ ...scene, data: { ...scene.data, reservations } }, target)
}

const troubleOf = (scene: Scene, target: TargetProgram): Trouble | undefined => {
  const { now, facts } = scene
  for (const [constraint, reason] of [
    ['safety.red', 'red'],
    ['maintenance', 'maintenance'],
    ['drain', 'drained'],
    ['health.state', 'down'],
  ] as const) {
    const code = HARD.indexOf(constraint)
    if (holds(scene, target, facts.model, code)) continue
    const mustLeave = MUST_LEAVE.has(reason)
    return { reason, because: hardBecause(scene, target, facts.model, code), deadline: mustLeave ? now : null }
  }
  return maintenanceSoon(scene, target) ?? notAdmitted(scene, target) ?? unknown(scene, target)
}

/** The first maintenance that begins within the notice. */
const maintenanceSoon = ({ programs, now }: Scene, target: TargetProgram): Trouble | undefined => {
  const orders = programs.maintenance.filter(
    (order) => order.site === target.site && (order.pool === undefined || order.pool === target.pool),
  )
  let from = Number.POSITIVE_INFINITY
  let why = ''
  for (const window of [...target.maintenance, ...orders]) {
    if (window.from <= now || window.from - now > MAINTENANCE_NOTICE_MS || window.from >= from) continue
    from = window.from
    why = window.reason ?? 'planned'
  }
  if (why === '') return undefined
  const measured = `maintenance: ${why}`
  const because: Because = { target: target.name, constraint: 'maintenance', measured, op: '==', limit: 'none ahead' }
  return { reason: 'maintenance', because, deadline: from }
}

/** The first limit of readiness, crossed now, whose state does not let the job's class in. */
const notAdmitted = (scene: Scene, target: TargetProgram): Trouble | undefined => {
  const { policy, data, now } = scene
  for (const { gate } of policy?.admission[target.index] ?? []) {
    if (data.gates[gate.key]?.failed[target.index] !== 1) continue
    const { signal } = gate
    const { op, resume } = gate.threshold
    const column = data.columns[signal]
    const at = column?.at[target.index] ?? 0
    const value = column?.value[target.index] ?? 0
    const because: Because = {
      target: target.name,
      constraint: 'readiness',
      measured: value,
      op: op === 'max' ? '<=' : '>=',
      limit: resume,
      unit: `${signalOf(signal)?.unit ?? ''} of ${signal}`,
      ...(at > 0 ? { ageMs: now - at, source: column!.source[target.index]! } : {}),
    }
    const red = policy!.readiness[target.index]!.rules.find((rule) => rule.signal === signal)?.red?.threshold
    if (red === undefined) return { reason: 'readiness', because, deadline: null }
    return {
      reason: 'readiness',
      because,
      deadline: crossing(lineOf(data.trends[signal]?.[target.index]), red),
      red: { signal, op: red.op, limit: red.limit },
    }
  }
  return undefined
}

/** When a value that goes on as it does will be past a limit; null where it does not go that way, or not for an hour. */
const crossing = (
  line: Line | undefined,
  { op, limit }: { readonly op: 'min' | 'max'; readonly limit: number },
): EpochMs | null => {
  if (line === undefined || line.slope < 0 !== (op === 'min')) return null
  return reaches(line, limit, TREND_MS_MAX)?.at ?? null
}

/** Signals that nobody knows any more, where the class waits then. */
const unknown = (scene: Scene, target: TargetProgram): Trouble | undefined => {
  const action = scene.workload?.whenStale.action ?? 'lowest-risk'
  if (action === 'lowest-risk' || action === 'route' || action === 'degrade') return undefined
  const stale = blocksOf(scene, target).find(({ kind }) => kind === 'stale')
  return stale === undefined ? undefined : { reason: 'stale', because: stale.because, deadline: null }
}

/** Where it was told to go, as long as that may serve it: the room there may be what it has taken itself meanwhile. */
const onItsWay = (scene: Scene, { advice: { to }, facts }: Job): Advice['to'] => {
  const index = scene.programs.indexOf.get(to?.target ?? '')
  return index !== undefined && hardBlock(scene, scene.programs.targets[index]!, facts.model) < 0 ? to : undefined
}

/** Where the job would be sent if its present target were drained. */
const elsewhere = (snapshot: EngineSnapshot, claims: Claims, tally: Tally, job: Job, now: EpochMs): Advice['to'] => {
  const [site = '', pool = ''] = job.target.split('/')
  const away = {
    id: 'advice',
    kind: 'drain' as const,
    scope: { site, pool },
    reason: 'asked where else',
    author: 'hubward',
    created: now,
    expires: now + 1,
  }
  const { session: _session, hop: _hop, ...facts } = job.facts
  const asked = { ...facts, session: { verdict: 'none' as const } }
  const programs = { ...snapshot.programs, overrides: [...snapshot.programs.overrides, away] }
  const data = { ...snapshot.data, reservations: claims }
  const decision = decide(asked, { data, programs }, tally, now, job.id)
  return decision.action === 'route' && decision.target !== undefined && GOOD_REASONS.has(decision.reason)
    ? { target: decision.target, cluster: decision.cluster }
    : undefined
}
