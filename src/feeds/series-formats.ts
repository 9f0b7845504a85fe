import type { EpochMs } from '../model/names.ts'
import type { Interval } from '../model/sample.ts'
import { csvRows } from './csv.ts'
import { type FeedFailure, failure } from './failure.ts'
import { later, readDuration, readMoment } from './iso-time.ts'
import { pointed } from './json-pointer.ts'
import { shown, textOf } from './json-reader.ts'
import { childText, readXml, type XmlElement } from './xml.ts'

/** What a text of a series says, before units are converted. */
export interface SeriesText {
  readonly intervals: readonly Interval[]
  /** When its publisher made it, where it says so. */
  readonly issuedAt?: EpochMs
  /** The unit, where it says so: `USD/MWh`. */
  readonly unit?: string
  /** Rows that are no interval. */
  readonly bad: number
}

/** Where in a JSON answer the intervals are. */
export interface JsonPlaces {
  /** The list of them; absent: `from` and `value` lead to lists of equal length. */
  readonly items?: string
  readonly from: string
  readonly to?: string
  readonly value: string
  readonly issuedAt?: string
}

/** The columns of a CSV answer. */
export interface CsvColumns {
  readonly from: string
  readonly to?: string
  readonly value: string
  /** Only rows whose cells are these. */
  readonly where?: Readonly<Record<string, string>>
  readonly separator?: string
}

/** What the formats are told. */
export interface FormatRules {
  readonly json?: JsonPlaces
  readonly csv?: CsvColumns
  readonly resolutionMs?: number
  /** For messages. */
  readonly where: string
}

/** The formats of series. To add one, add a row. */
export const SERIES_FORMATS = {
  json: { says: 'JSON with pointers to the intervals', read: (text, rules) => readJson(text, rules.json!, rules) },
  csv: { says: 'CSV with named columns, as Electricity Maps gives it', read: (text, rules) => readCsv(text, rules) },
  watttime: { says: "WattTime's v3 forecast, marginal emissions", read: (text, rules) => readWattTime(text, rules) },
  'entsoe-a44': { says: 'day-ahead prices of the ENTSO-E platform', read: (text, rules) => readA44(text, rules) },
} as const satisfies Record<
  string,
  { readonly says: string; readonly read: (text: string, rules: FormatRules) => SeriesText }
>

/** A key of SERIES_FORMATS. */
export type SeriesFormat = keyof typeof SERIES_FORMATS

const ITEMS_MAX = 100_000
const POINTS_MAX = 10_000

const parsed = (text: string, where: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw failure('feed/bad-text', `${where} is no JSON: ${(error as Error).message.slice(0, 120)}`)
  }
}

const readJson = (text: string, places: JsonPlaces, rules: FormatRules): SeriesText => {
  const document = parsed(text, rules.where)
  const at = (pointer: string): unknown => {
    const found = pointed(document, pointer)
    if (found.found) return found.value
    throw failure('feed/bad-text', `${rules.where} has nothing at ${pointer}: ${found.parent} is ${found.has}`, {
      remedy: 'correct the pointer',
    })
  }
  const list = (pointer: string): readonly unknown[] => {
    const value = at(pointer)
    if (!Array.isArray(value))
      throw failure('feed/bad-text', `${pointer} of ${rules.where} is no list: ${shown(value)}`)
    if (value.length > ITEMS_MAX) throw failure('feed/too-large', `${rules.where} has more than ${ITEMS_MAX} items`)
    return value
  }
  const issuedAt = places.issuedAt === undefined ? undefined : timeOf(at(places.issuedAt))
  const inItem = (item: unknown, pointer: string | undefined): unknown => {
    const found = pointer === undefined ? undefined : pointed(item, pointer)
    return found?.found === true ? found.value : undefined
  }
  let rows: Row[]
  if (places.items !== undefined) {
    rows = list(places.items).map((item) => ({
      from: timeOf(inItem(item, places.from)),
      to: timeOf(inItem(item, places.to)),
      value: inItem(item, places.value),
    }))
  } else {
    const [from, value] = [list(places.from), list(places.value)]
    const to = places.to === undefined ? [] : list(places.to)
    if (from.length !== value.length) {
      throw failure('feed/bad-text', `${rules.where} has ${from.length} times and ${value.length} values`)
    }
    rows = from.map((one, index) => ({ from: timeOf(one), to: timeOf(to[index]), value: value[index] }))
  }
  return { ...lengthened(rows, rules), ...(issuedAt === undefined ? {} : { issuedAt }) }
}

