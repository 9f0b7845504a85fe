import { DDSketch } from '@datadog/sketches-js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import * as fc from 'fast-check'
import t from 'tap'
import { Baselines } from '../../src/feeds/baselines.ts'
import { checkFeeds, feedStatuses } from '../../src/feeds/check.ts'
import { detectEngine, ENGINE_NAMES, engineSignals, isEngineMetric } from '../../src/feeds/engines.ts'
import { ClustersReader } from '../../src/feeds/envoy-clusters.ts'
import { FeedFailure, failure } from '../../src/feeds/failure.ts'
import { entriesOf } from '../../src/feeds/file-entries.ts'
import { fileSamples } from '../../src/feeds/file-samples.ts'
import { Inbox } from '../../src/feeds/inbox.ts'
import { ModelWindows } from '../../src/feeds/model-windows.ts'
import { Poller, type Reading, type Source } from '../../src/feeds/poller.ts'
import { PROM_LIMITS, PrometheusReader, type PromSample } from '../../src/feeds/prometheus-text.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import { ENVOY_ADMIN_SCHEMA } from '../../src/feeds/schemas.ts'
import { histogramsOf, seriesOf } from '../../src/feeds/series.ts'
import { SkewEstimate } from '../../src/feeds/skew.ts'
import { FEED_KINDS, type FeedConfig } from '../../src/feeds/table.ts'
import { convertUnit, unitFault } from '../../src/feeds/units.ts'
import { bucketQuantile } from '../../src/math/bucket-quantile.ts'
import { Sketch } from '../../src/math/sketch.ts'
import type { Change } from '../../src/model/change.ts'
import type { Heartbeat, Sample } from '../../src/model/sample.ts'
import { SIGNALS, signalOf } from '../../src/model/signal.ts'
import { calendarCases, fileEntryCases } from '../helpers/calendar-cases.ts'
import { START, settled, Time } from '../helpers/feed-time.ts'
import { sampleLaws } from '../helpers/sample-laws.ts'

const EMPTY: Reading = { version: '1', samples: [], heartbeats: [] }

const sourceOf = (read: Source['read'], more: Partial<Source> = {}): Source => ({
  name: 'vllm',
  kind: 'model-server',
  where: 'http://ams/metrics',
  intervalMs: 1_000,
  timeoutMs: 400,
  backoffMsMax: 6_000,
  covers: ['ams/h100'],
  delivers: () => ['queue.depth'],
  read,
  ...more,
})

const pollerOf = (read: Source['read'], more: Partial<Source> = {}) => {
  const time = new Time()
  const accepted: Reading[] = []
  const turns: boolean[] = []
  const bugs: unknown[] = []
  const poller = new Poller(sourceOf(read, more), {
    clock: time.clock,
    timer: time.timer,
    accept: (reading) => accepted.push(reading),
    turned: (_, failing) => turns.push(failing),
    bug: (error) => bugs.push(error),
  })
  return { time, poller, accepted, turns, bugs }
}

const refusedOf = (run: () => unknown): FeedFailure => {
  try {
    run()
  } catch (error) {
    if (error instanceof FeedFailure) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const codes = (failed: FeedFailure) => failed.problems.map(({ code }) => code)

t.test('a sketch', async (t) => {
  const values = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 500 })

  t.test('gives every quantile within one percent of the true value, as the reference does', async () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, q) => {
        const sketch = new Sketch()
        const reference = new DDSketch({ relativeAccuracy: 0.01 })
        for (const value of all) {
          sketch.add(value)
          reference.accept(value)
        }
        const truth = [...all].sort((a, b) => a - b)[Math.floor(q * (all.length - 1))]!
        const seen = sketch.quantile(q)!
        if (Math.abs(seen - truth) > 0.010_001 * truth) throw new Error(`${seen} for ${truth}`)
        const other = reference.getValueAtQuantile(q)
        if (Math.abs(seen - other) > 1e-6 * other) throw new Error(`${seen}, and the reference has ${other}`)
      }),
    )
  })

  t.test('of two halves merged is the sketch of the whole', async () => {
    fc.assert(
      fc.property(values, values, fc.double({ min: 0, max: 1, noNaN: true }), (left, right, q) => {
        const [a, b, whole] = [new Sketch(), new Sketch(), new Sketch()]
        for (const value of left) a.add(value)
        for (const value of right) b.add(value)
        for (const value of [...left, ...right]) whole.add(value)
        a.merge(b)
        return a.count === whole.count && a.quantile(q) === whole.quantile(q)
      }),
    )
  })

  t.test('takes zero, and neither less nor what is no number', async (t) => {
    const sketch = new Sketch()
    t.equal(sketch.quantile(0.5), undefined)
    t.same(
      [0, -1, Number.NaN, Number.POSITIVE_INFINITY].map((value) => sketch.add(value)),
      [true, false, false, false],
    )
    t.same([sketch.count, sketch.quantile(0.5), sketch.quantile(2)], [1, 0, undefined])
  })

  t.test('of few buckets keeps the high quantiles and gives up the low ones', async (t) => {
    const sketch = new Sketch(0.01, 64)
    for (let i = 1; i <= 10_000; i++) sketch.add(i)
    t.ok(Math.abs(sketch.quantile(0.99)! - 9_900) < 100)
    t.ok(sketch.quantile(0.01)! > 1_000)
  })
})

