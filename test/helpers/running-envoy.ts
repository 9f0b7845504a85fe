import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'

/** The real Envoy that the tests use. */
export const envoyBinary = (): string =>
  process.env.HUBWARD_ENVOY ?? join(homedir(), '.cache', 'hubward', 'envoy-1.40.0', 'envoy')

/** What a plain HTTP/1.1 request got. */
export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** What to ask, beside the path. */
export interface Asking {
  readonly method?: string
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string
  readonly agent?: http.Agent
}

/** One request to a port of this machine, or to a unix socket. */
export const ask = (where: number | string, path: string, asking: Asking = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const to = typeof where === 'number' ? { host: '127.0.0.1', port: where } : { socketPath: where }
    const { method = asking.body === undefined ? 'GET' : 'POST', headers = {}, agent } = asking
    const request = http.request({ ...to, path, method, headers, agent: agent ?? false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString() }),
      )
    })
    request.on('error', reject)
    request.end(asking.body)
  })

/** Waits until the condition gives something other than undefined or false; what it throws counts as not yet. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  patienceMs = 30_000,
): Promise<T> {
  const end = Date.now() + patienceMs
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value !== undefined && value !== false) return value
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`waited ${patienceMs} ms for ${what}${last === undefined ? '' : `: ${last}`}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The environment for a child process, without what the test runner put there. */
export const childEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => name !== 'NODE_OPTIONS' && name !== 'NODE_V8_COVERAGE' && !name.startsWith('TAP'),
    ),
  )

/** A running Envoy. */
export interface RunningEnvoy {
  /** The port of the listener with this name; `ingress` where none is given. */
  readonly port: (listener?: string) => Promise<number>
  readonly adminPort: number
  /** All counters and gauges whose name the expression matches. */
  readonly stats: (pattern: string) => Promise<Record<string, number>>
  readonly process: ChildProcess
  /** What it wrote to its log so far. */
  readonly log: () => string
  readonly stop: () => Promise<void>
}

/** Starts Envoy with this configuration and waits until it is live. */
export async function startEnvoy(config: EnvoyObject, concurrency = 1): Promise<RunningEnvoy> {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-envoy-'))
  const file = join(folder, 'envoy.json')
  const adminFile = join(folder, 'admin')
  writeFileSync(file, JSON.stringify(config))
  const args = ['-c', file, '--use-dynamic-base-id', '--admin-address-path', adminFile]
  const child = spawn(envoyBinary(), [...args, '--concurrency', String(concurrency), '-l', 'warning'], {
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (part) => {
    // The end of the log is what explains a failure; a flood must not grow the test.
    log = (log + part).slice(-65_536)
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const live = await until('Envoy to be live', async () => {
      if (child.exitCode !== null) return 'ended'
      const port = Number(readFileSync(adminFile, 'utf8').split(':').at(-1))
      return (await ask(port, '/ready')).status === 200 && port
    })
    if (live === 'ended') throw new Error(`Envoy ended: ${log}`)
    const adminPort = live
    const port = async (listener = 'ingress') => {
      const all = JSON.parse((await ask(adminPort, '/listeners?format=json')).body)
      const one = all.listener_statuses.find((status: { name: string }) => status.name === listener)
      return one.local_address.socket_address.port_value as number
    }
    const stats = async (pattern: string) => {
      const { body } = await ask(adminPort, `/stats?filter=${encodeURIComponent(pattern)}`)
      const lines = body.split('\n').map((line) => line.split(': ') as [string, string])
      return Object.fromEntries(lines.filter(([, value]) => /^\d+$/.test(value ?? '')).map(([k, v]) => [k, Number(v)]))
    }
    return { port, adminPort, stats, process: child, log: () => log, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What `envoy --mode validate` says to a configuration: undefined if it is content. */
export function validateEnvoy(config: EnvoyObject): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-validate-'))
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'envoy.json')
  writeFileSync(file, JSON.stringify(config))
  const { status, stderr } = spawnSync(envoyBinary(), ['--mode', 'validate', '-c', file, '-l', 'error'], {
    encoding: 'utf8',
    env: childEnvironment(),
  })
  rmSync(folder, { recursive: true, force: true })
  return status === 0 ? undefined : stderr
}
