import { createHash } from 'node:crypto'
import type { TargetName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Interval } from '../model/sample.ts'
import { type CronWindow, windowIntervals } from './calendar-windows.ts'
import { readCron } from './cron.ts'
import { feedProblem } from './failure.ts'
import { isTimeZone } from './local-time.ts'
import { placeOf } from './place.ts'
import type { Reading, Source } from './poller.ts'
import { tidyIntervals } from './series-check.ts'
import type { FeedClock } from './time.ts'

/** A calendar as it is configured. */
export interface CalendarConfig {
  readonly kind: 'calendar'
  readonly name: string
  readonly owner?: string
  readonly intervalMs?: number
  readonly targets: readonly TargetName[]
  readonly signal?: 'tariff.off_peak' | 'maintenance.active'
  readonly windows: readonly { readonly cron: string; readonly forMs: number; readonly timeZone?: string }[]
}

const HOUR_MS = 3_600_000
/** How far ahead the windows are worked out: what a policy can wait for, and a weekend more. */
const AHEAD_MS = 8 * 24 * HOUR_MS
/** So many windows of one cron begin in a day at most; each costs some 10 us once an hour. */
const BEGINNINGS_MAX = 96

/** What is wrong with the windows of a calendar. */
export const calendarFaults = ({ windows }: CalendarConfig): readonly (readonly [message: string, remedy: string])[] =>
  windows.flatMap(({ cron, timeZone = 'UTC' }) => {
    const read = readCron(cron)
    const remedy = 'write minute hour day month weekday, such as 0 22 * * mon-fri'
    const isOften = typeof read !== 'string' && read.minutes.length * read.hours.length > BEGINNINGS_MAX
    return [
      ...(isOften
        ? [
            [
              `${JSON.stringify(cron)} begins more often than each quarter of an hour`,
              'make the windows longer',
            ] as const,
          ]
        : []),
      ...(typeof read === 'string' ? [[`the cron text ${JSON.stringify(cron)} ${read}`, remedy] as const] : []),
      ...(isTimeZone(timeZone)
        ? []
        : [[`no time zone is called ${JSON.stringify(timeZone)}`, 'write one such as Europe/Amsterdam'] as const]),
    ]
  })

/**
 * Windows of time as a series of 0 and 1 for the next eight days: off-peak hours, or announced maintenance. It asks
 * nobody. The windows must have passed calendarFaults.
 */
export function calendarFeed(config: CalendarConfig & { readonly intervalMs: number }, clock: FeedClock): Source {
  const { name, owner, targets, intervalMs } = config
  const signal = config.signal ?? 'tariff.off_peak'
  const windows = config.windows.map(({ cron, forMs, timeZone = 'UTC' }): CronWindow => {
    const read = readCron(cron)
    if (typeof read === 'string') throw new Error(`${cron} ${read}`)
    return { cron: read, minutes: Math.round(forMs / 60_000), timeZone }
  })
  let known: { readonly hour: number; readonly intervals: readonly Interval[]; readonly dropped: number } | undefined

  const read = async (): Promise<Reading> => {
    const hour = Math.floor(clock.now() / HOUR_MS)
    if (known?.hour !== hour) {
      const all = windowIntervals(windows, hour * HOUR_MS, hour * HOUR_MS + AHEAD_MS)
      known = { hour, ...tidyIntervals(all, signal, 0) }
    }
    const { intervals, dropped } = known
    const issuedAt = hour * HOUR_MS
    const warnings: Problem[] = []
    if (dropped > 0) {
      const message = `the windows open and close too often: the ${dropped} furthest ahead are left out`
      warnings.push(feedProblem('feed/too-many-intervals', message, { severity: 'warning' }))
    }
    return {
      version: `sha256:${createHash('sha256').update(JSON.stringify(intervals)).digest('hex').slice(0, 32)}`,
      samples: [],
      heartbeats: [],
      series: targets.map((target) => ({ ...placeOf(target), signal, intervals, source: name, issuedAt })),
      warnings,
    }
  }
  return {
    name,
    kind: 'calendar',
    ...(owner === undefined ? {} : { owner }),
    where: config.windows.map(({ cron }) => cron).join(', '),
    intervalMs,
    timeoutMs: 1_000,
    backoffMsMax: intervalMs,
    covers: targets,
    delivers: () => [signal],
    read,
  }
}
