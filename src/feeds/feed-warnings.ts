import type { EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import type { SourceStatus } from '../model/source.ts'
import { feedProblem } from './failure.ts'
import { placeText } from './measured-place.ts'
import type { RefusalCount } from './samples.ts'

/** How long a refusal, or a value that came too old, is shown. */
const SHOWN_MS = 3_600_000
/** A source that gave nothing for so many of its intervals, and this long at least, is silent. */
const SILENT_INTERVALS = 3
const SILENT_MS_MIN = 10_000
/** A source that never gave anything is told after so many attempts. */
const NEVER_AFTER = 3

interface Old {
  readonly sample: Sample
  readonly ageMs: number
  readonly seenAt: EpochMs
}

/**
 * What /sources says of the values of each source, beside what its reader has to say: the last refused sample of each
 * kind, values that were over their limit when they came, and silence; each with whom to ask.
 */
export class FeedWarnings {
  readonly #old = new Map<string, Old>()

  /** Notes which of the samples that were just taken are older than their signal's own limit. */
  note(source: string, samples: readonly Sample[], now: EpochMs): void {
    let oldest: Old | undefined
    for (const sample of samples) {
      const limit = signalOf(sample.signal)?.staleAfterMs
      const ageMs = now - sample.at
      if (limit === undefined || ageMs <= limit || (sample.validUntil ?? 0) > now) continue
      if (oldest === undefined || ageMs > oldest.ageMs) oldest = { sample, ageMs, seenAt: now }
    }
    if (oldest !== undefined) this.#old.set(source, oldest)
    else if (samples.length > 0) this.#old.delete(source)
  }

  /** The status with what is to be said of its values. */
  added(status: SourceStatus, refusals: readonly RefusalCount[], now: EpochMs): SourceStatus {
    const remedy =
      status.owner === undefined ? 'give the feed an owner, who is then named here' : `ask ${status.owner}, its owner`
    const say = (code: 'feed/stale' | 'feed/refused-sample', message: string): Problem =>
      feedProblem(code, message, { severity: 'warning', remedy })
    const more: Problem[] = []
    const old = this.#old.get(status.name)
    if (old !== undefined && now - old.seenAt <= SHOWN_MS) {
      const { signal } = old.sample
      more.push(say('feed/stale', `${signal} of ${placeText(old.sample)} was ${seconds(old.ageMs)} old when it came`))
    }
    const silentMs = now - (status.lastAcceptedAt ?? now)
    const patienceMs = Math.max(SILENT_MS_MIN, SILENT_INTERVALS * (status.intervalMs ?? 0))
    if (status.lastAcceptedAt === null && status.failuresInARow >= NEVER_AFTER)
      more.push(say('feed/stale', `nothing was ever accepted, in ${status.failuresInARow} attempts`))
    else if (silentMs > patienceMs) more.push(say('feed/stale', `nothing was accepted for ${seconds(silentMs)}`))
    for (const { why, count, last } of refusals) {
      if (last === undefined || now - last.at > SHOWN_MS) continue
      const { sample } = last
      const what = `${sample.signal} of ${placeText(sample)}: ${sample.value}`
      const times = count === 1 ? 'once' : `${count} times`
      more.push(say('feed/refused-sample', `${what} was refused as ${why}, ${times} so far`))
    }
    return more.length === 0 ? status : { ...status, warnings: [...(status.warnings ?? []), ...more] }
  }
}

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`
