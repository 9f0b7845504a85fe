import * as fc from 'fast-check'
import type { Test } from 'tap'
import { type HttpJsonConfig, httpJsonFaults, httpJsonFeed } from '../../src/feeds/http-json.ts'
import type { JsonValue } from '../../src/feeds/http-json-value.ts'
import { pointed } from '../../src/feeds/json-pointer.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import { dated, readBy, refusalOf, served } from './feed-pages.ts'
import { START } from './feed-time.ts'

const LOOP: JsonValue = { signal: 'cooling.supply_c', pointer: '/loops/0/supply', site: 'ams', loop: 'cdu-1' }

/** A feed over a document that the test sets, with a clock that both sides share. */
const feedOf = async (t: Test, values: readonly JsonValue[], more: Partial<HttpJsonConfig> = {}) => {
  const document: { text: string } = { text: '{}' }
  const seen: string[] = []
  const now = { ms: START }
  const url = await served(t, (req, res) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      seen.push(`${req.method} ${req.url} ${Buffer.concat(parts)}`)
      dated(now, () => document.text)(req, res)
    })
  })
  const config = {
    kind: 'http-json' as const,
    name: 'bms',
    owner: 'facility@example.com',
    url: `${url}/points?all=1`,
    values,
  }
  const feed = readBy(t, (clock) => httpJsonFeed({ ...FEED_DEFAULTS['http-json'], ...config, ...more }, clock))
  const read = (body: unknown) => {
    document.text = typeof body === 'string' ? body : JSON.stringify(body)
    now.ms = feed.time.ms + 10_000
    return feed.read()
  }
  return { ...feed, read, seen }
}

