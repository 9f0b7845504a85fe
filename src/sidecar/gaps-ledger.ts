import { createHash } from 'node:crypto'
import type { Because, Decision } from '../model/decision.ts'
import type { JobNeeds } from '../model/facts.ts'
import { type EpochMs, siteOf } from '../model/names.ts'
import { CONSTRAINTS, REASONS } from '../model/reason.ts'
import { signalOf } from '../model/signal.ts'
import { DIMENSIONS } from '../model/signal-row.ts'
import { CAPACITY, ENTRIES_MAX, EVERYWHERE, HOUR_MS, type Hours, hourOf, OVERALL, trim } from './gaps-hours.ts'

/** Longer between two looks is time in which nobody watched: the machine slept, or somebody set its clock. */
const LOOK_MS_MAX = 30_000
/** Jobs that have a name are counted once in so long. */
const SEEN_MS = 86_400_000
const SEEN_MAX = 4_096
/** Answers that are no matter of capacity: who asked wrongly, or for what nobody offers. */
const NOT_CAPACITY: ReadonlySet<string> = new Set([
  'bad-request',
  'hop-loop',
  'residency-unknown',
  'residency-unservable',
  'model-unknown',
])

/** What keeps work from a place that no capacity there would change. */
const NOT_OF_SITES: ReadonlySet<string> = new Set([
  'residency',
  'model.served',
  'model.context_tokens',
  'model.tools',
  'pin',
])

/** A piece of work that was turned away. */
export interface TurnedAway {
  readonly decision: Decision
  readonly needs: JobNeeds | undefined
  /** How many hours such work usually takes, as its class says. */
  readonly classHours?: number
  /** The asker's own name for it. */
  readonly key?: string
  /** Whether documents name its class. */
  readonly isKnownClass: boolean
}

/** What a ledger holds: everything that has to outlive a restart. */
export interface LedgerState {
  readonly hours: Hours
  /** When each named piece of work was last counted, by a hash of its name and of what it is counted under. */
  readonly seen: Map<string, EpochMs>
}

/** A ledger's contents before anything has happened. */
export const emptyLedger = (): LedgerState => ({ hours: new Map(), seen: new Map() })

const IS_CAPACITY = DIMENSIONS.map((dimension) => CAPACITY.includes(dimension))

/** By dimension, and overall last: 0 green or unknown, 1 amber, 2 red. */
type SiteStates = Uint8Array

/**
 * Time that sites were amber and red, and work that was turned away, by the hour. Time is what was lived through: a
 * stretch is added when it has passed, in the hour in which it passed, so neither a restart nor a clock that is set
 * counts anything twice.
 */
export class GapsLedger {
  readonly state: LedgerState
  /** The same since the start, for metrics: `ams\npower` to milliseconds amber and red. */
  readonly sinceStart = new Map<string, [amberMs: number, redMs: number]>()
  readonly #entriesMax: number
  readonly #troubled = new Map<string, SiteStates>()
  #lookedAt: EpochMs | undefined
  #entries: number
  #isWatching = false

  constructor(state: LedgerState = emptyLedger(), entriesMax = ENTRIES_MAX) {
    this.state = state
    this.#entriesMax = entriesMax
    this.#entries = trim(state.hours, undefined, entriesMax)
  }

  /** How the targets are from now on: a code each, a letter for each dimension. */
  see(targets: readonly string[], codes: readonly string[], now: EpochMs): void {
    this.pass(now)
    this.#isWatching = targets.length > 0
    this.#troubled.clear()
    for (const [index, target] of targets.entries()) {
      const code = codes[index] ?? ''
      if (!code.includes('a') && !code.includes('r')) continue
      const site = siteOf(target)
      let states = this.#troubled.get(site)
      if (states === undefined) {
        states = new Uint8Array(DIMENSIONS.length + 1)
        this.#troubled.set(site, states)
      }
      for (let at = 0; at < DIMENSIONS.length; at++) {
        const letter = code[at]
        const state = letter === 'r' ? 2 : letter === 'a' ? 1 : 0
        if (state > states[at]!) states[at] = state
        if (state > states[DIMENSIONS.length]! && IS_CAPACITY[at]) states[DIMENSIONS.length] = state
      }
    }
  }

