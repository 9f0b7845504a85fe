import { execFile, execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { childEnvironment } from '../test/helpers/running-envoy.ts'

/** What a run of bench/go-load came to; times in milliseconds, from when each request was due. */
export interface Loaded {
  readonly requests: number
  /** When the first was due, in milliseconds since 1970. */
  readonly startMs: number
  readonly wallMs: number
  readonly cpuMs: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
  /** How late the 99th of a hundred was sent: no connection was free, or the load itself had no core. */
  readonly lateP99Ms: number
  readonly byStatus: Readonly<Record<string, number>>
  /** By what the mark said; the empty one had none. */
  readonly byMark: Readonly<Record<string, number>>
  readonly bad: number
}

/** How a run goes: a closed loop ends after `requests` or `seconds`, an open one has a `rate`. */
export interface Load {
  readonly port: number
  readonly connections: number
  readonly rate?: number
  readonly requests?: number
  readonly seconds?: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** A header of answers that is counted by its values; `body` counts short bodies. */
  readonly mark?: string
  /** A file for one line of each request: when it was due, how long it took (us), its status, its mark. */
  readonly trace?: string
}

/** Where Go programs are built: what is kept there is as good as new, because Go looks whether it is. */
const built = new Map<string, string | undefined>()

/** The program of a folder of this one; undefined where there is no Go, or it can't be built. */
export const goProgram = (folder: string): string | undefined => {
  if (!built.has(folder)) {
    const binary = join(tmpdir(), `hubward-bench-${folder}-${process.getuid?.() ?? 0}`)
    const where = { cwd: join(import.meta.dirname, folder), stdio: 'ignore' as const }
    const path = `${process.env.PATH}:/usr/local/go/bin`
    try {
      execFileSync('go', ['build', '-o', binary, '.'], { ...where, env: { ...process.env, PATH: path } })
      built.set(folder, binary)
    } catch {
      built.set(folder, undefined)
    }
  }
  return built.get(folder)
}

/** What a request carries where nobody says otherwise: one that a client of models sends. */
const HEADERS: Readonly<Record<string, string>> = {
  authorization: 'Bearer not-a-secret',
  'x-region': 'EMEA',
  'user-agent': 'bench',
  accept: 'application/json',
  'x-request-source': 'bench',
}

/** Sends a load, in a process of its own that keeps to one core. */
export const runLoad = async (load: Load): Promise<Loaded> => {
  const program = goProgram('go-load')
  if (program === undefined) throw new Error('the load is a program in Go (bench/go-load), and there is no Go here')
  const { port, connections, rate, requests, seconds, body, mark, trace, headers = HEADERS } = load
  const given = Object.entries({ rate, requests, seconds, body, trace }).filter(([, value]) => value !== undefined)
  const args = [
    ...[`-address=127.0.0.1:${port}`, `-connections=${connections}`],
    ...given.map(([name, value]) => `-${name}=${value}`),
    ...(body === undefined ? [] : ['-method=POST']),
    ...(mark === undefined ? [] : mark === 'body' ? ['-by-body'] : [`-mark=${mark}`]),
    ...Object.entries(headers).map(([name, value]) => `-header=${name}: ${value}`),
  ]
  const env = { ...childEnvironment(), GOMAXPROCS: '1' }
  const { stdout } = await promisify(execFile)(program, args, { encoding: 'utf8', env })
  return JSON.parse(stdout) as Loaded
}