t.test('the quantile of buckets', async (t) => {
  t.test('lies where the events of its bucket would lie evenly', async (t) => {
    const [bounds, counts] = [
      [0.1, 0.5, Number.POSITIVE_INFINITY],
      [50, 40, 10],
    ]
    const at = (q: number) => bucketQuantile(bounds, counts, q)!
    t.same([at(0.5), at(0.95), at(1)], [0.1, 0.5, 0.5])
    t.ok(Math.abs(at(0.7) - 0.3) < 1e-9 && Math.abs(at(0.25) - 0.05) < 1e-9)
    t.same([bucketQuantile(bounds, [0, 0, 0], 0.5), bucketQuantile([], [], 0.5)], [undefined, undefined])
    t.equal(bucketQuantile([1, 2, 5], [5, 0, 0], 1), 1, 'empty buckets above add nothing')
    t.equal(bucketQuantile([Number.POSITIVE_INFINITY], [7], 0.5), 0, 'nothing is known but that it is')
  })

  t.test('is within the bucket of the true one, and never falls as q grows', async () => {
    const bounds = [1, 2, 5, 10, 50, 100]
    const events = fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(events, fc.double({ min: 0.01, max: 1, noNaN: true }), (all, q) => {
        const counts = bounds.map((bound, i) => all.filter((v) => v <= bound && v > (bounds[i - 1] ?? 0)).length)
        const truth = [...all].sort((a, b) => a - b)[Math.ceil(q * all.length) - 1]!
        const seen = bucketQuantile(bounds, counts, q)!
        const upper = bounds.find((bound) => truth <= bound)!
        const lower = bounds[bounds.indexOf(upper) - 1] ?? 0
        return seen >= lower && seen <= upper && seen >= bucketQuantile(bounds, counts, q / 2)!
      }),
    )
  })
})

const parse = (text: string, openMetrics = false) => {
  const reader = new PrometheusReader(() => true)
  reader.push(text)
  return Object.fromEntries(reader.end(openMetrics))
}

t.test('Prometheus text', async (t) => {
  t.test('is read with comments, escapes, timestamps, exemplars and every way to write a number', async (t) => {
    const text = [
      '# HELP http_requests_total The "number" of {requests} 5',
      '# TYPE http_requests_total counter',
      'http_requests_total{method="post",code="200"} 1027 1395066363000',
      '  http_requests_total { method = "get" , code="400", }\t3\r',
      'escaped{path="C:\\\\DIR\\\\\\"q\\"\\n{,=}#",empty="",odd="\\x"} 1.5e+09',
      'nan NaN\ninf{le="+Inf"} +Inf\nminus -Inf\nsmall .5\ntrailing 5.',
      'bucket{le="0.1"} 8 # {trace_id="KOO5 # S4vxi0o"} 0.67 1520879607.789',
      '',
    ].join('\n')
    const seen = parse(text)
    t.same(seen.http_requests_total, [
      { labels: { method: 'post', code: '200' }, value: 1027, timestampMs: 1_395_066_363_000 },
      { labels: { method: 'get', code: '400' }, value: 3 },
    ])
    t.same(seen.escaped, [{ labels: { path: 'C:\\DIR\\"q"\n{,=}#', empty: '', odd: '\\x' }, value: 1.5e9 }])
    t.ok(Number.isNaN(seen.nan![0]!.value))
    const values = ['inf', 'minus', 'small', 'trailing', 'bucket'].map((name) => seen[name]![0]!.value)
    t.same(values, [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, 5, 8])
  })

  t.test('of OpenMetrics has its seconds, and ends at # EOF', async (t) => {
    t.same(parse('a_total 3 1700000000.5\n# EOF\n', true).a_total![0]!.timestampMs, 1_700_000_000_500)
    t.match(refusedOf(() => parse('a 1\n# EOF\nb 2\n')).problems[0], { code: 'feed/bad-text', line: 3 })
  })

  const name = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,20}$/)
  const label = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,10}$/)
  const labels = fc.dictionary(label, fc.string({ unit: 'binary', maxLength: 20 }), { maxKeys: 5 })
  const sample = fc.record({ name, labels, value: fc.double(), timestampMs: fc.option(fc.integer({ min: 0 })) })
  const written = (one: {
    name: string
    labels: Record<string, string>
    value: number
    timestampMs: number | null
  }) => {
    const quoted = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
    const list = Object.entries(one.labels).map(([key, value]) => `${key}="${quoted(value)}"`)
    const value = String(one.value).replace('Infinity', 'Inf')
    return `${one.name}{${list.join(',')}} ${value}${one.timestampMs === null ? '' : ` ${one.timestampMs}`}\n`
  }

  t.test('that was written is read as it was meant, however it is cut into parts', async () => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 10 }), fc.array(fc.nat(200), { maxLength: 10 }), (all, cuts) => {
        const text = all.map(written).join('')
        const reader = new PrometheusReader(() => true)
        let at = 0
        for (const cut of cuts) {
          reader.push(text.slice(at, at + cut))
          at = Math.min(text.length, at + cut)
        }
        reader.push(text.slice(at))
        const seen = [...reader.end()].flatMap(([metric, list]) => list.map((one) => ({ metric, ...one })))
        const expected = [...new Set(all.map((one) => one.name))].flatMap((metric) =>
          all.filter((one) => one.name === metric),
        )
        if (seen.length !== expected.length) throw new Error(`${seen.length} of ${expected.length}`)
        for (const [i, one] of expected.entries()) {
          const other = seen[i]!
          const isSame =
            other.metric === one.name &&
            Object.is(other.value === 0 ? 0 : other.value, one.value === 0 ? 0 : one.value) &&
            (other.timestampMs ?? null) === one.timestampMs &&
            JSON.stringify(Object.entries(other.labels).sort()) === JSON.stringify(Object.entries(one.labels).sort())
          if (!isSame) throw new Error(JSON.stringify([other, one]))
        }
      }),
    )
  })

  t.test('that breaks its format is refused with the line, and never by another error', async (t) => {
    const broken = [
      '<html>',
      'a',
      'a{',
      'a{b}1',
      'a{b="c} 1',
      'a{b="c"',
      'a{b="c"d="e"} 1',
      'a 1 2 3',
      'a x',
      'a 0x1p3',
    ]
    for (const line of broken) {
      t.match(refusedOf(() => parse(`ok 1\n${line}\n`)).problems[0], { code: 'feed/bad-text', line: 2 }, line)
    }
    const noise = fc.string({ unit: 'binary', maxLength: 200 })
    fc.assert(
      fc.property(
        fc.oneof(
          noise,
          fc.array(sample).map((all) => all.map(written).join('').slice(3)),
        ),
        (text) => {
          try {
            parse(text)
          } catch (error) {
            if (!(error instanceof FeedFailure)) throw error
          }
        },
      ),
    )
  })

  t.test('is kept within bounds: wanted metrics only, and neither endless lines nor endless series', async (t) => {
    const wanted = new PrometheusReader(isEngineMetric)
    wanted.push('other{a="b"} 1\nvllm:num_requests_waiting 3\nother 0x\n')
    t.same([...wanted.end().keys()], ['vllm:num_requests_waiting'])
    const long = new PrometheusReader(() => true)
    t.same(codes(refusedOf(() => long.push('a'.repeat(PROM_LIMITS.lineChars + 1)))), ['feed/bad-text'])
    const many = new PrometheusReader(() => true)
    t.same(codes(refusedOf(() => many.push('a 1\n'.repeat(PROM_LIMITS.samples + 1)))), ['feed/too-many-series'])
    const polluted = parse('a{__proto__="x",constructor="y"} 1\n').a![0]!
    t.same(Object.keys(polluted.labels), ['__proto__', 'constructor'])
    t.equal(({} as Record<string, unknown>).x, undefined)
  })
})