/** What a feed of JSON over HTTP is held to. */
export const httpJsonFeedTests = async (t: Test): Promise<void> => {
  await t.test('values stand at their pointers, in any unit, with their own times', async (t) => {
    const values: JsonValue[] = [
      { ...LOOP, unit: 'degF', timePointer: '/loops/0/at', timeUnit: 's' },
      { signal: 'cooling.margin_c', pointer: '/margin', unit: 'degF', site: 'ams', loop: 'cdu-1' },
      { signal: 'power.draw_mw', pointer: '/a~1b/m~0n', unit: 'kW', site: 'ams', timePointer: '/iso' },
      { signal: 'cooling.flow_lpm', pointer: '/flow', unit: 'm3/h', scale: 0.1, site: 'ams', loop: 'cdu-1' },
      { signal: 'price.per_mwh', pointer: '/price', unit: 'USD/MWh', rate: 0.9, site: 'ams' },
      { signal: 'leak.detected', pointer: '/leak', site: 'ams' },
      { signal: 'client.rtt_p95_ms', pointer: '/rtt', site: 'ams', from: 'region:EMEA', unit: 's' },
    ]
    const { read, time, source } = await feedOf(t, values)
    const reading = await read({
      loops: [{ supply: 86, at: START / 1_000 }],
      margin: 9,
      'a/b': { 'm~n': 4_200 },
      iso: new Date(START + 500).toISOString(),
      flow: 600,
      price: 100,
      leak: true,
      rtt: 0.02,
    })
    t.same(
      reading.samples.map(({ signal, value, at }) => [signal, Number(value.toPrecision(9)), at - START]),
      [
        ['cooling.supply_c', 30, 0],
        ['cooling.margin_c', 5, 10_000],
        ['power.draw_mw', 4.2, 500],
        ['cooling.flow_lpm', 1_000, 10_000],
        ['price.per_mwh', 90, 10_000],
        ['leak.detected', 1, 10_000],
        ['client.rtt_p95_ms', 20, 10_000],
      ],
    )
    t.match(reading.samples.at(-1), { site: 'ams', from: 'region:EMEA', source: 'bms' })
    t.same([reading.warnings, source.covers, source.delivers().length], [[], ['ams'], 7])
    t.same(new SampleCheck().pass(reading.samples, time.ms), reading.samples)
  })

  await t.test('what stands for nothing is missing with a warning, and the others go on', async (t) => {
    const other: JsonValue = { signal: 'power.draw_mw', pointer: '/power', site: 'ams' }
    const { read } = await feedOf(t, [LOOP, other])
    for (const nothing of [null, 'Null', 'N/A', '', '  ', 'NaN', '-']) {
      const { samples, warnings } = await read({ loops: [{ supply: nothing }], power: 3 })
      t.match(
        [samples.length, warnings],
        [1, [{ code: 'feed/missing-value', severity: 'warning' }]],
        JSON.stringify(nothing),
      )
    }
    for (const odd of ['30', {}, [30], true]) {
      const { warnings } = await read({ loops: [{ supply: odd }], power: 3 })
      t.match(
        warnings,
        [{ code: 'feed/bad-sample', remedy: odd === '30' ? /numericStrings/ : /sensor/ }],
        JSON.stringify(odd),
      )
    }
    t.match(await refusalOf(read({ loops: [{ supply: null }], power: 'N/A' })), {
      code: 'feed/missing-value',
      severity: 'error',
    })
  })

  await t.test('numbers as text are taken where that is said, and then only numbers', async (t) => {
    const { read } = await feedOf(t, [LOOP], { numericStrings: true })
    for (const [text, value] of [
      ['30.5', 30.5],
      [' -3e1 ', -30],
      ['.5', 0.5],
    ] as const)
      t.equal((await read({ loops: [{ supply: text }] })).samples[0]!.value, value, text)
    for (const text of ['30 C', '0x1f', '1_000', 'Infinity', '3,5'])
      t.match(await refusalOf(read({ loops: [{ supply: text }] })), { code: 'feed/bad-sample' }, text)
  })

  await t.test('a pointer that leads nowhere names the nearest parent that is there', async (t) => {
    const { read } = await feedOf(t, [LOOP])
    const message = async (body: unknown) => (await refusalOf(read(body))).message
    t.match(await message({ loops: [] }), /nothing is at \/loops\/0\/supply; \/loops is a list of 0/)
    t.match(await message({ loops: [{ supplyC: 3 }] }), /\/loops\/0 is an object with supplyC/)
    t.match(await message({ loop: 1 }), /the whole is an object with loop/)
    t.match(await message('5'), /the whole is a number/)
    t.match(await message({ loops: null }), /\/loops is null/)
    t.match(await message({ loops: { constructor: 1 } }), /\/loops is an object with constructor/)
    for (const pointer of ['/constructor', '/toString', '/length', '/0/at'])
      t.equal(pointed(['a'], pointer).found, false)
    t.match(await message(`{"loops":{"__proto__":{"supply":3}}}`), /\/loops is an object with __proto__/)
  })

  await t.test('a value of bad quality, or with a time that is none, is left out', async (t) => {
    const good: JsonValue = {
      ...LOOP,
      quality: { pointer: '/q', good: ['Good', 192] },
      timePointer: '/at',
      timeUnit: 'ms',
    }
    const { read } = await feedOf(t, [good])
    const body = (q: unknown, at: unknown) => ({ loops: [{ supply: 30 }], q, at })
    for (const q of ['Good', 192]) t.equal((await read(body(q, START))).samples[0]!.at, START)
    t.match(await refusalOf(read(body('Uncertain', START))), { code: 'feed/missing-value', message: /"Uncertain"/ })
    for (const at of [START / 1_000, '2026-11-22T10:41:07Z', null, -1, 1e20, 'soon'])
      t.match(await refusalOf(read(body('Good', at))), { code: 'feed/bad-sample', remedy: /timeUnit/ }, String(at))
  })

  await t.test('a document may be asked for by POST, and what is none is refused', async (t) => {
    const { read, seen } = await feedOf(t, [LOOP], {
      method: 'POST',
      body: { points: ['supply'] },
      bodyBytesMax: 5_000,
    })
    t.equal((await read({ loops: [{ supply: 30 }] })).samples.length, 1)
    t.same(seen, ['POST /points?all=1 {"points":["supply"]}'])
    t.match(await refusalOf(read('<html>')), { code: 'feed/bad-text' })
    t.match(await refusalOf(read('['.repeat(4_900))), { code: 'feed/bad-text' })
    t.match(await refusalOf(read('[]'.padEnd(5_001))), { code: 'feed/too-large' })
    t.match(await refusalOf(read(`${'['.repeat(2_000)}${']'.repeat(2_000)}`)), { code: 'feed/no-value' })
  })

  await t.test('what is configured wrongly is told before anything is asked', async (t) => {
    const faults = (value: Partial<JsonValue>, more: Partial<HttpJsonConfig> = {}) =>
      httpJsonFaults({ kind: 'http-json', name: 'x', url: 'http://x', values: [{ ...LOOP, ...value }], ...more }).map(
        String,
      )
    t.same(faults({}), [])
    t.match(faults({ signal: 'cooling.suply_c' }), [/no signal is called/])
    t.match(faults({ unit: 'psi' }), [/"psi" can't be made into Cel/])
    t.match(faults({ signal: 'price.per_mwh', unit: 'USD/MWh' }), [/USD\/MWh is not in EUR.*give `rate`/])
    t.match(faults({ pointer: 'loops/0' }), [/no JSON pointer/])
    t.match(faults({ pool: 'h100' }), [/both a pool and a loop/])
    t.match(faults({ from: 'asn:1' }), [/not one of a link/])
    t.match(faults({}, { body: {} }), [/only sent by POST/])
    t.match(faults({}, { values: [LOOP, { ...LOOP, pointer: '/b' }] }), [
      /cooling.supply_c of ams loop cdu-1 is given twice/,
    ])
    t.same(faults({}, { values: [LOOP, { ...LOOP, loop: 'cdu-2' }] }), [])
  })

  await t.test('a pointer finds whatever a document has, and nothing else', async () => {
    const escaped = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1')
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (document, other) => {
        for (const [name, value] of Object.entries(document)) {
          const seen = pointed(document, `/${escaped(name)}`)
          if (!seen.found || seen.value !== value) throw new Error(name)
        }
        return pointed(document, `/${escaped(other)}`).found === Object.hasOwn(document, other)
      }),
    )
  })
}
