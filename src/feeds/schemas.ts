import { SIGNALS } from '../model/signal.ts'
import { ENGINE_NAMES } from './engines.ts'

/** A JSON Schema (2020-12) as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** An object with these fields and no others. */
export const object = (required: readonly string[], properties: JsonSchema): JsonSchema => ({
  type: 'object',
  additionalProperties: false,
  required,
  properties,
})
/** A text that is not empty. */
export const text = (description: string, more: JsonSchema = {}): JsonSchema => ({
  type: 'string',
  minLength: 1,
  maxLength: 1_024,
  description,
  ...more,
})
/** Milliseconds, a day at most. */
export const ms = (description: string, minimum: number, byDefault?: number): JsonSchema => ({
  type: 'integer',
  minimum,
  maximum: 86_400_000,
  description,
  ...(byDefault === undefined ? {} : { default: byDefault }),
})

/** What each kind takes where nothing is said. Two intervals and a timeout fit into the 5 s that queue samples live. */
export const FEED_DEFAULTS = {
  'model-server': {
    intervalMs: 2_000,
    timeoutMs: 1_000,
    backoffMsMax: 10_000,
    bodyBytesMax: 8_388_608,
    frozenAfter: 5,
  },
  probe: { intervalMs: 2_000, timeoutMs: 1_000, path: '/health' },
  file: { intervalMs: 5_000, timeoutMs: 2_000, backoffMsMax: 30_000, bytesMax: 8_388_608 },
  calendar: { intervalMs: 30_000 },
  series: { intervalMs: 300_000, timeoutMs: 20_000, backoffMsMax: 900_000, bodyBytesMax: 2_097_152 },
  openadr: { intervalMs: 15_000, timeoutMs: 10_000, backoffMsMax: 60_000, bodyBytesMax: 4_194_304 },
  redfish: { intervalMs: 10_000, timeoutMs: 8_000, backoffMsMax: 60_000, bodyBytesMax: 1_048_576, requestsMax: 128 },
  promql: { intervalMs: 5_000, timeoutMs: 3_000, backoffMsMax: 30_000, bodyBytesMax: 1_048_576 },
  'http-json': { intervalMs: 5_000, timeoutMs: 3_000, backoffMsMax: 30_000, bodyBytesMax: 1_048_576 },
  dcgm: {
    intervalMs: 10_000,
    timeoutMs: 5_000,
    backoffMsMax: 60_000,
    bodyBytesMax: 8_388_608,
    violationUnit: 'ns',
    powerCap: false,
    freeMemoryMib: 1_024,
  },
  'envoy-admin': { intervalMs: 1_000, timeoutMs: 2_000, backoffMsMax: 5_000, bodyBytesMax: 67_108_864 },
} as const

/** An address. */
export const URL = text('http:// or https:// address, without user and password', {
  format: 'uri',
  pattern: '^https?://',
})
/** A site or a pool. */
export const TARGET = text('the site/pool that it is about, or a site for all its pools', {
  pattern: '^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)?$',
})

/** Credentials, headers and certificates. */
export const ACCESS: JsonSchema = {
  auth: {
    description: 'credentials, read from files at each attempt',
    oneOf: [
      object(['bearerFile'], { bearerFile: text('a file that holds a bearer token') }),
      object(['username', 'passwordFile'], {
        username: text('the user of basic authentication'),
        passwordFile: text('a file that holds the password'),
      }),
    ],
  },
  headers: {
    type: 'array',
    maxItems: 32,
    description: 'further request headers',
    items: {
      oneOf: [
        object(['name', 'file'], { name: text('header'), file: text('a file that holds its value') }),
        object(['name', 'value'], { name: text('header'), value: text('its value, where it is no secret') }),
      ],
    },
  },
  tls: object([], {
    caFile: text('a PEM file of the authorities that are trusted; those of the system where absent'),
    certFile: text('a PEM file of our certificate'),
    keyFile: text('a PEM file of our key'),
    serverName: text("the name that the server's certificate must carry"),
  }),
}

