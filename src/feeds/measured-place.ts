import type { PoolName, SiteName } from '../model/names.ts'
import type { Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import type { Signal } from '../model/signal-row.ts'
import { convertUnit, inEuro, isDifference, unitFault } from './units.ts'

/** Where a value belongs, in so many words. */
export interface MeasuredPlace {
  readonly site?: SiteName
  readonly pool?: PoolName
  readonly loop?: string
  /** The other end of a link: `region:EMEA`, `asn:1136`, `site:ams`. */
  readonly from?: string
  readonly model?: string
}

/** The parts of a place, in the order in which they are written. */
export const PLACE_PARTS = ['site', 'pool', 'loop', 'from', 'model'] as const

/** What a feed that asks somebody has once its defaults are filled in. */
export interface Settled {
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly backoffMsMax: number
  readonly bodyBytesMax: number
}

/** A value that a feed fetches: of which signal, in which unit. */
export interface MeasuredValue {
  readonly signal: string
  /** That of the signal where absent. */
  readonly unit?: string
  /** The value is multiplied by this before its unit is converted. */
  readonly scale?: number
  /** What one of the unit's currency is in EUR. */
  readonly rate?: number
}

/** A place as samples carry it. */
export type SamplePlace = Pick<Sample, 'site' | 'pool' | 'loop' | 'from' | 'model'>

const NAME = /^[a-z0-9][a-z0-9.-]{0,252}$/
const END = /^(region:\S{1,64}|asn:\d{1,10}|site:[a-z0-9][a-z0-9.-]{0,252})$/

/** The place that these words make, or why they make none. */
export const samplePlace = (place: MeasuredPlace, row: Signal | undefined): SamplePlace | string => {
  const { site, pool, loop, from, model } = place
  if (site === undefined) return 'it names no site'
  if (!NAME.test(site)) return `${show(site)} is no name of a site`
  if (pool !== undefined && !NAME.test(pool)) return `${show(pool)} is no name of a pool`
  if (pool !== undefined && loop !== undefined) return 'it names both a pool and a loop'
  if (loop !== undefined && (loop === '' || loop.length > 256)) return `${show(loop)} is no name of a loop`
  if (from !== undefined && !END.test(from)) return `${show(from)} is no end of a link such as region:EMEA or asn:1136`
  if (from === undefined && row?.scope === 'link') return 'its signal is one of a link, and it does not say from where'
  if (from !== undefined && row?.scope !== 'link') return 'its signal is not one of a link, and it says from where'
  if (model !== undefined && row?.byModel !== true) return 'its signal has no values by model'
  return {
    site,
    ...(pool === undefined ? {} : { pool }),
    ...(loop === undefined ? {} : { loop }),
    ...(from === undefined ? {} : { from }),
    ...(model === undefined ? {} : { model }),
  }
}

/** The place as people read it: `ams loop cdu-1`. */
export const placeText = ({ site, pool, loop, from, model }: SamplePlace): string =>
  [
    pool === undefined ? site : `${site}/${pool}`,
    ...(loop === undefined ? [] : [`loop ${loop}`]),
    ...(model === undefined ? [] : [`model ${model}`]),
    ...(from === undefined ? [] : [`from ${from}`]),
  ].join(' ')

/** The value in its signal's unit; NaN where it can't be made into it, which its configuration would not have let pass. */
export const inSignalUnit = (value: number, { signal, unit, scale = 1, rate = 1 }: MeasuredValue): number => {
  const to = signalOf(signal)?.unit ?? ''
  if (unit === undefined) return value * scale
  const scaled = value * scale * rate
  return convertUnit(scaled, inEuro(unit).unit, to, isDifference(signal)) ?? Number.NaN
}

/** What is wrong with what a configuration says of a value: signals that can't be delivered, units that don't fit. */
export const valueFaults = (value: MeasuredValue): readonly (readonly [message: string, remedy: string])[] => {
  const { signal, unit, rate } = value
  const row = signalOf(signal)
  if (row === undefined) return [[`no signal is called ${show(signal)}`, 'docs/reference/signals.md has them all']]
  if (row.perRequest === true) return [[`${signal} is worked out for each request`, 'leave it out']]
  if (unit === undefined)
    return rate === undefined
      ? []
      : [[`${signal} has a rate and no unit that names the currency`, 'give `unit`, such as USD/MWh']]
  const fault = unitFault(unit, row.unit, rate)
  return fault === undefined ? [] : [[`${signal}: ${fault[0]}`, fault[1]]]
}

/** What is wrong where one feed fetches a signal of one place twice: the values would take turns. */
export const turnFaults = (
  values: readonly (MeasuredValue & MeasuredPlace)[],
): readonly (readonly [message: string, remedy: string])[] => {
  const places = values.map(({ signal, ...value }) => {
    const place = samplePlace(value, signalOf(signal))
    return typeof place === 'string' ? '' : `${signal} of ${placeText(place)}`
  })
  return [...new Set(places.filter((place, at) => place !== '' && places.indexOf(place) !== at))].map((place) => [
    `${place} is given twice`,
    'leave one of them; their values would take turns',
  ])
}

const show = (text: string): string => JSON.stringify(text.slice(0, 60))
