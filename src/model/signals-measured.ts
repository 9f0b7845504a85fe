import type { Signal } from './signal-row.ts'

const MS = [0, 3_600_000] as const
const RATIO = [0, 1] as const
const BURN = [0, 1_000_000] as const

type Rest = Omit<Signal, 'unit' | 'scope' | 'range' | 'worseWhen' | 'says'>
const row = (
  unit: string,
  scope: Signal['scope'],
  worseWhen: Signal['worseWhen'],
  range: Signal['range'],
  says: string,
  rest: Rest,
): Signal => ({ unit, scope, worseWhen, range, says, ...rest })

/** Told every five seconds; three in a row that do not come are silence. */
const PASSIVE = { staleAfterMs: 15_000 } as const
/** Told as often, of windows that are far longer. An answer below 100 events is none. */
const BURNT = { staleAfterMs: 60_000, countMin: 100, byClass: true } as const

/**
 * What hubward itself measures of requests that have ended, by Envoy's access log (docs/decisions/0056-measurement.md).
 * The limits on burn rates that go with each pair of windows are those of the SRE workbook, chapter 5, for 30 days.
 */
export const MEASURED_SIGNALS = {
  'ttft.passive_p95_ms': row('ms', 'pool', 'higher', MS, 'time to first token as Envoy saw it, network included', {
    ...PASSIVE,
    countMin: 200,
  }),
  'response.passive_p95_ms': row('ms', 'pool', 'higher', MS, 'whole request as Envoy saw it, 95th percentile', {
    ...PASSIVE,
    countMin: 200,
  }),
  'errors.passive_ratio': row(
    'ratio',
    'pool',
    'higher',
    RATIO,
    'share of requests that Envoy saw fail there, time-outs among them: one that fails fast is not idle',
    { ...PASSIVE, countMin: 20 },
  ),
  'client.ttft_p95_ms': row('ms', 'link', 'higher', MS, 'time to first token by the region of the client', {
    ...PASSIVE,
    countMin: 200,
  }),
  'client.response_p95_ms': row('ms', 'link', 'higher', MS, 'whole request by the region of the client', {
    ...PASSIVE,
    countMin: 200,
  }),
  'client.errors_ratio': row('ratio', 'link', 'higher', RATIO, 'share that failed by the region of the client', {
    ...PASSIVE,
    countMin: 20,
  }),
  'slo.burn_1h_ratio': row(
    'ratio',
    'site',
    'higher',
    BURN,
    'how many times too fast the class spends its error budget there, over an hour and over five minutes, the lesser of both; 14.4 is the limit: go elsewhere',
    BURNT,
  ),
  'slo.burn_6h_ratio': row(
    'ratio',
    'site',
    'higher',
    BURN,
    'the same over six hours and half an hour; 6 is the limit: no fail-back, new sessions elsewhere',
    BURNT,
  ),
  'slo.burn_1d_ratio': row(
    'ratio',
    'site',
    'higher',
    BURN,
    'the same over a day and two hours; 3 is the limit: no practice runs',
    BURNT,
  ),
  'slo.burn_3d_ratio': row(
    'ratio',
    'site',
    'higher',
    BURN,
    'the same over three days and six hours; 1 is the limit: note it',
    BURNT,
  ),
  'slo.locality_ratio': row(
    'ratio',
    'site',
    'lower',
    RATIO,
    "share of the last hour's requests for which the site was the first choice that it served within the class's latency budget",
    BURNT,
  ),
} as const satisfies Record<string, Signal>