/** What every kind may say. */
export const named = (kind: keyof typeof FEED_DEFAULTS): JsonSchema => ({
  kind: { const: kind },
  name: text('the source, as samples and /sources name it', { pattern: '^[a-z0-9][a-z0-9._-]*$', maxLength: 63 }),
  owner: text('who answers for it, a role address'),
  intervalMs: ms('time between two attempts', 100, FEED_DEFAULTS[kind].intervalMs),
})

/** What every kind may say that asks somebody. */
export const common = (kind: Exclude<keyof typeof FEED_DEFAULTS, 'calendar'>): JsonSchema => ({
  ...named(kind),
  timeoutMs: ms('deadline of one attempt', 50, FEED_DEFAULTS[kind].timeoutMs),
  noise: {
    type: 'object',
    description:
      'by signal, how far samples lie apart when nothing happens, in its unit: validate tells thresholds that follow it',
    propertyNames: { enum: Object.keys(SIGNALS) },
    additionalProperties: { type: 'number', minimum: 0 },
  },
})

/** What a model-server feed may say. */
export const MODEL_SERVER_SCHEMA: JsonSchema = object(['kind', 'name', 'targets'], {
  ...common('model-server'),
  targets: {
    type: 'array',
    minItems: 1,
    items: {
      ...object(['target'], {
        target: TARGET,
        url: { ...URL, description: 'the metrics page; without a path that of the engine, /metrics' },
        urls: { type: 'array', minItems: 1, maxItems: 256, items: URL, description: 'one for each replica' },
      }),
      oneOf: [{ required: ['url'] }, { required: ['urls'] }],
    },
  },
  engine: { enum: ENGINE_NAMES, description: 'the kind of server; found out from its metrics where absent' },
  backoffMsMax: ms('longest wait between failing attempts', 100, FEED_DEFAULTS['model-server'].backoffMsMax),
  frozenAfter: {
    type: 'integer',
    minimum: 0,
    default: FEED_DEFAULTS['model-server'].frozenAfter,
    description: 'equal answers in a row that are refused as a lie while work goes on; 0: never',
  },
  bodyBytesMax: {
    type: 'integer',
    minimum: 1_024,
    maximum: 67_108_864,
    default: FEED_DEFAULTS['model-server'].bodyBytesMax,
    description: 'largest answer that is read',
  },
  ...ACCESS,
})

/** What a probe may say. */
export const PROBE_SCHEMA: JsonSchema = object(['kind', 'name', 'targets'], {
  ...common('probe'),
  targets: { type: 'array', minItems: 1, items: object(['target', 'url'], { target: TARGET, url: URL }) },
  path: text('asked for where the address has no path', { pattern: '^/', default: FEED_DEFAULTS.probe.path }),
  expect: {
    type: 'array',
    items: { type: 'integer', minimum: 100, maximum: 599 },
    description: 'statuses that mean well; any 2xx where absent',
  },
  ...ACCESS,
})

/** What a file feed may say. */
export const FILE_SCHEMA: JsonSchema = object(['kind', 'name', 'path'], {
  ...common('file'),
  path: text('a JSON array or JSON lines of samples and series'),
  signals: {
    type: 'array',
    items: { enum: Object.keys(SIGNALS) },
    description: 'what it delivers, so that validation can hold policies against it',
  },
  targets: { type: 'array', items: TARGET, description: 'sites or pools that it covers; all where absent' },
  backoffMsMax: ms('longest wait between failing attempts', 100, FEED_DEFAULTS.file.backoffMsMax),
  bytesMax: { type: 'integer', minimum: 1_024, maximum: 67_108_864, default: FEED_DEFAULTS.file.bytesMax },
})

/** What `envoyAdmin` may say: where Envoy's admin port is. */
export const ENVOY_ADMIN_SCHEMA: JsonSchema = {
  ...object([], {
    name: text('the source, as /sources names it', { default: 'envoy' }),
    owner: text('who answers for it, a role address'),
    address: text('host:port of the admin port', { pattern: '^([a-zA-Z0-9.-]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$' }),
    socket: text('its unix socket'),
    intervalMs: ms('time between two looks', 100, FEED_DEFAULTS['envoy-admin'].intervalMs),
    timeoutMs: ms('deadline of one look', 50, FEED_DEFAULTS['envoy-admin'].timeoutMs),
  }),
  oneOf: [{ required: ['address'] }, { required: ['socket'] }],
}
