import type { TargetName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import type { HttpAccess } from './credentials.ts'
import { DcgmNode, type GpuRules, type Judged, type NodeReading } from './dcgm-node.ts'
import { FeedFailure, type FeedProblemCode, feedProblem } from './failure.ts'
import { HttpReader } from './http.ts'
import type { Settled } from './measured-place.ts'
import { placeOf, withPath } from './place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** A pool's exporters. */
export type DcgmTarget = {
  readonly target: TargetName
  /** Series with other values of these labels are another pool's. */
  readonly where?: Readonly<Record<string, string>>
  /** How many accelerators the pool has; absent: as many as were seen in the last day. */
  readonly gpus?: number
} & ({ readonly url: string } | { readonly urls: readonly string[] })

/** A feed of DCGM exporters, as it is configured. */
export interface DcgmConfig extends HttpAccess, Partial<Omit<GpuRules, 'where'>> {
  readonly kind: 'dcgm'
  readonly name: string
  readonly owner?: string
  readonly noise?: Readonly<Record<string, number>>
  readonly targets: readonly DcgmTarget[]
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly backoffMsMax?: number
  readonly bodyBytesMax?: number
}

/** What a feed of DCGM exporters can deliver. */
export const DCGM_SIGNALS = [
  'gpu.utilisation_ratio',
  'gpu.free',
  'gpu.healthy_ratio',
  'gpu.throttled_ratio',
  'gpu.power_w',
  'gpu.temperature_c',
] as const

const SHOWN_MAX = 10

/**
 * The accelerators of one pool, over all of its nodes: the mean of their utilisation, the sum of their power, the hottest;
 * how many are free (nobody holds them, no kernel runs, next to nothing in memory, not sick); which share is healthy (no
 * XID that needs a technician since the exporter began, no failed remapping of rows, not gone) and which is throttled by
 * heat or power. While some nodes don't answer, the power is left out and the rest is that of those that do.
 */
export function dcgmFeed(
  { target, name, ...config }: Omit<DcgmConfig, 'targets' | 'kind'> & Settled & GpuRules & DcgmTarget,
  clock: FeedClock,
): Source {
  const { owner, intervalMs, timeoutMs, backoffMsMax, bodyBytesMax } = config
  const urls = 'urls' in config ? config.urls : [config.url]
  const nodes = urls.map((url) => {
    const reader = new HttpReader({ ...config, url: withPath(url, '/metrics') }, clock, bodyBytesMax)
    return new DcgmNode(reader, config)
  })
  const skew = new SkewEstimate()

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const ends = await Promise.allSettled(nodes.map((node) => node.scrape(signal)))
    const readings = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
    const problems = ends.flatMap((end) => {
      if (end.status === 'fulfilled') return []
      if (!(end.reason instanceof FeedFailure)) throw end.reason
      return end.reason.problems
    })
    if (readings.length === 0) throw new FeedFailure(problems)
    for (const { answer } of readings) skew.learn(answer.sentAt, answer.receivedAt, answer.dateMs)
    const isWhole = readings.length === nodes.length
    const at = Math.min(...readings.map((reading) => reading.at))
    const values = valuesOf(readings, isWhole, config.gpus)
    const samples = values.map(([of, value]): Sample => ({ signal: of, ...placeOf(target), value, at, source: name }))
    return {
      version: `${readings[0]!.answer.hash}${readings.length === 1 ? '' : `+${readings.length - 1}`}`,
      samples,
      heartbeats: [],
      warnings: warningsOf(readings, problems, nodes.length, new Set(values.map(([of]) => of))),
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'dcgm',
    ...(owner === undefined ? {} : { owner }),
    where: nodes.length === 1 ? nodes[0]!.reader.where : `${nodes[0]!.reader.where} and ${nodes.length - 1} more`,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: [target],
    delivers: () => DCGM_SIGNALS,
    read,
    close: async () => {
      await Promise.all(nodes.map((node) => node.reader.close()))
    },
  }
}

type Value = readonly [signal: (typeof DCGM_SIGNALS)[number], value: number]

const valuesOf = (readings: readonly NodeReading[], isWhole: boolean, expected: number | undefined): Value[] => {
  const gpus = readings.flatMap((reading) => reading.gpus)
  const known = <K extends keyof Judged>(key: K) =>
    gpus.flatMap((gpu) => (gpu[key] === undefined ? [] : [gpu[key] as NonNullable<Judged[K]>]))
  const values: Value[] = []
  const busy = known('utilisation')
  if (busy.length > 0) values.push(['gpu.utilisation_ratio', sum(busy) / busy.length])
  const free = known('isFree')
  if (free.length > 0) values.push(['gpu.free', free.filter(Boolean).length])
  if (readings.some(({ knowsHealth }) => knowsHealth)) {
    const seen = gpus.length + sum(readings.map(({ missing }) => missing))
    const all = expected === undefined || !isWhole ? seen : Math.max(expected, gpus.length)
    values.push(['gpu.healthy_ratio', gpus.filter(({ sick }) => sick === undefined).length / all])
  }
  const throttled = known('isThrottled')
  if (throttled.length > 0) values.push(['gpu.throttled_ratio', throttled.filter(Boolean).length / throttled.length])
  const power = known('powerW')
  // A sum that leaves some out would be power that nobody draws.
  if (isWhole && power.length === gpus.length) values.push(['gpu.power_w', sum(power)])
  const heat = known('temperatureC')
  if (heat.length > 0) values.push(['gpu.temperature_c', Math.max(...heat)])
  return values
}

const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0)

