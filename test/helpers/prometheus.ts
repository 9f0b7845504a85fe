import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { childEnvironment, until } from './running-envoy.ts'

/** Where Debian's package is unpacked if nothing is on the PATH. */
const CACHE = join(homedir(), '.cache', 'hubward', 'prometheus')

/**
 * The path of a program of Debian's package `prometheus`: from the PATH, else from our cache, else the package is
 * fetched into it, else installed. Throws with what was tried and what it said: without it these tests can't run.
 */
export function prometheusProgram(name: 'prometheus' | 'promtool'): string {
  const found = () =>
    [...(process.env.PATH ?? '').split(delimiter), join(CACHE, 'usr/bin')].find((dir) => runs(dir, name))
  let dir = found()
  const tried: string[] = []
  if (dir === undefined) {
    // Beside the cache and then into its place at once, for another test may be doing the same.
    mkdirSync(dirname(CACHE), { recursive: true })
    const folder = mkdtempSync(`${CACHE}-`)
    tried.push(run('apt-get', ['download', 'prometheus'], folder))
    tried.push(run('sh', ['-c', 'dpkg-deb -x prometheus_*.deb unpacked'], folder))
    try {
      renameSync(join(folder, 'unpacked'), CACHE)
    } catch (error) {
      tried.push(String(error))
    }
    rmSync(folder, { recursive: true, force: true })
    dir = found()
  }
  if (dir === undefined) {
    tried.push(run('apt-get', ['install', '-y', '--no-install-recommends', 'prometheus'], tmpdir()))
    dir = found()
  }
  if (dir === undefined) {
    throw new Error(`no ${name} on the PATH, and Debian's package can't be had:\n${tried.join('\n')}`)
  }
  return join(dir, name)
}

const runs = (dir: string, name: string): boolean => {
  try {
    accessSync(join(dir, name), constants.X_OK)
    return true
  } catch {
    return false
  }
}

const run = (command: string, args: readonly string[], cwd: string): string => {
  const { error, stderr, status } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...childEnvironment(), DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 300_000,
  })
  return `${command} ${args.join(' ')}: ${error?.message ?? `status ${status} ${stderr.trim().slice(-400)}`}`
}

/** A Prometheus server of our own. */
export interface RunningPrometheus {
  readonly url: string
  /** The value of an expression's only series now; undefined where there is none. */
  readonly value: (query: string) => Promise<number | undefined>
  readonly stop: () => Promise<void>
}

/** What a server is started with. */
export interface PrometheusSetup {
  /** Pages to scrape every fifth of a second, `127.0.0.1:1234`, by the name of the job. */
  readonly jobs?: Readonly<Record<string, string>>
  /** Its file for TLS and passwords, as YAML. */
  readonly web?: string
}

/** Starts a Prometheus on a port of this machine that the system chooses, with a data folder of its own. */
export async function startPrometheus(setup: PrometheusSetup = {}): Promise<RunningPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-prometheus-'))
  const jobs = Object.entries(setup.jobs ?? {}).map(([job_name, target]) => ({
    job_name,
    static_configs: [{ targets: [target] }],
  }))
  const config = { global: { scrape_interval: '200ms', scrape_timeout: '200ms' }, scrape_configs: jobs }
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config))
  if (setup.web !== undefined) writeFileSync(join(folder, 'web.yml'), setup.web)
  const child = spawn(
    prometheusProgram('prometheus'),
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
      ...(setup.web === undefined ? [] : [`--web.config.file=${join(folder, 'web.yml')}`]),
    ],
    { env: childEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let log = ''
  child.stderr.on('data', (part: Buffer) => {
    log = (log + part.toString()).slice(-65_536)
  })
  const stop = async () => {
    await ended(child)
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const port = await until('Prometheus to be ready', () => {
      if (child.exitCode !== null) throw new Error(log)
      return log.includes('Server is ready') && /msg="Listening on" address=127\.0\.0\.1:(\d+)/.exec(log)?.[1]
    })
    const url = `${setup.web?.includes('tls_server_config') ? 'https' : 'http'}://127.0.0.1:${port}`
    const value = async (query: string) => {
      const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`)
      const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } }
      return data.result.length === 1 ? Number(data.result[0]!.value[1]) : undefined
    }
    return { url, value, stop }
  } catch (error) {
    await stop()
    throw new Error(`Prometheus did not start: ${log.slice(-2_000)}`, { cause: error })
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else {
      child.once('exit', () => resolve())
      child.kill('SIGKILL')
    }
  })
