import type { FactSources, ResidencyClass, WorkloadClass } from '../model/documents.ts'
import { isFactName } from '../model/fact-trust.ts'
import type { Facts, FactValue, HopFact, SessionFact } from '../model/facts.ts'
import { HEADERS } from '../model/headers.ts'
import type { EpochMs } from '../model/names.ts'
import type { RequestView } from '../model/request-view.ts'
import type { FactProblem } from './fact-problems.ts'
import { factReader } from './fact-reader.ts'
import { followUpReader } from './follow-up.ts'
import { type Forced, verifyForce } from './force.ts'
import type { GeoAnswer } from './geo.ts'
import { verifyHop } from './hop.ts'
import { mergedSources } from './merged-sources.ts'
import { Reading } from './reading.ts'
import { regionOf } from './regions.ts'
import { residencyReader } from './residency.ts'
import { verifySession } from './session-token.ts'
import type { SigningKeys } from './signing-keys.ts'
import { needsReader } from './stated-needs.ts'
import { tokensReader } from './tokens.ts'
import { type Coerced, count, country, deadline, own, TOO_LONG, text, truth, WRONG } from './values.ts'

/** What was drawn for a request where it came in. */
export interface EdgeRandom {
  /** 16 hex digits; every choice that looks random is a hash of it. */
  readonly seed: string
  /** The request's id where it brings none that can be used. */
  readonly requestId: string
  /** Whether whoever asks can hold the request for a while. */
  readonly canWait?: boolean
}

/** One request's facts, and what was wrong with what they were read from. */
export interface FactsRead {
  readonly facts: Facts
  /** Absent: nothing. */
  readonly problems?: readonly FactProblem[]
}

/** Reads a request's facts. Never throws, whatever the request holds. */
export type ReadFacts = (view: RequestView, now: EpochMs, random: EdgeRandom) => FactsRead

/** What facts are read with, beside the documents. Each may be left out, and what it gives is then absent. */
export interface FactsOptions {
  /** For how long their sessions live. */
  readonly classes?: readonly WorkloadClass[]
  readonly geo?: (address: string) => GeoAnswer
  readonly sessionKeys?: SigningKeys
  /** The keys of hops, and this hubward's own id. */
  readonly hops?: { readonly keys: SigningKeys; readonly instance: string }
  /** The keys of testers' headers. */
  readonly forceKeys?: SigningKeys
}

/** How long a session lives where its class is not among the documents: 30 minutes. */
const SESSION_LIFE_MS = 1_800_000
/** Facts that have a field, and a source list, of their own. */
const KNOWN = new Set(
  'class model tenant tier region country asn sessionKey deadline promptTokens tools needs'.split(' '),
)
const NO_SESSION: SessionFact = { verdict: 'none' }
const NO_EXTRA: Facts['extra'] = {}

type Draft = { -readonly [Name in keyof Facts]: Facts[Name] }

/**
 * The reading of facts, compiled for a set of documents: sources of one fact are asked in order, and the first that
 * gives a value wins. Where nobody declares one, the model comes from the body, country and ASN from the databases,
 * the region from the country, and a job's needs from their header. A request without a class has the empty one.
 */