t.test('the engines', async (t) => {
  t.test('are told apart by their names, a backend before the Triton that runs it', async (t) => {
    const triton = 'nv_inference_request_success'
    t.equal(detectEngine(['vllm:num_requests_waiting']), 'vllm')
    t.equal(detectEngine([triton]), 'triton')
    t.equal(detectEngine([triton, 'nv_trt_llm_request_metrics']), 'triton-trtllm')
    t.equal(detectEngine([triton, 'vllm:num_requests_waiting']), 'vllm')
    t.equal(detectEngine(['sglang:token_usage']), 'sglang')
    t.equal(detectEngine(['trtllm_num_requests_waiting']), 'trtllm')
    t.equal(detectEngine(['up', 'go_goroutines']), undefined)
  })

  t.test('deliver signals of the table and no others', async (t) => {
    for (const name of [undefined, ...ENGINE_NAMES]) {
      const signals = engineSignals(name)
      t.ok(signals.length > 0 && signals.every((signal) => signalOf(signal) !== undefined), name ?? 'any')
    }
    t.notOk(engineSignals('triton').includes('itl.p95_ms'))
  })

  t.test('have ranks that mirror one another counted once, and data-parallel ranks added up', async (t) => {
    const samples = new Map(
      Object.entries(
        parse(
          ['tp_rank="0",dp_rank="0"', 'tp_rank="1",dp_rank="0"', 'tp_rank="2",dp_rank="1"']
            .map((labels) => `sglang:num_queue_reqs{${labels}} 5\n`)
            .join(''),
        ),
      ),
    )
    t.same(
      seriesOf(samples, [{ name: 'sglang:num_queue_reqs' }])!.map(({ value }) => value),
      [5, 5],
    )
  })
})

const histogram = (name: string, counts: Record<string, number>, labels = '') =>
  Object.entries(counts)
    .map(([le, n]) => `${name}_bucket{${labels}le="${le}"} ${n}\n`)
    .join('')

const readHistograms = (text: string) =>
  histogramsOf(new Map(Object.entries(parse(text))) as Map<string, PromSample[]>, [{ name: 'h', unit: 's' }])!

t.test('baselines', async (t) => {
  t.test('count nothing at the first look, then what was added, and after a reset all there is', async (t) => {
    const lines = new Baselines()
    const look = (value: number, now: number) => {
      lines.begin(now, 60_000)
      const n = lines.counter('c', value)
      lines.commit(now)
      return n
    }
    t.same([look(100, 1_000), look(130, 2_000), look(130, 3_000), look(7, 4_000)], [undefined, 30, 0, 7])
    t.equal(look(20, 90_000), undefined, 'what was counted over more than a window is of no window')
    t.equal(look(Number.NaN, 91_000), undefined)
    t.same([lines.bad, look(25, 92_000)], [1, 5], 'a lie in between changes nothing')
  })

  t.test('give the events of each bucket, and pass over histograms that contradict themselves', async (t) => {
    const lines = new Baselines()
    const look = (counts: Record<string, number>, now: number) => {
      lines.begin(now, 60_000)
      const deltas = lines.histogram('h', readHistograms(histogram('h', counts))[0]!)
      lines.commit(now)
      return deltas === undefined ? undefined : Object.fromEntries(deltas)
    }
    t.equal(look({ '0.1': 5, '1': 8, '+Inf': 9 }, 1_000), undefined)
    t.same(look({ '0.1': 6, '1': 12, '+Inf': 13 }, 2_000), { 100: 1, 1000: 3, Infinity: 0 })
    for (const lie of [
      { '0.1': 9, '1': 3, '+Inf': 13 },
      { '0.1': -1, '1': 3, '+Inf': 13 },
      { '0.1': Number.NaN, '1': 12, '+Inf': 13 },
      { '0.1': 1e18, '1': 1e18, '+Inf': 1e18 },
      { '0.1': 6, '1': 12 },
    ]) {
      t.equal(look(lie, 2_500), undefined, JSON.stringify(lie))
    }
    t.same(look({ '0.1': 6, '1': 12, '+Inf': 15 }, 3_000), { 100: 0, 1000: 0, Infinity: 2 })
    t.same(look({ '0.1': 2, '1': 2, '+Inf': 3 }, 4_000), { 100: 2, 1000: 0, Infinity: 1 }, 'a restart')
    t.same(look({ '0.5': 4, '+Inf': 4 }, 5_000), { 500: 4, Infinity: 0 }, 'other buckets')
  })

  t.test('never give less than nothing, and add up to the counter whatever it does', async () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { minLength: 2 }), (values) => {
        const lines = new Baselines()
        let sum = 0
        for (const [i, value] of values.entries()) {
          lines.begin(i, 60_000)
          const n = lines.counter('c', value) ?? 0
          lines.commit(i)
          if (n < 0) return false
          sum += n
        }
        const truth = values
          .slice(1)
          .reduce((all, value, i) => all + (value < values[i]! ? value : value - values[i]!), 0)
        return sum === truth
      }),
    )
  })
})

