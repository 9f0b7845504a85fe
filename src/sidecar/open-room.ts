import type { Clock } from '../clock.ts'
import type { Metrics } from '../metrics.ts'
import { HoldingRoom, type HoldLimits } from './hold.ts'
import type { LiveTally } from './tally.ts'

/** The waiting room of a sidecar, counted. A configuration with a hold of 0 has none: nobody is ever offered one. */
export function openRoom(
  limits: HoldLimits,
  {
    clock,
    metrics,
    tally,
    bug,
  }: {
    readonly clock: Clock
    readonly metrics: Metrics
    readonly tally: LiveTally
    readonly bug: (error: unknown, where: string) => void
  },
): HoldingRoom {
  return new HoldingRoom(limits, {
    now: clock.now,
    timer: (ms, run) => {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    soon: (run) => void setImmediate(run),
    began: (held) => tally.hold(held.class, 1),
    ended: (held, outcome, heldMs) => {
      tally.hold(held.class, -1)
      metrics.add('hubward_holds_total', 1, held.class, outcome)
      metrics.observeMs('hubward_hold_seconds', heldMs, held.class, outcome)
    },
    bug: (error) => bug(error, 'hold'),
  })
}