  /** Adds the time since the last look. */
  pass(now: EpochMs): void {
    const before = this.#lookedAt
    if (before !== undefined && now <= before) return
    this.#lookedAt = now
    if (before === undefined || now - before > LOOK_MS_MAX || !this.#isWatching) return
    for (let from = before; from < now; ) {
      const number = Math.floor(from / HOUR_MS)
      const to = Math.min(now, (number + 1) * HOUR_MS)
      this.#add(number, to - from)
      from = to
    }
  }

  #add(number: number, ms: number): void {
    if (!this.state.hours.has(number)) this.#entries = trim(this.state.hours, undefined, this.#entriesMax)
    const hour = hourOf(this.state.hours, number)
    hour.watchedMs += ms
    for (const [site, states] of this.#troubled) {
      for (let at = 0; at < states.length; at++) {
        const state = states[at]!
        if (state === 0) continue
        const key = `${site}\n${DIMENSIONS[at] ?? OVERALL}`
        const time = this.#entry(hour.states, key, () => ({ amberMs: 0, redMs: 0 }))
        if (time === undefined) continue
        time[state === 2 ? 'redMs' : 'amberMs'] += ms
        const total = this.sinceStart.get(key) ?? [0, 0]
        total[state - 1]! += ms
        this.sinceStart.set(key, total)
      }
    }
  }

  /** Counts a decision that sends work away; others change nothing. */
  turnAway({ decision, needs, classHours, key, isKnownClass }: TurnedAway, now: EpochMs): void {
    const { action, reason, because } = decision
    if ((action !== 'delay' && action !== 'deny') || NOT_CAPACITY.has(reason)) return
    if (decision.status === 403) return
    const number = Math.floor(now / HOUR_MS)
    const { work } = hourOf(this.state.hours, number)
    const name = isKnownClass ? decision.class : 'other'
    const size = sizeOf(needs, classHours)
    const count = (site: string, constraint: string): void => {
      const place = `${site}\n${name}\n${action}\n${constraint}`
      const cell = this.#entry(work, place, () => ({ asked: 0, work: 0, sized: 0, mwh: 0, gpuHours: 0 }))
      if (cell === undefined) return
      cell.asked += 1
      if (key !== undefined && this.#wasSeen(key, site, now)) return
      cell.work += 1
      if (size === undefined) return
      cell.sized += 1
      cell.mwh += size.mwh
      cell.gpuHours += size.gpuHours
    }
    const lacking = because.filter(({ constraint }) => !NOT_OF_SITES.has(constraint))
    const [first = because[0]] = lacking
    count(EVERYWHERE, first === undefined ? reason : wordOf(first))
    const counted = new Set<string>()
    for (const one of lacking) {
      const site = siteOf(one.target)
      if (site === '' || counted.has(site)) continue
      counted.add(site)
      count(site, wordOf(one))
    }
  }

  #wasSeen(key: string, site: string, now: EpochMs): boolean {
    const { seen } = this.state
    const hash = createHash('sha256').update(`${key}\n${site}`).digest('base64url').slice(0, 12)
    const at = seen.get(hash)
    if (at !== undefined && now - at < SEEN_MS) return true
    seen.delete(hash)
    if (seen.size >= SEEN_MAX) seen.delete(seen.keys().next().value!)
    seen.set(hash, now)
    return false
  }

  /** The entry under a key; undefined where no more of them can be kept. */
  #entry<Entry>(entries: Map<string, Entry>, key: string, make: () => Entry): Entry | undefined {
    let entry = entries.get(key)
    if (entry === undefined) {
      if (this.#entries >= this.#entriesMax) {
        this.#entries = trim(this.state.hours, undefined, this.#entriesMax - 1)
        if (this.#entries >= this.#entriesMax) return undefined
      }
      entry = make()
      entries.set(key, entry)
      this.#entries += 1
    }
    return entry
  }
}

/** Energy and accelerator time that work would have taken; undefined: nobody said how long it takes, or how much. */
const sizeOf = (needs: JobNeeds | undefined, classHours: number | undefined) => {
  const hours = needs?.hours ?? classHours
  if (hours === undefined || (needs?.mw === undefined && needs?.gpus === undefined)) return undefined
  return { mwh: (needs.mw ?? 0) * hours, gpuHours: (needs.gpus ?? 0) * hours }
}

/** Constraints that are of some signal, which says more of what was lacking. */
const OF_SIGNALS: ReadonlySet<string> = new Set(['job.need', 'readiness', 'safety.red'])

/**
 * What stood in the way, in one word: for a job's own need, readiness and red the signal that it is of. A job may ask for
 * signals that nobody knows; their names must not fill the ledger.
 */
const wordOf = ({ constraint, unit = '', measured }: Because): string => {
  if (OF_SIGNALS.has(constraint)) {
    const says = String(measured)
    if (says.endsWith(' stale')) return 'freshness'
    const signal = / of (\S+)$/.exec(unit)?.[1] ?? says.split(' ')[0]!
    return signalOf(signal) === undefined ? constraint : signal
  }
  const isKnown = Object.hasOwn(CONSTRAINTS, constraint) || Object.hasOwn(REASONS, constraint)
  return isKnown || signalOf(constraint) !== undefined ? constraint : 'other'
}
