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
  failuresInARow: 0,
  lostAt: 0,
  backAt: 0,
  lostForSafety: false,
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

/** The row after one sign of life or the lack of one. Whether the loss counts as hard is settled by `settle`. */
export const onHeartbeat = (row: HealthRow, beat: Heartbeat): HealthRow => {
  const detail = beat.detail ?? beat.outcome
  if (beat.outcome === 'ok') {
    const gap = row.lastOkAt === 0 ? 0 : beat.at - row.lastOkAt
    // Learn only from the rhythm of a target that lives: the silence of a dead one says nothing about the next.
    const learn = beat.kind === 'probe' && gap > 0 && !row.down
    const intervalMs = !learn
      ? row.intervalMs
      : row.intervalMs === 0
        ? gap
        : row.intervalMs + 0.1 * (gap - row.intervalMs)
    const intervalDevMs =
      !learn || row.intervalMs === 0
        ? row.intervalDevMs
        : row.intervalDevMs + 0.1 * (Math.abs(gap - row.intervalMs) - row.intervalDevMs)
    return {
      ...row,
      down: false,
      suspect: false,
      evidence: 'none',
      cause: row.down ? `answers again (${beat.kind})` : 'answers',
      lastOkAt: Math.max(row.lastOkAt, beat.at),
      intervalMs,
      intervalDevMs,
      failuresInARow: 0,
    }
  }
  const failuresInARow = row.failuresInARow + 1
  const down = row.down || failuresInARow >= FAILURES_TO_DOWN[beat.outcome]
  return {
    ...row,
    failuresInARow,
    down,
    suspect: !down,
    evidence: beat.kind === 'passive' || row.evidence === 'passive' ? 'passive' : 'probe',
    cause: `${beat.kind}: ${detail}, ${failuresInARow} in a row`,
  }
}

/** The row when time has passed: silence makes a target suspect, then down. */
export const onSilence = (row: HealthRow, now: EpochMs): HealthRow => {
  if (row.down && row.evidence === 'passive' && row.intervalMs === 0 && now - row.since >= PASSIVE_RETRY_MS) {
    return { ...row, down: false, suspect: true, failuresInARow: 1, cause: 'tried again: nothing probes it' }
  }
  if (row.down || row.lastOkAt === 0 || row.intervalMs === 0) return row
  const level = phi(now - row.lastOkAt, row.intervalMs, row.intervalDevMs)
  if (level >= PHI.down) {
    return { ...row, down: true, suspect: false, evidence: 'heartbeat', cause: `silent for ${now - row.lastOkAt} ms` }
  }
  if (level >= PHI.suspect && !row.suspect) {
    return { ...row, suspect: true, evidence: 'heartbeat', cause: `silent for ${now - row.lastOkAt} ms` }
  }
  return row
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
  if (!moved && lost === wasLost && !(red && !row.lostForSafety)) return row
  return {
    ...row,
    state,
    cause,
    since: moved ? now : row.since,
    lostForSafety: lost ? red || (wasLost && row.lostForSafety) : row.lostForSafety,
    ...(lost && !wasLost ? { lostAt: now, backAt: 0, departures: [...row.departures, now].slice(-8) } : {}),
    ...(!lost && wasLost ? { backAt: now } : {}),
  }
}

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
