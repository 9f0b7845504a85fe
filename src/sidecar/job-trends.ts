import type { Trend } from '../engine/advice.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { EpochMs, TargetName } from '../model/names.ts'

/** A line is drawn through the last so many samples, none older than that, once they span this long. */
const POINTS_MAX = 32
const SPAN_MS_MAX = 300_000
const SPAN_MS_MIN = 10_000
const POINTS_MIN = 3

interface Point {
  readonly at: EpochMs
  readonly value: number
}

/** How fast the readiness signals of some targets change. */
export interface Trends {
  /** Takes note of the newest samples of these targets; what is known of others is forgotten. */
  readonly watch: (snapshot: EngineSnapshot, targets: ReadonlySet<TargetName>) => void
  readonly trend: Trend
}

/** Nothing seen yet. The slope is the least-squares line through the last five minutes' samples. */
export function createTrends(): Trends {
  let points = new Map<string, Point[]>()
  return {
    watch: ({ data, programs }, targets) => {
      const next = new Map<string, Point[]>()
      for (const name of targets) {
        const index = programs.indexOf.get(name)
        if (index === undefined) continue
        for (const { signal } of programs.readiness[index]!.rules) {
          const column = data.columns[signal]
          const at = column?.at[index] ?? 0
          if (at === 0) continue
          const key = `${name} ${signal}`
          const seen = points.get(key) ?? []
          if ((seen.at(-1)?.at ?? 0) < at) seen.push({ at, value: column!.value[index]! })
          next.set(key, seen.filter((point) => at - point.at <= SPAN_MS_MAX).slice(-POINTS_MAX))
        }
      }
      points = next
    },
    trend: (target, signal) => slopeOf(points.get(`${target} ${signal}`) ?? []),
  }
}

/** By second; undefined where the points are too few or lie too close together. */
function slopeOf(points: readonly Point[]): number | undefined {
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || points.length < POINTS_MIN || last!.at - first.at < SPAN_MS_MIN) return undefined
  let [sumX, sumY, sumXx, sumXy] = [0, 0, 0, 0]
  for (const { at, value } of points) {
    const x = (at - first.at) / 1_000
    sumX += x
    sumY += value
    sumXx += x * x
    sumXy += x * value
  }
  const count = points.length
  return (count * sumXy - sumX * sumY) / (count * sumXx - sumX * sumX)
}
