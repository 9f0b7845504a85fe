import type { MeasureView } from '../../src/admin/measure-handlers.ts'

/** The measurements of a hubward in which nothing has been measured. */
export const nothingMeasured: MeasureView = {
  ask: async ({ by, from, to }) => ({ from, to, stretchMs: 10_000, by, rows: [], left: 0, folded: 0 }),
  report: () => [],
  reports: () => [],
}
