import * as fc from 'fast-check'
import type { Test } from 'tap'
import { type CalendarConfig, calendarFaults, calendarFeed } from '../../src/feeds/calendar.ts'
import { windowIntervals } from '../../src/feeds/calendar-windows.ts'
import { readCron } from '../../src/feeds/cron.ts'
import { FeedFailure } from '../../src/feeds/failure.ts'
import { fileSamples } from '../../src/feeds/file-samples.ts'
import { isTimeZone, LocalTime, utcOf } from '../../src/feeds/local-time.ts'
import { SeriesCheck } from '../../src/feeds/series-check.ts'
import { readOnce } from './feed-servers.ts'
import { START } from './feed-time.ts'

const AMSTERDAM = 'Europe/Amsterdam'

const cronOf = (text: string) => {
  const cron = readCron(text)
  if (typeof cron === 'string') throw new Error(cron)
  return cron
}

/** When windows are open from a moment on, as the clocks of UTC show it. */
const open = (cron: string, minutes: number, from: string, days = 2, timeZone = AMSTERDAM) => {
  const start = Date.parse(from)
  return windowIntervals([{ cron: cronOf(cron), minutes, timeZone }], start, start + days * 86_400_000)
    .filter(({ value }) => value === 1)
    .map((one) => `${new Date(one.from).toISOString().slice(5, 16)} ${new Date(one.to).toISOString().slice(5, 16)}`)
}

