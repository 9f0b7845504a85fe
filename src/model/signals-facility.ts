import type { Signal } from './signal-row.ts'

const RATIO = [0, 1] as const
const COUNT = [0, 10_000_000] as const
const BOOL = [0, 1] as const
const CELSIUS = [-60, 150] as const
const MW = [-10_000, 10_000] as const

/** Rows of one kind differ in few words; each says what is its own. */
type Rest = Omit<Signal, 'unit' | 'scope' | 'range' | 'worseWhen' | 'says'>
const row = (
  unit: string,
  scope: Signal['scope'],
  worseWhen: Signal['worseWhen'],
  range: Signal['range'],
  says: string,
  rest: Rest = {},
): Signal => ({ unit, scope, worseWhen, range, says, ...rest })

/** A rack's power and a coolant loop are read every few seconds; two readings missed are too many. */
const PLANT = { staleAfterMs: 30_000 } as const
/** Two scrapes of an exporter that reads every 30 s, and five seconds. */
const GPU = { staleAfterMs: 65_000 } as const

/** What the facility, its accelerators and the energy market say. */
export const FACILITY_SIGNALS = {
  'power.draw_mw': row('MW', 'site', 'higher', [0, 10_000], 'power drawn now', {
    ...PLANT,
    frozenAfterMs: 120_000,
    smoothMs: 1_000,
  }),
  'power.headroom_mw': row('MW', 'site', 'lower', MW, 'power budget less draw and what has been reserved', {
    ...PLANT,
    tightest: true,
    derived: true,
  }),
  'power.headroom_pct': row('%', 'site', 'lower', [-100, 100], 'power budget less draw, by the budget', {
    ...PLANT,
    tightest: true,
    derived: true,
  }),
  'power.state': row('state', 'site', 'higher', [0, 2], '0 normal, 1 without redundancy, 2 on emergency supply', {
    ...PLANT,
    tightest: true,
  }),
  'cooling.margin_c': row('Cel', 'loop', 'lower', [-100, 100], 'degrees left before the cooling limit', {
    ...PLANT,
    tightest: true,
    derived: true,
  }),
  'cooling.margin_pct': row(
    '%',
    'loop',
    'lower',
    [-100, 100],
    'cooling left, the least of three ways: by heat removed, by supply temperature, by flow',
    { ...PLANT, tightest: true, derived: true },
  ),
  'cooling.headroom_kw': row('kW', 'loop', 'lower', [-1_000_000, 1_000_000], 'heat that can still be taken away', {
    ...PLANT,
    tightest: true,
    derived: true,
  }),
  'cooling.capacity_kw': row('kW', 'loop', 'lower', [0, 1_000_000], 'heat the loop can take away', { tightest: true }),
  'cooling.heat_kw': row('kW', 'loop', 'higher', [0, 1_000_000], 'heat taken away now', {
    ...PLANT,
    tightest: true,
    frozenAfterMs: 120_000,
  }),
  'cooling.supply_c': row('Cel', 'loop', 'higher', CELSIUS, 'coolant on its way to the racks', {
    ...PLANT,
    tightest: true,
    stepPerS: 5,
    frozenAfterMs: 120_000,
  }),
  'cooling.return_c': row('Cel', 'loop', 'higher', CELSIUS, 'coolant on its way back', {
    ...PLANT,
    tightest: true,
    stepPerS: 5,
    frozenAfterMs: 120_000,
  }),
  'cooling.flow_lpm': row('l/min', 'loop', 'lower', [0, 1_000_000], 'coolant flow', {
    ...PLANT,
    tightest: true,
    // Many meters count whole litres, and a pump at a fixed speed hardly moves.
    frozenAfterMs: 900_000,
  }),
  'ambient.temperature_c': row('Cel', 'site', 'higher', CELSIUS, 'air outside', {
    staleAfterMs: 900_000,
    tightest: true,
    stepPerS: 1,
  }),
  'pue.ratio': row('ratio', 'site', 'higher', [1, 10], 'total energy by energy of the accelerators and servers', {
    staleAfterMs: 900_000,
  }),
  'cop.ratio': row('ratio', 'site', 'lower', [0, 100], 'heat taken away by energy spent on it', {
    staleAfterMs: 900_000,
  }),
  'derating.ratio': row(
    'ratio',
    'site',
    'lower',
    RATIO,
    'what heat outside and worn plant leave of power and cooling',
    {
      staleAfterMs: 900_000,
      tightest: true,
      derived: true,
    },
  ),
  'leak.detected': row('bool', 'loop', 'higher', BOOL, 'a leak detector is wet', { ...PLANT, tightest: true }),
  'maintenance.active': row('bool', 'loop', 'higher', BOOL, 'the facility says that it is being worked on', {
    staleAfterMs: 300_000,
    tightest: true,
  }),
  'grid.emergency': row('bool', 'site', 'higher', BOOL, 'the grid operator calls for load to be shed', {
    tightest: true,
  }),
  'grid.import_limit_mw': row('MW', 'site', 'lower', [0, 10_000], 'the most the site may draw from the grid now', {
    tightest: true,
  }),
  'gpu.utilisation_ratio': row('ratio', 'pool', 'higher', RATIO, 'share of time in which some kernel ran', GPU),
  'gpu.free': row('gpus', 'pool', 'lower', COUNT, 'accelerators nobody uses', GPU),
  'gpu.healthy_ratio': row('ratio', 'pool', 'lower', RATIO, 'accelerators without errors that need a technician', GPU),
  'gpu.throttled_ratio': row('ratio', 'pool', 'higher', RATIO, 'accelerators slowed down by heat or power', GPU),
  'gpu.power_w': row('W', 'pool', 'higher', [0, 100_000_000], 'power of the accelerators together', GPU),
  'gpu.temperature_c': row('Cel', 'pool', 'higher', CELSIUS, 'the hottest accelerator', { ...GPU, stepPerS: 20 }),
  'price.per_mwh': row('EUR/MWh', 'site', 'higher', [-10_000, 100_000], 'electricity price of the running interval'),
  'tariff.off_peak': row('bool', 'site', 'lower', BOOL, 'the running interval counts as off-peak'),
  'cost.per_gpu_hour': row('EUR/h', 'pool', 'higher', [0, 10_000], 'what an hour of one accelerator costs'),
  'cost.per_mtok': row('EUR', 'pool', 'higher', [0, 100_000], 'what a million tokens cost there'),
  'carbon.g_per_kwh': row('g/kWh', 'site', 'higher', [0, 5_000], 'carbon intensity of the grid', {
    staleAfterMs: 10_800_000,
  }),
  'client.rtt_p95_ms': row(
    'ms',
    'link',
    'higher',
    [0, 3_600_000],
    'round trip from a client region or ASN, 95th percentile',
    {
      staleAfterMs: 900_000,
    },
  ),
  'client.jitter_ms': row('ms', 'link', 'higher', [0, 3_600_000], 'its variation', { staleAfterMs: 900_000 }),
  'client.loss_ratio': row('ratio', 'link', 'higher', RATIO, 'packets lost on the way', { staleAfterMs: 900_000 }),
  'site.rtt_ms': row(
    'ms',
    'link',
    'higher',
    [0, 3_600_000],
    'round trip from another site, for data and services there',
    {
      staleAfterMs: 900_000,
    },
  ),
  'network.jitter_ms': row('ms', 'site', 'higher', [0, 3_600_000], 'variation of the round trip from this gateway', {
    staleAfterMs: 15_000,
  }),
  'network.loss_ratio': row('ratio', 'site', 'higher', RATIO, 'attempts from this gateway that got no answer', {
    staleAfterMs: 15_000,
  }),
} as const satisfies Record<string, Signal>