const readCsv = (text: string, rules: FormatRules): SeriesText => {
  const columns = rules.csv!
  const all = csvRows(text, columns.separator)
  const head = all.next().value as readonly string[] | undefined
  const indexOf = (name: string): number => {
    const index = (head ?? []).indexOf(name)
    if (index >= 0) return index
    const remedy = `there are ${(head ?? []).slice(0, 20).join(', ').slice(0, 400) || 'none'}`
    throw failure('feed/bad-text', `${rules.where} has no column ${JSON.stringify(name)}`, { remedy })
  }
  const [from, value] = [indexOf(columns.from), indexOf(columns.value)]
  const to = columns.to === undefined ? undefined : indexOf(columns.to)
  const where = Object.entries(columns.where ?? {}).map(([name, wanted]) => [indexOf(name), wanted] as const)
  const rows: Row[] = []
  for (const row of all) {
    if (where.some(([index, wanted]) => row[index] !== wanted)) continue
    rows.push({ from: timeOf(row[from]), to: to === undefined ? undefined : timeOf(row[to]), value: row[value] })
    if (rows.length > ITEMS_MAX) throw failure('feed/too-large', `${rules.where} has more than ${ITEMS_MAX} rows`)
  }
  return lengthened(rows, rules)
}

const readWattTime = (text: string, rules: FormatRules): SeriesText => {
  const document = parsed(text, rules.where)
  const meta = (name: string): unknown => {
    const found = pointed(document, `/meta/${name}`)
    return found.found ? found.value : undefined
  }
  const units = textOf(meta('units'))
  if (units !== undefined && !/^lbs?_co2_per_mwh$/i.test(units)) {
    throw failure('feed/unknown-unit', `${rules.where} is in ${JSON.stringify(units.slice(0, 60))}`, {
      remedy: 'ask for the signal_type co2_moer, which is in lbs_co2_per_mwh',
    })
  }
  const seconds = meta('data_point_period_seconds')
  const places = { items: '/data', from: '/point_time', value: '/value' }
  const resolutionMs = typeof seconds === 'number' && seconds >= 1 ? seconds * 1_000 : (rules.resolutionMs ?? 300_000)
  const issuedAt = timeOf(meta('generated_at'))
  return {
    ...readJson(text, places, { ...rules, resolutionMs }),
    unit: 'lbs/MWh',
    ...(issuedAt === undefined ? {} : { issuedAt }),
  }
}

/** One interval as it was found. */
interface Row {
  readonly from: EpochMs | undefined
  readonly to: EpochMs | undefined
  readonly value: unknown
}

/** Rows without an end last as long as is told, else as long as the shortest step between two of them. */
const lengthened = (rows: readonly Row[], { resolutionMs, where }: FormatRules): SeriesText => {
  const good = rows.flatMap(({ from, to, value }) => {
    const number = typeof value === 'string' && /^\s*[+-]?\d/.test(value) ? Number(value) : value
    return from === undefined || typeof number !== 'number' || !Number.isFinite(number)
      ? []
      : [{ from, to, value: number }]
  })
  const bad = rows.length - good.length
  let step = resolutionMs
  if (step === undefined && good.some(({ to }) => to === undefined)) {
    const starts = [...new Set(good.map(({ from }) => from))].sort((a, b) => a - b)
    step = Math.min(...starts.slice(1).map((at, index) => at - starts[index]!))
    if (!Number.isFinite(step)) {
      throw failure('feed/bad-text', `${where} doesn't say how long its values hold`, {
        remedy: 'set `to`, or resolutionMs',
      })
    }
  }
  return { intervals: good.map(({ from, to, value }) => ({ from, to: to ?? from + step!, value })), bad }
}

/** ISO 8601 (UTC where no zone is told), or a number of seconds or milliseconds since 1970. */
const timeOf = (value: unknown): EpochMs | undefined => {
  const number = typeof value === 'string' && /^\d{9,14}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number') return readMoment(typeof number === 'string' ? number.trim() : number)
  if (!Number.isFinite(number) || number < 100_000_000 || number > 1e14) return undefined
  return number < 100_000_000_000 ? number * 1_000 : number
}

