import { DIMENSIONS, type Dimension } from '../../model/signal-row.ts'
import type { KindSchema } from './envelope.ts'
import { DEFS, listOf, object, ref, type Schema } from './parts.ts'

/** The dimensions that signals make amber or red; observability and procedures are judged by what is there and when. */
const SIGNAL_DIMENSIONS = DIMENSIONS.filter((name) => name !== 'observability' && name !== 'procedures')

const limit = object(
  {
    amber: { ...DEFS.threshold, description: 'amber past this: { max, resume }, { min, resume }, true or false' },
    red: { ...DEFS.threshold, description: 'red past this: { max, resume }, { min, resume }, true or false' },
    estimated: { type: 'boolean', description: 'true: a guess, to be replaced by what is measured; status lists it' },
  },
  { description: 'the limits of one signal: { amber: …, red: … }' },
)

const limits: Schema = {
  type: 'object',
  propertyNames: ref('signal'),
  additionalProperties: limit,
}

const admits: Schema = {
  description: 'all, none, or { flexibility: […], critical: true, classes: […] }',
  type: ['string', 'object'],
  oneOf: [{ enum: ['all', 'none'] }, { type: 'object' }],
  properties: {
    flexibility: listOf({ enum: ['inflexible', 'movable', 'delayable', 'pausable'] }),
    critical: { type: 'boolean', description: 'true: classes marked critical, too' },
    classes: listOf(ref('name'), { description: 'these classes, too' }),
  },
  additionalProperties: false,
}

const states = object({ amber: admits, red: admits, unknown: admits })

const byDimension = (names: readonly Dimension[], schema: Schema, description: string): Schema => ({
  type: 'object',
  description,
  propertyNames: { enum: names },
  additionalProperties: schema,
})

/** What makes a target amber or red, and whom each state lets in. */
export const READINESS: KindSchema = {
  kind: 'Readiness',
  says: 'What makes a target amber or red, by dimension, and whom each state lets in: for some sites, some classes, or all.',
  spec: object({
    sites: listOf(ref('name'), { minItems: 1, description: 'absent: all sites' }),
    classes: listOf(ref('name'), { minItems: 1, description: 'absent: all classes' }),
    limits: byDimension(
      SIGNAL_DIMENSIONS,
      limits,
      'limits by dimension and signal; a signal named here replaces what a less particular document says of it',
    ),
    admits: byDimension(DIMENSIONS, states, 'whom each state of a dimension lets in'),
    gameDayMax: {
      ...DEFS.duration,
      description: 'how long ago the last game day may be before procedures are amber; absent: 180d',
    },
  }),
}