t.test('the windows of a pool', async (t) => {
  const deltas = (entries: [number, number][]) => new Map(entries)
  const measuredOf = (windows: ModelWindows, signal: string, now: number, model?: string) =>
    windows.measured(now).find((one) => one.signal === signal && one.model === model)

  t.test('merge the buckets of replicas and never average their percentiles', async (t) => {
    const windows = new ModelWindows()
    windows.timing(
      'ttft',
      'a',
      deltas([
        [100, 990],
        [1_000, 0],
        [10_000, 0],
      ]),
      START,
    )
    windows.timing(
      'ttft',
      'b',
      deltas([
        [100, 0],
        [1_000, 0],
        [10_000, 110],
      ]),
      START,
    )
    const seen = measuredOf(windows, 'ttft.p95_ms', START)!
    // 95 % of 1,100 is the 1,045th, half way through the 110 slow ones.
    t.match(seen, { value: 5_500, count: 1_100 })
    t.equal(measuredOf(windows, 'ttft.p95_ms', START, 'a')!.value, 95)
    t.equal(measuredOf(windows, 'ttft.p95_ms', START, 'b')!.count, 110)
  })

  t.test('forget what is older than a minute, and say of an idle pool that nothing happened', async (t) => {
    const windows = new ModelWindows()
    windows.timing('itl', undefined, deltas([[50, 500]]), START)
    windows.timing('itl', undefined, deltas([[50, 0]]), START + 30_000)
    t.match(measuredOf(windows, 'itl.p95_ms', START + 49_000), { count: 500, value: 47.5 })
    t.match(measuredOf(windows, 'itl.p95_ms', START + 60_000), { count: 0, value: 0 })
    t.same(windows.measured(START + 120_000), [
      { signal: 'itl.p50_ms', value: 0, count: 0 },
      { signal: 'itl.p95_ms', value: 0, count: 0 },
    ])
  })

  t.test('give errors by requests that ended, by model and for the pool', async (t) => {
    const windows = new ModelWindows()
    windows.ended('well', 'a', 30, START)
    windows.ended('badly', 'a', 10, START)
    windows.ended('well', 'b', 60, START)
    t.match(measuredOf(windows, 'errors.ratio', START), { value: 0.1, count: 100 })
    t.match(measuredOf(windows, 'errors.ratio', START, 'a'), { value: 0.25, count: 40 })
  })

  t.test('give rates by the time they cover, and ratios of what was asked', async (t) => {
    const windows = new ModelWindows()
    const begin = Math.floor(START / 10_000) * 10_000
    windows.begin(begin)
    windows.sum('preemptions', 8, begin + 4_000)
    windows.sum('queries', 200, begin + 4_000)
    windows.sum('hits', 150, begin + 4_000)
    t.equal(measuredOf(windows, 'preemptions.per_s', begin + 4_000)!.value, 2)
    t.equal(measuredOf(windows, 'cache.hit_ratio', begin + 4_000)!.value, 0.75)
    t.equal(measuredOf(windows, 'preemptions.per_s', begin + 50_000)!.value, 0.16)
  })

  t.test('tell at most 64 models apart, whatever a server makes up', async (t) => {
    const windows = new ModelWindows()
    for (let i = 0; i < 1_000; i++) windows.timing('ttft', `m${i}`, deltas([[100, 1]]), START)
    const seen = windows.measured(START).filter(({ signal }) => signal === 'ttft.p50_ms')
    t.equal(seen.length, 65)
    t.match(seen[0], { count: 1_000 })
    t.ok(windows.tooManyModels)
  })
})

