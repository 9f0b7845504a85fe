import { type JsonSchema, ms, named, object, TARGET, text } from './schemas.ts'

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
