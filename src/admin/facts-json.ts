import type { Facts, FactValue } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import { regionOf } from '../request/regions.ts'
import { deadline, own as ownFact } from '../request/values.ts'
import { escaped, type JsonReader, type Plain } from './json-reader.ts'
import { needsIn } from './needs-json.ts'

/** Facts as a program asks about them; what is drawn for each question is not among them. */
export type AskedFacts = Omit<Facts, 'requestId' | 'seed'> & { readonly requestId?: string }

/** What of the documents a question is read with. */
export interface KnownNames {
  readonly classes: ReadonlySet<string>
  readonly sites: ReadonlySet<string>
  /** The jurisdictions of a residency class; undefined: there is none of that name. */
  readonly residency: (name: string) => readonly string[] | undefined
  /** The name of the residency class of a tenant whose questions name none. */
  readonly tenantResidency: (tenant: string) => string | undefined
}

/** What a question may say of a request, by the names of the facts. */
export const FACT_FIELDS: readonly string[] = [
  'class',
  'model',
  'tenant',
  'tier',
  'region',
  'country',
  'asn',
  'method',
  'path',
  'residency',
  'residencyClass',
  'sessionKey',
  'deadline',
  'contextTokens',
  'tools',
  'needs',
  'hold',
  'requestId',
  'extra',
]

/** Facts in JSON, by the names of the facts. Undefined, with the problems in the reader, where they can't be used. */
export function factsIn(
  reader: JsonReader,
  value: unknown,
  pointer: string,
  known: KnownNames,
  now: EpochMs,
): AskedFacts | undefined {
  const before = reader.problems.length
  const from = reader.object(value, pointer, FACT_FIELDS)
  if (from === undefined) return undefined
  const className = classIn(reader, from, pointer, known)
  const texts = Object.fromEntries(
    (['model', 'tenant', 'tier', 'method', 'path', 'sessionKey'] as const).flatMap((name) => {
      const text = reader.text(from, name, pointer)
      return text === undefined ? [] : [[name, text]]
    }),
  ) as Partial<Record<'model' | 'tenant' | 'tier' | 'method' | 'path' | 'sessionKey', string>>
  const country = countryIn(reader, from, pointer)
  const region = reader.text(from, 'region', pointer) ?? (country === undefined ? undefined : regionOf(country))
  const asn = reader.number(from, 'asn', pointer, { whole: true, max: 4_294_967_295 })
  const contextTokens = reader.number(from, 'contextTokens', pointer, { whole: true })
  const tools = reader.truth(from, 'tools', pointer)
  const hold = reader.oneOf(from, 'hold', pointer, ['offered', 'ended'])
  const residency = residencyIn(reader, from, pointer, known, texts.tenant)
  const deadlineMs = deadlineIn(reader, from, pointer, now)
  const needs = needsIn(reader, from, pointer)
  const requestId = requestIdIn(reader, from, pointer)
  const extra = extraIn(reader, from, pointer)
  if (className === undefined || reader.problems.length > before) return undefined
  return {
    class: className,
    ...texts,
    ...(country === undefined ? {} : { country }),
    ...(region === undefined ? {} : { region }),
    ...(asn === undefined ? {} : { asn }),
    ...(contextTokens === undefined ? {} : { contextTokens }),
    ...(tools === undefined ? {} : { tools }),
    ...(hold === undefined ? {} : { hold }),
    ...residency,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(needs === undefined ? {} : { needs }),
    ...(requestId === undefined ? {} : { requestId }),
    session: { verdict: 'none' },
    extra,
  }
}

/** The class must be one of the documents': a gate must not open because somebody misspelt it. */
function classIn(reader: JsonReader, from: Plain, pointer: string, known: KnownNames): string | undefined {
  const name = reader.text(from, 'class', pointer)
  const names = [...known.classes].slice(0, 12).join(', ') || 'none'
  if (name === undefined) {
    if (!Object.hasOwn(from, 'class'))
      reader.wrong(`${pointer}/class`, 'is missing', `name the workload class; known: ${names}`)
    return undefined
  }
  if (known.classes.has(name)) return name
  return reader.wrong(`${pointer}/class`, `no document names a class "${name.slice(0, 64)}"`, `known: ${names}`)
}

