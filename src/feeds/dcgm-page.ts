import type { PromSample, PromSamples } from './prometheus-text.ts'

/** One accelerator as the page of a node shows it. What it does not show, or shows as blank, is absent. */
export interface GpuState {
  /** Its UUID, else its node and number. */
  readonly name: string
  /** 0 to 1: of the whole GPU, else the mean of its MIG instances. */
  readonly utilisation?: number
  readonly powerW?: number
  readonly temperatureC?: number
  /** What it or the fullest of its instances uses, in MiB. */
  readonly usedMib?: number
  /** A pod or a batch job is said to hold it, or one of its instances. */
  readonly isHeld: boolean
  /** The last XID; 0 for none. */
  readonly xid?: number
  readonly remapFailed?: boolean
  /** Why its clocks are where they are: bits of CLOCK. */
  readonly reasons?: number
  /** Counters: how long heat and power held it back so far, in the unit of the exporter. */
  readonly thermalViolation?: number
  readonly powerViolation?: number
  /** A counter that always moves, in mJ. */
  readonly energy?: number
}

/** Bits of the reasons, as the header of DCGM has them (DCGM_CLOCKS_EVENT_REASON_*). */
export const CLOCK = {
  idle: 0x1,
  powerCap: 0x4,
  slowdown: 0x8,
  heat: 0x20,
  hardwareHeat: 0x40,
  powerBrake: 0x80,
} as const

/** How a value becomes part of what is known of one accelerator; several of one metric are merged by the worse. */
type Taking = (gpu: { -readonly [K in keyof GpuState]?: GpuState[K] }, value: number) => void
const largest =
  (field: 'powerW' | 'temperatureC' | 'usedMib' | 'xid' | 'thermalViolation' | 'powerViolation' | 'energy'): Taking =>
  (gpu, value) => {
    gpu[field] = Math.max(gpu[field] ?? value, value)
  }
const reasons: Taking = (gpu, value) => {
  gpu.reasons = ((gpu.reasons ?? 0) | value) >>> 0
}

/**
 * The metrics that are read, and the largest value that each can truly have: DCGM writes what it does not know as huge
 * numbers (2147483632, 9223372036854775792, 140737488355328).
 */
const METRICS: Readonly<Record<string, { readonly most: number; readonly take?: Taking }>> = {
  DCGM_FI_DEV_GPU_UTIL: { most: 100 },
  DCGM_FI_PROF_GR_ENGINE_ACTIVE: { most: 1 },
  DCGM_FI_DEV_POWER_USAGE: { most: 20_000, take: largest('powerW') },
  DCGM_FI_DEV_GPU_TEMP: { most: 150, take: largest('temperatureC') },
  DCGM_FI_DEV_FB_USED: { most: 10_000_000, take: largest('usedMib') },
  DCGM_FI_DEV_XID_ERRORS: { most: 100_000, take: largest('xid') },
  DCGM_FI_DEV_ROW_REMAP_FAILURE: {
    most: 1_000_000,
    take: (gpu, value) => {
      gpu.remapFailed = gpu.remapFailed === true || value !== 0
    },
  },
  DCGM_FI_DEV_CLOCKS_EVENT_REASONS: { most: 0x7fff_ffff, take: reasons },
  DCGM_FI_DEV_CLOCK_THROTTLE_REASONS: { most: 0x7fff_ffff, take: reasons },
  DCGM_FI_DEV_THERMAL_VIOLATION: { most: Number.MAX_SAFE_INTEGER, take: largest('thermalViolation') },
  DCGM_FI_DEV_POWER_VIOLATION: { most: Number.MAX_SAFE_INTEGER, take: largest('powerViolation') },
  DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION: { most: Number.MAX_SAFE_INTEGER, take: largest('energy') },
}

/** What DCGM writes for a number of 32 bits, and for one of double precision, that it does not know. */
const BLANKS = new Set([0x7fff_fff0, 0x7fff_fff1, 0x7fff_fff2, 0x7fff_fff3, 140_737_488_355_328])

/** Is this one of the metrics that are read? */
export const isDcgmMetric = (name: string): boolean => Object.hasOwn(METRICS, name)

/** Labels that name who holds an accelerator, where the exporter knows. */
const HOLDERS = ['pod', 'exported_pod', 'hpc_job'] as const
/** So many accelerators no node has. */
const GPUS_MAX = 1_024
/** No accelerator is colder, and nothing but its temperature lies below 0. */
const LOWEST = -60

/**
 * The accelerators of a page, those alone whose labels have the values of `where`. MIG instances and pods that share one
 * are one GPU: what is said several times of it counts once, the worst of it.
 */
export function gpusOf(samples: PromSamples, where: Readonly<Record<string, string>> = {}): GpuState[] {
  const wanted = Object.entries(where)
  const gpus = new Map<string, { -readonly [K in keyof GpuState]: GpuState[K] }>()
  const busy = new Map<string, { whole?: number; parts: number[] }>()
  for (const [metric, { most, take }] of Object.entries(METRICS)) {
    for (const { labels, value } of samples.get(metric) ?? []) {
      if (!wanted.every(([label, text]) => labels[label] === text)) continue
      const name = nameOf(labels)
      let gpu = gpus.get(name)
      if (gpu === undefined) {
        if (gpus.size >= GPUS_MAX) continue
        gpu = { name, isHeld: false }
        gpus.set(name, gpu)
        busy.set(name, { parts: [] })
      }
      if (HOLDERS.some((label) => (labels[label] ?? '') !== '')) gpu.isHeld = true
      if (!(value >= LOWEST && value <= most) || BLANKS.has(value)) continue
      const work = busy.get(name)!
      if (take !== undefined) take(gpu, value)
      else if (most === 1) work.parts.push(value)
      else work.whole = Math.max(work.whole ?? 0, value / 100)
    }
  }
  for (const [name, { whole, parts }] of busy) {
    const share = whole ?? (parts.length === 0 ? undefined : parts.reduce((a, b) => a + b, 0) / parts.length)
    if (share !== undefined) gpus.get(name)!.utilisation = Math.max(0, share)
  }
  return [...gpus.values()]
}

const nameOf = (labels: PromSample['labels']): string => {
  const { UUID, uuid, Hostname, gpu } = labels
  return (UUID ?? uuid ?? `${Hostname ?? 'node'}/${gpu ?? '?'}`).slice(0, 128)
}
