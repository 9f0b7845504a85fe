import type { FactSources, ResidencyClass } from '../model/documents.ts'
import { HEADERS } from '../model/headers.ts'
import { type FactReader, factReader, isPlain, type TrustedSource } from './fact-reader.ts'
import type { Reading } from './reading.ts'
import { TEXT_CHARS_MAX } from './values.ts'

/** Where a request's data may go. */
export interface Residency {
  /** Jurisdictions, any of which will do; empty: none will; absent: nothing was said. */
  readonly allowed?: readonly string[]
  /** What Envoy's attribute said, listed or not. */
  readonly residencyClass?: string
}

const NOWHERE: readonly string[] = []
const UNSAID: Residency = {}

/** No list of jurisdictions is longer than the list of countries; what is longer was not written in earnest. */
const ITEMS_MAX = 256

/** Texts of a source whose meaning is remembered, and how long they may be. */
const KNOWN_MAX = 256
const KNOWN_CHARS_MAX = 64

/**
 * The reader of residency. Envoy's attribute, a header that clients can't set because Envoy strips it before any route
 * is chosen, names a class; further sources name classes or jurisdictions. Every source that says something narrows the
 * set, and whatever can't be understood narrows it to nothing: an unlisted class has no site that would do, just as
 * Envoy's own routes answer it with 503. If nobody says anything, the tenant's default does.
 */
export function residencyReader(
  sources: readonly TrustedSource[],
  residencies: readonly ResidencyClass[],
  tenantResidency: FactSources['tenantResidency'],
): (reading: Reading, tenant: string | undefined) => Residency {
  const listed = new Map(residencies.map((residency) => [residency.metadata.name, residency.allows] as const))
  const tenants = new Map(Object.entries(tenantResidency))
  const narrowers = sources.map((source) => narrower(source, listed)).filter((narrow) => narrow !== undefined)
  return (reading, tenant) => {
    const residencyClass = reading.view.header(HEADERS.residency)
    let allowed: readonly string[] | undefined
    if (residencyClass !== undefined) {
      allowed = listed.get(residencyClass)
      if (allowed === undefined) reading.problem('request/residency-unlisted', 'residency')
      allowed ??= NOWHERE
    }
    for (const narrow of narrowers) allowed = intersection(allowed, narrow(reading))
    if (allowed === undefined && tenant !== undefined) {
      const name = tenants.get(tenant)
      if (name !== undefined) allowed = listed.get(name) ?? NOWHERE
    }
    if (residencyClass !== undefined) return { allowed: allowed ?? NOWHERE, residencyClass }
    return allowed === undefined ? UNSAID : { allowed }
  }
}

/**
 * The jurisdictions that one source allows: a list, or a text whose items are parted by commas or spaces. For any other
 * fact a value outside `allow` is ignored; here it is dropped from a set that stands, and may leave nothing.
 */
function narrower(
  { source, isTrustedPeer }: TrustedSource,
  listed: ReadonlyMap<string, readonly string[]>,
): ((reading: Reading) => readonly string[] | undefined) | undefined {
  const { allow, ...open } = source
  const kept = allow === undefined || source.value !== undefined ? undefined : new Set(allow)
  const read: FactReader | undefined = factReader({ source: kept ? open : source, isTrustedPeer }, 'residency')
  if (read === undefined) return undefined
  /** What a text allows: there are as many texts as there are classes, and each request has one. */
  const known = new Map<string, readonly string[]>()
  return (reading) => {
    const raw = read(reading)
    if (raw === undefined || raw === null) return undefined
    const before = typeof raw === 'string' ? known.get(raw) : undefined
    if (before !== undefined) return before
    const items = itemsOf(raw)
    if (items === undefined) {
      reading.problem('request/bad-value', 'residency')
      return NOWHERE
    }
    const jurisdictions = new Set<string>()
    for (const item of items) {
      if (kept?.has(item) === false) continue
      for (const one of listed.get(item) ?? [item]) jurisdictions.add(one)
    }
    const allowed = [...jurisdictions]
    if (typeof raw === 'string' && raw.length <= KNOWN_CHARS_MAX && known.size < KNOWN_MAX) known.set(raw, allowed)
    return allowed
  }
}

function itemsOf(raw: unknown): readonly string[] | undefined {
  const items = typeof raw === 'string' && raw.length <= TEXT_CHARS_MAX ? raw.split(/[\s,]+/) : raw
  if (!Array.isArray(items) || items.length > ITEMS_MAX || !items.every(isPlain)) return undefined
  return items.map(String).filter((item) => item !== '')
}

const intersection = (
  a: readonly string[] | undefined,
  b: readonly string[] | undefined,
): readonly string[] | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  return a.filter((jurisdiction) => b.includes(jurisdiction))
}
