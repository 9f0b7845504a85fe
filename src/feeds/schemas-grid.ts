import { OPENADR_SIGNALS } from './openadr-signals.ts'
import { ACCESS, common, FEED_DEFAULTS, type JsonSchema, ms, named, object, TARGET, text, URL } from './schemas.ts'

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
const asking = (kind: 'redfish' | 'openadr'): JsonSchema => ({
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
    description: 'takes all units that /redfish/v1/ThermalEquipment lists, beside those of units',
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
