import type { ActionSpec } from '../model/action.ts'
import type { Layer, VariantMeaning } from '../model/flag.ts'
import type { ClassName } from '../model/names.ts'
import { OVERLAY_KEYS, readOverlay } from './overlay.ts'
import type { Report } from './text.ts'
import { didYouMean, durationMs, shown } from './words.ts'

/** The layers that may order an action: those that people reach for when something burns. */
export const ACTING_LAYERS: readonly Layer[] = ['kill-switch', 'incident']

/** What an action may be told by a variant, by its field; the words of policies' actions. */
const ACTION_FIELDS = {
  delay: ['retryAfter', 'until'],
  deny: ['status', 'retryAfter'],
  degrade: [],
  queue: ['for'],
} as const satisfies Record<Exclude<ActionSpec['action'], 'route'>, readonly string[]>

const POLICY_REF = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?@[1-9][0-9]{0,8}$/
const STATUSES = [403, 429, 503]
/** The same as in policies, in milliseconds. */
const RETRY_AFTER: readonly [number, number] = [1_000, 604_800_000]
const HOLD: readonly [number, number] = [1, 300_000]

/**
 * What a variant's value means for routing, in a flag of this layer and class; null where it means nothing that can be
 * done, which is reported with the way to it from the value. `{}`, `false` and null: the class's own policy stands.
 */
export function meaningOf(value: unknown, layer: Layer, className: ClassName, report: Report): VariantMeaning | null {
  if (value === null || value === false) return { kind: 'nothing' }
  if (typeof value !== 'object' || Array.isArray(value)) {
    const message = `in the layer ${layer}, ${shown(value)} says nothing that can be done for ${className}`
    const remedy = 'name a policy, an overlay or an action; {} or false leaves the policy of the class as it is'
    report([], { code: 'flag/meaning', message, remedy })
    return null
  }
  const names = Object.keys(value)
  if (names.length === 0) return { kind: 'nothing' }
  const fields = value as Readonly<Record<string, unknown>>
  if ('policy' in fields) return policyMeaning(fields, report)
  if ('action' in fields) return actionMeaning(fields, layer, report)
  if (!names.some((name) => OVERLAY_KEYS.includes(name))) {
    const known = ['policy', 'action', ...OVERLAY_KEYS]
    const message = `a variant with ${names
      .map((name) => `"${name}"`)
      .join(', ')
      .slice(0, 100)}${didYouMean(names[0]!, known)}`
    report([names[0]!], { code: 'flag/meaning-field', message, remedy: `known: ${known.join(', ')}`, want: 'key' })
    return null
  }
  const overlay = readOverlay(fields, report)
  return overlay === null ? null : { kind: 'overlay', overlay }
}

function policyMeaning(fields: Readonly<Record<string, unknown>>, report: Report): VariantMeaning | null {
  const isAlone = alone(fields, ['policy'], 'a variant that names a policy', report)
  const { policy } = fields
  if (typeof policy === 'string' && POLICY_REF.test(policy)) return isAlone ? { kind: 'policy', policy } : null
  const message = `"policy" is ${shown(policy)}; it has to be a policy and its version`
  report(['policy'], { code: 'flag/meaning-value', message, remedy: 'write "emea-interactive@4"' })
  return null
}

function actionMeaning(fields: Readonly<Record<string, unknown>>, layer: Layer, report: Report): VariantMeaning | null {
  const name = String(fields.action)
  if (!Object.hasOwn(ACTION_FIELDS, name)) {
    const known = Object.keys(ACTION_FIELDS)
    const message = `"action" is ${shown(fields.action)}${didYouMean(name, known)}`
    report(['action'], { code: 'flag/meaning-value', message, remedy: `write ${known.join(', ')}` })
    return null
  }
  if (!ACTING_LAYERS.includes(layer)) {
    const message = `a flag of the layer ${layer} orders "${name}"`
    const remedy = `name a policy or an overlay; actions belong to the layers ${ACTING_LAYERS.join(' and ')}`
    report(['action'], { code: 'flag/action-layer', message, remedy })
    return null
  }
  const action = name as keyof typeof ACTION_FIELDS
  if (!alone(fields, ['action', ...ACTION_FIELDS[action]], `the action ${action}`, report)) return null
  const spec = actionSpec(action, fields, report)
  return spec === null ? null : { kind: 'action', action: spec }
}

function actionSpec(
  action: keyof typeof ACTION_FIELDS,
  fields: Readonly<Record<string, unknown>>,
  report: Report,
): ActionSpec | null {
  let isGood = true
  const bad = (field: string, wanted: string): undefined => {
    const message = `"${field}" is ${shown(fields[field])}; it has to be ${wanted}`
    report([field], { code: 'flag/meaning-value', message })
    isGood = false
  }
  const duration = (field: string, [least, most]: readonly [number, number], range: string): number | undefined => {
    if (fields[field] === undefined) return undefined
    const ms = durationMs(fields[field])
    return ms !== undefined && ms >= least && ms <= most ? ms : bad(field, `a duration from ${range}`)
  }
  const retryAfterMs = duration('retryAfter', RETRY_AFTER, '1s to 7d')
  const forMs = duration('for', HOLD, '1ms to 5m')
  const until = fields.until === undefined || fields.until === 'off-peak' ? fields.until : bad('until', '"off-peak"')
  const status = fields.status as number | undefined
  if (status !== undefined && !STATUSES.includes(status)) bad('status', STATUSES.join(', '))
  if (!isGood) return null
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs }
  switch (action) {
    case 'degrade':
      return { action }
    case 'queue':
      return { action, ...(forMs === undefined ? {} : { forMs }) }
    case 'delay':
      return { action, ...retry, ...(until === undefined ? {} : { until }) }
    case 'deny':
      return { action, ...retry, ...(status === undefined ? {} : { status }) }
    default:
      return action satisfies never
  }
}

/** Are these all the fields? Others are reported. */
function alone(
  fields: Readonly<Record<string, unknown>>,
  known: readonly string[],
  what: string,
  report: Report,
): boolean {
  const others = Object.keys(fields).filter((name) => !known.includes(name))
  for (const name of others) {
    const message = `${what} has no field "${name}"${didYouMean(name, known)}`
    report([name], { code: 'flag/meaning-field', message, remedy: `known: ${known.join(', ')}`, want: 'key' })
  }
  return others.length === 0
}
