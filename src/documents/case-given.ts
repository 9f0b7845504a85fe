import type { DocumentSet } from '../model/documents.ts'
import { type EpochMs, targetName } from '../model/names.ts'
import { OVERRIDE_LIFE_MAX_MS, type Override, type OverrideSet } from '../model/override.ts'
import type { Heartbeat, Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { GIVEN_WORDS, SITE_WORDS } from './case-words.ts'
import { parseDuration } from './duration.ts'
import { goodValues } from './good-values.ts'
import { parseInstant } from './instant.ts'
import { didYouMean } from './suggest.ts'

/** What is said of one site or pool. */
export interface Place {
  readonly values: Readonly<Record<string, number>>
  readonly down: boolean
  readonly refusing: boolean
  readonly drained: boolean
  readonly maintenance: boolean
  readonly stale: readonly string[]
  readonly missing: readonly string[]
  readonly insufficient: readonly string[]
}

/** The world of a case, as `given` describes it. */
export interface Given {
  readonly now: EpochMs
  /** By site or target; what is said of a target goes before what is said of its site. */
  readonly places: Readonly<Record<string, Place>>
  readonly overrides: readonly WrittenOrder[]
  readonly routing: boolean
  readonly clusters: readonly string[] | null
  readonly documents: readonly unknown[]
}

interface WrittenOrder {
  readonly kind: Override['kind']
  readonly scope?: Override['scope']
  readonly constraint?: string
  readonly reason?: string
  readonly for?: string
}

/** The time at which a case begins where it does not say. */
export const CASE_NOW: EpochMs = 1_767_268_800_000

const MONTH_MS = 31 * 86_400_000
const NOTHING: Place = {
  values: {},
  down: false,
  refusing: false,
  drained: false,
  maintenance: false,
  stale: [],
  missing: [],
  insufficient: [],
}

/** Before anything is given. */
export const NOTHING_GIVEN: Given = {
  now: CASE_NOW,
  places: {},
  overrides: [],
  routing: true,
  clusters: null,
  documents: [],
}

/** What a written `given` adds to what was given before. Sites are added to word by word, all else is replaced. */
export function addGiven(
  before: Given,
  written: Readonly<Record<string, unknown>>,
  wrong: (what: string) => void,
): Given {
  for (const word of Object.keys(written)) {
    if (!Object.hasOwn(GIVEN_WORDS, word))
      wrong(`given knows no "${word}"${didYouMean(word, Object.keys(GIVEN_WORDS))}`)
  }
  const now = written.now === undefined ? before.now : parseInstant(String(written.now))
  if (now === undefined) wrong(`given.now: there is no time ${String(written.now)}`)
  const places = { ...before.places }
  for (const [name, words] of Object.entries((written.sites ?? {}) as Record<string, unknown>)) {
    places[name] = addPlace(
      places[name] ?? NOTHING,
      (words ?? {}) as Record<string, unknown>,
      `given.sites.${name}`,
      wrong,
    )
  }
  const routing = written.routing === undefined ? before.routing : written.routing === true || written.routing === 'on'
  return {
    now: now ?? before.now,
    places,
    overrides: (written.overrides as WrittenOrder[] | undefined) ?? before.overrides,
    routing,
    clusters: (written.clusters as string[] | undefined) ?? before.clusters,
    documents: (written.documents as unknown[] | undefined) ?? before.documents,
  }
}

function addPlace(before: Place, words: Record<string, unknown>, where: string, wrong: (what: string) => void): Place {
  const place = { ...before, values: { ...before.values } }
  for (const [word, value] of Object.entries(words)) {
    if (word === 'down' || word === 'refusing' || word === 'drained' || word === 'maintenance')
      place[word] = value === true
    else if (word === 'stale' || word === 'missing' || word === 'insufficient') place[word] = [value].flat().map(String)
    else if (signalOf(word) === undefined) {
      wrong(
        `${where}: no signal is called "${word}"${didYouMean(word, [...Object.keys(SITE_WORDS), ...Object.keys(place.values)])}`,
      )
    } else if (typeof value === 'number' || typeof value === 'boolean') place.values[word] = Number(value)
    else wrong(`${where}.${word} has to be a number, true or false`)
  }
  return place
}

/** What the sites of a case send at one moment. */
export function caseSamples(
  set: DocumentSet,
  given: Given,
  at: EpochMs,
): { samples: Sample[]; heartbeats: Heartbeat[] } {
  const good = goodValues(set)
  const samples: Sample[] = []
  const heartbeats: Heartbeat[] = []
  for (const site of set.sites) {
    for (const pool of site.pools) {
      const name = targetName(site.metadata.name, pool.name)
      const [wide, narrow] = [given.places[site.metadata.name] ?? NOTHING, given.places[name] ?? NOTHING]
      const says = (word: 'stale' | 'missing' | 'insufficient', signal: string): boolean =>
        wide[word].includes(signal) || narrow[word].includes(signal)
      const where = { site: site.metadata.name, pool: pool.name, source: 'case' }
      const values = { ...good, ...wide.values, ...narrow.values }
      for (const signal of new Set([...Object.keys(values), ...wide.stale, ...narrow.stale])) {
        if (says('missing', signal)) continue
        const count = says('insufficient', signal) ? 1 : 1_000_000
        samples.push({
          ...where,
          signal,
          value: values[signal] ?? 0,
          at: says('stale', signal) ? at - MONTH_MS : at,
          count,
        })
      }
      const outcome = wide.down || narrow.down ? 'refused' : 'ok'
      if (wide.refusing || narrow.refusing) heartbeats.push({ ...where, kind: 'passive', outcome: 'refused', at })
      heartbeats.push({ ...where, kind: 'probe', outcome, at, detail: outcome === 'ok' ? 'ok' : 'down, says the case' })
    }
  }
  return { samples, heartbeats }
}

/**
 * The orders of a case: those that it lists, given at `orderedAt`, and those for sites that it calls drained or in
 * maintenance, which hold as long as it says so.
 */
export function caseOverrides(given: Given, at: EpochMs, orderedAt: EpochMs): OverrideSet {
  const author = 'case@example.com'
  const order = { author, created: at - 1, expires: at + OVERRIDE_LIFE_MAX_MS }
  const scopeOf = (name: string) => {
    const [site, pool] = name.split('/')
    return { site: site!, ...(pool === undefined ? {} : { pool }) }
  }
  const drained = Object.entries(given.places).filter(([, place]) => place.drained)
  const maintained = Object.entries(given.places).filter(([, place]) => place.maintenance)
  return {
    ...(given.routing ? {} : { routing: { enabled: false, reason: 'the case says so', author, at } }),
    overrides: [
      ...given.overrides.map(({ kind, scope, constraint, reason, for: life }, index) => ({
        author,
        created: orderedAt - 1,
        id: `given-${index}`,
        kind,
        scope: scope ?? {},
        ...(constraint === undefined ? {} : { constraint }),
        reason: reason ?? 'the case says so',
        expires: orderedAt + ((life === undefined ? undefined : parseDuration(life)) ?? OVERRIDE_LIFE_MAX_MS),
      })),
      ...drained.map(([name]) => ({
        ...order,
        id: `drain-${name}`,
        kind: 'drain' as const,
        scope: scopeOf(name),
        reason: 'the case says so',
      })),
    ],
    maintenance: maintained.map(([name]) => ({
      id: `maintenance-${name}`,
      ...scopeOf(name),
      from: at - 1,
      to: at + OVERRIDE_LIFE_MAX_MS,
      reason: 'the case says so',
      author,
    })),
  }
}
