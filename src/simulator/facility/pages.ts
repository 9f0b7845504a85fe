import type { Meters } from './meters.ts'
import { LOOP_METERS, type Plant } from './plant.ts'
import type { Prices } from './prices.ts'

/** What the pages of a plant are made from. */
export interface PageParts {
  readonly plant: Plant
  readonly meters: Meters
  readonly prices: Prices
}

const gauge = (name: string, says: string, rows: readonly (readonly [labels: string, value: number])[]): string =>
  rows.length === 0
    ? ''
    : `# HELP ${name} ${says}\n# TYPE ${name} gauge\n${rows.map(([labels, value]) => `${name}{${labels}} ${value}\n`).join('')}`

/** The exporter of the building's management system, in the Prometheus text format. */
export const exporterPage = ({ plant, meters }: PageParts): string => {
  const { site, loops } = plant.options
  const own = `site="${site}"`
  const one = (meter: string, labels = own): (readonly [string, number])[] => {
    const value = meters.read(meter)?.value
    return value === undefined || value === null ? [] : [[labels, value]]
  }
  const byLoop = (meter: (typeof LOOP_METERS)[number]) =>
    loops.flatMap(({ name }) => one(`${name}/${meter}`, `${own},loop="${name}"`))
  return [
    gauge('facility_power_draw_megawatts', 'power drawn by the whole site', one('power.draw_mw')),
    gauge('facility_it_power_megawatts', 'power drawn by computers', one('power.it_mw')),
    gauge('facility_power_budget_megawatts', 'power that may be drawn', [[own, plant.options.budgetMw]]),
    gauge('facility_pue_ratio', 'power usage effectiveness', one('pue.ratio')),
    gauge('facility_ambient_celsius', 'air outside', one('ambient.temperature_c')),
    gauge('facility_maintenance', 'being worked on', [[own, Number(plant.now.maintenance)]]),
    gauge('facility_leak_detected', 'a leak detector is wet', [[own, Number(plant.now.leak)]]),
    gauge('coolant_supply_celsius', 'coolant on its way to the racks', byLoop('supply_c')),
    gauge('coolant_return_celsius', 'coolant on its way back', byLoop('return_c')),
    gauge('coolant_flow_liters_per_minute', 'coolant flow', byLoop('flow_lpm')),
    gauge('coolant_heat_removed_kilowatts', 'heat taken away', byLoop('heat_kw')),
  ].join('')
}

/** The DCGM exporter's page of the plant's accelerators. */
export const dcgmPage = ({ plant }: PageParts, busyGpus: number): string => {
  const { gpus, site } = plant.options
  const { xidGpus, throttledGpus } = plant.now
  const rows = (value: (gpu: number) => number) =>
    Array.from(
      { length: gpus },
      (_, gpu) =>
        [
          `gpu="${gpu}",UUID="GPU-${site}-${gpu}",device="nvidia${gpu}",Hostname="${site}",DCGM_FI_DRIVER_VERSION="570.86"`,
          value(gpu),
        ] as const,
    )
  const isBusy = (gpu: number): boolean => gpu < busyGpus
  return [
    gauge(
      'DCGM_FI_DEV_GPU_UTIL',
      'GPU utilization (in %).',
      rows((gpu) => (isBusy(gpu) ? 92 : 0)),
    ),
    gauge(
      'DCGM_FI_DEV_GPU_TEMP',
      'GPU temperature (in C).',
      rows((gpu) => (isBusy(gpu) ? 61 : 34)),
    ),
    gauge(
      'DCGM_FI_DEV_POWER_USAGE',
      'Power draw (in W).',
      rows((gpu) => (isBusy(gpu) ? 640 : 72)),
    ),
    gauge(
      'DCGM_FI_DEV_FB_USED',
      'Framebuffer memory used (in MiB).',
      rows((gpu) => (isBusy(gpu) ? 61_440 : 4)),
    ),
    gauge(
      'DCGM_FI_DEV_FB_FREE',
      'Framebuffer memory free (in MiB).',
      rows((gpu) => (isBusy(gpu) ? 20_110 : 81_546)),
    ),
    gauge(
      'DCGM_FI_DEV_XID_ERRORS',
      'Value of the last XID error encountered.',
      rows((gpu) => (gpu < xidGpus ? 79 : 0)),
    ),
    gauge(
      'DCGM_FI_DEV_ROW_REMAP_FAILURE',
      'Whether remapping of rows has failed',
      rows(() => 0),
    ),
    gauge(
      'DCGM_FI_DEV_CLOCKS_EVENT_REASONS',
      'Reasons for throttling',
      rows((gpu) => (gpu < throttledGpus ? 0x40 : 0)),
    ),
  ].join('')
}

/** Everything as one JSON document, with the price curve. */
export const jsonPage = ({ plant, meters, prices }: PageParts) => {
  const at = plant.advance()
  const value = (name: string) => meters.read(name)?.value ?? 'Null'
  return {
    site: plant.options.site,
    // A late meter makes the whole page late, as a gateway that lost its feed would.
    at: new Date(meters.read('power.draw_mw')?.at ?? at).toISOString(),
    power: {
      drawKw: scaled(value('power.draw_mw'), 1_000),
      itMw: value('power.it_mw'),
      budgetMw: plant.options.budgetMw,
    },
    pue: value('pue.ratio'),
    ambientC: value('ambient.temperature_c'),
    maintenance: plant.now.maintenance,
    leak: plant.now.leak,
    loops: plant.loops.map(({ options: { name } }) => ({
      name,
      ...Object.fromEntries(LOOP_METERS.map((meter) => [meter, value(`${name}/${meter}`)])),
    })),
    prices: prices.ahead(at).map(({ from, to, price, carbon }) => ({
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      eurPerMwh: price,
      gPerKwh: carbon,
    })),
    jobs: [...plant.jobs.values()].map(({ id, loop, mw, drawMw, paused }) => ({ id, loop, mw, drawMw, paused })),
    truth: {
      drawMw: plant.drawMw,
      itMw: plant.itMw,
      allowedMw: plant.allowedMw,
      supplyC: plant.loops[0]!.supplyC,
      supplyMaxC: plant.loops[0]!.maxC,
    },
  }
}

const scaled = (value: number | 'Null', by: number): number | 'Null' => (value === 'Null' ? value : value * by)

/** The price curve as a CSV of the kind that carbon services hand out. */
export const csvPage = ({ plant, prices }: PageParts): string =>
  [
    'Datetime (UTC),Zone Id,Price EUR/MWh,Carbon Intensity gCO2eq/kWh (direct)',
    ...prices
      .ahead(plant.advance())
      .map(({ from, price, carbon }) => `${new Date(from).toISOString()},NL,${price},${carbon}`),
    '',
  ].join('\n')
