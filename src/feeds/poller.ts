import { murmur3 } from '../math/murmur3.ts'
import type { ClusterName, EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Heartbeat, Sample, Series } from '../model/sample.ts'
import type { SourceStatus } from '../model/source.ts'
import { errorDetail, FeedFailure, failure, feedProblem } from './failure.ts'
import { type FeedClock, realTimer, type Timer } from './time.ts'

/** A place that is read again and again. */
export interface Source {
  readonly name: string
  readonly kind: string
  readonly owner?: string
  /** Shown to operators: a folder or an address, never with credentials. */
  readonly where: string
  readonly intervalMs: number
  /** The deadline of one attempt. */
  readonly timeoutMs: number
  /** The longest wait between attempts that fail. */
  readonly backoffMsMax: number
  /** Sites or targets it covers; empty: all. */
  readonly covers: readonly string[]
  /** The signals it can deliver. */
  delivers(): readonly string[]
  /** One attempt: a set, or a rejection with FeedFailure. Ends what it began when the signal aborts. */
  read(attempt: Attempt): Promise<Reading>
  /** Calls `changed` when there may be something new before the interval is over; the function it gives ends that. */
  watch?(changed: () => void): () => void
  /** Called once, after the last attempt. */
  close?(): Promise<void> | void
}

/** One attempt to read a source. */
export interface Attempt {
  readonly signal: AbortSignal
  /** Unique for each attempt of each process. */
  readonly nonce: string
}

/** What an attempt gave. */
export interface Reading {
  /** The upstream's own version, or a hash of what was read. */
  readonly version: string
  readonly samples: readonly Sample[]
  readonly heartbeats: readonly Heartbeat[]
  /** Values ahead of time; each replaces the one of the same signal and place. Absent: none. */
  readonly series?: readonly Series[]
  /** The clusters Envoy has, where that is what was asked. */
  readonly clusters?: readonly ClusterName[]
  /** What is wrong without spoiling the set. */
  readonly warnings?: readonly Problem[]
  readonly clockSkewMs?: number
  /** Worth a second look soon: the next attempt comes after a quarter of the interval, three times in a row at most. */
  readonly hurry?: boolean
}

/** Exact counts of one source; they never go back. */
export interface PollCounts {
  attempts: number
  accepted: number
  refused: number
  timeouts: number
  /** Refused for being the same bytes while counters should move. */
  frozen: number
  bugs: number
}

/** What a poller is handed. */
export interface PollerEdges {
  readonly clock: FeedClock
  /** Node's own where absent. */
  readonly timer?: Timer
  /** Takes an accepted set. */
  readonly accept: (reading: Reading, source: Source) => void
  /** Called when a source begins to fail or to succeed, not at every attempt. */
  readonly turned?: (status: SourceStatus, failing: boolean) => void
  /** A mistake of ours, with its stack; the poller goes on. */
  readonly bug?: (error: unknown, source: string) => void
}

/** How much of the interval chance may take away, so that many sources don't ask at once. */
const JITTER_RATIO = 0.1
/** The first attempt comes within this time. */
const FIRST_WITHIN_MS = 2_000
const HURRY_MAX = 3
/** What is changing has this long to be whole. */
const POKE_MS = 50
/** What an aborted attempt has to end by itself. */
const GRACE_MS = 100

/**
 * Asks one source at its interval, one attempt at a time, each with a deadline, with exponential backoff while it
 * fails. Jitter is worked out from the source's name and only ever shortens the interval, so that freshness limits can
 * be reckoned from it. As in xDS each set has a version, each attempt a nonce; a set is accepted or refused as a whole,
 * and after a refusal the last good one stays in force. Nothing a source does makes it throw.
 */
export class Poller {
  readonly source: Source
  readonly counts: PollCounts = { attempts: 0, accepted: 0, refused: 0, timeouts: 0, frozen: 0, bugs: 0 }
  readonly #edges: PollerEdges
  readonly #timer: Timer
  #version = ''
  #nonce = ''
  #epoch = ''
  #lastAcceptedAt: EpochMs | null = null
  #lastRefusedAt: EpochMs | null = null
  #refusal: readonly Problem[] = []
  #warnings: readonly Problem[] = []
  #failuresInARow = 0
  #hurried = 0
  #clockSkewMs: number | undefined
  #cancel: (() => void) | undefined
  #unwatch: (() => void) | undefined
  #running: Promise<void> | undefined
  #abort: ((why: FeedFailure) => void) | undefined
  #poked = false
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(source: Source, edges: PollerEdges) {
    this.source = source
    this.#edges = edges
    this.#timer = edges.timer ?? realTimer
  }

