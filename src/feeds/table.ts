import type { TargetName } from '../model/names.ts'
import { type CalendarConfig, calendarFaults, calendarFeed } from './calendar.ts'
import type { HttpAccess } from './credentials.ts'
import { type DcgmConfig, dcgmFeed } from './dcgm.ts'
import type { EngineName } from './engines.ts'
import { fileFeed } from './file.ts'
import { type HttpJsonConfig, httpJsonFaults, httpJsonFeed } from './http-json.ts'
import { modelServer } from './model-server.ts'
import { type OpenadrConfig, openadrFeed } from './openadr.ts'
import { placeOf } from './place.ts'
import type { Source } from './poller.ts'
import { probe } from './probe.ts'
import { type PromqlConfig, promqlFaults, promqlFeed } from './promql.ts'
import { type RedfishConfig, redfishFaults, redfishFeed } from './redfish.ts'
import { FEED_DEFAULTS, FILE_SCHEMA, type JsonSchema, MODEL_SERVER_SCHEMA, PROBE_SCHEMA } from './schemas.ts'
import { CALENDAR_SCHEMA, OPENADR_SCHEMA, REDFISH_SCHEMA, SERIES_SCHEMA } from './schemas-grid.ts'
import { DCGM_SCHEMA, HTTP_JSON_SCHEMA, PROMQL_SCHEMA } from './schemas-measure.ts'
import { type SeriesConfig, seriesFaults, seriesFeed } from './series-feed.ts'
import type { FeedClock } from './time.ts'

/** What every feed says of itself. */
interface Common {
  readonly name: string
  readonly owner?: string
  readonly intervalMs?: number
  readonly timeoutMs?: number
  /** How far samples of a signal lie apart when nothing happens, in its unit. */
  readonly noise?: Readonly<Record<string, number>>
}

/** A feed of model servers' metrics, as it is configured. */
export interface ModelServerConfig extends Common, HttpAccess {
  readonly kind: 'model-server'
  readonly targets: readonly ({ readonly target: TargetName } & (
    | { readonly url: string }
    | { readonly urls: readonly string[] }
  ))[]
  readonly engine?: EngineName
  readonly backoffMsMax?: number
  readonly frozenAfter?: number
  readonly bodyBytesMax?: number
}

/** A feed of active probes, as it is configured. */
export interface ProbeConfig extends Common, HttpAccess {
  readonly kind: 'probe'
  readonly targets: readonly { readonly target: TargetName; readonly url: string }[]
  readonly path?: string
  readonly expect?: readonly number[]
}

/** A feed from a file, as it is configured. */
export interface FileConfig extends Common {
  readonly kind: 'file'
  readonly path: string
  readonly signals?: readonly string[]
  readonly targets?: readonly TargetName[]
  readonly backoffMsMax?: number
  readonly bytesMax?: number
}

/** One entry of `feeds`. */
export type FeedConfig =
  | ModelServerConfig
  | ProbeConfig
  | FileConfig
  | CalendarConfig
  | RedfishConfig
  | OpenadrConfig
  | SeriesConfig
  | PromqlConfig
  | HttpJsonConfig
  | DcgmConfig

/** What the making of sources needs from outside. */
export interface FeedParts {
  readonly clock: FeedClock
  readonly dispatched: (target: TargetName) => number
}

/** A kind of feed: what it is, what it may say, and the sources that one entry makes, each polled by itself. */
interface FeedKind<Config> {
  readonly says: string
  readonly schema: JsonSchema
  /** What else is worth knowing, a paragraph each; shown in the reference. */
  readonly notes?: readonly string[]
  /** An entry that works, shown in the reference. */
  readonly example: Config
  /** The addresses that an entry asks. */
  readonly urls: (config: Config) => readonly string[]
  /** The targets that an entry names; one named twice is a mistake. */
  readonly targets: (config: Config) => readonly string[]
  /** What is wrong with an entry beyond its schema. */
  readonly faults?: (config: Config) => readonly (readonly [message: string, remedy: string])[]
  readonly sources: (config: Config, parts: FeedParts) => Source[]
}

