import type { Slo } from '../model/documents.ts'
import type { ClassName, ClusterName, EpochMs, TargetName } from '../model/names.ts'
import type { AccessEntry, Decided, Outcome } from '../model/outcome.ts'
import type { DecidedRing } from './decided-ring.ts'
import { isServed, verdictOf, withinSlo } from './verdict.ts'

/** What documents and the snapshot say, asked at the moment of the join. */
export interface Known {
  readonly targetOf: (cluster: ClusterName) => TargetName | undefined
  readonly isClass: (className: ClassName) => boolean
  readonly sloOf: (className: ClassName) => Slo | undefined
  /** `name@revision` of the model that a target serves under this name; without a name the only one that it has. */
  readonly artifactOf: (target: TargetName, model: string | undefined) => string | undefined
  /** The newest value of a signal there, where it is fresh enough to split a time by. */
  readonly signalAt: (target: TargetName, signal: string) => number | undefined
}

/**
 * What became of an entry. `late`: its decision had been overwritten; `unknown`: no decision of ours, or one of before a
 * restart; `again`: it was joined before.
 */
export type Joined = 'joined' | 'late' | 'unknown' | 'again'

/** Joins entries of the access log to the decisions that sent them. */
export class Joiner {
  readonly #ring: DecidedRing
  readonly #known: Known

  constructor(ring: DecidedRing, known: Known) {
    this.#ring = ring
    this.#known = known
  }

  /** The outcome of one request. */
  join(entry: AccessEntry, now: EpochMs): { readonly outcome: Outcome; readonly joined: Joined } {
    const place = entry.decision === '' ? -1 : this.#ring.find(entry.decision)
    const isFirst = place >= 0 && this.#ring.join(place)
    const joined = isFirst ? 'joined' : place >= 0 ? 'again' : this.#isLate(entry.decision) ? 'late' : 'unknown'
    const decided = isFirst ? this.#ring.at(place) : null
    return { outcome: outcomeOf(entry, decided, this.#known, now), joined }
  }

  #isLate(id: string): boolean {
    const at = Number.parseInt(id.slice(0, Math.max(0, id.indexOf('-'))), 36)
    return at < this.#ring.since
  }
}

const outcomeOf = (entry: AccessEntry, decided: Decided | null, known: Known, now: EpochMs): Outcome => {
  const verdict = verdictOf(entry, decided?.action)
  const target = verdict === 'refused' || entry.cluster === '' ? null : (known.targetOf(entry.cluster) ?? null)
  const className = decided?.class ?? ''
  const artifact = target === null ? undefined : known.artifactOf(target, decided?.model)
  return {
    at: Math.min(now, entry.startedAt + entry.durationMs),
    entry,
    decided,
    class: className,
    target,
    verdict,
    withinSlo: withinSlo(known.sloOf(className), verdict, entry),
    parts: partsOf(entry, decided, isServed(verdict, entry) ? target : null, known),
    ...(artifact === undefined ? {} : { artifact }),
  }
}

/**
 * Where the time went. Envoy sees when the request went up and when the first byte of the body came; the way there and
 * back is the gateway's measured round trip, the queue the pool's median wait, each at most what is left, and what then
 * is left was prefill. A pool whose queue nobody measures has its wait in prefill.
 */
const partsOf = (
  { upstreamBeginMs, firstBodyMs, durationMs }: AccessEntry,
  decided: Decided | null,
  target: TargetName | null,
  known: Known,
): Outcome['parts'] => {
  const held = decided?.heldMs === undefined ? {} : { heldMs: decided.heldMs }
  if (target === null || upstreamBeginMs < 0 || firstBodyMs < upstreamBeginMs) return held
  let left = firstBodyMs - upstreamBeginMs
  const take = (ms: number | undefined): number | undefined => {
    if (ms === undefined) return undefined
    const taken = Math.min(ms, left)
    left -= taken
    return taken
  }
  const networkMs = take(known.signalAt(target, 'network.rtt_ms'))
  const queueMs = take(known.signalAt(target, 'queue.wait_p50_ms'))
  return {
    ...held,
    ...(networkMs === undefined ? {} : { networkMs }),
    ...(queueMs === undefined ? {} : { queueMs }),
    prefillMs: left,
    decodeMs: Math.max(0, durationMs - firstBodyMs),
  }
}
