import { murmur3 } from '../math/murmur3.ts'
import type { EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import { feedProblem } from './failure.ts'
import { FOREVER, later, readDuration, readMoment } from './iso-time.ts'
import { fieldsOf, listOf, shown, textOf } from './json-reader.ts'

/** One payload of one interval of an event: what is asked for or told from when to when. */
export interface Order {
  readonly type: string
  readonly from: EpochMs
  readonly to: EpochMs
  readonly values: readonly unknown[]
  /** Lower goes first; events without one come last. */
  readonly priority: number
  readonly issuedAt: EpochMs
  /** As the event or its program declares them. */
  readonly units?: string
  readonly currency?: string
  /** For messages. */
  readonly event: string
}

/** A program, as far as its events need it. */
export interface Program {
  readonly id: string
  readonly name: string
  readonly targets: unknown
  readonly descriptors: unknown
}

/** Whose events count, and as of when. */
export interface EventsAbout {
  readonly now: EpochMs
  /** Names under which the operator knows our site; events for others are passed over. */
  readonly names: ReadonlySet<string>
  readonly programs: ReadonlyMap<string, Program>
  /** Only events of these programs, by id; undefined: of all. */
  readonly only: ReadonlySet<string> | undefined
  /** When an event was first seen, for those that begin now and do not say when they were made. */
  readonly seenAt: Map<string, EpochMs>
  /** Decides where in a randomised start we begin: the same for one event in every run. */
  readonly seed: string
}

const INTERVALS_MAX = 4_096
const WARNINGS_MAX = 20

/** The orders of all events that are meant for us, and what of them could not be read. */
export function ordersOf(
  events: readonly unknown[],
  about: EventsAbout,
): { readonly orders: readonly Order[]; readonly warnings: readonly Problem[] } {
  const orders: Order[] = []
  const warnings: Problem[] = []
  const warn = (message: string, remedy?: string) => {
    if (warnings.length >= WARNINGS_MAX) return
    warnings.push(
      feedProblem('feed/bad-event', message, { severity: 'warning', ...(remedy === undefined ? {} : { remedy }) }),
    )
  }
  for (const given of events) {
    const event = fieldsOf(given)
    const id = textOf(event.id)
    if (id === undefined) {
      warn(`an event has no id: ${shown(event.eventName)}`)
      continue
    }
    const program = about.programs.get(String(event.programID))
    if (about.only !== undefined && !about.only.has(String(event.programID))) continue
    if (!isForUs(event.targets, about.names) || (program !== undefined && !isForUs(program.targets, about.names)))
      continue
    if (!about.seenAt.has(id)) about.seenAt.set(id, about.now)
    for (const order of intervalsOf(event, id, program, about, warn)) orders.push(order)
  }
  return { orders, warnings }
}

/** Targets are names (3.1) or types with names (3.0); none at all: it is for everybody. */
const isForUs = (targets: unknown, names: ReadonlySet<string>): boolean => {
  const all = listOf(targets).flatMap((one) => (typeof one === 'string' ? [one] : listOf(fieldsOf(one).values)))
  return all.length === 0 || all.some((one) => names.has(String(one)))
}

function* intervalsOf(
  event: Readonly<Record<string, unknown>>,
  id: string,
  program: Program | undefined,
  about: EventsAbout,
  warn: (message: string, remedy?: string) => void,
): Generator<Order> {
  const label = textOf(event.eventName) ?? id
  const issuedAt = readMoment(event.modificationDateTime) ?? readMoment(event.createdDateTime) ?? about.seenAt.get(id)!
  const period = fieldsOf(event.intervalPeriod)
  const priority = typeof event.priority === 'number' ? event.priority : Number.POSITIVE_INFINITY
  const intervals = listOf(event.intervals)
  if (intervals.length > INTERVALS_MAX) warn(`only the first ${INTERVALS_MAX} intervals of ${label} are read`)
  const beginning = (start: unknown): EpochMs | undefined => {
    if (start === undefined || start === null) return undefined
    if (typeof start === 'string' && start.startsWith('0001-01-01')) return Math.min(issuedAt, about.now)
    const at = readMoment(start)
    if (at === undefined) warn(`${label} begins at ${shown(start)}, which is no time`)
    return at
  }
  // Without a period an event is in force from when it was made until it is withdrawn.
  let cursor = beginning(period.start) ?? (period.start == null ? Math.min(issuedAt, about.now) : undefined)
  for (const [index, given] of intervals.slice(0, INTERVALS_MAX).entries()) {
    const interval = fieldsOf(given)
    const own = fieldsOf(interval.intervalPeriod)
    const start: EpochMs | undefined = beginning(own.start) ?? (own.start == null ? cursor : undefined)
    if (start === undefined) continue
    if (start >= FOREVER) {
      warn(`interval ${index} of ${label} comes after one without an end`)
      return
    }
    const written = own.duration ?? period.duration
    const duration = written == null ? { months: 0, ms: 0 } : readDuration(written)
    if (duration === undefined) warn(`${label} lasts ${shown(written)}, which is no duration`)
    // No length, or none that can be read: in force until it is withdrawn. What limits us is not to be lost.
    const to = duration === undefined || duration.months + duration.ms === 0 ? FOREVER : later(start, duration)
    cursor = to
    if (to <= about.now) continue
    const from = Math.min(
      to - 1,
      start + waitOf(own.randomizeStart ?? (index === 0 ? period.randomizeStart : null), id, about),
    )
    for (const payload of listOf(interval.payloads).slice(0, 64)) {
      const type = textOf(fieldsOf(payload).type)
      if (type === undefined) continue
      const values = listOf(fieldsOf(payload).values)
      const described = descriptorOf(event.payloadDescriptors, type) ?? descriptorOf(program?.descriptors, type) ?? {}
      const units = textOf(described.units)
      const currency = textOf(described.currency)
      yield {
        type,
        from: type === 'PRICE' || type === 'GHG' ? start : from,
        to,
        values,
        priority,
        issuedAt,
        event: label,
        ...(units === undefined ? {} : { units }),
        ...(currency === undefined ? {} : { currency }),
      }
    }
  }
}

/** How long after its start we begin, so that not everybody does at once. */
const waitOf = (randomizeStart: unknown, id: string, { seed }: EventsAbout): number => {
  const most = readDuration(randomizeStart)
  return most === undefined ? 0 : Math.floor((murmur3(`${seed}#${id}`) / 2 ** 32) * (later(0, most) - 0))
}

const descriptorOf = (descriptors: unknown, type: string): Readonly<Record<string, unknown>> | undefined =>
  listOf(descriptors)
    .map(fieldsOf)
    .find(({ payloadType }) => payloadType === type)
