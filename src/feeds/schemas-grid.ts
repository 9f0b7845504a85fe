import { SIGNALS } from '../model/signal.ts'
import { OPENADR_SIGNALS } from './openadr-signals.ts'
import { ACCESS, common, FEED_DEFAULTS, type JsonSchema, ms, named, object, TARGET, text, URL } from './schemas.ts'
import { SERIES_FORMATS } from './series-formats.ts'

const targets = { type: 'array', minItems: 1, maxItems: 1_000, items: TARGET, description: 'whom it is for' }

/** What a calendar may say. */
export const CALENDAR_SCHEMA: JsonSchema = object(['kind', 'name', 'targets', 'windows'], {
  ...named('calendar'),
  targets,
  signal: {
    enum: ['tariff.off_peak', 'maintenance.active'],
    default: 'tariff.off_peak',
    description: 'what is 1 in a window and 0 beside it',
  },
  windows: {
    type: 'array',
    minItems: 1,
    maxItems: 64,
    items: object(['cron', 'forMs'], {
      cron: text('when it begins: minute hour day month weekday', { maxLength: 128 }),
      forMs: {
        ...ms('how long it lasts by the clock on the wall, in whole minutes', 60_000),
        maximum: 691_200_000,
        multipleOf: 60_000,
      },
      timeZone: text('whose clock: Europe/Amsterdam', { default: 'UTC', maxLength: 64 }),
    }),
    description: 'several may overlap',
  },
})

const whole = (description: string, minimum: number, maximum: number, byDefault: number): JsonSchema => ({
  type: 'integer',
  minimum,
  maximum,
  default: byDefault,
  description,
})
const asking = (kind: 'redfish' | 'openadr' | 'series'): JsonSchema => ({
  ...common(kind),
  backoffMsMax: ms('longest wait between failing attempts', 100, FEED_DEFAULTS[kind].backoffMsMax),
  bodyBytesMax: whole('all that one attempt reads', 1_024, 16_777_216, FEED_DEFAULTS[kind].bodyBytesMax),
})
const SITE = text('the site that it is about', { pattern: '^[a-z0-9][a-z0-9.-]*$' })
const RESOURCE = (description: string) => text(description, { pattern: '^/' })
const CONNECTORS = {
  enum: ['primary', 'secondary'],
  default: 'secondary',
  description: 'primary: the water of the facility; secondary: the coolant to the racks',
}

/** What a feed of Redfish may say. */
export const REDFISH_SCHEMA: JsonSchema = object(['kind', 'name', 'url', 'site'], {
  ...asking('redfish'),
  url: { ...URL, description: 'the device, without a path' },
  site: SITE,
  units: {
    type: 'array',
    minItems: 1,
    maxItems: 64,
    items: object(['path', 'loop'], {
      path: RESOURCE('a cooling unit: /redfish/v1/ThermalEquipment/CDUs/1'),
      loop: text("the coolant loop that it stands for, as the site's document names it", { maxLength: 63 }),
      connectors: CONNECTORS,
    }),
    description: 'cooling units, each a coolant loop',
  },
  discover: {
    ...object(['loop'], {
      loop: text("the loop's name, with {Id} for the unit's Id in lower case: cdu-{Id}", {
        maxLength: 63,
        pattern: '\\{Id\\}',
      }),
      connectors: CONNECTORS,
    }),
    description:
      'a loop name for all units that /redfish/v1/ThermalEquipment lists, which are taken beside those of units',
  },
  power: {
    type: 'array',
    minItems: 1,
    maxItems: 64,
    items: object(['path'], { path: RESOURCE('a chassis, a power distribution unit or its metrics, with PowerWatts') }),
    description: "meters that together are the site's draw",
  },
  critical: {
    enum: ['maintenance', 'warning'],
    default: 'maintenance',
    description: 'what a unit whose health is critical means: nothing new on its loop, or a warning alone',
  },
  requestsMax: whole('requests of one attempt', 1, 1_024, FEED_DEFAULTS.redfish.requestsMax),
  ...ACCESS,
  auth: {
    description: 'credentials, read from files at each attempt or login',
    oneOf: [
      object(['bearerFile'], { bearerFile: text('a file that holds a bearer token') }),
      object(['username', 'passwordFile'], {
        username: text('the user'),
        passwordFile: text('a file that holds the password'),
        session: {
          type: 'boolean',
          description: 'log in once for a token instead of basic authentication',
        },
      }),
    ],
  },
})

const NAMES = (description: string, pattern = '.') => ({
  type: 'array',
  minItems: 1,
  maxItems: 64,
  items: text('a name', { maxLength: 128, pattern }),
  description,
})