t.test('the poller', async (t) => {
  t.test('asks at its interval, never later than that and never two at once', async (t) => {
    const begins: number[] = []
    let running = 0
    const { time, poller, accepted } = pollerOf(async () => {
      running += 1
      t.equal(running, 1)
      begins.push(time.ms)
      await settled()
      running -= 1
      return EMPTY
    })
    poller.start()
    poller.start()
    t.ok(time.nextMs <= 1_000)
    await time.advance(30_000)
    const gaps = begins.slice(1).map((begin, i) => begin - begins[i]!)
    t.ok(gaps.length >= 28 && gaps.every((gap) => gap <= 1_000 && gap >= 900), gaps.join())
    t.ok(new Set(gaps).size > 10, 'spread by jitter')
    t.equal(accepted.length, begins.length)
    await poller.stop()
    t.equal(time.waiting, 0)
  })

  t.test('asks at the same moments in every run, and sources of other names at others', async (t) => {
    const momentsOf = async (name: string) => {
      const moments: number[] = []
      const { time, poller } = pollerOf(
        async () => {
          moments.push(time.ms)
          return EMPTY
        },
        { name },
      )
      poller.start()
      await time.advance(10_000)
      await poller.stop()
      return moments
    }
    t.same(await momentsOf('vllm/ams'), await momentsOf('vllm/ams'))
    t.notSame(await momentsOf('vllm/ams'), await momentsOf('vllm/fra'))
  })

  t.test('ends an attempt at its deadline, also where the source takes no notice', async (t) => {
    const signals: AbortSignal[] = []
    const { time, poller, turns } = pollerOf(({ signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    })
    poller.start()
    await time.next()
    await time.advance(399)
    t.notOk(signals[0]!.aborted)
    await time.advance(101)
    t.ok(signals[0]!.aborted)
    t.match(poller.status(), { failuresInARow: 1, refusal: [{ code: 'feed/timeout' }], lastAcceptedAt: null })
    t.same(poller.counts, { attempts: 1, accepted: 0, refused: 1, timeouts: 1, frozen: 0, bugs: 0 })
    t.same(turns, [true])
    await poller.stop()
  })

  t.test('lets a source say what a missed deadline means', async (t) => {
    const { time, poller, accepted } = pollerOf(
      ({ signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve({ ...EMPTY, version: 'timeout' }))),
    )
    poller.start()
    await time.next()
    await time.advance(400)
    t.same(
      accepted.map(({ version }) => version),
      ['timeout'],
    )
    t.equal(poller.status().failuresInARow, 0)
    await poller.stop()
  })

  t.test('keeps the last good version while it refuses, and says why', async (t) => {
    let answer: () => Reading = () => ({ ...EMPTY, version: 'v1', clockSkewMs: 40 })
    const { time, poller, turns } = pollerOf(async () => answer())
    poller.start()
    await time.next()
    const first = poller.status()
    t.match(first, { version: 'v1', lastAcceptedAt: time.ms, lastRefusedAt: null, clockSkewMs: 40, refusal: [] })
    answer = () => {
      throw failure('feed/bad-text', 'line 3 of the metrics has no value')
    }
    await time.next()
    const second = poller.status()
    t.match(second, { version: 'v1', lastAcceptedAt: first.lastAcceptedAt, lastRefusedAt: time.ms, failuresInARow: 1 })
    t.match(second.refusal, [{ code: 'feed/bad-text' }])
    t.not(first.nonce, second.nonce)
    answer = () => ({ ...EMPTY, version: 'v2' })
    await time.next()
    t.match(poller.status(), { version: 'v2', failuresInARow: 0, refusal: [{ code: 'feed/bad-text' }] })
    t.same(turns, [true, false])
    await poller.stop()
  })

  t.test('warns of a source that keeps another time', async (t) => {
    let clockSkewMs = -2_000
    const { time, poller } = pollerOf(async () => ({ ...EMPTY, clockSkewMs }))
    poller.start()
    await time.next()
    t.equal(poller.status().warnings, undefined)
    clockSkewMs = -2_001
    await time.next()
    t.match(poller.status().warnings, [
      { code: 'feed/clock-skew', severity: 'warning', message: /2001 ms behind ours/ },
    ])
    await poller.stop()
  })

  t.test('waits longer with each failure up to its cap, and returns to its interval at once', async (t) => {
    const begins: number[] = []
    let fails = true
    const { time, poller } = pollerOf(async () => {
      begins.push(time.ms)
      if (fails) throw failure('feed/unreachable', 'nobody')
      return EMPTY
    })
    poller.start()
    await time.advance(40_000)
    const gaps = begins.slice(1).map((begin, i) => Math.ceil((begin - begins[i]!) / 1_000))
    t.same(gaps.slice(0, 5), [1, 2, 4, 6, 6])
    t.ok(Math.max(...gaps) === 6)
    fails = false
    await time.next()
    await time.next()
    t.ok(begins.at(-1)! - begins.at(-2)! <= 1_000)
    await poller.stop()
  })

  t.test('looks again soon after a bad sign, but not for ever', async (t) => {
    const begins: number[] = []
    const { time, poller } = pollerOf(async () => {
      begins.push(time.ms)
      return { ...EMPTY, hurry: true }
    })
    poller.start()
    await time.advance(8_000)
    const gaps = begins.slice(1).map((begin, i) => Math.ceil((begin - begins[i]!) / 250) * 250)
    t.same(gaps.slice(0, 5), [250, 250, 250, 1_000, 1_000])
    await poller.stop()
  })

  t.test('outlives mistakes: of the source, of who takes its sets, of who is told', async (t) => {
    const { time, poller, bugs } = pollerOf(async () => {
      throw new TypeError('a mistake')
    })
    poller.start()
    await time.next()
    t.match(bugs, [{ message: 'a mistake' }])
    t.match(poller.status().refusal, [{ code: 'feed/bug' }])
    await poller.stop()
    const other = new Time()
    const deaf = new Poller(
      sourceOf(async () => EMPTY),
      {
        clock: other.clock,
        timer: other.timer,
        accept: () => {
          throw new Error('accept')
        },
        bug: () => {
          throw new Error('bug')
        },
      },
    )
    deaf.start()
    await other.next()
    await other.next()
    t.match(deaf.counts, { attempts: 2, accepted: 2, bugs: 2 })
    await deaf.stop()
  })

  t.test('stops only once the attempt under way has ended, and takes nothing from it', async (t) => {
    const gate = Promise.withResolvers<void>()
    let closed = false
    const { time, poller, accepted } = pollerOf(
      async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        await gate.promise
        return EMPTY
      },
      {
        close: () => {
          closed = true
        },
      },
    )
    poller.start()
    await time.next()
    let stopped = false
    const stopping = poller.stop().then(() => {
      stopped = true
    })
    await settled()
    t.same([stopped, closed], [false, false])
    gate.resolve()
    await stopping
    t.same([closed, accepted.length, time.waiting], [true, 0, 0])
    poller.poke()
    t.equal(time.waiting, 0)
  })

  t.test('asks soon when it is poked, many pokes being one, also during an attempt', async (t) => {
    let gate = Promise.withResolvers<void>()
    let attempts = 0
    const { time, poller } = pollerOf(
      async () => {
        attempts += 1
        await gate.promise
        return EMPTY
      },
      { intervalMs: 60_000, timeoutMs: 50_000 },
    )
    poller.start()
    poller.poke()
    await time.advance(40)
    poller.poke()
    await time.advance(10)
    t.equal(attempts, 1, 'a second poke puts nothing off')
    poller.poke()
    await time.advance(10_000)
    t.equal(attempts, 1, 'one at a time')
    gate.resolve()
    gate = Promise.withResolvers()
    await time.advance(50)
    t.equal(attempts, 2)
    gate.resolve()
    await time.advance(10_000)
    t.equal(attempts, 2)
    await poller.stop()
  })
})

const sampleOf = (more: Partial<Sample> = {}): Sample => ({
  signal: 'queue.depth',
  site: 'ams',
  pool: 'h100',
  value: 3,
  at: START,
  source: 'vllm',
  ...more,
})

const beatOf = (outcome: Heartbeat['outcome'], more: Partial<Heartbeat> = {}): Heartbeat => ({
  site: 'ams',
  pool: 'h100',
  kind: 'probe',
  outcome,
  at: START,
  source: 'probe',
  ...more,
})