/** What the exporter must show for each signal that may be missing; most of it is off until somebody lists it. */
const NEEDS: Readonly<Partial<Record<Value[0], string>>> = {
  'gpu.free': 'DCGM_FI_DEV_FB_USED',
  'gpu.healthy_ratio': 'DCGM_FI_DEV_XID_ERRORS and DCGM_FI_DEV_ROW_REMAP_FAILURE',
  'gpu.throttled_ratio': 'DCGM_FI_DEV_CLOCKS_EVENT_REASONS, or DCGM_FI_DEV_THERMAL_VIOLATION twice',
}

const warningsOf = (
  readings: readonly NodeReading[],
  problems: readonly Problem[],
  nodes: number,
  delivered: ReadonlySet<Value[0]>,
): Problem[] => {
  const say = (code: FeedProblemCode, message: string, remedy?: string) =>
    feedProblem(code, message, { severity: 'warning', ...(remedy === undefined ? {} : { remedy }) })
  const sick = readings.flatMap(({ gpus }) =>
    gpus.flatMap((gpu) => (gpu.sick === undefined ? [] : [`${gpu.name}: ${gpu.sick}`])),
  )
  const missing = sum(readings.map((reading) => reading.missing))
  const shown = sick.slice(0, SHOWN_MAX).join('; ')
  const more = sick.length > SHOWN_MAX ? ` and ${sick.length - SHOWN_MAX} more` : ''
  return [
    ...problems.slice(0, SHOWN_MAX).map((problem): Problem => ({ ...problem, severity: 'warning' })),
    ...(readings.length === nodes
      ? []
      : [say('feed/partial', `${nodes - readings.length} of ${nodes} exporters gave nothing`)]),
    ...(sick.length === 0 ? [] : [say('feed/sick-gpu', `${shown}${more}`, 'let a technician look at them')]),
    ...(missing === 0
      ? []
      : [
          say(
            'feed/sick-gpu',
            `${missing} accelerators are gone from their nodes`,
            'look whether they fell off the bus',
          ),
        ]),
    ...Object.entries(NEEDS).flatMap(([signal, metric]) =>
      delivered.has(signal as Value[0])
        ? []
        : [say('feed/no-metric', `${signal} is not known`, `let the exporter show ${metric}`)],
    ),
  ]
}
