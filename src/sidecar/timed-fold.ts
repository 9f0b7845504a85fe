import { fold } from '../engine/fold.ts'
import type { Metrics } from '../metrics.ts'

/** `fold`, with the time that each change took told to the metrics. */
export const timedFold =
  (metrics: Metrics): typeof fold =>
  (snapshot, change) => {
    const from = performance.now()
    const folded = fold(snapshot, change)
    metrics.observeMs('hubward_fold_seconds', performance.now() - from)
    return folded
  }
