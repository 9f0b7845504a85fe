import type { PlannerView } from '../../src/admin/planner-handlers.ts'
import { noiseProblems } from '../../src/documents/thresholds.ts'
import { noiseOf } from '../../src/engine/noise.ts'
import { mergeSets } from '../../src/engine/programs.ts'
import { createEstimates } from '../../src/sidecar/estimates.ts'
import { GapsLedger } from '../../src/sidecar/gaps-ledger.ts'
import { gapsReport } from '../../src/sidecar/gaps-report.ts'
import { readinessPage } from '../../src/sidecar/readiness-view.ts'
import type { World } from './world.ts'

/** What the routes of readiness and gaps show of a world: the ledger and the guesses are given to be fed. */
export const plannerOf = (world: World) => {
  const ledger = new GapsLedger()
  const estimates = createEstimates()
  const view: PlannerView = {
    readiness: (asked) => readinessPage(world.snapshot, asked, world.now),
    estimates: () => estimates.list(world.now),
    noisy: () => noiseProblems(mergeSets(world.snapshot.data.sets), noiseOf(world.snapshot.data)),
    gaps: async (from, to) => gapsReport(ledger.state.hours, from, to),
  }
  return { view, ledger, estimates }
}
