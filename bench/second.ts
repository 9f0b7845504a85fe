import { fold } from '../src/engine/fold.ts'
import type { Sample } from '../src/model/sample.ts'
import { NOW, worldOf } from './engine.ts'

/** What a second of telemetry costs: CPU of fold in milliseconds in total, and the longest single change by the clock on the wall. */
export interface SecondRow {
  readonly sites: number
  readonly signals: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
}

/** Twenty signals of every site: of model servers, of accelerators, and of the plant, four of them by coolant loop. */
export const SIGNALS = [
  ['queue.depth', 20],
  ['queue.running', 12],
  ['kv.used_ratio', 0.4],
  ['ttft.p95_ms', 120],
  ['itl.p95_ms', 25],
  ['errors.ratio', 0.001],
  ['replica.warm', 1],
  ['network.rtt_p95_ms', 12],
  ['network.loss_ratio', 0],
  ['gpu.utilisation_ratio', 0.7],
  ['gpu.free', 4],
  ['gpu.healthy_ratio', 1],
  ['gpu.temperature_c', 60],
  ['power.draw_mw', 6],
  ['pue.ratio', 1.2],
  ['ambient.temperature_c', 21],
  ['cooling.supply_c', 30],
  ['cooling.return_c', 38],
  ['cooling.heat_kw', 700],
  ['cooling.flow_lpm', 900],
] as const

/** How many batches the inbox hands over in a second. */
const BATCHES = 20

/** A minute of seconds, each with all signals of all sites in twenty batches and one tick, as the sidecar folds them. */
export const benchSecond = (sites: number, seconds = 60): SecondRow => {
  let snapshot = worldOf(sites, 20)
  const totals: number[] = []
  let longestMs = 0
  for (let second = 0; second < seconds; second++) {
    let total = 0
    const run = (change: Parameters<typeof fold>[1]): void => {
      const begun = performance.now()
      const before = process.threadCpuUsage()
      snapshot = fold(snapshot, change).snapshot
      const used = process.threadCpuUsage(before)
      const took = performance.now() - begun
      total += (used.user + used.system) / 1_000
      // The first seconds compile; what is counted is what goes on for months.
      if (second >= 10 && took > longestMs) longestMs = took
    }
    for (let batch = 0; batch < BATCHES; batch++) {
      const at = NOW + second * 1_000 + batch * 50
      const samples: Sample[] = []
      for (let site = batch; site < sites; site += BATCHES) {
        for (const [signal, value] of SIGNALS) {
          const place = signal.startsWith('cooling.') ? { loop: 'cdu-1' } : {}
          const moved = value * (1 + 0.02 * Math.sin(second + site))
          samples.push({
            signal,
            site: `s${site}`,
            ...place,
            value: Math.min(moved, signal.endsWith('ratio') && signal !== 'pue.ratio' ? 1 : moved),
            at,
            source: 'bench',
            count: 5_000,
          })
        }
      }
      run({ kind: 'samples-arrived', at, samples, heartbeats: [] })
    }
    run({ kind: 'time-passed', at: NOW + (second + 1) * 1_000 })
    if (second >= 10) totals.push(total)
  }
  totals.sort((a, b) => a - b)
  return {
    sites,
    signals: SIGNALS.length,
    p50Ms: totals[Math.floor(totals.length * 0.5)]!,
    p99Ms: totals[Math.floor(totals.length * 0.99)]!,
    longestMs,
  }
}

if (import.meta.main) console.log(JSON.stringify([50, 1_000].map((sites) => benchSecond(sites))))
