import type { Overlay } from '../model/flag.ts'
import type { Report } from './text.ts'
import { didYouMean, shown } from './words.ts'

type Fields = Readonly<Record<string, unknown>>
type Part = Partial<{ -readonly [Name in keyof Overlay]: Overlay[Name] }>
/** Takes down that a field's value, or a part of it, is not what it has to be. */
type Bad = (wanted: string, ...inside: (string | number)[]) => null

/** The most sites and tiers that an overlay may name. */
const ENTRIES_MAX = 100

/** What may be written in an overlay, and what it makes of the policy; null: it was told what is wrong. */
const KEYS: Readonly<Record<string, (value: unknown, fields: Fields, bad: Bad) => Part | null>> = {
  preferred_region: (value, fields, bad) =>
    isName(value) ? { first: [value, ...(isName(fields.fallback_region) ? [fields.fallback_region] : [])] } : bad(NAME),
  // Where both are there, preferred_region has put the two in their order.
  fallback_region: (value, fields, bad) =>
    !isName(value) ? bad(NAME) : fields.preferred_region === undefined ? { first: [value] } : {},
  max_p95_ms: (value, _, bad) =>
    typeof value === 'number' && value > 0 && value <= 86_400_000
      ? { maxP95Ms: value }
      : bad('milliseconds, more than 0'),
  locality: (value, _, bad) => {
    if (value === 'any') return { locality: 'any' }
    if (value === 'nearest') return { locality: { nearest: ENTRIES_MAX } }
    const nearest = isMap(value) && Object.keys(value).length === 1 ? value.nearest : undefined
    const isCount = Number.isInteger(nearest) && (nearest as number) >= 1 && (nearest as number) <= ENTRIES_MAX
    return isCount ? { locality: { nearest: nearest as number } } : bad(`"nearest", {"nearest": 3} or "any"`)
  },
  eligible_sites: (value, _, bad) => {
    const sites = names(value, bad)
    return sites === null ? null : { eligibleSites: sites }
  },
  ladder: (value, _, bad) => {
    const ladder = tiers(value, bad)
    return ladder === null ? null : { ladder }
  },
  fallback_tiers: (value, _, bad) => {
    const fallbackTiers = tiers(value, bad)
    return fallbackTiers === null ? null : { fallbackTiers }
  },
  degraded: (value, _, bad) => {
    const known = ['site', 'model', 'rewrite_body']
    if (!isMap(value) || Object.keys(value).some((name) => !known.includes(name)))
      return bad('{"site": …, "model": …, "rewrite_body": false}')
    if (!isName(value.site)) return bad(NAME, 'site')
    if (typeof value.model !== 'string' || !/^[A-Za-z0-9][\w.:/@-]{0,199}$/.test(value.model))
      return bad('the name of a model', 'model')
    const rewriteBody = value.rewrite_body ?? false
    if (typeof rewriteBody !== 'boolean') return bad('true or false', 'rewrite_body')
    return { degraded: { site: value.site, model: value.model, rewriteBody } }
  },
}

/** The words of overlays. */
export const OVERLAY_KEYS: readonly string[] = Object.keys(KEYS)

/** Pairs of which one would undo the other. */
const AT_ODDS: readonly (readonly [string, string])[] = [
  ['ladder', 'fallback_tiers'],
  ['ladder', 'locality'],
]

/** An overlay as it is written, `{"preferred_region":"ams","fallback_region":"fra","max_p95_ms":120}`; null, and told, where it is none. */
export function readOverlay(fields: Fields, report: Report): Overlay | null {
  let overlay: Overlay | null = {}
  for (const [key, value] of Object.entries(fields)) {
    if (!Object.hasOwn(KEYS, key)) {
      const message = `an overlay has no field "${key}"${didYouMean(key, OVERLAY_KEYS)}`
      report([key], { code: 'flag/meaning-field', message, remedy: `known: ${OVERLAY_KEYS.join(', ')}`, want: 'key' })
      overlay = null
      continue
    }
    const part = KEYS[key]!(value, fields, (wanted, ...inside) => {
      const found = inside.reduce((at: unknown, name) => (at as Fields | undefined)?.[name], value)
      const message = `"${[key, ...inside].join('.')}" is ${shown(found)}; it has to be ${wanted}`
      report([key, ...inside], { code: 'flag/meaning-value', message })
      return null
    })
    overlay = overlay === null || part === null ? null : { ...overlay, ...part }
  }
  for (const [one, other] of AT_ODDS) {
    if (fields[one] === undefined || fields[other] === undefined) continue
    const message = `"${other}" has no use beside "${one}", which says all of the ladder`
    report([other], { code: 'flag/meaning-value', message, remedy: `leave out "${other}" or "${one}"`, want: 'key' })
    overlay = null
  }
  return overlay
}

const NAME = 'the name of a site, site/pool, region, metro or country'

const isMap = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Metros and regions are people's own words: New York is one. */
const isName = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= 127 &&
  /^[\p{L}\p{N}][\p{L}\p{N}\p{M} ._'’-]*(\/[a-z0-9][a-z0-9.-]*)?$/u.test(value)

function names(value: unknown, bad: Bad, ...at: number[]): readonly string[] | null {
  if (!Array.isArray(value) || value.length === 0 || value.length > ENTRIES_MAX)
    return bad(`a list of at least 1 and at most ${ENTRIES_MAX} names`, ...at)
  const wrong = value.findIndex((name, index) => !isName(name) || value.indexOf(name) < index)
  return wrong < 0 ? (value as string[]) : bad(`${NAME}, each at most once`, ...at, wrong)
}

/** Tiers of names; a tier of one may be written without its brackets. */
function tiers(value: unknown, bad: Bad): readonly (readonly string[])[] | null {
  if (!Array.isArray(value) || value.length === 0 || value.length > ENTRIES_MAX)
    return bad(`a list of at least 1 and at most ${ENTRIES_MAX} tiers`)
  const read = value.map((tier, index) => names(typeof tier === 'string' ? [tier] : tier, bad, index))
  return read.some((tier) => tier === null) ? null : (read as (readonly string[])[])
}