  /** Begins; the first attempt comes within two seconds, spread by name. */
  start(): void {
    if (this.#state !== 'new') return
    this.#state = 'started'
    this.#epoch = this.#edges.clock.now().toString(36)
    this.#guarded(() => {
      this.#unwatch = this.source.watch?.(() => this.poke())
    })
    this.#schedule(share(this.source.name, 0) * Math.min(this.source.intervalMs, FIRST_WITHIN_MS))
  }

  /** Asks soon, whatever the interval; if an attempt is under way, once more after it. Many calls are one. */
  poke(): void {
    if (this.#state !== 'started' || this.#poked) return
    this.#poked = true
    if (this.#running === undefined) this.#schedule(POKE_MS)
  }

  /** Ends: aborts an attempt under way, and resolves once nothing runs any more. */
  async stop(): Promise<void> {
    const before = this.#state
    this.#state = 'stopped'
    this.#cancel?.()
    this.#unwatch?.()
    this.#abort?.(failure('feed/unreachable', 'hubward is stopping'))
    await this.#running
    if (before !== 'started') return
    try {
      await this.source.close?.()
    } catch (error) {
      this.#bug(error)
    }
  }

  /** How it stands with the source. `refusal` is why the last refusal was, also after a later success. */
  status(): SourceStatus {
    const { name, kind, owner, where, intervalMs, timeoutMs, covers } = this.source
    return {
      name,
      kind,
      ...(owner === undefined ? {} : { owner }),
      where,
      version: this.#version,
      nonce: this.#nonce,
      intervalMs,
      timeoutMs,
      lastAcceptedAt: this.#lastAcceptedAt,
      lastRefusedAt: this.#lastRefusedAt,
      refusal: this.#refusal,
      ...(this.#warnings.length === 0 ? {} : { warnings: this.#warnings }),
      failuresInARow: this.#failuresInARow,
      ...(this.#clockSkewMs === undefined ? {} : { clockSkewMs: this.#clockSkewMs }),
      delivers: this.source.delivers(),
      covers,
    }
  }

  #schedule(ms: number): void {
    this.#cancel?.()
    this.#cancel = this.#timer(ms, () => {
      if (this.#state !== 'started') return
      this.#poked = false
      const beganAt = this.#edges.clock.now()
      this.#running = this.#attempt().finally(() => {
        this.#running = undefined
        if (this.#state !== 'started') return
        const tookMs = Math.max(0, this.#edges.clock.now() - beganAt)
        this.#schedule(this.#poked ? POKE_MS : Math.max(0, this.#waitMs() - tookMs))
      })
    })
  }

  #waitMs(): number {
    const { intervalMs, backoffMsMax, name } = this.source
    const jittered = intervalMs * (1 - JITTER_RATIO * share(name, this.counts.attempts))
    if (this.#failuresInARow > 1) {
      const doubled = jittered * 2 ** Math.min(30, this.#failuresInARow - 1)
      return Math.min(Math.max(intervalMs, backoffMsMax), doubled)
    }
    return this.#hurried > 0 && this.#hurried <= HURRY_MAX ? jittered / 4 : jittered
  }

  /** Never rejects. */
  async #attempt(): Promise<void> {
    const { source } = this
    this.counts.attempts += 1
    this.#nonce = `${this.#epoch}-${this.counts.attempts}`
    const controller = new AbortController()
    let over: (why: FeedFailure) => void = () => {}
    const aborted = new Promise<never>((_, reject) => {
      over = reject
    })
    aborted.catch(() => {})
    let cancelGrace = () => {}
    this.#abort = (why) => {
      controller.abort(why)
      // The source may have something to say of its end; one that takes no notice of the signal is left behind.
      cancelGrace = this.#timer(GRACE_MS, () => over(why))
    }
    const cancelDeadline = this.#timer(source.timeoutMs, () => {
      this.counts.timeouts += 1
      this.#abort?.(failure('feed/timeout', `${source.where}: no whole answer in ${source.timeoutMs} ms`))
    })
    try {
      const attempt = { signal: controller.signal, nonce: this.#nonce }
      const reading = await Promise.race([Promise.resolve().then(() => source.read(attempt)), aborted])
      if (this.#state === 'started') this.#accept(reading)
    } catch (error) {
      if (this.#state === 'started') this.#refuse(error)
    } finally {
      cancelDeadline()
      cancelGrace()
      this.#abort = undefined
    }
  }

  #accept(reading: Reading): void {
    const failedBefore = this.#failuresInARow > 0
    this.counts.accepted += 1
    this.#version = reading.version
    this.#lastAcceptedAt = this.#edges.clock.now()
    this.#warnings = [...(reading.warnings ?? []), ...skewWarnings(reading.clockSkewMs)]
    this.#failuresInARow = 0
    this.#hurried = reading.hurry === true ? this.#hurried + 1 : 0
    if (reading.clockSkewMs !== undefined) this.#clockSkewMs = reading.clockSkewMs
    this.#guarded(() => this.#edges.accept(reading, this.source))
    if (failedBefore) this.#guarded(() => this.#edges.turned?.(this.status(), false))
  }

  #refuse(error: unknown): void {
    this.counts.refused += 1
    this.#failuresInARow += 1
    this.#lastRefusedAt = this.#edges.clock.now()
    if (error instanceof FeedFailure) {
      this.#refusal = error.problems
      if (error.problems.some(({ code }) => code === 'feed/frozen')) this.counts.frozen += 1
    } else {
      this.#refusal = [feedProblem('feed/bug', `reading ${this.source.where} failed: ${errorDetail(error)}`)]
      this.#bug(error)
    }
    if (this.#failuresInARow === 1) this.#guarded(() => this.#edges.turned?.(this.status(), true))
  }

  #guarded(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#bug(error)
    }
  }

  #bug(error: unknown): void {
    this.counts.bugs += 1
    try {
      this.#edges.bug?.(error, this.source.name)
    } catch {
      // Whoever is told of mistakes made one; there is nobody left to tell.
    }
  }
}

/** A clock that is further off gives samples that are refused for lying in the future. */
const SKEW_MS_MAX = 2_000

const skewWarnings = (skewMs = 0): Problem[] => {
  if (Math.abs(skewMs) <= SKEW_MS_MAX) return []
  const message = `its clock is ${Math.abs(skewMs)} ms ${skewMs > 0 ? 'ahead of' : 'behind'} ours`
  return [feedProblem('feed/clock-skew', message, { severity: 'warning', remedy: 'let both keep time by NTP' })]
}

/** The number in [0, 1) for the nth attempt of a source, the same in every run. */
const share = (name: string, n: number): number => murmur3(`${name}#${n}`) / 2 ** 32
