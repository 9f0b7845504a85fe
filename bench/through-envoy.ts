import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EnvoyObject } from '../src/envoy/config/envoy-object.ts'
import type { TransportName } from '../src/envoy/transports.ts'
import { minimalEnvoy } from '../test/helpers/envoy-minimal.ts'
import { childEnvironment, startEnvoy } from '../test/helpers/running-envoy.ts'

/** What one peer came to at one concurrency: microseconds of CPU a request, milliseconds, and memory. */
export interface PeerRow {
  readonly peer: string
  readonly concurrency: number
  readonly sidecarCpuUs: number
  readonly envoyCpuUs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly sidecarRssMb: number
  readonly bad: number
}

/** What takes its turn at an Envoy. */
export interface Peer {
  readonly name: string
  /** The sidecar's process; undefined where Envoy works alone. */
  readonly start?: (socket: string) => Promise<ChildProcess>
  /** What happens to Envoy's configuration. */
  readonly shape: (config: EnvoyObject) => EnvoyObject
}

const HERE = import.meta.dirname
const TICKS_A_SECOND = 100

const cpuUs = (pid: number | undefined): number => {
  if (pid === undefined) return 0
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND) * 1e6
}
const rssMb = (pid: number | undefined): number => {
  if (pid === undefined) return 0
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

const upWith = (command: string, args: readonly string[]): Promise<ChildProcess> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: childEnvironment() })
    child.stdout.once('data', () => resolve(child))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)))
  })

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.removeAllListeners('exit')
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })

// biome-ignore lint/suspicious/noExplicitAny: an Envoy configuration is a tree without types.
const filtersOf = (config: any): EnvoyObject[] =>
  config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters

const without = (config: EnvoyObject): EnvoyObject => {
  filtersOf(config).shift()
  return config
}
const lua = (config: EnvoyObject): EnvoyObject => {
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
}

/** hubward's own path, on one of its transports. */
export const hubwardPeer = (name: string, transport: TransportName): Peer => ({
  name,
  shape: (config) => config,
  start: (socket) => upWith(process.execPath, ['--max-semi-space-size=4', join(HERE, 'serve.ts'), socket, transport]),
})

/** The Go peer, built where Go is; undefined elsewhere, and the page then says that it was not run. */
export const goPeer = (): Peer | undefined => {
  const go = goBinary()
  return go === undefined
    ? undefined
    : { name: 'go', shape: (config) => config, start: (socket) => upWith(go, ['-socket', socket]) }
}

const goBinary = (): string | undefined => {
  const binary = join(tmpdir(), 'hubward-bench-go-ext-proc')
  try {
    execFileSync('go', ['build', '-o', binary, '.'], { cwd: join(HERE, 'go-ext-proc'), stdio: 'ignore' })
  } catch {
    return undefined
  }
  return existsSync(binary) ? binary : undefined
}

/** Sends the same traffic through Envoy with each peer in turn, several rounds, and gives the medians. */
export const benchThroughEnvoy = async (
  rounds = 3,
): Promise<{ readonly rows: readonly PeerRow[]; readonly notRun: readonly string[] }> => {
  const notRun: string[] = []
  const go = goPeer()
  if (go === undefined) notRun.push('go: no Go on this machine, or it could not be built')
  const peers: Peer[] = [
    { name: 'no filter', shape: without },
    { name: 'lua', shape: lua },
    ...(go === undefined ? [] : [go]),
    hubwardPeer('hubward', 'grpc-js'),
    hubwardPeer('hubward, transport: own', 'own'),
  ]
  return { rows: await inTurns(peers, rounds), notRun }
}

/** Every peer in turn, several rounds; the medians. */
export const inTurns = async (peers: readonly Peer[], rounds: number): Promise<readonly PeerRow[]> => {
  const seen = new Map<string, PeerRow[]>()
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers) {
      for (const row of await measure(peer)) {
        const key = `${row.peer}|${row.concurrency}`
        seen.set(key, [...(seen.get(key) ?? []), row])
      }
    }
  }
  return [...seen.values()].map(median)
}

const measure = async (peer: Peer): Promise<PeerRow[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-bench-'))
  const socket = join(folder, 'sidecar.sock')
  const sidecar = await peer.start?.(socket)
  const envoy = await startEnvoy(peer.shape(minimalEnvoy(folder, { sidecar: { path: socket } })))
  try {
    const port = await envoy.port()
    load(port, 8, 4_000)
    const rows: PeerRow[] = []
    for (const [concurrency, requests] of [
      [1, 3_000],
      [32, 20_000],
    ] as const) {
      const before = [cpuUs(sidecar?.pid), cpuUs(envoy.process.pid)] as const
      const result = load(port, concurrency, requests)
      rows.push({
        peer: peer.name,
        concurrency,
        sidecarCpuUs: (cpuUs(sidecar?.pid) - before[0]) / requests,
        envoyCpuUs: (cpuUs(envoy.process.pid) - before[1]) / requests,
        p50Ms: result.p50Ms,
        p99Ms: result.p99Ms,
        sidecarRssMb: rssMb(sidecar?.pid),
        bad: result.bad,
      })
    }
    return rows
  } finally {
    await envoy.stop()
    if (sidecar !== undefined) await ended(sidecar)
    rmSync(folder, { recursive: true, force: true })
  }
}

const load = (port: number, concurrency: number, requests: number): { p50Ms: number; p99Ms: number; bad: number } =>
  JSON.parse(
    execFileSync(process.execPath, [join(HERE, 'load.ts'), String(port), String(concurrency), String(requests)], {
      encoding: 'utf8',
      env: childEnvironment(),
    }),
  )

const median = (rows: readonly PeerRow[]): PeerRow => {
  const of = (pick: (row: PeerRow) => number): number =>
    rows.map(pick).sort((a, b) => a - b)[Math.floor(rows.length / 2)]!
  return {
    ...rows[0]!,
    sidecarCpuUs: of((row) => row.sidecarCpuUs),
    envoyCpuUs: of((row) => row.envoyCpuUs),
    p50Ms: of((row) => row.p50Ms),
    p99Ms: of((row) => row.p99Ms),
    sidecarRssMb: of((row) => row.sidecarRssMb),
    bad: rows.reduce((sum, row) => sum + row.bad, 0),
  }
}

if (import.meta.main) console.log(JSON.stringify(await benchThroughEnvoy(1), null, 1))
