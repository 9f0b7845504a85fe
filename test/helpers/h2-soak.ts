import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TransportName } from '../../src/envoy/transports.ts'
import { minimalEnvoy } from './envoy-minimal.ts'
import { load } from './raw-load.ts'
import { childEnvironment, startEnvoy } from './running-envoy.ts'

/** How a soak goes. */
export interface Soak {
  readonly requests: number
  readonly transport: TransportName
  /** Requests between two looks at the memory. */
  readonly step: number
  readonly concurrency?: number
  /** What the heap may grow to, in MB, before V8 ends the process: a leak then shows as a death. */
  readonly heapMb?: number
  readonly told?: (done: number, rssMb: number) => void
}

/** What came of it. */
export interface Soaked {
  /** Answers by status. */
  readonly byStatus: Readonly<Record<string, number>>
  readonly broken: number
  /** Memory of the server after each step, in MB. */
  readonly rssMb: readonly number[]
  /** Of Envoy: streams that failed, and connections that were told to go away. */
  readonly failed: number
  readonly goaways: number
  /** Requests for which Envoy would not wait any longer, as on a machine that is starved. */
  readonly timeouts: number
  /** Whether the server was still there at the end. */
  readonly isAlive: boolean
}

const rssMb = (child: ChildProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024

/** Sends requests through a real Envoy to hubward's request path in a process of its own, which fails closed. */
export const soak = async ({
  requests,
  transport,
  step,
  concurrency = 32,
  heapMb = 64,
  told,
}: Soak): Promise<Soaked> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-soak-'))
  const socket = join(folder, 's.sock')
  const serve = join(import.meta.dirname, '../../bench/serve.ts')
  const args = ['--max-semi-space-size=4', `--max-old-space-size=${heapMb}`, serve, socket, transport]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: childEnvironment() })
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout!.once('data', () => resolve())
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    })
    const envoy = await startEnvoy(minimalEnvoy(folder, { sidecar: { path: socket } }))
    try {
      const port = await envoy.port()
      const byStatus: Record<string, number> = {}
      const memory: number[] = []
      let broken = 0
      for (let done = 0; done < requests && child.exitCode === null; done += step) {
        const got = await load(port, {
          total: Math.min(step, requests - done),
          concurrency,
          requestOf: (index) =>
            `GET /v1/chat/completions HTTP/1.1\r\nhost: h\r\nx-tenant: tenant-${index % 50}\r\nx-region: EMEA\r\naccept: application/json\r\n\r\n`,
          keyOf: () => '',
        })
        for (const [status, count] of got.byStatus) byStatus[status] = (byStatus[status] ?? 0) + count
        broken += got.broken
        memory.push(rssMb(child))
        told?.(Math.min(done + step, requests), memory.at(-1)!)
      }
      const stats = await envoy.stats(
        'ext_proc.(streams_failed|message_timeouts)|cluster.hubward.upstream_cx_close_notify$',
      )
      return {
        byStatus,
        broken,
        rssMb: memory,
        failed: stats['http.ingress.ext_proc.streams_failed'] ?? -1,
        goaways: stats['cluster.hubward.upstream_cx_close_notify'] ?? -1,
        timeouts: stats['http.ingress.ext_proc.message_timeouts'] ?? -1,
        isAlive: child.exitCode === null && child.signalCode === null,
      }
    } finally {
      await envoy.stop()
    }
  } finally {
    child.removeAllListeners('exit')
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  }
}
