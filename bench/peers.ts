import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { EnvoyObject } from '../src/envoy/config/envoy-object.ts'
import type { TransportName } from '../src/envoy/transports.ts'
import { minimalEnvoy } from '../test/helpers/envoy-minimal.ts'
import { childEnvironment, type RunningEnvoy, startEnvoy } from '../test/helpers/running-envoy.ts'
import { goProgram } from './load.ts'
import type { ServeReport } from './serve.ts'

/** What takes its turn at an Envoy. */
export interface Peer {
  readonly name: string
  /** The sidecar's command, which gets its socket; absent where Envoy works alone. */
  readonly command?: (socket: string) => readonly string[]
  /** What happens to Envoy's configuration. */
  readonly shape: (config: EnvoyObject) => EnvoyObject
}

/** What a sidecar tells of itself; of Go's only collections and memory. */
export type SidecarReport = Partial<ServeReport> & Pick<ServeReport, 'gc' | 'heapUsedMb'>

/** A peer and its Envoy. */
export interface RunningPeer {
  readonly port: number
  readonly envoy: RunningEnvoy
  /** CPU so far, in microseconds; 0 where there is no sidecar. */
  readonly sidecarCpuUs: () => number
  readonly envoyCpuUs: () => number
  readonly sidecarRssMb: () => number
  /** Forgets the pauses so far. */
  readonly reset: () => void
  readonly report: () => Promise<SidecarReport | undefined>
  readonly stop: () => Promise<void>
}

/** CPU of all threads of a process that live, in microseconds, as the scheduler counts it. */
export const cpuUsOf = (pid: number | undefined): number => {
  if (pid === undefined) return 0
  let ns = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    } catch {
      // It has ended between the two calls.
    }
  }
  return ns / 1_000
}

/** Resident memory of a process, in MB. */
export const rssMbOf = (pid: number | undefined): number =>
  pid === undefined ? 0 : Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024

interface Sidecar {
  readonly process: ChildProcess
  readonly lines: Interface
}

const started = async (command: readonly string[]): Promise<Sidecar> => {
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: childEnvironment(),
  })
  const lines = createInterface(child.stdout!)
  await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${command[0]} ended with ${code}`))),
  ])
  return { process: child, lines }
}

const ended = async ({ process: child }: Sidecar): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

/** Starts a peer and an Envoy of one worker before it. */
export const startPeer = async (peer: Peer): Promise<RunningPeer> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-bench-'))
  const socket = join(folder, 'sidecar.sock')
  const command = peer.command?.(socket)
  const sidecar = command === undefined ? undefined : await started(command)
  const pid = sidecar?.process.pid
  const clear = async (): Promise<void> => {
    if (sidecar !== undefined) await ended(sidecar)
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const envoy = await startEnvoy(peer.shape(minimalEnvoy(folder, { sidecar: { path: socket }, failOpen: true })))
    return {
      port: await envoy.port(),
      envoy,
      sidecarCpuUs: () => cpuUsOf(pid),
      envoyCpuUs: () => cpuUsOf(envoy.process.pid),
      sidecarRssMb: () => rssMbOf(pid),
      reset: () => void sidecar?.process.stdin?.write('reset\n'),
      report: async () => {
        if (sidecar === undefined) return undefined
        sidecar.process.stdin?.write('report\n')
        const [line] = await once(sidecar.lines, 'line')
        return JSON.parse(line as string) as SidecarReport
      },
      stop: async () => {
        await envoy.stop()
        await clear()
      },
    }
  } catch (error) {
    await clear()
    throw error
  }
}

// biome-ignore lint/suspicious/noExplicitAny: an Envoy configuration is a tree without types.
const filtersOf = (config: any): EnvoyObject[] =>
  config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters

/** Envoy without any filter of ours: what everything else is beside. */
export const ALONE: Peer = {
  name: 'Envoy alone',
  shape: (config) => {
    filtersOf(config).shift()
    return config
  },
}

/** A Lua filter that writes the header and decides nothing. */
export const LUA: Peer = {
  name: 'lua',
  shape: (config) => {
    filtersOf(config)[0] = {
      name: 'envoy.filters.http.lua',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
        default_source_code: {
          inline_string:
            "function envoy_on_request(handle) handle:headers():replace('x-hubward-cluster', 'a') handle:clearRouteCache() end",
        },
      },
    }
    return config
  },
}

/** The space of young objects that hubward is started with in production, in MB. */
const SEMI_SPACE_MB = 4

/** hubward's own path, on one of its transports, with further arguments of bench/serve.ts. */
export const hubwardPeer = (name: string, transport: TransportName, ...more: readonly string[]): Peer => ({
  name,
  shape: (config) => config,
  command: (socket) => [
    ...[process.execPath, `--max-semi-space-size=${SEMI_SPACE_MB}`, join(import.meta.dirname, 'serve.ts')],
    ...[socket, transport, ...more],
  ],
})

/** The minimal Go server, built where Go is; undefined elsewhere. */
export const goPeer = (): Peer | undefined => {
  const program = goProgram('go-ext-proc')
  return program === undefined
    ? undefined
    : { name: 'go', shape: (config) => config, command: (socket) => [program, '-socket', socket] }
}
