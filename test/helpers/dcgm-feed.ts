import type { Test } from 'tap'
import { type DcgmTarget, dcgmFeed } from '../../src/feeds/dcgm.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import { readBy, refusalOf, served } from './feed-pages.ts'
import { START } from './feed-time.ts'

type Gpu = Readonly<Record<string, number | string>>

/** A page as the DCGM exporter writes it: metrics of each accelerator, what is text being labels. */
const page = (gpus: readonly Gpu[]): string =>
  gpus
    .flatMap((gpu, i) => {
      const texts = Object.entries({ gpu: String(i), UUID: `GPU-${i}`, Hostname: 'node7', ...gpu })
      const labels = texts
        .flatMap(([label, text]) => (typeof text === 'string' ? [`${label}="${text}"`] : []))
        .join(',')
      return Object.entries(gpu).flatMap(([name, value]) =>
        typeof value === 'number' ? [`DCGM_FI_${name}{${labels}} ${value}\n`] : [],
      )
    })
    .join('')

const BUSY: Gpu = {
  DEV_GPU_UTIL: 92,
  DEV_POWER_USAGE: 640.5,
  DEV_GPU_TEMP: 61,
  DEV_FB_USED: 61_440,
  DEV_XID_ERRORS: 0,
  DEV_ROW_REMAP_FAILURE: 0,
  DEV_CLOCKS_EVENT_REASONS: 0,
}
const IDLE: Gpu = { ...BUSY, DEV_GPU_UTIL: 0, DEV_POWER_USAGE: 72, DEV_GPU_TEMP: 34, DEV_FB_USED: 4 }

const feedOf = async (t: Test, first: readonly Gpu[], more: object = {}, second?: readonly Gpu[]) => {
  const shown = { gpus: first, second, down: false }
  const urls: string[] = []
  const page1 = () => page(shown.gpus)
  urls.push(await served(t, (req, res) => (req.url === '/metrics' ? res.end(page1()) : res.writeHead(404).end())))
  if (second !== undefined) {
    urls.push(await served(t, (_, res) => (shown.down ? res.writeHead(503).end() : res.end(page(shown.second!)))))
  }
  const target: DcgmTarget = { target: 'ams/h100', urls }
  const settings = { ...FEED_DEFAULTS.dcgm, harmlessXids: [], name: 'gpus', owner: 'ml-platform@example.com' }
  const feed = readBy(t, (clock) => dcgmFeed({ ...settings, ...target, ...more }, clock))
  const look = async (signal: string, gpus: readonly Gpu[]) => {
    shown.gpus = gpus
    const reading = await feed.read()
    return feed.value(reading, signal)
  }
  return { ...feed, shown, look }
}