const inboxOf = (apply?: (change: Change) => void) => {
  const time = new Time()
  const changes: Extract<Change, { kind: 'samples-arrived' }>[] = []
  const bugs: unknown[] = []
  const inbox = new Inbox({
    clock: time.clock,
    timer: time.timer,
    apply: apply ?? ((change) => changes.push(change)),
    bug: (error) => bugs.push(error),
  })
  return { time, inbox, changes, bugs }
}

t.test('the inbox', async (t) => {
  t.test('hands over what came within 50 ms as one change, and runs no timer while it is empty', async (t) => {
    const { time, inbox, changes } = inboxOf()
    inbox.offer([])
    t.equal(time.waiting, 0)
    inbox.offer([sampleOf()], [beatOf('ok')])
    inbox.offer([sampleOf({ site: 'fra' })], [beatOf('timeout')])
    await time.advance(49)
    t.same(changes, [])
    await time.advance(1)
    t.equal(changes.length, 1)
    t.match(changes[0], { kind: 'samples-arrived', at: START + 50, samples: { length: 2 }, heartbeats: { length: 2 } })
    t.equal(time.waiting, 0)
  })

  t.test('hands over a refused connection at once, with all that waits', async (t) => {
    const { time, inbox, changes } = inboxOf()
    inbox.offer([sampleOf()])
    inbox.offer([], [beatOf('refused')])
    t.match(changes, [{ at: START, samples: { length: 1 }, heartbeats: [{ outcome: 'refused' }] }])
    await time.advance(1_000)
    t.equal(changes.length, 1)
  })

  t.test('keeps the newest of a flood, in order, and counts exactly what it left out', async (t) => {
    const { time, inbox, changes } = inboxOf()
    for (let i = 0; i < 100; i++) inbox.offer([sampleOf({ value: i })], [beatOf('ok', { at: START + i })])
    inbox.offer([sampleOf({ site: 'fra' })])
    await time.advance(50)
    t.same(
      changes[0]!.samples.map(({ value }) => value),
      [92, 93, 94, 95, 96, 97, 98, 99, 3],
    )
    t.equal(changes[0]!.heartbeats.length, 16)
    t.match(inbox.counts, { samples: 101, heartbeats: 100, batches: 1, samplesDropped: 92, heartbeatsDropped: 84 })
  })

  t.test('goes on after a change that could not be applied', async (t) => {
    let fails = true
    const taken: Change[] = []
    const { time, inbox, bugs } = inboxOf((change) => {
      if (fails) throw new Error('fold')
      taken.push(change)
    })
    inbox.offer([sampleOf()])
    await time.advance(50)
    fails = false
    inbox.offer([sampleOf()])
    inbox.stop()
    inbox.offer([sampleOf()])
    t.match([bugs, taken.length, time.waiting], [[{ message: 'fold' }], 1, 0])
  })
})

t.test('the check of samples lets through what may be true, and counts the rest by source and reason', async (t) => {
  const check = new SampleCheck()
  const good = [
    sampleOf(),
    sampleOf({ at: START + 2_000 }),
    sampleOf({ signal: 'ttft.p95_ms', model: 'llama', value: 90 }),
    sampleOf({ signal: 'power.headroom_pct', value: -5, source: 'bms' }),
    sampleOf({ at: START - 60_000, source: 'other' }),
  ]
  const bad: [Partial<Sample>, string][] = [
    [{ signal: 'queue.length' }, 'unknown-signal'],
    [{ signal: 'toString' }, 'unknown-signal'],
    [{ value: Number.NaN }, 'not-a-number'],
    [{ value: Number.POSITIVE_INFINITY }, 'not-a-number'],
    [{ at: Number.NaN }, 'not-a-number'],
    [{ value: -1 }, 'out-of-range'],
    [{ value: 1e18 }, 'out-of-range'],
    [{ signal: 'kv.used_ratio', value: 1.01 }, 'out-of-range'],
    [{ at: START + 2_001 }, 'in-the-future'],
    [{ at: START - 1 }, 'out-of-order'],
    [{ model: 'llama' }, 'not-by-model'],
  ]
  t.same(check.pass(good, START), good)
  t.same(
    check.pass(
      bad.map(([more]) => sampleOf(more)),
      START,
    ),
    [],
  )
  const expected: Record<string, number> = {}
  for (const [, why] of bad) expected[why] = (expected[why] ?? 0) + 1
  t.same(Object.fromEntries(check.refusals().map(({ why, count }) => [why, count])), expected)
  t.ok(check.refusals().every(({ source }) => source === 'vllm'))
})

