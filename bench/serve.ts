import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { startEnvoyServer } from '../src/envoy/grpc-server.ts'
import { openPath, PATH_DEFAULT } from './path.ts'

/*
 * hubward's request path on a socket, on a snapshot that stands still (bench/path.ts):
 *
 *   node bench/serve.ts SOCKET [grpc-js|own] [--sites 50] [--policies 20] [--flags 0] [--share 0.01]
 *
 * It says `up`, and then at SIGUSR2 or the line `report` one line of JSON: pauses since the start or the last line
 * `reset`, and memory.
 */

/** Pauses and memory of a process; times in milliseconds. */
export interface ServeReport {
  /** By kind of collection. */
  readonly gc: Readonly<
    Record<string, { readonly count: number; readonly totalMs: number; readonly longestMs: number }>
  >
  /** The longest time that a timer was late: whatever kept the event loop. */
  readonly loopLongestMs: number
  readonly cpuMs: number
  readonly heapUsedMb: number
  readonly rssMb: number
  readonly requests: number
  readonly journal: unknown
}

/** How often the event loop is looked at; a pause shorter than this may hide between two looks. */
const LOOK_MS = 10

const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weak',
}

/** Watches the pauses of this process from now on. */
const watchPauses = () => {
  let gc: Record<string, { count: number; totalMs: number; longestMs: number }> = {}
  let from = process.cpuUsage()
  const take = (entries: readonly { readonly duration: number; readonly detail?: unknown }[]): void => {
    for (const { duration, detail } of entries) {
      const kind = KINDS[(detail as { kind?: number } | undefined)?.kind ?? 0] ?? 'other'
      gc[kind] ??= { count: 0, totalMs: 0, longestMs: 0 }
      gc[kind].count += 1
      gc[kind].totalMs += duration
      gc[kind].longestMs = Math.max(gc[kind].longestMs, duration)
    }
  }
  const observer = new PerformanceObserver((list) => take(list.getEntries()))
  observer.observe({ entryTypes: ['gc'] })
  const delay = monitorEventLoopDelay({ resolution: LOOK_MS })
  delay.enable()
  return {
    reset: () => {
      take(observer.takeRecords())
      gc = {}
      from = process.cpuUsage()
      delay.reset()
    },
    report: () => {
      take(observer.takeRecords())
      const { user, system } = process.cpuUsage(from)
      return {
        gc,
        loopLongestMs: Math.max(0, delay.max / 1e6 - LOOK_MS),
        cpuMs: (user + system) / 1_000,
        heapUsedMb: process.memoryUsage().heapUsed / 2 ** 20,
        rssMb: process.memoryUsage.rss() / 2 ** 20,
      }
    },
  }
}

const serve = async (): Promise<void> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sites: { type: 'string', default: String(PATH_DEFAULT.sites) },
      policies: { type: 'string', default: String(PATH_DEFAULT.policies) },
      flags: { type: 'string', default: String(PATH_DEFAULT.flags) },
      share: { type: 'string', default: String(PATH_DEFAULT.share) },
    },
  })
  const [socket, transport = 'own'] = positionals
  if (socket === undefined || (transport !== 'grpc-js' && transport !== 'own')) {
    console.error('node bench/serve.ts SOCKET [grpc-js|own] [--sites N] [--policies N] [--flags N] [--share 0..1]')
    process.exit(2)
  }
  const folder = mkdtempSync(join(tmpdir(), 'hubward-serve-'))
  const path = openPath({
    ...{ sites: Number(values.sites), policies: Number(values.policies), flags: Number(values.flags) },
    ...{ share: Number(values.share), folder, cluster: 'a' },
  })
  const server = await startEnvoyServer([{ unix: socket }], path.handlers, (error) => console.error(error), transport)
  server.setServing(true)
  const pauses = watchPauses()
  const report = (): void => {
    const requests = path.metrics.value('hubward_messages_total', 'ext_proc')
    const told: ServeReport = { ...pauses.report(), requests, journal: path.journal.stats() }
    console.log(JSON.stringify(told))
  }
  process.on('SIGUSR2', report)
  createInterface(process.stdin).on('line', (line) => (line === 'reset' ? pauses.reset() : report()))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  process.on('SIGTERM', () => process.exit(0))
  console.log('up')
}

if (import.meta.main) await serve()
