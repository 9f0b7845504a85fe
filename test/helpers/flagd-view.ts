import type { JobsView } from '../../src/admin/jobs-view.ts'
import { createMetrics } from '../../src/metrics.ts'
import { flagsView, servedFlags } from '../../src/sidecar/flags-view.ts'
import type { World } from './world.ts'

/** What the routes of flags show of a world. */
export const flagsOf = (world: World, jobs: JobsView, streamsMax = 4) => {
  const current = () => world.snapshot
  const now = () => world.now
  const judge: Parameters<typeof flagsView>[0]['judge'] = (facts) => {
    const { requestId: _, seed: __, ...asked } = facts
    return jobs.decide(asked, { reserve: false, dispatch: false, dryRun: true })!
  }
  return flagsView(
    { now, current, judge, known: jobs.known, metrics: createMetrics(), streamsMax },
    servedFlags(current, now),
  )
}