t.test('units are converted within their kind and no further', async (t) => {
  const near = (seen: number | undefined, value: number) => t.ok(Math.abs(seen! - value) < 1e-9, `${seen} for ${value}`)
  near(convertUnit(0.5, 's', 'ms'), 500)
  near(convertUnit(250, 'us', 'ms'), 0.25)
  near(convertUnit(1_500, 'kW', 'MW'), 1.5)
  near(convertUnit(2e6, 'W', 'MW'), 2)
  near(convertUnit(95, '%', 'ratio'), 0.95)
  near(convertUnit(0.07, 'ratio', '%'), 7)
  near(convertUnit(0.12, 'EUR/kWh', 'EUR/MWh'), 120)
  near(convertUnit(60, 'm3/h', 'l/min'), 1_000)
  near(convertUnit(10, 'gpm', 'l/min'), 37.854_117_84)
  near(convertUnit(1_000, 'lbs/MWh', 'g/kWh'), 453.592_37)
  near(convertUnit(104, 'degF', 'Cel'), 40)
  near(convertUnit(-40, 'degF', 'Cel'), -40)
  near(convertUnit(300, 'K', 'Cel'), 26.85)
  near(convertUnit(9, 'degF', 'Cel', true), 5)
  near(convertUnit(5, 'K', 'Cel', true), 5)
  t.equal(unitFault('EUR/kWh', 'EUR/MWh'), undefined)
  t.equal(unitFault('USD/MWh', 'EUR/MWh', 0.92), undefined)
  t.match(unitFault('USD/MWh', 'EUR/MWh'), [/not in EUR/, /give `rate`, what one USD is in EUR/])
  t.match(unitFault('USD/h', 'EUR/MWh', 0.92), [/can't be made/, /EUR\/kWh/])
  t.match(unitFault('EUR/MWh', 'EUR/MWh', 0.92), [/rate/, /name the currency/])
  t.match(unitFault('psi', 'Cel'), [/"psi"/, /degF/])
  for (const [from, to] of [
    ['s', 'MW'],
    ['Cel', 'MW'],
    ['constructor', 'ms'],
    ['Cel', 'toString'],
    ['requests', 'gpus'],
  ] as const) {
    t.equal(convertUnit(1, from, to), undefined, `${from} to ${to}`)
  }
  for (const { unit } of Object.values(SIGNALS)) t.equal(convertUnit(3, unit, unit), 3)
})

sampleLaws(t)

t.test('samples of a file', async (t) => {
  const origin = { path: 'site.jsonl', source: 'bms', writtenAt: START }
  const refused = (text: string) =>
    fileSamples(text, origin).then(
      () => [],
      (error: FeedFailure) => error.problems,
    )

  t.test('are read from lines and from an array alike, in the units of the table', async (t) => {
    const entries = [
      { site: 'ams', signal: 'power.headroom_mw', value: 1_500, unit: 'kW', at: '2026-11-22T10:41:07Z' },
      { site: 'ams', pool: 'h100', signal: 'kv.used_ratio', value: 40, unit: '%', at: START },
      { site: 'fra', signal: 'leak.detected', value: true },
      { site: 'fra', pool: 'l40s', model: 'llama', signal: 'ttft.p95_ms', value: 0.2, unit: 's', count: 300 },
    ]
    const expected = [
      { site: 'ams', signal: 'power.headroom_mw', value: 1.5, at: Date.UTC(2026, 10, 22, 10, 41, 7), source: 'bms' },
      { site: 'ams', pool: 'h100', signal: 'kv.used_ratio', value: 0.4, at: START, source: 'bms' },
      { site: 'fra', signal: 'leak.detected', value: 1, at: START, source: 'bms' },
      {
        site: 'fra',
        pool: 'l40s',
        model: 'llama',
        signal: 'ttft.p95_ms',
        value: 200,
        at: START,
        source: 'bms',
        count: 300,
      },
    ]
    const lines = await fileSamples(entries.map((entry) => JSON.stringify(entry)).join('\r\n\n'), origin)
    t.same(lines.samples, expected)
    t.same((await fileSamples(JSON.stringify(entries, null, 2), origin)).samples, expected)
    t.same(lines.places, ['ams', 'ams/h100', 'fra', 'fra/l40s'])
    t.same((await fileSamples('', origin)).samples, [])
    t.same((await fileSamples(' [ ] \n', origin)).samples, [])
  })

  t.test('are refused as a whole with every problem, its line and what to do', async (t) => {
    const lines = [
      '{"site":"ams","signal":"queue.depth","value":3}',
      '{"site":"ams","signal":"queue.depth","value":',
      '{"site":"ams","signal":"queue.dept","value":3}',
      '{"site":"ams","signal":"power.headroom_mw","value":3,"unit":"GW"}',
      '{"site":"ams","signal":"queue.depth","value":"3"}',
      '{"site":"ams","signal":"queue.depth","value":3,"at":1700000000}',
      '{"site":"ams","signal":"queue.depth","value":3,"at":"2026-11-22T10:41:07"}',
      '  {"site":"ams","signal":"queue.depth","value":3,"hub":"x"}',
      '{"signal":"queue.depth","value":3}',
      '[1]',
      '{"site":"ams","signal":"queue.depth","value":3,"count":-1}',
    ]
    const problems = await refused(lines.join('\n'))
    t.same(
      problems.map(({ line }) => line),
      [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    )
    t.match(problems[1], { code: 'feed/unknown-signal', remedy: /queue\.depth/, path: 'site.jsonl' })
    t.match(problems[2], { code: 'feed/unknown-unit', remedy: /kW/ })
    t.equal(problems[6]!.column, 3)
    const array = `[\n  ${lines[0]},\n  ${lines[2]},\n\n  {"a": "],[", "b": [1]}, 5\n] x`
    t.same(
      (await refused(array)).map(({ line, column }) => [line, column]),
      [
        [3, 3],
        [5, 3],
        [5, 27],
        [6, 3],
      ],
    )
    for (const text of ['[1,', '[', '[{"site":"ams"', '["a', ',', '{}', '[,]'])
      t.ok((await refused(text)).length > 0, text)
  })

  t.test('have entries whatever the text is', async () => {
    const values = fc.array(fc.jsonValue({ maxDepth: 3 }).filter((value) => JSON.stringify(value) !== undefined))
    fc.assert(
      fc.property(values, fc.boolean(), (all, isPretty) => {
        const entries = [...entriesOf(JSON.stringify(all, null, isPretty ? 2 : 0))]
        return JSON.stringify(entries.map(({ text }) => JSON.parse(text))) === JSON.stringify(all)
      }),
    )
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => [...entriesOf(`[${text}`)].length >= 0))
  })
})

t.test(
  'the difference of clocks is found within the second that headers have, and again after a clock was set',
  async (t) => {
    const skew = new SkewEstimate()
    t.equal(skew.ms, undefined)
    const learn = (offMs: number, from: number) => {
      for (let i = 0; i < 40; i++) {
        const sent = from + i * 1_270
        skew.learn(sent, sent + 20, Math.floor((sent + 10 + offMs) / 1_000) * 1_000)
      }
    }
    learn(3_400, START)
    t.ok(Math.abs(skew.ms! - 3_400) <= 60, String(skew.ms))
    t.equal(skew.certainMs, skew.ms)
    learn(0, START + 100_000)
    t.ok(Math.abs(skew.ms!) <= 60, String(skew.ms))
    t.equal(skew.certainMs, 0)
    skew.learn(START, START, Number.NaN)
  },
)

/** Clusters of a text that comes in parts of this size. */
const readClusters = (text: string, partChars = 7) => {
  const reader = new ClustersReader()
  for (let at = 0; at < text.length; at += partChars) reader.push(text.slice(at, at + partChars))
  return reader.end()
}

t.test("Envoy's clusters", async (t) => {
  const odd = 'na"me \\ with }]{[ in it'
  const text = JSON.stringify({
    cluster_statuses: [
      {
        name: 'ams-h100',
        host_statuses: [
          {
            address: { socket_address: { address: '127.0.0.1', port_value: 9001 } },
            stats: [
              { name: 'cx_connect_fail', value: '4' },
              { name: 'rq_success' },
              { name: 'rq_success', value: '9' },
              null,
            ],
            health_status: { eds_health_status: 'HEALTHY', failed_active_health_check: true },
          },
        ],
      },
      { name: odd },
      { host_statuses: 5 },
      7,
    ],
  })

  t.test('are read however the text is cut', async (t) => {
    for (const partChars of [1, 2, 7, 50, 100_000]) {
      const [first, second, ...rest] = readClusters(text, partChars)
      t.match(first, { name: 'ams-h100', hosts: 1, hostsFailing: 1 })
      t.same([...first!.counts.values()], [{ connectFailures: 4, successes: 9 }])
      t.match(second, { name: odd, hosts: 0 })
      t.same(rest, [])
    }
    t.same(readClusters(' {}\n'), [])
  })

  t.test('are refused where the text is something else, or not all of it', async (t) => {
    for (const bad of ['', '<html>', '[]', 'null', '{}}', text.slice(0, -1), text.replace('"name":', '"name"')]) {
      t.throws(() => readClusters(bad), bad.slice(0, 20))
    }
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.array(fc.dictionary(fc.string(), fc.jsonValue()))), (any) => {
        return readClusters(JSON.stringify(any)).length >= 0
      }),
    )
  })
})

