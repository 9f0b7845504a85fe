import { parseInstant } from '../math/instant.ts'
import type { EpochMs } from '../model/names.ts'
import type { Override } from '../model/override.ts'
import { signalOf } from '../model/signal.ts'
import { type GivenSeries, seriesOf } from './case-series.ts'
import { GIVEN_WORDS, SITE_WORDS } from './case-words.ts'
import { didYouMean } from './suggest.ts'

/** What is said of one site, pool or coolant loop. */
export interface Place {
  readonly values: Readonly<Record<string, number>>
  readonly down: boolean
  readonly refusing: boolean
  readonly drained: boolean
  readonly maintenance: boolean
  readonly stale: readonly string[]
  readonly missing: readonly string[]
  readonly insufficient: readonly string[]
  /** Values of links by their other end: `region:EMEA`. */
  readonly from: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Values ahead of time by signal, in milliseconds after the beginning of the case. */
  readonly series: Readonly<Record<string, readonly GivenSeries[]>>
}

/** What an admitted job holds. */
export interface GivenReservation {
  readonly target: string
  readonly mw: number
  readonly coolingKw?: number
  readonly gpus?: number
  readonly drawMw?: number
  readonly class?: string
}

/** The world of a case, as `given` describes it. */
export interface Given {
  readonly now: EpochMs
  /** By site, target or `site@loop`; what is said of a target or loop goes before what is said of its site. */
  readonly places: Readonly<Record<string, Place>>
  readonly reservations: readonly GivenReservation[]
  readonly overrides: readonly WrittenOrder[]
  readonly routing: boolean
  readonly clusters: readonly string[] | null
  readonly documents: readonly unknown[]
  /** A flagd definition as it was written; null: no flags. */
  readonly flags: unknown
}

interface WrittenOrder {
  readonly kind: Override['kind']
  readonly scope?: Override['scope']
  readonly constraint?: string
  readonly reason?: string
  readonly for?: string
}

/** The time at which a case begins where it does not say. */
const CASE_NOW: EpochMs = 1_767_268_800_000

/** A place of which nothing is said. */
export const NOTHING: Place = {
  values: {},
  down: false,
  refusing: false,
  drained: false,
  maintenance: false,
  stale: [],
  missing: [],
  insufficient: [],
  from: {},
  series: {},
}

/** Before anything is given. */
export const NOTHING_GIVEN: Given = {
  now: CASE_NOW,
  places: {},
  reservations: [],
  overrides: [],
  routing: true,
  clusters: null,
  documents: [],
  flags: null,
}

type Words = Readonly<Record<string, unknown>>
type Wrong = (what: string) => void

/** What a written `given` adds to what was given before. Sites are added to word by word, all else is replaced. */
export function addGiven(before: Given, written: Words, wrong: Wrong): Given {
  for (const word of Object.keys(written)) {
    if (!Object.hasOwn(GIVEN_WORDS, word))
      wrong(`given knows no "${word}"${didYouMean(word, Object.keys(GIVEN_WORDS))}`)
  }
  const now = written.now === undefined ? before.now : parseInstant(String(written.now))
  if (now === undefined) wrong(`given.now: there is no time ${String(written.now)}`)
  const places = { ...before.places }
  for (const [name, words] of Object.entries((written.sites ?? {}) as Record<string, unknown>)) {
    places[name] = addPlace(places[name] ?? NOTHING, (words ?? {}) as Words, `given.sites.${name}`, wrong)
  }
  const routing = written.routing === undefined ? before.routing : written.routing === true || written.routing === 'on'
  return {
    now: now ?? before.now,
    places,
    reservations:
      written.reservations === undefined ? before.reservations : reservationsOf(written.reservations, wrong),
    overrides: (written.overrides as WrittenOrder[] | undefined) ?? before.overrides,
    routing,
    clusters: (written.clusters as string[] | undefined) ?? before.clusters,
    documents: (written.documents as unknown[] | undefined) ?? before.documents,
    flags: written.flags ?? before.flags,
  }
}

function addPlace(before: Place, words: Words, where: string, wrong: Wrong): Place {
  const place = { ...before, values: { ...before.values }, series: { ...before.series } }
  for (const [word, value] of Object.entries(words)) {
    const at = `${where}.${word}`
    if (word === 'down' || word === 'refusing' || word === 'drained' || word === 'maintenance')
      place[word] = value === true
    else if (word === 'stale' || word === 'missing' || word === 'insufficient') place[word] = [value].flat().map(String)
    else if (word === 'from') place.from = linksOf(place.from, value, at, wrong)
    else if (word === 'prices' || word === 'offPeak' || word === 'series') {
      for (const [signal, series] of seriesOf(word, value, at, wrong)) place.series[signal] = series
    } else if (signalOf(word) === undefined) {
      wrong(
        `${where}: no signal is called "${word}"${didYouMean(word, [...Object.keys(SITE_WORDS), ...Object.keys(place.values)])}`,
      )
    } else if (signalOf(word)?.scope === 'link')
      wrong(`${at} is of a link: write from: { region:EMEA: { ${word}: … } }`)
    else if (typeof value === 'number' || typeof value === 'boolean') place.values[word] = Number(value)
    else wrong(`${at} has to be a number, true or false`)
  }
  return place
}

function linksOf(before: Place['from'], written: unknown, where: string, wrong: Wrong): Place['from'] {
  const links = { ...before }
  for (const [end, values] of Object.entries((written ?? {}) as Record<string, Words>)) {
    if (!/^(region|asn|site):./.test(end)) wrong(`${where}: "${end}" is no end of a link: region:…, asn:… or site:…`)
    const known: Record<string, number> = { ...links[end] }
    for (const [signal, value] of Object.entries(values ?? {})) {
      if (signalOf(signal)?.scope !== 'link') wrong(`${where}.${end}: "${signal}" is no signal of a link`)
      else if (typeof value === 'number') known[signal] = value
      else wrong(`${where}.${end}.${signal} has to be a number`)
    }
    links[end] = known
  }
  return links
}

function reservationsOf(written: unknown, wrong: Wrong): GivenReservation[] {
  const known = ['target', 'mw', 'coolingKw', 'gpus', 'drawMw', 'class']
  return ([written].flat() as Words[]).flatMap((one, index) => {
    const where = `given.reservations[${index}]`
    for (const word of Object.keys(one ?? {}))
      if (!known.includes(word)) wrong(`${where} knows no "${word}"${didYouMean(word, known)}`)
    if (typeof one?.target === 'string' && typeof one.mw === 'number') return [one as unknown as GivenReservation]
    wrong(`${where} has to name a target, and its mw`)
    return []
  })
}