function countryIn(reader: JsonReader, from: Plain, pointer: string): string | undefined {
  const written = reader.text(from, 'country', pointer)
  if (written === undefined || /^[A-Za-z]{2}$/.test(written)) return written?.toUpperCase()
  return reader.wrong(`${pointer}/country`, 'is no country code', 'write two letters, such as NL')
}

/** Where the data may go: each that is given narrows it, a class by its name; else the default of the tenant. */
function residencyIn(
  reader: JsonReader,
  from: Plain,
  pointer: string,
  known: KnownNames,
  tenant: string | undefined,
): Pick<Facts, 'residency' | 'residencyClass'> {
  const items = reader.texts(from, 'residency', pointer)
  const named = reader.text(from, 'residencyClass', pointer)
  const listed = items === undefined ? undefined : [...new Set(items.flatMap((one) => known.residency(one) ?? [one]))]
  if (named !== undefined) {
    const allows = known.residency(named)
    if (allows === undefined) {
      reader.wrong(
        `${pointer}/residencyClass`,
        `no residency class is called "${named.slice(0, 64)}"`,
        'write one of the documents',
      )
      return {}
    }
    const residency = listed === undefined ? allows : allows.filter((one) => listed.includes(one))
    return { residency, residencyClass: named }
  }
  if (listed !== undefined) return { residency: listed }
  const usual = tenant === undefined ? undefined : known.tenantResidency(tenant)
  return usual === undefined ? {} : { residency: known.residency(usual) ?? [] }
}

function deadlineIn(reader: JsonReader, from: Plain, pointer: string, now: EpochMs): EpochMs | undefined {
  const written = reader.text(from, 'deadline', pointer)
  if (written === undefined) return undefined
  const at = deadline(written, now)
  return typeof at === 'number'
    ? at
    : reader.wrong(`${pointer}/deadline`, 'is no time', 'write 2026-11-22T10:00:00Z, or a duration from now such as 4h')
}

function requestIdIn(reader: JsonReader, from: Plain, pointer: string): string | undefined {
  const written = reader.text(from, 'requestId', pointer)
  if (written === undefined || /^[\x21-\x7e]{1,128}$/.test(written)) return written
  return reader.wrong(`${pointer}/requestId`, 'can not be written to a log', 'write at most 128 visible characters')
}

function extraIn(reader: JsonReader, from: Plain, pointer: string): Facts['extra'] {
  const extra: Record<string, FactValue> = {}
  for (const [name, value] of reader.entries(from, 'extra', pointer)) {
    const place = `${pointer}/extra/${escaped(name)}`
    const read = value === null || (typeof value === 'object' && !Array.isArray(value)) ? undefined : ownFact(value)
    if (!/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(name))
      reader.wrong(place, 'is no name of a fact', 'write letters, digits, dots and dashes')
    else if (typeof read === 'symbol' || read === undefined)
      reader.wrong(place, 'is no fact', 'write a text, a number, true, false or a list of texts')
    else extra[name] = read
  }
  return extra
}

/** The site that alone will do for the asker: one of the documents, for nothing would ever be sent to another. */
export function siteIn(reader: JsonReader, from: Plain, known: KnownNames): string | undefined {
  const name = reader.text(from, 'site', '')
  if (name === undefined || known.sites.has(name)) return name
  return reader.wrong('/site', unknownSite(name), `known: ${[...known.sites].slice(0, 12).join(', ') || 'none'}`)
}

/** What is said of a site that no document names. */
export const unknownSite = (name: string): string => `no site is called "${name.slice(0, 64)}"`
