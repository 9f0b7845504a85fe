import type { EpochMs } from '../model/names.ts'
import type { Heartbeat } from '../model/sample.ts'
import type { HealthRow } from '../model/snapshot.ts'

/** A row for a target nobody has heard of yet: ready until shown otherwise. */
export const emptyHealth = (now: EpochMs): HealthRow => ({
  state: 'ready',
  since: now,
  cause: 'not probed yet',
  down: false,
  suspect: false,
  evidence: 'none',
  red: [],
  lastOkAt: 0,
  intervalMs: 0,
  intervalDevMs: 0,
  probeFailures: 0,
  passiveFailures: 0,
  passiveAt: 0,
  silence: 0,
  lostAt: 0,
  backAt: 0,
  lostForSafety: false,
  lostReds: [],
  lostOnlyRed: false,
  departures: [],
})

/** Failures in a row that make a target down. A refused connection is surer than an error or a timeout. */
export const FAILURES_TO_DOWN = { refused: 2, error: 3, timeout: 3 } as const
/** Suspicion levels of the phi-accrual detector: no new sessions, and down. */
export const PHI = { suspect: 4, down: 8 } as const
/**
 * How long a target that nobody probes stays down after real connections to it failed. Without traffic nothing would
 * ever bring it back; after this it takes what no other target can, and the next failure puts it down again.
 */
export const PASSIVE_RETRY_MS = 30_000
/** How much longer a target waits after a hard loss for safety than the policy's dwell says: 300 s against 60 s. */
export const SAFETY_DWELL_FACTOR = 5

/**
 * How unlikely a silence this long is, as -log10 of its probability (phi-accrual, Hayashibara 2004; the tail of the
 * normal distribution by a logistic curve). The deviation is taken as at least half the interval, so that with regular
 * signs of life phi 4 is reached after about 2.9 intervals and phi 8 after about 3.8.
 */
export const phi = (silenceMs: number, intervalMs: number, deviationMs: number): number => {
  if (intervalMs <= 0) return 0
  const y = (silenceMs - intervalMs) / Math.max(deviationMs, intervalMs / 2)
  const e = Math.exp(-y * (1.5976 + 0.070566 * y * y))
  return y > 0 ? -Math.log10(e / (1 + e)) : -Math.log10(1 - 1 / (1 + e))
}

/**
 * How many probe intervals real connections must have had no failure before an answered probe clears them: Envoy may
 * fail to reach what we reach, and a target must not go up and down with every probe.
 */
export const PASSIVE_CLEAR_INTERVALS = 3

/** The row after one sign of life or the lack of one. Whether the loss counts as hard is settled by `settle`. */
export const onHeartbeat = (row: HealthRow, beat: Heartbeat): HealthRow => {
  const isProbe = beat.kind === 'probe'
  if (beat.outcome === 'ok') {
    const heard = isProbe ? learned(row, beat.at) : row
    const isCleared = isProbe && beat.at - row.passiveAt >= row.intervalMs * PASSIVE_CLEAR_INTERVALS
    // What a client got through with says nothing against a probe that is refused: it may have begun before.
    return judged(
      {
        ...heard,
        probeFailures: isProbe ? 0 : row.probeFailures,
        passiveFailures: isProbe && !isCleared ? row.passiveFailures : 0,
        silence: isProbe || row.intervalMs === 0 ? 0 : row.silence,
        cause: row.down ? `answers again (${beat.kind})` : 'answers',
      },
      row.cause,
    )
  }
  const probeFailures = row.probeFailures + (isProbe ? 1 : 0)
  const passiveFailures = row.passiveFailures + (isProbe ? 0 : 1)
  // A refused connection is surer than an error or a timeout; what is down already stays down on any failure.
  const needed = row.down ? 1 : FAILURES_TO_DOWN[beat.outcome]
  const cause = `${beat.kind}: ${beat.detail ?? beat.outcome}, ${isProbe ? probeFailures : passiveFailures} in a row`
  const failed = { ...row, probeFailures, passiveFailures, passiveAt: isProbe ? row.passiveAt : beat.at, cause }
  return judged(failed, cause, (isProbe ? probeFailures : passiveFailures) >= needed)
}

/** The rhythm of a target's answers, learnt only while it lives: a dead one's silence says nothing about the next. */
const learned = (row: HealthRow, at: EpochMs): HealthRow => {
  const gap = row.lastOkAt === 0 || row.down ? 0 : at - row.lastOkAt
  const lastOkAt = Math.max(row.lastOkAt, at)
  if (gap <= 0) return { ...row, lastOkAt }
  if (row.intervalMs === 0) return { ...row, lastOkAt, intervalMs: gap }
  return {
    ...row,
    lastOkAt,
    intervalMs: row.intervalMs + 0.1 * (gap - row.intervalMs),
    intervalDevMs: row.intervalDevMs + 0.1 * (Math.abs(gap - row.intervalMs) - row.intervalDevMs),
  }
}

