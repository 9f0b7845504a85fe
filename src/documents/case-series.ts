import type { EpochMs, SiteName } from '../model/names.ts'
import type { Series } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { parseDuration } from './duration.ts'
import { didYouMean } from './suggest.ts'

/** One stretch of time, in milliseconds after the beginning of the case, and its value. */
export interface GivenSeries {
  readonly fromMs: number
  readonly toMs: number
  readonly value: number
}

type Wrong = (what: string) => void

const DAY_MS = 86_400_000

/** The series of a written word: `{ 0h: 90, 6h: 35 }` of prices, `{ from: 6h, to: 12h }` of off-peak hours. */
export function seriesOf(
  word: 'prices' | 'offPeak' | 'series',
  written: unknown,
  where: string,
  wrong: Wrong,
): [signal: string, series: GivenSeries[]][] {
  if (word === 'prices') return [['price.per_mwh', stepsOf(written, where, wrong)]]
  if (word === 'offPeak') return [['tariff.off_peak', hoursOf(written, where, wrong)]]
  return Object.entries((written ?? {}) as Record<string, unknown>).flatMap(([signal, steps]) => {
    if (signalOf(signal) === undefined) {
      wrong(`${where}: no signal is called "${signal}"${didYouMean(signal, ['price.per_mwh', 'carbon.g_per_kwh'])}`)
      return []
    }
    return [[signal, stepsOf(steps, `${where}.${signal}`, wrong)] as [string, GivenSeries[]]]
  })
}

function durationOf(text: unknown, where: string, wrong: Wrong): number {
  const ms = parseDuration(String(text))
  if (ms === undefined) wrong(`${where}: "${String(text)}" is no duration after the beginning, as 6h`)
  return ms ?? 0
}

/** Each value holds until the next; the last of them a day. */
function stepsOf(written: unknown, where: string, wrong: Wrong): GivenSeries[] {
  const steps = Object.entries((written ?? {}) as Record<string, unknown>)
    .map(([from, value]) => ({ fromMs: durationOf(from, where, wrong), value: Number(value) }))
    .sort((a, b) => a.fromMs - b.fromMs)
  if (steps.some(({ value }) => !Number.isFinite(value))) wrong(`${where} has to have a number at each time`)
  return steps.map(({ fromMs, value }, index) => ({ fromMs, toMs: steps[index + 1]?.fromMs ?? fromMs + DAY_MS, value }))
}

/** True in the hours that are named, and false before, between and for a day after them. */
function hoursOf(written: unknown, where: string, wrong: Wrong): GivenSeries[] {
  const hours = ([written].flat() as { from?: unknown; to?: unknown }[]).map((one) => ({
    fromMs: durationOf(one?.from, `${where}.from`, wrong),
    toMs: durationOf(one?.to, `${where}.to`, wrong),
  }))
  const series: GivenSeries[] = []
  let end = 0
  for (const { fromMs, toMs } of hours) {
    if (fromMs < end || toMs <= fromMs) wrong(`${where} has to go on in time: ${fromMs / 3_600_000}h comes too early`)
    if (fromMs > end) series.push({ fromMs: end, toMs: fromMs, value: 0 })
    series.push({ fromMs, toMs, value: 1 })
    end = toMs
  }
  return [...series, { fromMs: end, toMs: end + DAY_MS, value: 0 }]
}

/** What was said of a site or pool ahead of time, as a feed would deliver it. */
export const caseSeries = (
  place: { readonly site: SiteName; readonly pool?: string },
  written: Readonly<Record<string, readonly GivenSeries[]>>,
  beginning: EpochMs,
): Series[] =>
  Object.entries(written).map(([signal, steps]) => ({
    signal,
    ...place,
    intervals: steps.map(({ fromMs, toMs, value }) => ({ from: beginning + fromMs, to: beginning + toMs, value })),
    source: 'case',
    issuedAt: beginning,
  }))