/**
 * Day-ahead prices (IEC 62325-451-3, document type A44): of a curve of type A03 each value holds until the next position,
 * of A01 each for its own; where sequences or resolutions overlap, the first sequence and the finer one count.
 */
const readA44 = (text: string, { where }: FormatRules): SeriesText => {
  const root = xmlOf(text, where)
  if (root.name === 'Acknowledgement_MarketDocument') {
    const reason = root.children.find(({ name }) => name === 'Reason')
    const says = (reason === undefined ? undefined : childText(reason, 'text')) ?? 'no reason'
    throw failure('feed/bad-text', `${where} has no prices: ${says.slice(0, 200)}`, {
      remedy: 'check in_Domain, out_Domain, documentType=A44 and the period',
    })
  }
  if (root.name !== 'Publication_MarketDocument') {
    throw failure('feed/bad-text', `${where} is a ${root.name.slice(0, 60)}`, { remedy: 'ask for documentType=A44' })
  }
  const parts: { rank: number; step: number; intervals: Interval[] }[] = []
  const units = new Set<string>()
  let bad = 0
  for (const series of root.children.filter(({ name }) => name === 'TimeSeries')) {
    const per = (childText(series, 'price_Measure_Unit.name') ?? 'MWH').toUpperCase()
    units.add(`${childText(series, 'currency_Unit.name') ?? 'EUR'}/${UNITS[per] ?? per}`)
    const rank = Number(childText(series, 'classificationSequence_AttributeInstanceComponent.position') ?? 1)
    const isFilled = childText(series, 'curveType') === 'A03'
    for (const period of series.children.filter(({ name }) => name === 'Period')) {
      const read = periodOf(period, isFilled)
      bad += read.bad
      parts.push({ rank, ...read })
    }
  }
  if (units.size > 1) throw failure('feed/bad-text', `${where} has prices in ${[...units].slice(0, 5).join(' and ')}`)
  parts.sort((a, b) => a.rank - b.rank || a.step - b.step)
  const issuedAt = readMoment(childText(root, 'createdDateTime'))
  const [unit] = units
  return {
    intervals: parts.flatMap(({ intervals }) => intervals),
    bad,
    ...(issuedAt === undefined ? {} : { issuedAt }),
    ...(unit === undefined ? {} : { unit }),
  }
}

const UNITS: Readonly<Record<string, string>> = { MWH: 'MWh', KWH: 'kWh' }

const periodOf = (period: XmlElement, isFilled: boolean): { step: number; intervals: Interval[]; bad: number } => {
  const span = period.children.find(({ name }) => name === 'timeInterval')
  const start = span === undefined ? undefined : readMoment(childText(span, 'start'))
  const end = span === undefined ? undefined : readMoment(childText(span, 'end'))
  const resolution = readDuration(childText(period, 'resolution'))
  const step = resolution === undefined || start === undefined ? 0 : later(start, resolution) - start
  if (start === undefined || end === undefined || step < 60_000 || (end - start) / step > POINTS_MAX) {
    return { step: 0, intervals: [], bad: 1 }
  }
  let bad = 0
  const points = period.children
    .filter(({ name }) => name === 'Point')
    .flatMap((point) => {
      const position = Number(childText(point, 'position'))
      const value = Number(childText(point, 'price.amount') || Number.NaN)
      const isGood = Number.isInteger(position) && position >= 1 && Number.isFinite(value)
      if (!isGood) bad += 1
      return isGood ? [{ from: start + (position - 1) * step, value }] : []
    })
    .filter(({ from }) => from < end)
    .sort((a, b) => a.from - b.from)
  const intervals = points.map(({ from, value }, index) => ({
    from,
    to: isFilled ? (points[index + 1]?.from ?? end) : from + step,
    value,
  }))
  return { step, intervals, bad }
}

const xmlOf = (text: string, where: string): XmlElement => {
  try {
    return readXml(text)
  } catch (error) {
    throw failure('feed/bad-text', `${where} is no XML that is read: ${(error as Error).message}`) satisfies FeedFailure
  }
}