/** The row with what follows from its failures: down, suspect, and on what evidence. `dies`: the failure just seen is enough. */
const judged = (row: HealthRow, causeBefore: string, dies = false): HealthRow => {
  const failing = row.probeFailures > 0 || row.passiveFailures > 0
  const down = dies || (row.down && failing) || row.silence === 2
  const suspect = !down && (failing || row.silence === 1)
  const evidence =
    !down && !suspect ? 'none' : row.passiveFailures > 0 ? 'passive' : row.probeFailures > 0 ? 'probe' : 'heartbeat'
  // A sign of life of one kind does not explain a failure of the other.
  const cause = (down || suspect) && row.cause.startsWith('answers') ? causeBefore : row.cause
  return { ...row, down, suspect, evidence, cause }
}

/** The row when time has passed: silence makes a target suspect, then down. */
export const onSilence = (row: HealthRow, now: EpochMs): HealthRow => {
  if (row.down && row.passiveFailures > 0 && row.intervalMs === 0 && now - row.passiveAt >= PASSIVE_RETRY_MS) {
    return { ...row, down: false, suspect: true, passiveFailures: 1, cause: 'tried again: nothing probes it' }
  }
  if (row.down || row.lastOkAt === 0 || row.intervalMs === 0) return row
  const level = phi(now - row.lastOkAt, row.intervalMs, row.intervalDevMs)
  const silence = level >= PHI.down ? 2 : level >= PHI.suspect ? 1 : 0
  if (silence <= row.silence) return row
  const cause = `silent for ${now - row.lastOkAt} ms`
  return judged({ ...row, silence, cause }, cause)
}

/**
 * The row with its state for operators, and with the beginning or end of a hard loss noted. `drained` and
 * `maintenance` are what overrides and windows say of it now.
 */
export const settle = (
  row: HealthRow,
  drained: string | undefined,
  maintenance: string | undefined,
  now: EpochMs,
): HealthRow => {
  const red = row.red.length > 0
  const lost = row.down || red || drained !== undefined || maintenance !== undefined
  const wasLost = row.lostAt > 0 && row.backAt === 0
  const state =
    maintenance !== undefined
      ? 'maintenance'
      : drained !== undefined
        ? 'draining'
        : row.down || red
          ? 'down'
          : row.suspect
            ? 'degraded'
            : 'ready'
  const cause = maintenance ?? drained ?? (red && !row.down ? `red by ${row.red.join(', ')}` : row.cause)
  const moved = state !== row.state
  const onlyRed = lost && !row.down && drained === undefined && maintenance === undefined
  const lostOnlyRed = lost ? onlyRed && (!wasLost || row.lostOnlyRed) : row.lostOnlyRed
  const lostReds = lost ? unionOf(wasLost ? row.lostReds : [], row.red) : row.lostReds
  const same = lostOnlyRed === row.lostOnlyRed && lostReds.length === row.lostReds.length
  if (!moved && lost === wasLost && same && !(red && !row.lostForSafety)) return row
  return {
    ...row,
    lostOnlyRed,
    lostReds,
    state,
    cause,
    since: moved ? now : row.since,
    lostForSafety: lost ? red || (wasLost && row.lostForSafety) : row.lostForSafety,
    ...(lost && !wasLost ? { lostAt: now, backAt: 0, departures: [...row.departures, now].slice(-8) } : {}),
    ...(!lost && wasLost ? { backAt: now } : {}),
  }
}

const unionOf = (known: readonly string[], more: readonly string[]): readonly string[] =>
  more.every((one) => known.includes(one)) ? known : [...new Set([...known, ...more])]

/** Flap damping: the penalty of one departure, where it holds a target back, where it lets it go, and its half-life. */
export const FLAP = { penalty: 1_000, suppress: 2_000, reuse: 750, halfLifeDwells: 5, holdMsMax: 3_600_000 } as const

/**
 * Is a target held back for leaving too often? Each departure adds 1000, halved every five dwells; past 2000 it stays
 * out until 750, an hour at most. Example with a dwell of 60 s: three departures within a minute keep it out for about
 * ten minutes.
 */
export const isFlapping = (departures: readonly EpochMs[], dwellMs: number, now: EpochMs): boolean => {
  const last = departures.at(-1)
  if (last === undefined || departures.length < 3 || dwellMs <= 0 || now - last > FLAP.holdMsMax) return false
  const halfLifeMs = dwellMs * FLAP.halfLifeDwells
  let atLast = 0
  for (const departure of departures) atLast += FLAP.penalty * 2 ** ((departure - last) / halfLifeMs)
  return atLast >= FLAP.suppress && atLast * 2 ** ((last - now) / halfLifeMs) >= FLAP.reuse
}
