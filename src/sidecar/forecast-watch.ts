import { decide } from '../engine/decide.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { Metrics } from '../metrics.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'

/** Classes of which one forecast each is followed at a time. */
const CLASSES_MAX = 16
/** How the last so many forecasts of a class turned out is remembered, and fewer than these tell nothing. */
const OUTCOMES_MAX = 32
const OUTCOMES_MIN = 3
/** Of the last outcomes, so many were no further off than what is told. */
const SHARE = 0.8
/** So long after its time a forecast has failed, by that much. */
const LATE_MS_MAX = 86_400_000

/** What following forecasts takes. */
export interface ForecastWatchParts {
  readonly current: () => EngineSnapshot
  readonly tally: Tally
  readonly metrics: Metrics
}

/** How forecasts turn out. */
export interface ForecastWatch {
  /** The decision with an error that past forecasts of its class bear out; and its forecast is followed. */
  readonly weigh: (facts: Facts, decision: Decision, now: EpochMs) => Decision
  /** Looks whether what was foretold has come about; to be called once a second. */
  readonly look: (now: EpochMs) => void
}

/**
 * Follows one forecast of each class at a time: the engine is asked again every second, with the facts it was told for,
 * until they fit. How far off that was joins the last outcomes of the class. A line through headroom knows only how far
 * its samples lie from it, and a price series nothing of its own mistakes; what came of them does.
 */
export function createForecastWatch({ current, tally, metrics }: ForecastWatchParts): ForecastWatch {
  const open = new Map<string, { readonly facts: Facts; readonly at: EpochMs }>()
  const outcomes = new Map<string, number[]>()
  const close = (name: string, offMs: number): void => {
    open.delete(name)
    outcomes.set(name, [...(outcomes.get(name) ?? []), offMs].slice(-OUTCOMES_MAX))
    metrics.observeMs('hubward_forecast_error_seconds', offMs, name)
  }
  return {
    weigh: (facts, decision, now) => {
      const { forecast, class: name } = decision
      if (forecast === undefined || forecast.at === null || forecast.at <= now) return decision
      const isKnown = current().programs.classes.has(name)
      if (isKnown && !open.has(name) && open.size < CLASSES_MAX) {
        const { hold: _, ...asked } = facts
        open.set(name, { facts: asked, at: forecast.at })
      }
      const past = outcomes.get(name) ?? []
      if (past.length < OUTCOMES_MIN) return decision
      const usual = past.toSorted((a, b) => a - b)[Math.ceil(past.length * SHARE) - 1]!
      return { ...decision, forecast: { ...forecast, errorMs: Math.max(forecast.errorMs ?? 0, usual) } }
    },
    look: (now) => {
      for (const [name, { facts, at }] of open) {
        const { action, reason } = decide(facts, current(), tally, now, 'forecast')
        // What is sent on without knowing how the target is has not come to fit.
        if (action === 'route' && reason !== 'lowest-risk' && reason !== 'panic') close(name, Math.abs(now - at))
        else if (now - at > LATE_MS_MAX) close(name, now - at)
      }
    },
  }
}
