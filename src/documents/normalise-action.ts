import type { ActionSpec } from '../model/action.ts'
import { DURATION_BOUNDS, type DurationField, durationText, parseDuration } from './duration.ts'
import type { FieldPath } from './place.ts'
import type { Report } from './view.ts'

/** An action as it is written; the schema has seen to it that only fields of the action are there. */
export interface WrittenAction {
  readonly action: ActionSpec['action']
  readonly for?: string
  readonly until?: string
  readonly retryAfter?: string
  readonly status?: number
}

/** A written duration in milliseconds, held against the bounds of its field. Out of bounds: reported, and the nearer bound. */
export function bounded(text: string, field: DurationField, path: FieldPath, report: Report): number {
  const ms = parseDuration(text) ?? 0
  const [least, most] = DURATION_BOUNDS[field]
  if (ms >= least && ms <= most) return ms
  const message = `${text} is too ${ms < least ? 'short' : 'long'}`
  const remedy = `write a duration from ${durationText(least)} to ${durationText(most)}`
  report(path, { code: 'duration/out-of-bounds', message, remedy })
  return ms < least ? least : most
}

/** A written action with its durations in milliseconds. */
export function normaliseAction(written: WrittenAction, path: FieldPath, report: Report): ActionSpec {
  const ms = (field: 'for' | 'retryAfter'): number | undefined =>
    written[field] === undefined ? undefined : bounded(written[field], field, [...path, field], report)
  const forMs = ms('for')
  const retryAfterMs = ms('retryAfter')
  switch (written.action) {
    case 'route':
    case 'degrade':
      return { action: written.action }
    case 'queue':
      return { action: 'queue', ...(forMs === undefined ? {} : { forMs }) }
    case 'delay':
      return {
        action: 'delay',
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        ...(written.until === undefined ? {} : { until: written.until }),
      }
    case 'deny':
      return {
        action: 'deny',
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        ...(written.status === undefined ? {} : { status: written.status }),
      }
    default:
      return written.action satisfies never
  }
}