/** Windows of time by cron. */
export const calendarCases = async (t: Test): Promise<void> => {
  t.test('of cron are read, or told what is wrong', async (t) => {
    const cron = cronOf(' 0/15  8-18/2,22 1,15 JAN-mar,12 mon-fri ')
    t.same(
      [cron.minutes, cron.hours],
      [
        [0, 15, 30, 45],
        [8, 10, 12, 14, 16, 18, 22],
      ],
    )
    t.same(
      [[...cron.days], [...cron.months], [...cron.weekdays]],
      [
        [1, 15],
        [1, 2, 3, 12],
        [1, 2, 3, 4, 5],
      ],
    )
    t.same([cron.eitherDay, cron.everyHour], [true, false])
    t.same([...cronOf('* * * * 5-7').weekdays].sort(), [0, 5, 6], 'Sunday is 7 as well as 0')
    t.equal(cronOf('* * * * *').weekdays.size, 7)
    for (const [text, says] of [
      ['0 22 * *', /4 fields/],
      ['60 * * * *', /"60" is no minute \(0 to 59\)/],
      ['* 24 * * *', /no hour/],
      ['* * 0 * *', /no day of the month/],
      ['* * * foo *', /no month/],
      ['* * * * 8', /no day of the week/],
      ['*/0 * * * *', /no minute/],
      ['5-1 * * * *', /no minute/],
      ['1,,2 * * * *', /no minute/],
      ['1/2/3 * * * *', /no minute/],
      ['* * 30 feb *', /none of its months/],
      ['', /1 fields/],
    ] as const) {
      t.match(readCron(text), says, text)
    }
    fc.assert(fc.property(fc.string(), (text) => readCron(text) !== undefined))
  })

  t.test('end at the hour that the clock shows, also in the nights in which it is put forward or back', async (t) => {
    t.same(open('0 22 * * *', 480, '2026-03-27T12:00:00Z'), ['03-27T21:00 03-28T05:00', '03-28T21:00 03-29T04:00'])
    t.same(open('0 22 * * *', 480, '2026-10-23T12:00:00Z'), ['10-23T20:00 10-24T04:00', '10-24T20:00 10-25T05:00'])
  })

  t.test('that begin in the hour which is left out begin behind it, once, and last as long', async (t) => {
    t.same(open('30 2 * * *', 60, '2026-03-28T12:00:00Z'), ['03-29T01:00 03-29T02:00', '03-30T00:30 03-30T01:30'])
    t.same(open('0,30 2 * * *', 60, '2026-03-28T12:00:00Z', 1), ['03-29T01:00 03-29T02:00'])
  })

  t.test(
    'that begin in the hour which comes twice begin in the first, and both count where every hour does',
    async (t) => {
      t.same(open('30 2 * * *', 60, '2026-10-24T12:00:00Z'), ['10-25T00:30 10-25T02:30', '10-26T01:30 10-26T02:30'])
      t.same(open('30 * * * *', 10, '2026-10-24T23:00:00Z', 4 / 24), [
        '10-24T23:30 10-24T23:40',
        '10-25T00:30 10-25T00:40',
        '10-25T01:30 10-25T01:40',
        '10-25T02:30 10-25T02:40',
      ])
      t.same(open('30 * * * *', 10, '2026-03-29T00:00:00Z', 3 / 24), [
        '03-29T00:30 03-29T00:40',
        '03-29T01:30 03-29T01:40',
        '03-29T02:30 03-29T02:40',
      ])
    },
  )

  t.test('that are open already, overlap or touch are one, and there is no gap in what is told', async (t) => {
    t.same(open('0 22 * * fri', 3_600, '2026-11-22T00:00:00Z'), ['11-22T00:00 11-23T09:00'])
    t.same(open('0 * * * *', 60, '2026-11-22T00:00:00Z', 1, 'UTC'), ['11-22T00:00 11-23T00:00'])
    t.same(open('0 12 13 * fri', 60, '2026-11-10T00:00:00Z', 14, 'UTC'), [
      '11-13T12:00 11-13T13:00',
      '11-20T12:00 11-20T13:00',
    ])
    const fields = fc.constantFrom('0 22 * * *', '*/7 3 * * *', '30 2 * * sun', '15 0-23 * * *', '0 0 1 * mon')
    const zones = fc.constantFrom(AMSTERDAM, 'UTC', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu')
    const window = fc.record({ cron: fields.map(cronOf), minutes: fc.integer({ min: 1, max: 3_000 }), timeZone: zones })
    fc.assert(
      fc.property(fc.array(window, { maxLength: 3 }), fc.integer({ min: 0, max: 8_760 }), (windows, hour) => {
        const from = Date.UTC(2026, 0, 1, hour)
        const to = from + 8 * 86_400_000
        const all = windowIntervals(windows, from, to)
        if (all[0]!.from !== from || all.at(-1)!.to !== to) return false
        return all.every((one, index) => {
          const next = all[index + 1]
          return one.to > one.from && (next === undefined || (next.from === one.to && next.value !== one.value))
        })
      }),
      { numRuns: 60 },
    )
  })

  t.test('are by the clocks of their zone, as these are at each minute of a year', async (t) => {
    for (const timeZone of [
      AMSTERDAM,
      'America/St_Johns',
      'Australia/Lord_Howe',
      'Asia/Kathmandu',
      'America/Sao_Paulo',
    ]) {
      const local = new LocalTime(timeZone)
      let wrong = 0
      for (let at = Date.UTC(2026, 0, 1); at < Date.UTC(2027, 0, 1); at += 41 * 60_000) {
        if (!local.moments(local.wall(at)).at.includes(at)) wrong += 1
      }
      t.equal(wrong, 0, timeZone)
    }
    const local = new LocalTime(AMSTERDAM)
    const wall = { year: 2026, month: 3, day: 29, hour: 2, minute: 15 }
    t.same(local.moments(wall), { at: [], gapEnd: Date.UTC(2026, 2, 29, 1) })
    t.same(local.moments({ ...wall, month: 10, day: 25 }).at, [
      Date.UTC(2026, 9, 25, 0, 15),
      Date.UTC(2026, 9, 25, 1, 15),
    ])
    t.same([isTimeZone(AMSTERDAM), isTimeZone('Mars/Base'), utcOf(wall)], [true, false, Date.UTC(2026, 2, 29, 2, 15)])
  })

  t.test('make a feed that asks nobody and knows eight days', async (t) => {
    const now = { at: Date.parse('2026-11-23T12:10:00Z') }
    const config: CalendarConfig = {
      kind: 'calendar',
      name: 'night',
      targets: ['ams', 'fra/h100'],
      windows: [{ cron: '0 22 * * *', forMs: 28_800_000, timeZone: AMSTERDAM }],
    }
    t.same(calendarFaults(config), [])
    const feed = calendarFeed({ ...config, intervalMs: 30_000 }, { now: () => now.at })
    const { series = [], version, warnings } = await readOnce(feed)
    t.match(series, [
      { signal: 'tariff.off_peak', site: 'ams', source: 'night' },
      { site: 'fra', pool: 'h100' },
    ])
    t.same(series[0]!.intervals.length, 17)
    t.match(series[0]!.intervals[1], {
      from: Date.parse('2026-11-23T21:00:00Z'),
      to: Date.parse('2026-11-24T05:00:00Z'),
      value: 1,
    })
    const seriesCheck = new SeriesCheck((_, why) => t.fail(why))
    seriesCheck.pass(series)
    now.at += 30_000
    t.equal((await readOnce(feed)).version, version)
    now.at += 3_600_000
    t.not((await readOnce(feed)).version, version)
    seriesCheck.pass((await readOnce(feed)).series ?? [])
    t.same(warnings, [])
    const busy = { ...config, windows: [{ cron: '*/15 * * * *', forMs: 60_000 }] }
    const cut = await readOnce(calendarFeed({ ...busy, intervalMs: 30_000 }, { now: () => now.at }))
    t.match([cut.series![0]!.intervals.length, cut.warnings], [768, [{ code: 'feed/too-many-intervals' }]])
    const often = { ...config, windows: [{ cron: '*/14 * * * *', forMs: 60_000 }] }
    t.match(calendarFaults(often), [[/more often/]])
    const wrong = { ...config, windows: [{ cron: '0 22 * *', forMs: 60_000, timeZone: 'Mars/Base' }] }
    t.match(calendarFaults(wrong), [
      [/0 22 \* \*" has 4 fields/, /mon-fri/],
      [/Mars\/Base/, /Amsterdam/],
    ])
  })
}

/** Entries of a file that are of a loop, a link, an event, or a series. */
export const fileEntryCases = async (t: Test): Promise<void> => {
  const origin = { path: 'site.jsonl', source: 'bms', writtenAt: START }
  const lines = (...entries: object[]) => fileSamples(entries.map((one) => JSON.stringify(one)).join('\n'), origin)
  const refused = (entry: object) =>
    lines(entry).then(
      () => undefined,
      (error: FeedFailure) => (error instanceof FeedFailure ? error.problems[0] : undefined),
    )

  t.test('are taken with their place and end', async (t) => {
    const { samples, series, places, signals } = await lines(
      { site: 'ams', loop: 'cdu-1', signal: 'cooling.supply_c', value: 31 },
      { site: 'ams', from: 'asn:1136', signal: 'client.rtt_p95_ms', value: 0.02, unit: 's' },
      { site: 'ams', signal: 'grid.import_limit_mw', value: 1_500, unit: 'kW', validUntil: START + 60_000 },
      {
        site: 'fra',
        pool: 'h100',
        signal: 'cost.per_gpu_hour',
        issuedAt: START - 1,
        intervals: [
          { from: START, to: START + 1_000, value: 2 },
          { from: '2030-01-01T00:00:00Z', to: '2030-01-01T01:00:00Z', value: 3 },
        ],
      },
      { site: 'fra', signal: 'tariff.off_peak', intervals: [{ from: START, to: START + 1, value: true }] },
    )
    t.match(samples, [
      { loop: 'cdu-1', value: 31 },
      { from: 'asn:1136', value: 20 },
      { value: 1.5, validUntil: START + 60_000 },
    ])
    t.match(series, [
      { site: 'fra', pool: 'h100', source: 'bms', issuedAt: START - 1, intervals: [{ value: 2 }, { value: 3 }] },
      { issuedAt: START, intervals: [{ value: 1 }] },
    ])
    t.same(places, ['ams', 'fra', 'fra/h100'])
    t.ok(signals.includes('tariff.off_peak'))
  })

  t.test('are refused with the reason', async (t) => {
    const sample = { site: 'ams', signal: 'cooling.supply_c', value: 31 }
    const interval = { from: START, to: START + 1_000, value: 60 }
    const prices = { site: 'ams', signal: 'price.per_mwh', intervals: [interval] }
    for (const [entry, says] of [
      [{ ...sample, loop: 5 }, /loop must be/],
      [{ ...sample, loop: 'cdu-1', pool: 'h100' }, /two places/],
      [{ ...sample, from: 'asn:1136' }, /has no from/],
      [{ site: 'ams', signal: 'client.rtt_p95_ms', value: 5 }, /from is nothing/],
      [{ site: 'ams', signal: 'client.rtt_p95_ms', value: 5, from: 'EMEA' }, /from is "EMEA"/],
      [{ ...sample, validUntil: 'soon' }, /validUntil is no time/],
      [{ ...prices, value: 5 }, /no field is called "value"/],
      [{ ...prices, intervals: 5 }, /must be a list/],
      [{ ...prices, intervals: [5] }, /value must be a number/],
      [{ ...prices, intervals: [{ ...interval, from: undefined }] }, /from of interval 1/],
      [{ ...prices, intervals: [{ ...interval, to: START }] }, /interval 1 is not after/],
      [{ ...prices, intervals: [interval, interval] }, /interval 2 is not after/],
      [{ ...prices, intervals: [{ ...interval, value: 1e9 }] }, /1000000000.*between -10000 and 100000/],
      [{ ...prices, intervals: Array.from({ length: 769 }, () => interval) }, /at most 768/],
      [{ ...prices, unit: 'kW' }, /can't be given in "kW"/],
      [{ ...prices, signal: 'client.loss_ratio' }, /of a link/],
      [{ ...prices, issuedAt: 'now' }, /issuedAt is no time/],
    ] as const) {
      t.match(await refused(entry), { message: says, line: 1 })
    }
  })
}
