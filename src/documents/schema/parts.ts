import { ACTIONS } from '../../model/action.ts'
import { SIGNALS } from '../../model/signal.ts'

/** A JSON Schema, or a part of one. */
export type Schema = { readonly [keyword: string]: unknown }

/** The version that every document names. */
export const API_VERSION = 'hubward.dev/v1alpha1'

/** An object whose fields are these and no others. */
export const object = (properties: Readonly<Record<string, Schema>>, more: Schema = {}): Schema => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...more,
})

/** A list of one kind of thing, each at most once. */
export const listOf = (items: Schema, more: Schema = {}): Schema => ({
  type: 'array',
  items,
  uniqueItems: true,
  ...more,
})

/** One string or several: both are read as a list. */
export const oneOrMore = (items: Schema, description: string): Schema => ({
  description,
  anyOf: [items, { type: 'array', items, minItems: 1, uniqueItems: true }],
})

/** A part that stands once under `$defs`. */
export const ref = (name: keyof typeof DEFS): Schema => ({ $ref: `#/$defs/${name}` })

const signalNames = Object.keys(SIGNALS)

const action = (names: readonly string[], description: string): Schema =>
  object(
    {
      action: { enum: names, description: 'what is done' },
      for: { $ref: '#/$defs/duration', description: 'queue: how long at most' },
      until: { enum: ['off-peak'], description: 'delay: what the caller waits for' },
      retryAfter: { $ref: '#/$defs/duration', description: 'delay, deny: the Retry-After that is answered' },
      status: {
        type: 'integer',
        enum: [403, 429, 503],
        description: 'deny: the HTTP status, where the rule is not wanted',
      },
    },
    {
      required: ['action'],
      description,
      allOf: [
        only(['route', 'degrade', 'lowest-risk'], []),
        only(['queue'], ['for']),
        only(['delay'], ['until', 'retryAfter']),
        only(['deny'], ['retryAfter', 'status']),
      ],
    },
  )

/** For these actions only these fields. */
function only(actions: readonly string[], fields: readonly string[]): Schema {
  return {
    if: { properties: { action: { enum: actions } } },
    // biome-ignore lint/suspicious/noThenProperty: a JSON Schema keyword
    then: { propertyNames: { enum: ['action', 'min', 'max', 'resume', 'estimated', 'alert', ...fields] } },
  }
}

const bound = (description: string): Schema => ({ type: 'number', description })

/** Parts that several kinds share, by name. */
export const DEFS = {
  name: {
    type: 'string',
    pattern: '^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$',
    description: 'a name: lower case letters, digits, dots and dashes, at most 63',
  },
  policyRef: {
    type: 'string',
    pattern: '^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?@[1-9][0-9]{0,8}$',
    description: 'a policy and its version: `emea-interactive@4`',
  },
  cohortRef: {
    type: 'string',
    pattern: '^([*]|[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?)$',
    description: 'the name of a cohort, or "*" for everybody',
  },
  targetRef: {
    type: 'string',
    pattern: '^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)?$',
    maxLength: 127,
    description: 'a site, or one of its pools: `ams` or `ams/h100`',
  },
  modelName: {
    type: 'string',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$',
    description: "a model's name as requests write it",
  },
  clusterName: {
    type: 'string',
    pattern: '^(?!unset$)(?!residency-default-)[A-Za-z0-9][A-Za-z0-9_.:|-]{0,199}$',
    description: "an Envoy cluster's name; `unset` and `residency-default-…` are hubward's own",
  },
  jurisdiction: {
    type: 'string',
    pattern: '^[A-Za-z0-9][A-Za-z0-9-]{0,31}$',
    description: 'a jurisdiction: a country (NL) or a union of them (EU)',
  },
  duration: {
    type: 'string',
    pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$',
    maxLength: 40,
    description: 'a duration with its unit: 500ms, 10s, 45m, 24h',
    examples: ['10s', '45m', '24h', '500ms'],
  },
  instant: {
    type: 'string',
    pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})$',
    description: 'a time with its zone: 2026-12-01T22:00:00Z',
  },
  day: {
    type: 'string',
    pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?$',
    description: 'a day, 2027-02-01, or a time with its zone, 2026-12-01T22:00:00Z',
  },
  dataName: {
    type: 'string',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$',
    description: 'the name of data or of a service: vector-index/support',
  },
  date: { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', description: 'a date: 2027-02-01' },
  signal: { enum: signalNames, description: 'a signal of docs/reference/signals.md' },
  threshold: {
    type: ['object', 'boolean'],
    description: '{ max, resume }, { min, resume }, or true or false for signals that are one or the other',
    properties: {
      max: bound('the largest value that is still good'),
      min: bound('the smallest value that is still good'),
      resume: bound('the value that lifts the limit again; absent: 10 % inside it'),
      estimated: {
        type: 'boolean',
        description: 'true: a guess, to be replaced by what is measured; validate lists it',
      },
    },
    additionalProperties: false,
    oneOf: [{ type: 'boolean' }, { type: 'object', required: ['max'] }, { type: 'object', required: ['min'] }],
  },
  action: action(ACTIONS, 'an action and its fields'),
  whenStale: action(['lowest-risk', ...ACTIONS.filter((name) => name !== 'route')], 'an action, and whether to alert'),
  band: action(ACTIONS, 'one step: a bound and what is done where it holds'),
} as const satisfies Record<string, Schema>
