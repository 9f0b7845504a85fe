import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { type FeedProblemCode, failure, feedProblem } from './failure.ts'
import { fieldsOf, listOf, textOf } from './json-reader.ts'
import { inSignalUnit, placeText, samplePlace } from './measured-place.ts'
import { isSelector, PART_LABEL, type PromqlQuery, placeIn, placeLabels } from './promql-query.ts'

/** What the answer to one query gave. */
export interface QueryAnswer {
  readonly samples: readonly Sample[]
  readonly warnings: readonly Problem[]
}

/** Series of one answer that are looked at; more is a query that forgot to aggregate. */
const SERIES_MAX = 20_000
const WARNINGS_MAX = 10

/** Annotations on how an expression was evaluated; anything else under `warnings` is about data that are missing. */
const ANNOTATION = /^PromQL (warning|info)/

/**
 * The samples in the body of an answer to askedExpression. Each value carries the time of the oldest sample that it is
 * made of; one without such a time is left out, and so are several for one place. Where a store did not answer, plain
 * samples are still true and taken, what is worked out of several is not. Throws FeedFailure with the server's own words
 * where it refused.
 */
export function queryAnswer(body: unknown, query: PromqlQuery, source: string, clockAheadMs: number): QueryAnswer {
  const { status, error, errorType, data, warnings: told, isPartial } = fieldsOf(body)
  if (status !== 'success') {
    const words = textOf(error) ?? 'no reason given'
    throw failure('feed/status', `${query.signal}: ${textOf(errorType) ?? 'error'}: ${words.slice(0, 300)}`, {
      remedy: 'correct the query',
    })
  }
  const complaints = new Complaints(query.signal)
  const said = listOf(told).filter((one): one is string => typeof one === 'string')
  if (isPartial === true) said.push('the answer is partial')
  for (const one of said) complaints.say('feed/partial', one.slice(0, 200))
  const { resultType, result } = fieldsOf(data)
  if (resultType !== 'vector') {
    throw failure('feed/bad-text', `${query.signal}: the answer is no vector but ${String(resultType).slice(0, 40)}`)
  }
  const series = listOf(result)
  if (series.length > SERIES_MAX) {
    const remedy = 'narrow the query by matchers, or aggregate it'
    throw failure('feed/too-many-series', `${query.signal}: more than ${SERIES_MAX} series`, { remedy })
  }
  if (!isSelector(query.query) && said.some((one) => !ANNOTATION.test(one))) {
    complaints.say('feed/partial', 'what is worked out of a part of the data is not taken', 'bring the store back')
    return { samples: [], warnings: complaints.all }
  }
  return { samples: samplesOf(series, query, source, clockAheadMs, complaints), warnings: complaints.all }
}

const samplesOf = (
  series: readonly unknown[],
  query: PromqlQuery,
  source: string,
  clockAheadMs: number,
  complaints: Complaints,
): Sample[] => {
  const labels = placeLabels(query)
  const keyOf = (metric: Readonly<Record<string, string>>) => labels.map((label) => metric[label] ?? '').join('\u0000')
  const times = new Map<string, number>()
  const values: { readonly metric: Record<string, string>; readonly value: number }[] = []
  for (const one of series) {
    const { metric: given, value: pair } = fieldsOf(one)
    const metric = fieldsOf(given) as Record<string, string>
    const text = listOf(pair)[1]
    if (typeof text !== 'string' || !Object.values(metric).every((label) => typeof label === 'string')) {
      complaints.say('feed/bad-text', `${seriesText(metric)} has no plain value`, 'native histograms need a function')
      continue
    }
    if (metric[PART_LABEL] === 'time') times.set(keyOf(metric), Number(text))
    else values.push({ metric, value: numberOf(text) })
  }
  const row = signalOf(query.signal)
  const byPlace = new Map<string, { sample: Sample; metric: Record<string, string>; several: boolean }>()
  for (const { metric, value } of values) {
    const place = samplePlace(placeIn(query, metric), row)
    if (typeof place === 'string') {
      complaints.say('feed/bad-target', `${seriesText(metric)}: ${place}`, 'correct labels or names of the query')
      continue
    }
    // Times without any of the place's labels are those of all.
    const seconds = times.get(keyOf(metric)) ?? times.get(keyOf({}))
    if (seconds === undefined || !Number.isFinite(seconds)) {
      const remedy = 'let timestampOf select the series that the values are made of, with the labels of the place'
      complaints.say('feed/no-time', `${seriesText(metric)} has a value and no sample to tell its age`, remedy)
      continue
    }
    const name = placeText(place)
    const known = byPlace.get(name)
    if (known !== undefined) {
      known.several = true
      const which = `${seriesText(known.metric)} and ${seriesText(metric)}`
      complaints.say('feed/ambiguous', `several series for ${name}: ${which}`, remedyFor(query, labels))
      continue
    }
    const at = Math.round(seconds * 1_000) - clockAheadMs
    const sample = { signal: query.signal, ...place, value: inSignalUnit(value, query), at, source }
    byPlace.set(name, { sample, metric, several: false })
  }
  return [...byPlace.values()].flatMap(({ sample, several }) => (several ? [] : [sample]))
}

const remedyFor = (query: PromqlQuery, labels: readonly string[]): string => {
  const by = labels.length === 0 ? '' : ` by (${labels.join(', ')})`
  const worst = signalOf(query.signal)?.worseWhen === 'lower' ? 'min' : 'max'
  return `aggregate: ${worst}${by} (${query.query.trim().slice(0, 80)}) with timestampOf, or sum where they add up`
}

/** Prometheus writes what JSON has no number for as text. */
const numberOf = (text: string): number =>
  text === '+Inf' ? Number.POSITIVE_INFINITY : text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text)

const seriesText = (metric: Readonly<Record<string, unknown>>): string => {
  const { __name__: name, ...labels } = metric
  const list = Object.entries(labels)
    .map(([label, value]) => `${label}=${JSON.stringify(value) ?? ''}`)
    .join(',')
  return `${typeof name === 'string' ? name : ''}{${list}}`.slice(0, 160)
}

/** What is wrong with single series, the first of it in full. */
class Complaints {
  readonly all: Problem[] = []
  readonly #signal: string
  #more = 0

  constructor(signal: string) {
    this.#signal = signal
  }

  say(code: FeedProblemCode, message: string, remedy?: string): void {
    if (this.all.length >= WARNINGS_MAX) {
      this.#more += 1
      const last = `${this.#signal}: ${this.#more} more of this kind`
      this.all[WARNINGS_MAX] = feedProblem(code, last, { severity: 'warning' })
      return
    }
    const more = { severity: 'warning', ...(remedy === undefined ? {} : { remedy }) } as const
    this.all.push(feedProblem(code, `${this.#signal}: ${message}`, more))
  }
}
