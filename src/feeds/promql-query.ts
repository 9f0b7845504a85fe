import { signalOf } from '../model/signal.ts'
import { type MeasuredPlace, type MeasuredValue, PLACE_PARTS, samplePlace, valueFaults } from './measured-place.ts'

/** One query of a PromQL feed, as it is configured. */
export interface PromqlQuery extends MeasuredValue, MeasuredPlace {
  /** A selector such as `rack_power_watts{site="ams"}`, or any expression together with `timestampOf`. */
  readonly query: string
  /** The selector whose samples' times are those of the expression's values. */
  readonly timestampOf?: string
  /** The labels that name the place of each series, where the place is not given. */
  readonly labels?: Readonly<Partial<Record<(typeof PLACE_PARTS)[number], string>>>
  /** What the values of such labels are called here: `{ AMS-01: ams }`. */
  readonly names?: Readonly<Record<string, string>>
  /** What the label of `from` holds, where its values do not say so themselves. */
  readonly fromKind?: 'region' | 'asn' | 'site'
}

const SELECTOR =
  /^\s*(?:[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:\{(?:[^"'`{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}\s*)?|\{(?:[^"'`{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}\s*)$/

/** Is this a selector and nothing more: a metric's name, matchers, or both? */
export const isSelector = (query: string): boolean => SELECTOR.test(query)

/** The label that marks the series that carry times; a query's own labels don't begin so. */
export const PART_LABEL = 'hubward_part'

/** The labels by which the places of a query's series are told apart. */
export const placeLabels = ({ labels = {} }: PromqlQuery): readonly string[] => [...new Set(Object.values(labels))]

/**
 * What is asked: the values, and beside them the time of the oldest sample that each place's value is made of, as one
 * expression, so that both are of the same evaluation. `timestamp()` of a selector gives the samples' own times, never
 * that of the evaluation, and has nothing of a series that ended with a stale marker.
 */
export const askedExpression = (query: PromqlQuery): string => {
  const by = placeLabels(query)
  const times = `min${by.length === 0 ? '' : ` by (${by.join(', ')})`} (timestamp(${query.timestampOf ?? query.query}))`
  // The line break ends a comment that the query may end with.
  return `label_replace(${times}, "${PART_LABEL}", "time", "", "") or (${query.query}\n)`
}

/** The place of a series with these labels, in so many words. */
export const placeIn = (query: PromqlQuery, series: Readonly<Record<string, string>>): MeasuredPlace => {
  const place: Record<string, string> = {}
  for (const part of PLACE_PARTS) {
    const label = query.labels?.[part]
    const given = query[part]
    if (given !== undefined) place[part] = given
    else if (label !== undefined && Object.hasOwn(series, label) && series[label] !== '') {
      const value = series[label]!
      const name = query.names !== undefined && Object.hasOwn(query.names, value) ? query.names[value]! : value
      const kind = query.fromKind
      place[part] = part === 'from' && kind !== undefined && !name.startsWith(`${kind}:`) ? `${kind}:${name}` : name
    }
  }
  return place
}

/** What is wrong with a query as it is configured. */
export const queryFaults = (query: PromqlQuery): readonly (readonly [message: string, remedy: string])[] => {
  const faults = [...valueFaults(query)]
  const { signal, timestampOf, labels = {} } = query
  if (timestampOf === undefined && !isSelector(query.query))
    faults.push([
      `${signal}: the query is more than a selector, so the times of its samples are lost and a dead sensor would look alive`,
      'give `timestampOf`, the selector whose samples say how old the values are',
    ])
  if (timestampOf !== undefined && !isSelector(timestampOf))
    faults.push([`${signal}: timestampOf is no selector`, 'write a metric and its matchers, without functions'])
  const named = Object.fromEntries(
    PLACE_PARTS.flatMap((part) => {
      const given = query[part] ?? (labels[part] === undefined ? undefined : STANDS_FOR[part])
      return given === undefined ? [] : [[part, given]]
    }),
  )
  const place = samplePlace(named, signalOf(signal))
  if (typeof place === 'string' && signalOf(signal) !== undefined)
    faults.push([`${signal}: ${place}`, 'give site, pool, loop or from, or the label that holds it under labels'])
  return faults
}

const STANDS_FOR = { site: 'a', pool: 'a', loop: 'a', from: 'site:a', model: 'a' } as const