/** What a feed of OpenADR may say. */
export const OPENADR_SCHEMA: JsonSchema = object(['kind', 'name', 'url', 'site'], {
  ...asking('openadr'),
  url: { ...URL, description: "the VTN's base address: what /programs and /events come after" },
  site: SITE,
  names: NAMES("targets that mean this site: its VEN's, resources, groups; its own name always does"),
  programs: NAMES('names or ids of the programs whose events count; all where absent'),
  signals: {
    type: 'array',
    minItems: 1,
    items: { enum: OPENADR_SIGNALS },
    description: 'what is taken from it; all where absent',
  },
  emergencyTypes: NAMES('payloads that call for load to be shed; ALERT_GRID_EMERGENCY where absent', '^[A-Z0-9_]+$'),
  currency: text('of prices whose event does not say', { pattern: '^[A-Z]{3}$', default: 'EUR' }),
  rates: {
    type: 'object',
    propertyNames: { pattern: '^[A-Z]{3}$' },
    additionalProperties: { type: 'number', exclusiveMinimum: 0 },
    description: 'EUR for one of a currency: { USD: 0.92 }',
  },
  ...ACCESS,
  auth: {
    description: 'credentials, read from files at each attempt or whenever a token is asked for',
    oneOf: [
      object(['bearerFile'], { bearerFile: text('a file that holds a bearer token') }),
      object(['username', 'passwordFile'], {
        username: text('the user of basic authentication'),
        passwordFile: text('a file that holds the password'),
      }),
      object(['clientId', 'clientSecretFile'], {
        clientId: text('the client of OAuth 2.0 client credentials'),
        clientSecretFile: text('a file that holds its secret'),
        tokenUrl: { ...URL, description: 'where tokens are given; what the VTN says under /auth/server where absent' },
        scope: text('what is asked for: read_all'),
      }),
    ],
  },
})

const POINTER = (description: string): JsonSchema => ({ type: 'string', maxLength: 512, description })
const COLUMN = (description: string) => text(description, { maxLength: 200 })

/** What a feed of a series may say. */
export const SERIES_SCHEMA: JsonSchema = {
  ...object(['kind', 'name', 'targets', 'signal', 'format'], {
    ...asking('series'),
    targets,
    signal: { enum: Object.keys(SIGNALS), description: 'what its values are' },
    url: text('http:// or https:// address, without user and password', { pattern: '^https?://' }),
    path: text('a file instead of an address'),
    query: {
      type: 'array',
      maxItems: 32,
      items: {
        oneOf: [
          object(['name', 'value'], {
            name: text('parameter'),
            value: text(
              'its value; {from} and {to} are today and the day after tomorrow, {from:compact} as 202611230000',
            ),
          }),
          object(['name', 'file'], { name: text('parameter'), file: text('a file that holds its value') }),
        ],
      },
      description: 'what stands behind the question mark',
    },
    format: {
      enum: Object.keys(SERIES_FORMATS),
      description: Object.entries(SERIES_FORMATS)
        .map(([name, { says }]) => `${name}: ${says}`)
        .join('; '),
    },
    json: {
      ...object(['from', 'value'], {
        items: POINTER('the list of intervals; absent: from and value lead to lists themselves'),
        from: POINTER('when an interval begins, seen from its item'),
        to: POINTER('when it ends; absent: see resolutionMs'),
        value: POINTER('its value'),
        issuedAt: POINTER('when the answer was made, seen from the whole'),
      }),
      description: 'where things are, as JSON pointers; times in ISO 8601, or as numbers of seconds or milliseconds',
    },
    csv: {
      ...object(['from', 'value'], {
        from: COLUMN('when an interval begins: Datetime (UTC)'),
        to: COLUMN('when it ends; absent: see resolutionMs'),
        value: COLUMN('its value: Carbon Intensity gCO2eq/kWh (LCA)'),
        where: {
          type: 'object',
          additionalProperties: { type: 'string' },
          description: 'only rows with these cells: { Zone Id: NL }',
        },
        separator: { enum: [',', ';', '\t'], description: 'between cells; a comma where absent' },
      }),
      description: 'the columns by their names in the first line; times without a zone are of UTC',
    },
    resolutionMs: ms('how long a value without an end holds; the shortest step between two where absent', 60_000),
    unit: text("the unit of the values, where the format doesn't say: USD/MWh, kg/MWh; the signal's where absent"),
    rate: { type: 'number', exclusiveMinimum: 0, description: 'EUR for one of their currency' },
    offPeak: {
      oneOf: [
        object(['cheapestHours'], {
          cheapestHours: { type: 'number', exclusiveMinimum: 0, maximum: 24, description: 'the cheapest of each day' },
          timeZone: text('whose days; UTC where absent', { maxLength: 64 }),
        }),
        object(['below'], { below: { type: 'number', description: 'all hours that cost less, EUR/MWh' } }),
      ],
      description: 'a rule that makes tariff.off_peak from the prices',
    },
    ...ACCESS,
    auth: {
      description: 'credentials, read from files at each attempt or login',
      oneOf: [
        object(['bearerFile'], { bearerFile: text('a file that holds a bearer token') }),
        object(['username', 'passwordFile'], {
          username: text('the user of basic authentication'),
          passwordFile: text('a file that holds the password'),
        }),
        object(['loginUrl', 'username', 'passwordFile'], {
          loginUrl: { ...URL, description: 'gives a token for basic authentication: https://api.watttime.org/login' },
          username: text('the user'),
          passwordFile: text('a file that holds the password'),
        }),
      ],
    },
  }),
  oneOf: [{ required: ['url'] }, { required: ['path'] }],
}
