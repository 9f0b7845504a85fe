import { parseBlock } from '../math/address.ts'
import type { FactSource, FactSources, PolicyCase, PolicyTest } from '../model/documents.ts'
import { factSourceProblems } from '../model/fact-trust.ts'
import type { Metadata } from '../model/metadata.ts'
import { normaliseMetadata } from './normalise-site.ts'
import type { FieldPath } from './place.ts'
import type { DocumentProblemCode } from './problems.ts'
import { FACT_ORIGINS } from './schema/fact-sources.ts'
import type { Report } from './view.ts'

interface Envelope {
  readonly metadata: Metadata
  readonly spec: unknown
}

interface WrittenFactSources {
  readonly trustedHops?: number
  readonly trustedPeers?: readonly string[]
  readonly facts: Readonly<Record<string, readonly FactSource[]>>
  readonly residency?: readonly FactSource[]
  readonly tenantResidency?: Readonly<Record<string, string>>
  readonly jobs?: readonly { readonly prefix: string }[]
  readonly bodyBytesMax?: number
}

/** The largest body that is read where a document does not say: 1 MiB. */
export const BODY_BYTES_MAX = 1_048_576

/** Fact sources with their defaults filled in. */
export function normaliseFactSources(document: Envelope, report: Report): FactSources {
  const spec = document.spec as WrittenFactSources
  for (const [fact, sources] of Object.entries(spec.facts)) checkSources(sources, ['spec', 'facts', fact], report)
  checkSources(spec.residency ?? [], ['spec', 'residency'], report)
  checkCidrs(spec.trustedPeers ?? [], ['spec', 'trustedPeers'], report)
  const sources = {
    metadata: normaliseMetadata(document.metadata),
    trustedHops: spec.trustedHops ?? 0,
    trustedPeers: spec.trustedPeers ?? [],
    facts: spec.facts,
    residency: spec.residency ?? [],
    tenantResidency: spec.tenantResidency ?? {},
    ...(spec.jobs === undefined ? {} : { jobs: spec.jobs }),
    bodyBytesMax: spec.bodyBytesMax ?? BODY_BYTES_MAX,
  }
  for (const { at, code, message, remedy, severity } of factSourceProblems(sources)) {
    const finding = {
      code: code as DocumentProblemCode,
      message,
      severity,
      ...(remedy === undefined ? {} : { remedy }),
    }
    report(['spec', ...at], finding)
  }
  return sources
}

function checkSources(sources: readonly FactSource[], path: FieldPath, report: Report): void {
  for (const [index, source] of sources.entries()) {
    const { required, optional }: { required: readonly string[]; optional: readonly string[] } =
      FACT_ORIGINS[source.from]
    const at = [...path, index]
    const allowed = ['from', ...required, ...optional]
    for (const field of Object.keys(source).filter((name) => !allowed.includes(name))) {
      const message = `a source from ${source.from} has no field "${field}"`
      const remedy = `it takes ${allowed.slice(1).join(', ') || 'nothing more'}`
      report([...at, field], { code: 'facts/unknown-origin-field', message, remedy, want: 'key' })
    }
    for (const field of required.filter((name) => !Object.hasOwn(source, name))) {
      const message = `a source from ${source.from} needs a ${field}`
      report(at, { code: 'facts/unknown-origin-field', message, remedy: `write ${field}: …` })
    }
    checkCidrs(source.cidrs ?? [], [...at, 'cidrs'], report)
  }
}

function checkCidrs(cidrs: readonly string[], path: FieldPath, report: Report): void {
  for (const [index, text] of cidrs.entries()) {
    if (parseBlock(text) !== undefined) continue
    const message = `"${text}" is not a block of addresses`
    report([...path, index], { code: 'facts/bad-cidr', message, remedy: 'write it like 10.0.0.0/8 or 2001:db8::/32' })
  }
}

interface WrittenTest {
  readonly given?: Readonly<Record<string, unknown>>
  readonly cases: readonly Partial<PolicyCase>[]
}

/** A policy test; each case carries what was given for all. */
export function normalisePolicyTest(document: Envelope): PolicyTest {
  const spec = document.spec as WrittenTest
  return {
    metadata: normaliseMetadata(document.metadata),
    cases: spec.cases.map((written) => ({
      title: written.title ?? '',
      given: joinGiven(spec.given ?? {}, written.given ?? {}),
      when: written.when ?? {},
      // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
      then: written.then ?? {},
      ...(written.steps === undefined ? {} : { steps: written.steps }),
    })),
  }
}

type Words = Readonly<Record<string, unknown>>

/** What is given for all and for one: sites are joined word by word, of all else the one goes before. */
function joinGiven(all: Words, one: Words): Words {
  if (all.sites === undefined || one.sites === undefined) return { ...all, ...one }
  const [wide, narrow] = [all.sites, one.sites] as Record<string, Words>[]
  const names = [...new Set([...Object.keys(wide ?? {}), ...Object.keys(narrow ?? {})])]
  return {
    ...all,
    ...one,
    sites: Object.fromEntries(names.map((name) => [name, { ...wide?.[name], ...narrow?.[name] }])),
  }
}