t.test('what is configured', async (t) => {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: true, useDefaults: true })
  addFormats.default(ajv)
  const feeds: FeedConfig[] = [
    {
      kind: 'model-server',
      name: 'vllm',
      owner: 'ml-platform@example.com',
      intervalMs: 1_000,
      targets: [
        { target: 'ams/h100', urls: ['http://10.0.0.1:8000', 'http://10.0.0.2:8000'] },
        { target: 'fra/h100', url: 'http://10.1.0.1:8000/metrics' },
      ],
      auth: { bearerFile: '/run/secrets/token' },
    },
    {
      kind: 'probe',
      name: 'probe',
      targets: [{ target: 'ams/h100', url: 'https://10.0.0.1:8443/health' }],
      expect: [200],
    },
    { kind: 'file', name: 'bms', path: '/run/bms.jsonl', signals: ['power.headroom_pct'], targets: ['ams'] },
  ]

  t.test('passes the schema of its kind, and nothing else does', async (t) => {
    for (const [kind, row] of Object.entries(FEED_KINDS)) {
      const validate = ajv.compile(row.schema)
      const good = structuredClone(feeds.find((feed) => feed.kind === kind) ?? row.example) as object
      t.ok(validate(good), JSON.stringify(validate.errors))
      t.ok(validate(structuredClone(row.example)), `the example of ${kind}: ${JSON.stringify(validate.errors)}`)
      t.same(checkFeeds([row.example]), [])
      t.notOk(validate({ ...good, hub: 'ams' }))
      t.notOk(validate({ ...good, intervalMs: 1 }))
      t.notOk(validate({ ...good, name: 'no spaces please' }))
    }
    const admin = ajv.compile(ENVOY_ADMIN_SCHEMA)
    t.ok(admin({ address: '127.0.0.1:9901' }) && admin({ socket: '/run/envoy.sock' }))
    t.notOk(admin({}) || admin({ address: '127.0.0.1:9901', socket: '/run/envoy.sock' }))
  })

  t.test('is one source for each target, known before anything was asked', async (t) => {
    const statuses = feedStatuses(feeds)
    t.same(
      statuses.map(({ name, where, covers }) => [name, where, covers]),
      [
        ['vllm/ams/h100', 'http://10.0.0.1:8000/metrics and 1 more', ['ams/h100']],
        ['vllm/fra/h100', 'http://10.1.0.1:8000/metrics', ['fra/h100']],
        ['probe', 'https://10.0.0.1:8443/health', ['ams']],
        ['bms', '/run/bms.jsonl', ['ams']],
      ],
    )
    t.match(statuses[0], {
      owner: 'ml-platform@example.com',
      intervalMs: 1_000,
      timeoutMs: 1_000,
      lastAcceptedAt: null,
    })
    t.ok(statuses[2]!.delivers.includes('network.tls_ms'))
  })

  t.test('is refused where it contradicts itself, and warned of where two deliver one thing', async (t) => {
    t.same(checkFeeds(feeds), [])
    const secret = {
      ...feeds[1],
      name: 'p2',
      targets: [{ target: 'ams', url: 'http://me:hunter2@ams/' }],
    } as FeedConfig
    const bad = {
      ...feeds[1],
      name: 'p3',
      targets: [
        { target: 'ams', url: 'ftp://ams/' },
        { target: 'ams', url: 'x' },
      ],
    }
    const problems = checkFeeds([...feeds, feeds[2]!, secret, bad as FeedConfig])
    t.same(
      problems.map(({ code, path }) => `${code} ${path}`),
      [
        'feed/name-twice feeds[3]',
        'feed/bad-url feeds[4]',
        'feed/bad-url feeds[5]',
        'feed/bad-url feeds[5]',
        'feed/bad-target feeds[5]',
      ],
    )
    t.notMatch(JSON.stringify(problems), /hunter2/)
    const twice = checkFeeds([...feeds, { ...feeds[0], name: 'second' } as FeedConfig])
    t.match(twice, [
      { code: 'feed/signal-twice', severity: 'warning', path: 'feeds[3]' },
      { code: 'feed/signal-twice' },
    ])
  })
})

t.test('windows of time', calendarCases)

t.test('entries of a file', fileEntryCases)
