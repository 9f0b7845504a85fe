import type { PageParts } from './pages.ts'

/** The program that the simulated grid operator's events belong to. */
const PROGRAM = 'grid-relief'

const event = (id: string, site: string, startMs: number, payloads: readonly object[], durationMs: number | null) => ({
  id,
  objectType: 'EVENT',
  createdDateTime: new Date(startMs).toISOString(),
  modificationDateTime: new Date(startMs).toISOString(),
  programID: PROGRAM,
  eventName: id,
  priority: 0,
  targets: [`SITE:${site}`],
  intervalPeriod: {
    start: new Date(startMs).toISOString(),
    duration: durationMs === null ? 'P9999Y' : `PT${Math.max(1, Math.round(durationMs / 1_000))}S`,
  },
  intervals: [{ id: 0, payloads }],
})

/**
 * What a VTN of OpenADR 3.1 answers: its programs, and its events with the orders of the grid and the prices ahead.
 * Undefined: there is nothing at this path.
 */
export const openadrPage = ({ plant, prices }: PageParts, path: string, startedAt: number): unknown => {
  const now = plant.advance()
  const { site } = plant.options
  if (path === '/programs') return [{ id: PROGRAM, objectType: 'PROGRAM', programName: PROGRAM }]
  if (path !== '/events') return undefined
  const { gridLimitMw, gridEmergency, gridUntil } = plant.now
  const left = gridUntil === null ? null : gridUntil - startedAt
  const orders = [
    ...(gridLimitMw === null ? [] : [{ type: 'IMPORT_CAPACITY_LIMIT', values: [gridLimitMw * 1_000] }]),
    ...(gridEmergency ? [{ type: 'ALERT_GRID_EMERGENCY', values: ['Shed load now'] }] : []),
  ]
  const hours = prices.ahead(now)
  return [
    ...(orders.length === 0 ? [] : [event('relief', site, startedAt, orders, left)]),
    {
      ...event('day-ahead', site, hours[0]!.from, [], null),
      intervalPeriod: { start: new Date(hours[0]!.from).toISOString(), duration: `PT${prices.stepMs / 1_000}S` },
      payloadDescriptors: [
        { objectType: 'EVENT_PAYLOAD_DESCRIPTOR', payloadType: 'PRICE', units: 'KWH', currency: 'EUR' },
        { objectType: 'EVENT_PAYLOAD_DESCRIPTOR', payloadType: 'GHG', units: 'GHG_G_PER_KWH' },
      ],
      intervals: hours.map(({ from, to, price, carbon }, id) => ({
        id,
        intervalPeriod: { start: new Date(from).toISOString(), duration: `PT${(to - from) / 1_000}S` },
        payloads: [
          { type: 'PRICE', values: [price / 1_000] },
          { type: 'GHG', values: [carbon] },
        ],
      })),
    },
  ]
}
