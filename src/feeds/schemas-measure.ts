import { SIGNALS } from '../model/signal.ts'
import { ACCESS, common, FEED_DEFAULTS, type JsonSchema, ms, object, TARGET, text, URL } from './schemas.ts'

const asking = (kind: 'promql' | 'http-json' | 'dcgm'): JsonSchema => ({
  ...common(kind),
  backoffMsMax: ms('longest wait between failing attempts', 100, FEED_DEFAULTS[kind].backoffMsMax),
  bodyBytesMax: {
    type: 'integer',
    minimum: 1_024,
    maximum: 16_777_216,
    default: FEED_DEFAULTS[kind].bodyBytesMax,
    description: 'all that one attempt reads',
  },
})
const NAME = { pattern: '^[a-z0-9][a-z0-9.-]*$', maxLength: 253 }
const PLACE: JsonSchema = {
  site: text('the site that it is about', NAME),
  pool: text('the pool that it is about; the whole site where absent', NAME),
  loop: text('the coolant loop that it is about, as the Site document names it', { maxLength: 256 }),
  from: text('for signals of a link, its other end: region:EMEA, asn:1136 or site:ams', {
    pattern: '^(region:\\S+|asn:[0-9]+|site:[a-z0-9][a-z0-9.-]*)$',
    maxLength: 260,
  }),
  model: text('the model that it is about, for signals that have values by model', { maxLength: 256 }),
}
const VALUE: JsonSchema = {
  signal: { enum: Object.keys(SIGNALS), description: 'what it is' },
  unit: text("the unit of the value; the signal's own where absent", { maxLength: 16 }),
  scale: { type: 'number', description: 'the value is multiplied by this before its unit is converted', default: 1 },
  rate: {
    type: 'number',
    exclusiveMinimum: 0,
    description: "what one of the unit's currency is in EUR, for money in another currency",
  },
}
const METHOD = (byDefault: 'GET' | 'POST'): JsonSchema => ({ enum: ['GET', 'POST'], default: byDefault })
const LABEL = { pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 256 }

/** What a feed of PromQL may say. */
export const PROMQL_SCHEMA: JsonSchema = object(['kind', 'name', 'url', 'queries'], {
  ...asking('promql'),
  url: { ...URL, description: 'the server, as a dashboard would have it; /api/v1/query comes after it' },
  method: { ...METHOD('POST'), description: 'GET where something before the server lets no POST pass' },
  targets: {
    type: 'array',
    maxItems: 1_000,
    items: TARGET,
    description: 'sites or pools that it covers, where labels name them',
  },
  queries: {
    type: 'array',
    minItems: 1,
    maxItems: 64,
    items: object(['signal', 'query'], {
      ...VALUE,
      query: text('a selector, or any expression together with timestampOf', { maxLength: 8_192 }),
      timestampOf: text("the selector whose samples' times are those of an expression's values: the oldest counts", {
        maxLength: 4_096,
      }),
      ...PLACE,
      labels: {
        ...object(
          [],
          Object.fromEntries(
            Object.keys(PLACE).map((part) => [part, text(`the label that names the ${part} of each series`, LABEL)]),
          ),
        ),
        minProperties: 1,
        description: 'for queries with a series for each place',
      },
      names: {
        type: 'object',
        maxProperties: 1_000,
        additionalProperties: { type: 'string', minLength: 1, maxLength: 256 },
        description: 'what values of these labels are called here: `AMS-01: ams`',
      },
      fromKind: { enum: ['region', 'asn', 'site'], description: 'what the label of `from` holds' },
    }),
    description: 'each is one request',
  },
  ...ACCESS,
})

const POINTER = (description: string) => text(description, { minLength: 0, pattern: '^(/([^~/]|~[01])*)*$' })

/** What a feed of JSON over HTTP may say. */
export const HTTP_JSON_SCHEMA: JsonSchema = object(['kind', 'name', 'url', 'values'], {
  ...asking('http-json'),
  url: { ...URL, description: 'the document' },
  method: METHOD('GET'),
  body: { description: 'what is sent with POST' },
  numericStrings: { type: 'boolean', default: false, description: 'numbers written as text are taken' },
  values: {
    type: 'array',
    minItems: 1,
    maxItems: 1_000,
    items: object(['signal', 'pointer', 'site'], {
      ...VALUE,
      pointer: POINTER('where the value stands, a JSON pointer: /plant/loops/0/supply'),
      ...PLACE,
      timePointer: POINTER('where its time of measurement stands; absent: it is of the moment of asking'),
      timeUnit: {
        enum: ['ms', 's', 'iso'],
        default: 'iso',
        description: 'epoch milliseconds, epoch seconds, or ISO 8601 with a zone',
      },
      quality: {
        ...object(['pointer', 'good'], {
          pointer: POINTER('where it stands'),
          good: {
            type: 'array',
            minItems: 1,
            maxItems: 32,
            items: { anyOf: [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }] },
          },
        }),
        description: 'what the device says of the value, and with which words it is good',
      },
      numericStrings: { type: 'boolean', description: 'of this value alone' },
    }),
  },
  ...ACCESS,
})

/** What a feed of DCGM exporters may say. */
export const DCGM_SCHEMA: JsonSchema = object(['kind', 'name', 'targets'], {
  ...asking('dcgm'),
  targets: {
    type: 'array',
    minItems: 1,
    items: {
      ...object(['target'], {
        target: TARGET,
        url: { ...URL, description: "the exporter's page; without a path /metrics" },
        urls: { type: 'array', minItems: 1, maxItems: 256, items: URL, description: 'one for each node of the pool' },
        where: {
          type: 'object',
          maxProperties: 16,
          additionalProperties: { type: 'string', maxLength: 256 },
          description: "labels of the pool's series, where one exporter serves several pools: `modelName: NVIDIA L40S`",
        },
        gpus: {
          type: 'integer',
          minimum: 1,
          maximum: 1_000_000,
          description: 'how many accelerators the pool has; absent: the most that were seen in a day',
        },
      }),
      oneOf: [{ required: ['url'] }, { required: ['urls'] }],
    },
  },
  violationUnit: {
    enum: ['ns', 'us'],
    default: FEED_DEFAULTS.dcgm.violationUnit,
    description: 'the unit of DCGM_FI_DEV_*_VIOLATION; releases differ',
  },
  powerCap: {
    type: 'boolean',
    default: FEED_DEFAULTS.dcgm.powerCap,
    description: 'running at the power limit, as any busy accelerator may, counts as throttled',
  },
  freeMemoryMib: {
    type: 'number',
    minimum: 0,
    default: FEED_DEFAULTS.dcgm.freeMemoryMib,
    description: 'an accelerator with more of its memory in use is not free',
  },
  harmlessXids: {
    type: 'array',
    maxItems: 256,
    items: { type: 'integer', minimum: 1, maximum: 100_000 },
    description: 'XIDs that no technician has to look at, beside those that are known to be harmless',
  },
  ...ACCESS,
})