/** What a feed of DCGM exporters is held to, on pages as the exporter writes them. */
export const dcgmFeedTests = async (t: Test): Promise<void> => {
  await t.test('a pool is all accelerators of all its nodes', async (t) => {
    const { read, value, shown, source, time } = await feedOf(t, [BUSY, IDLE], {}, [
      BUSY,
      { ...IDLE, DEV_GPU_TEMP: 77 },
    ])
    const whole = await read()
    t.same(
      source.delivers().map((signal) => [signal, value(whole, signal)]),
      [
        ['gpu.utilisation_ratio', 0.46],
        ['gpu.free', 2],
        ['gpu.healthy_ratio', 1],
        ['gpu.throttled_ratio', 0],
        ['gpu.power_w', 1_425],
        ['gpu.temperature_c', 77],
      ],
    )
    t.match(whole.samples[0], { site: 'ams', pool: 'h100', source: 'gpus', at: time.ms })
    t.same([whole.warnings, source.covers], [[], ['ams/h100']])
    t.same(new SampleCheck().pass(whole.samples, time.ms), whole.samples)
    shown.down = true
    const half = await read()
    t.same([value(half, 'gpu.free'), value(half, 'gpu.power_w')], [1, undefined], 'a part of the power is no power')
    t.match(half.warnings, [{ code: 'feed/status' }, { code: 'feed/partial', message: /1 of 2 exporters/ }])
  })

  await t.test('one that somebody holds, that works, has much in memory or is sick is not free', async (t) => {
    const { look } = await feedOf(t, [IDLE])
    const free = (gpu: Gpu) => look('gpu.free', [gpu])
    t.equal(await free(IDLE), 1)
    t.equal(await free({ ...IDLE, pod: '', namespace: '' }), 1, 'the exporter says that nobody holds it')
    t.equal(await free({ ...IDLE, pod: 'trainer-0' }), 0)
    t.equal(await free({ ...IDLE, DEV_GPU_UTIL: 2 }), 0)
    t.equal(await free({ ...IDLE, DEV_FB_USED: 1_024 }), 0, 'a model that nobody asks just now')
    t.equal(await free({ ...IDLE, DEV_ROW_REMAP_FAILURE: 1 }), 0)
    const { DEV_FB_USED: _, ...unknown } = IDLE as Record<string, number>
    t.equal(await free(unknown), undefined)
  })

  await t.test('a hardware error stays until the exporter begins anew; those of applications are none', async (t) => {
    const { look, read, shown, value } = await feedOf(t, [IDLE, IDLE])
    const healthy = (xid: number) => look('gpu.healthy_ratio', [{ ...IDLE, DEV_XID_ERRORS: xid }, IDLE])
    for (const [xid, ratio] of [
      [0, 1],
      [13, 1],
      [43, 1],
      [63, 1],
      [94, 1],
      [79, 0.5],
      [43, 0.5],
      [0, 1],
      [9_999, 0.5],
      [0, 1],
    ] as const)
      t.equal(await healthy(xid), ratio, `after XID ${xid}`)
    t.equal(await look('gpu.healthy_ratio', [{ ...IDLE, DEV_XID_ERRORS: 79 }, IDLE]), 0.5)
    t.match((await read()).warnings, [{ code: 'feed/sick-gpu', message: 'GPU-0: XID 79 (GPU has fallen off the bus)' }])
    t.equal(await look('gpu.healthy_ratio', [{ ...IDLE, DEV_ROW_REMAP_FAILURE: 1 }, IDLE]), 0.5)
    // A GPU that falls off the bus takes its series along.
    shown.gpus = [IDLE]
    const gone = await read()
    t.equal(value(gone, 'gpu.healthy_ratio'), 0.5)
    t.match(gone.warnings, [{ code: 'feed/sick-gpu', message: /1 accelerators are gone/ }])
    t.equal(await look('gpu.healthy_ratio', [IDLE, IDLE]), 1)
    const few = await feedOf(t, [IDLE], { gpus: 4, harmlessXids: [79] })
    t.equal(
      await few.look('gpu.healthy_ratio', [{ ...IDLE, DEV_XID_ERRORS: 79 }]),
      0.25,
      'of those that there should be',
    )
  })

  await t.test('throttled is what heat or power slows down, by the reasons or by the time counted', async (t) => {
    const { look } = await feedOf(t, [BUSY])
    const ratio = (reasons: number) => look('gpu.throttled_ratio', [{ ...BUSY, DEV_CLOCKS_EVENT_REASONS: reasons }])
    for (const [reasons, expected] of [
      [0x1, 0],
      [0x9, 0],
      [0x4, 0],
      [0x10, 0],
      [0x8, 1],
      [0x20, 1],
      [0x40, 1],
      [0x84, 1],
    ] as const)
      t.equal(await ratio(reasons), expected, `0x${reasons.toString(16)}`)
    const old = { ...BUSY, DEV_CLOCKS_EVENT_REASONS: 2 ** 40, DEV_CLOCK_THROTTLE_REASONS: 0x40 }
    t.equal(await look('gpu.throttled_ratio', [old]), 1, 'by its old name, and a blank is none')
    t.equal(await ratio(2_147_483_632), undefined, 'a blank has bits too')
    const capped = await feedOf(t, [BUSY], { powerCap: true })
    t.equal(await capped.look('gpu.throttled_ratio', [{ ...BUSY, DEV_CLOCKS_EVENT_REASONS: 0x4 }]), 1)
    const { DEV_CLOCKS_EVENT_REASONS: _, ...counting } = BUSY as Record<string, number>
    for (const [unit, perMs] of [
      ['ns', 1e6],
      ['us', 1e3],
    ] as const) {
      const counted = await feedOf(t, [counting], { violationUnit: unit })
      const after = (ms: number) =>
        counted.look('gpu.throttled_ratio', [{ ...counting, DEV_THERMAL_VIOLATION: ms * perMs }])
      t.same(
        [await after(1_000), await after(1_400), await after(2_000), await after(50)],
        [undefined, 0, 1, undefined],
      )
    }
    const none = await feedOf(t, [counting])
    t.match((await none.read()).warnings, [{ code: 'feed/no-metric', message: /throttled/, remedy: /CLOCKS_EVENT/ }])
  })

  await t.test('MIG instances are parts of one accelerator, and several pools can share an exporter', async (t) => {
    const part = (id: string, more: Gpu): Gpu => ({
      gpu: '0',
      UUID: 'GPU-0',
      GPU_I_ID: id,
      GPU_I_PROFILE: '1g.10gb',
      ...more,
    })
    const mig = [
      part('1', { PROF_GR_ENGINE_ACTIVE: 0.5, DEV_FB_USED: 9_000, DEV_POWER_USAGE: 300, DEV_XID_ERRORS: 0 }),
      part('2', { PROF_GR_ENGINE_ACTIVE: 0, DEV_FB_USED: 10, DEV_POWER_USAGE: 300, DEV_XID_ERRORS: 0 }),
    ]
    const { read, value } = await feedOf(t, mig)
    const reading = await read()
    const values = ['gpu.utilisation_ratio', 'gpu.free', 'gpu.power_w'].map((signal) => value(reading, signal))
    t.same(values, [0.25, 0, 300])
    const mixed = [
      { ...BUSY, modelName: 'NVIDIA H100' },
      { ...IDLE, modelName: 'NVIDIA L40S' },
    ]
    const l40s = await feedOf(t, mixed, { target: 'ams/l40s', where: { modelName: 'NVIDIA L40S' } })
    t.match((await l40s.read()).samples[0], { pool: 'l40s', signal: 'gpu.utilisation_ratio', value: 0 })
    const other = await feedOf(t, mixed, { where: { modelName: 'NVIDIA B200' } })
    t.match(await refusalOf(other.read()), { code: 'feed/no-metric', remedy: /where/ })
  })

  await t.test('blanks are no values, and a page that repeats itself ages', async (t) => {
    const blank = {
      ...BUSY,
      DEV_GPU_UTIL: 2_147_483_632,
      DEV_POWER_USAGE: 140_737_488_355_328,
      DEV_GPU_TEMP: 2_147_483_632,
      DEV_FB_USED: 2 ** 63,
    }
    const { read } = await feedOf(t, [blank])
    t.same(
      (await read()).samples.map(({ signal }) => signal),
      ['gpu.healthy_ratio', 'gpu.throttled_ratio'],
    )
    const counting = (mJ: number) => [{ ...BUSY, DEV_TOTAL_ENERGY_CONSUMPTION: mJ }]
    const hung = await feedOf(t, counting(1_000))
    const at = async () => (await hung.read()).samples[0]!.at - START
    t.same([await at(), await at(), await at()], [10_000, 10_000, 10_000])
    hung.shown.gpus = counting(2_000)
    t.equal(await at(), 40_000)
    const still = await feedOf(t, [BUSY])
    const ages = [(await still.read()).samples[0]!.at, (await still.read()).samples[0]!.at]
    t.same(ages, [START + 10_000, START + 20_000], 'without the counter nothing can be said')
  })

  await t.test('a page that is none, and one of thousands of accelerators, does no harm', async (t) => {
    const html = await feedOf(t, [])
    t.match(await refusalOf(html.read()), { code: 'feed/no-metric' })
    const crowd = await feedOf(
      t,
      Array.from({ length: 1_500 }, () => ({ ...IDLE, DEV_XID_ERRORS: 79 })),
    )
    const reading = await crowd.read()
    t.same([reading.warnings!.length, crowd.value(reading, 'gpu.free')], [1, 0])
    t.ok(reading.warnings![0]!.message.length < 1_000)
  })
}