export function compileFacts(
  documents: readonly FactSources[],
  residencies: readonly ResidencyClass[],
  options: FactsOptions = {},
): ReadFacts {
  const merged = mergedSources(documents, options.geo)
  const first = <T>(fact: string, coerce: (raw: unknown, now: EpochMs) => Coerced<T>) => {
    const readers = merged
      .sourcesOf(fact)
      .map((source) => factReader(source, fact))
      .filter((read) => read !== undefined)
    return (reading: Reading): T | undefined => {
      for (const read of readers) {
        const value = coerce(read(reading), reading.now)
        if (value === TOO_LONG) reading.problem('request/too-long', fact)
        else if (value === WRONG) reading.problem('request/bad-value', fact)
        else if (value !== undefined) return value
      }
      return undefined
    }
  }
  const classOf = first('class', text)
  const modelOf = first('model', text)
  const tenantOf = first('tenant', text)
  const tierOf = first('tier', text)
  const countryOf = first('country', country)
  const regionOfRequest = first('region', text)
  const asnOf = first('asn', count)
  const sessionKeyOf = first('sessionKey', text)
  const deadlineOf = first('deadline', deadline)
  const toolsOf = first('tools', truth)
  const tokensOf = tokensReader(first('promptTokens', count))
  const residencyOf = residencyReader(merged.residency, residencies, merged.tenantResidency)
  const extras = merged.names
    .filter((name) => !KNOWN.has(name) && isFactName(name))
    .map((name) => ({ name, read: first<FactValue>(name, own) }))
  const lives = new Map(options.classes?.map(({ metadata, session }) => [metadata.name, session.lifeMs] as const))
  const has = (fact: string): boolean => merged.sourcesOf(fact).length > 0
  const [declaresCountry, declaresRegion, declaresAsn] = [has('country'), has('region'), has('asn')]
  const [declaresModel, declaresTools] = [has('model'), has('tools')]
  const followUpOf = followUpReader(merged.jobs)
  const jobs = new Set(
    options.classes?.flatMap((one) => (one.whenHubwardIsDown === 'refuse' ? [one.metadata.name] : [])),
  )
  const needsOf = needsReader(merged.sourcesOf('needs'), jobs)

  const place = (facts: Draft, reading: Reading): void => {
    const name = declaresCountry ? countryOf(reading) : reading.geo.country
    if (name !== undefined) facts.country = name
    const region = declaresRegion ? regionOfRequest(reading) : name === undefined ? undefined : regionOf(name)
    if (region !== undefined) facts.region = region
    const asn = declaresAsn ? asnOf(reading) : reading.geo.asn
    if (asn !== undefined) facts.asn = asn
  }
  const size = (facts: Draft, reading: Reading): void => {
    const written = declaresModel ? modelOf(reading) : modelIn(reading)
    if (written !== undefined) facts.model = written
    const tools = declaresTools ? toolsOf(reading) : toolsIn(reading)
    if (tools !== undefined) facts.tools = tools
    const tokens = tokensOf(reading)
    if (tokens !== undefined) facts.contextTokens = tokens
  }
  const session = (facts: Draft, reading: Reading): void => {
    const token = options.sessionKeys === undefined ? undefined : brought(reading.view.header(HEADERS.session))
    if (token === undefined || facts.sessionKey === undefined) return
    const binding = { ...facts, sessionKey: facts.sessionKey }
    // What sent the work may have named its class in a body or a header that a question about it does not bring again.
    for (const name of facts.followUp === undefined ? [facts.class] : [facts.class, ...jobs]) {
      const lifeMs = lives.get(name) ?? SESSION_LIFE_MS
      facts.session = verifySession(options.sessionKeys!, token, { ...binding, class: name }, reading.now, lifeMs)
      if (facts.session.verdict === 'mismatch') continue
      facts.class = name
      break
    }
    const { verdict } = facts.session
    if (verdict === 'invalid' || verdict === 'mismatch') reading.problem('request/bad-session', 'session')
  }

  return (view, now, random) => {
    const reading = new Reading(view, now, merged.rules)
    const facts: Draft = {
      requestId: requestId(view.header('x-request-id')) ?? random.requestId,
      seed: random.seed,
      class: classOf(reading) ?? '',
      session: NO_SESSION,
      extra: NO_EXTRA,
    }
    if (random.canWait === true) facts.hold = 'offered'
    if (view.method !== '') facts.method = view.method
    if (reading.path !== '') facts.path = reading.path
    const tenant = tenantOf(reading)
    if (tenant !== undefined) facts.tenant = tenant
    const tier = tierOf(reading)
    if (tier !== undefined) facts.tier = tier
    size(facts, reading)
    place(facts, reading)
    const { allowed, residencyClass } = residencyOf(reading, tenant)
    if (allowed !== undefined) facts.residency = allowed
    if (residencyClass !== undefined) facts.residencyClass = residencyClass
    const sessionKey = sessionKeyOf(reading)
    if (sessionKey !== undefined) facts.sessionKey = sessionKey
    const followUp = followUpOf(reading)
    if (followUp !== undefined) facts.followUp = followUp
    session(facts, reading)
    const hop = hopOf(reading, options.hops)
    if (hop !== undefined) facts.hop = hop
    const forced = forcedOf(reading, options.forceKeys)
    if (forced !== undefined) facts.forced = forced
    const at = deadlineOf(reading)
    if (at !== undefined) facts.deadlineMs = at
    const needs = needsOf(reading, facts.class)
    if (needs !== undefined) facts.needs = needs
    if (extras.length > 0) facts.extra = extraOf(extras, reading)
    return reading.problems === undefined ? { facts } : { facts, problems: reading.problems }
  }
}

function extraOf(
  extras: readonly { name: string; read: (reading: Reading) => FactValue | undefined }[],
  reading: Reading,
): Facts['extra'] {
  const extra: Record<string, FactValue> = {}
  for (const { name, read } of extras) {
    const value = read(reading)
    if (value !== undefined) extra[name] = value
  }
  return extra
}

function hopOf(reading: Reading, hops: FactsOptions['hops']): HopFact | undefined {
  const header = hops === undefined ? undefined : brought(reading.view.header(HEADERS.hop))
  if (header === undefined) return undefined
  const hop = verifyHop(hops!.keys, header, hops!.instance, reading.now)
  if (hop.verdict === 'invalid') reading.problem('request/bad-hop', 'hop')
  return hop
}

function forcedOf(reading: Reading, keys: SigningKeys | undefined): Forced | undefined {
  const header = keys === undefined ? undefined : brought(reading.view.header(HEADERS.force))
  if (header === undefined) return undefined
  const forced = verifyForce(keys!, header, reading.now)
  if (forced === undefined) reading.problem('request/bad-force', 'forced')
  return forced
}

function modelIn(reading: Reading): string | undefined {
  const model = reading.body?.values.get('model')
  return typeof model === 'string' && model !== '' ? model : undefined
}

function toolsIn(reading: Reading): boolean | undefined {
  const tools = reading.body?.values.get('tools')
  return reading.body === undefined ? undefined : typeof tools === 'number' && tools > 0
}

/** A header that Envoy may have set from one that was not there: it writes nothing, or a dash. */
const brought = (header: string | undefined): string | undefined =>
  header === undefined || header === '' || header === '-' ? undefined : header

/** An id that can go to logs as it is: at most 128 visible characters. */
const requestId = (header: string | undefined): string | undefined =>
  header !== undefined && header.length <= 128 && /^[\x21-\x7e]+$/.test(header) ? header : undefined