/** Every kind of feed. A new one is a row here and a reader. */
export const FEED_KINDS = {
  'model-server': {
    says: "model servers' own metrics: vLLM, SGLang, TensorRT-LLM, Triton",
    schema: MODEL_SERVER_SCHEMA,
    example: {
      kind: 'model-server',
      name: 'ams-vllm',
      owner: 'ml-platform@example.com',
      targets: [{ target: 'ams/h100', urls: ['http://10.0.0.1:8000', 'http://10.0.0.2:8000'] }],
    },
    urls: ({ targets }) => targets.flatMap((one) => ('urls' in one ? one.urls : [one.url])),
    targets: ({ targets }) => targets.map(({ target }) => target),
    sources: (config, parts) =>
      config.targets.map((one) => {
        const urls = 'urls' in one ? one.urls : [one.url]
        const settings = { ...FEED_DEFAULTS['model-server'], ...config, ...named(config, one.target), urls }
        return modelServer({ ...settings, target: one.target }, parts)
      }),
  } satisfies FeedKind<ModelServerConfig>,
  probe: {
    says: 'active probes over HTTP: signs of life, round trip, TLS, first byte',
    schema: PROBE_SCHEMA,
    example: {
      kind: 'probe',
      name: 'edges',
      owner: 'network@example.com',
      targets: [{ target: 'ams/h100', url: 'https://inference.ams.example.com/health' }],
    },
    urls: ({ targets }) => targets.map(({ url }) => url),
    targets: ({ targets }) => targets.map(({ target }) => target),
    sources: (config, { clock }) =>
      config.targets.map(({ target, url }) => {
        const { site } = placeOf(target)
        const isSiteWide = config.targets.filter((one) => placeOf(one.target).site === site).length === 1
        const settings = { ...FEED_DEFAULTS.probe, expect: [], ...config, ...named(config, target) }
        return probe({ ...settings, target, url, isSiteWide }, clock)
      }),
  } satisfies FeedKind<ProbeConfig>,
  file: {
    says: 'samples and series from a file of JSON',
    schema: FILE_SCHEMA,
    notes: [
      'An entry is a sample, `{ site, pool?, loop?, from?, model?, signal, value, unit?, at?, validUntil?, count? }`, or a series, `{ site, pool?, signal, unit?, intervals: [{ from, to, value }], issuedAt? }`; times are ISO 8601 with a zone, or milliseconds since 1970. `from` is the other end of a link: `region:EMEA`, `asn:1136` or `site:ams`.',
    ],
    example: {
      kind: 'file',
      name: 'ams-meters',
      owner: 'facility@example.com',
      path: '/var/lib/meters/ams.jsonl',
      signals: ['power.draw_mw', 'cooling.supply_c'],
      targets: ['ams'],
    },
    urls: () => [],
    targets: ({ targets }) => targets ?? [],
    sources: (config) => [fileFeed({ ...FEED_DEFAULTS.file, ...config })],
  } satisfies FeedKind<FileConfig>,
  calendar: {
    says: 'windows of time by cron: off-peak hours, or maintenance that is announced',
    schema: CALENDAR_SCHEMA,
    notes: [
      'Windows begin and end by the clock on the wall: 22:00 for eight hours ends at 06:00 also in the nights in which the clock is put forward or back. The next eight days are told, 0 beside the windows, so that answers can say when the next one begins.',
    ],
    example: {
      kind: 'calendar',
      name: 'night-tariff',
      owner: 'energy@example.com',
      targets: ['ams'],
      signal: 'tariff.off_peak',
      windows: [
        { cron: '0 22 * * mon-fri', forMs: 28_800_000, timeZone: 'Europe/Amsterdam' },
        { cron: '0 0 * * sat,sun', forMs: 86_400_000, timeZone: 'Europe/Amsterdam' },
      ],
    },
    urls: () => [],
    targets: ({ targets }) => targets,
    faults: calendarFaults,
    sources: (config, { clock }) => [calendarFeed({ ...FEED_DEFAULTS.calendar, ...config }, clock)],
  } satisfies FeedKind<CalendarConfig>,
  redfish: {
    says: 'cooling units, coolant connectors, leak detectors and power meters over Redfish',
    schema: REDFISH_SCHEMA,
    notes: [
      "Supply and return are those of the hottest connector, flow and heat those of all together; a sum is missing where a part of it is, for a part would look like room. Where no heat is metered it is worked out from flow, temperatures and the coolant's specific heat and density. Margins are worked out by hubward, from these and from the site's document.",
      'A reading that is null, a text (devices write "Null"), or outside of what can be is missing, with a warning that names its path; the rest counts. A detector\'s `Warning` is a leak as its `Critical` is.',
      'A unit whose `Health` is `Critical`, or which is off, updated or tested, has `maintenance.active` 1: nothing new goes to the pools on its loop. `critical: warning` leaves the first to the readings alone; a critical part below a unit (`HealthRollup`) is a warning only.',
      'References are followed on the same origin only, at most `requestsMax` in one attempt, all within one deadline and one limit of bytes.',
    ],
    example: {
      kind: 'redfish',
      name: 'ams-cooling',
      owner: 'facility@example.com',
      url: 'https://cdu.ams.example.com',
      site: 'ams',
      auth: { username: 'hubward', passwordFile: '/run/secrets/cdu', session: true },
      tls: { caFile: '/etc/hubward/cdu-ca.pem' },
      units: [{ path: '/redfish/v1/ThermalEquipment/CDUs/1', loop: 'cdu-1', connectors: 'secondary' }],
      power: [{ path: '/redfish/v1/Chassis/Rack1/EnvironmentMetrics' }],
    },
    urls: ({ url }) => [url],
    targets: ({ site }) => [site],
    faults: redfishFaults,
    sources: (config, { clock }) => [redfishFeed({ ...FEED_DEFAULTS.redfish, ...config }, clock)],
  } satisfies FeedKind<RedfishConfig>,
  openadr: {
    says: 'events of the grid from an OpenADR 3.1 VTN: limits, emergencies, prices, carbon',
    schema: OPENADR_SCHEMA,
    notes: [
      '`IMPORT_CAPACITY_LIMIT` becomes `grid.import_limit_mw`, the strictest of all events that hold; the payloads of `emergencyTypes` become `grid.emergency`; `PRICE` and `GHG` become series, of the event with the higher priority where several speak. What holds goes out with its end and counts until then, whatever becomes of the VTN; what is to come begins by itself.',
      "Where nothing holds `grid.emergency` is 0, until two intervals and a timeout have gone by without an answer. An event that is deleted has ended: a limit is taken back by one of 10,000 MW that is over at once, after which the signal says nothing and the site's own budget counts alone.",
      "Events without targets are for everybody; others count where one of their targets is the site's name, `SITE:` and its name, or among `names`. `0001-01-01` is when the event was made or last changed; a length of `P9999Y`, of nothing, or one that can't be read lasts until the event is withdrawn. `randomizeStart` delays a beginning by a part of it that is the same in every run.",
    ],
    example: {
      kind: 'openadr',
      name: 'grid-ams',
      owner: 'energy@example.com',
      url: 'https://vtn.example.com/openadr3/3.1.0',
      site: 'ams',
      auth: { clientId: 'hubward-ams', clientSecretFile: '/run/secrets/vtn' },
      names: ['ams-campus'],
      signals: ['grid.import_limit_mw', 'grid.emergency'],
      emergencyTypes: ['ALERT_GRID_EMERGENCY', 'ALERT_BLACK_START'],
    },
    urls: ({ url, auth }) => [url, ...(auth !== undefined && 'tokenUrl' in auth ? [auth.tokenUrl ?? url] : [])],
    targets: ({ site }) => [site],
    sources: (config, { clock }) => [openadrFeed({ ...FEED_DEFAULTS.openadr, ...config }, clock)],
  } satisfies FeedKind<OpenadrConfig>,
  series: {
    says: 'values ahead of time by intervals, from an address or a file: prices, carbon, and off-peak hours by them',
    schema: SERIES_SCHEMA,
    notes: [
      "The running interval's value is the signal's value, and the next takes over by itself. A value whose interval is over is never what holds now, even if it is the newest that was published: a text that is all past is refused. Gaps stay gaps.",
      "WattTime's values are marginal emissions and Electricity Maps' are averages: two quantities under one signal, so take one of them for all sites that are compared. ENTSO-E's curves of type A03 hold each value until the next; where resolutions overlap the finer one counts.",
      "Off-peak by `cheapestHours` is chosen for days whose prices are known whole, by the days of `timeZone`; ask from the day's first hour. The series may be issued again at any time; one that was issued before the last is refused.",
    ],
    example: {
      kind: 'series',
      name: 'day-ahead-nl',
      owner: 'energy@example.com',
      targets: ['ams'],
      signal: 'price.per_mwh',
      url: 'https://web-api.tp.entsoe.eu/api',
      query: [
        { name: 'securityToken', file: '/run/secrets/entsoe' },
        { name: 'documentType', value: 'A44' },
        { name: 'in_Domain', value: '10YNL----------L' },
        { name: 'out_Domain', value: '10YNL----------L' },
        { name: 'periodStart', value: '{from:compact}' },
        { name: 'periodEnd', value: '{to:compact}' },
      ],
      format: 'entsoe-a44',
      offPeak: { cheapestHours: 6, timeZone: 'Europe/Amsterdam' },
    },
    urls: ({ url, auth }) => [
      ...(url === undefined ? [] : [url]),
      ...(auth !== undefined && 'loginUrl' in auth ? [auth.loginUrl] : []),
    ],
    targets: ({ targets }) => targets,
    faults: seriesFaults,
    sources: (config, { clock }) => [seriesFeed({ ...FEED_DEFAULTS.series, ...config }, clock)],
  } satisfies FeedKind<SeriesConfig>,
  promql: {
    says: 'values from a Prometheus, Thanos, Mimir or VictoriaMetrics, with the times at which they were measured',
    schema: PROMQL_SCHEMA,
    example: {
      kind: 'promql',
      name: 'ams-prometheus',
      owner: 'observability@example.com',
      url: 'https://prometheus.ams.example.com',
      auth: { bearerFile: '/run/secrets/prometheus' },
      queries: [
        {
          signal: 'power.draw_mw',
          query: 'sum (rack_power_watts{site="AMS-01"})',
          timestampOf: 'rack_power_watts{site="AMS-01"}',
          unit: 'W',
          site: 'ams',
        },
        {
          signal: 'cooling.supply_c',
          query: 'coolant_supply_celsius{job="bms"}',
          labels: { site: 'site', loop: 'loop' },
          names: { 'AMS-01': 'ams', 'FRA-02': 'fra' },
        },
        {
          signal: 'client.rtt_p95_ms',
          query: 'quantile by (asn) (0.95, client_rtt_seconds{site="AMS-01"})',
          timestampOf: 'client_rtt_seconds{site="AMS-01"}',
          unit: 's',
          site: 'ams',
          labels: { from: 'asn' },
          fromKind: 'asn',
        },
      ],
    },
    urls: ({ url }) => [url],
    targets: ({ targets }) => targets ?? [],
    faults: promqlFaults,
    sources: (config, { clock }) => [promqlFeed({ ...FEED_DEFAULTS.promql, ...config }, clock)],
  } satisfies FeedKind<PromqlConfig>,
  'http-json': {
    says: 'values at JSON pointers of a document over HTTP',
    schema: HTTP_JSON_SCHEMA,
    example: {
      kind: 'http-json',
      name: 'ams-bms',
      owner: 'facility@example.com',
      url: 'https://bms.ams.example.com/api/points',
      auth: { username: 'hubward', passwordFile: '/run/secrets/bms' },
      values: [
        {
          signal: 'cooling.supply_c',
          pointer: '/loops/0/supply/value',
          unit: 'degF',
          site: 'ams',
          loop: 'cdu-1',
          timePointer: '/loops/0/supply/at',
          timeUnit: 'ms',
          quality: { pointer: '/loops/0/supply/quality', good: ['good'] },
        },
        { signal: 'power.draw_mw', pointer: '/power/total', unit: 'kW', site: 'ams', numericStrings: true },
        { signal: 'price.per_mwh', pointer: '/tariff/now', unit: 'USD/MWh', rate: 0.92, site: 'ams' },
      ],
    },
    urls: ({ url }) => [url],
    targets: () => [],
    faults: httpJsonFaults,
    sources: (config, { clock }) => [httpJsonFeed({ ...FEED_DEFAULTS['http-json'], ...config }, clock)],
  } satisfies FeedKind<HttpJsonConfig>,
  dcgm: {
    says: 'accelerators by NVIDIA DCGM exporters: free, healthy, throttled, busy, power, temperature',
    schema: DCGM_SCHEMA,
    example: {
      kind: 'dcgm',
      name: 'ams-gpus',
      owner: 'ml-platform@example.com',
      targets: [
        { target: 'ams/h100', urls: ['http://10.0.0.1:9400', 'http://10.0.0.2:9400'], gpus: 16 },
        { target: 'ams/l40s', url: 'http://10.0.0.3:9400', where: { modelName: 'NVIDIA L40S' } },
      ],
    },
    urls: ({ targets }) => targets.flatMap((one) => ('urls' in one ? one.urls : [one.url])),
    targets: ({ targets }) => targets.map(({ target }) => target),
    sources: (config, { clock }) =>
      config.targets.map((one) => {
        const settings = { ...FEED_DEFAULTS.dcgm, harmlessXids: [], ...config, ...one }
        return dcgmFeed({ ...settings, ...named(config, one.target) }, clock)
      }),
  } satisfies FeedKind<DcgmConfig>,
} as const satisfies { readonly [K in FeedConfig['kind']]: FeedKind<Extract<FeedConfig, { kind: K }>> }

/** The row of an entry's kind. */
export const kindOf = (config: FeedConfig): FeedKind<FeedConfig> =>
  FEED_KINDS[config.kind] as unknown as FeedKind<FeedConfig>

/** The sources that one entry of `feeds` makes. */
export const feedSources = (config: FeedConfig, parts: FeedParts): Source[] => kindOf(config).sources(config, parts)

/** A feed of several targets is several sources, each with the target in its name. */
const named = (config: { readonly name: string; readonly targets: readonly unknown[] }, target: TargetName) =>
  config.targets.length === 1 ? {} : { name: `${config.name}/${target}` }
