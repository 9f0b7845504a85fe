import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A process that the demo started. */
export interface Child {
  readonly name: string
  /** The first line of its standard output. Rejects, with the end of its log, if it ends before there is one. */
  readonly firstLine: Promise<string>
  /** Resolves when it is gone, with how it went. */
  readonly ended: Promise<string>
  isRunning(): boolean
  /** The last lines that it wrote, both outputs together. */
  tail(): readonly string[]
  /** Asks it to end, makes it end after the grace, and resolves when it is gone. */
  stop(graceMs?: number): Promise<void>
  /** Ends it at once, as a crash would, and resolves when it is gone. */
  kill(): Promise<void>
}

/** How many lines are kept of each process. */
const TAIL_LINES = 60
/** How long a process may take to end when asked to. */
const GRACE_MS = 3_000

/** All processes of the demo. Each is the leader of a group of its own, so that Ctrl-C reaches the demo alone. */
export class Children {
  readonly #all: { readonly child: Child; readonly process: ChildProcess }[] = []
  #ending = false

  /** Starts a process. Rejects if the command can't be started, or if all of them are being ended. */
  async start(name: string, command: string, args: readonly string[]): Promise<Child> {
    if (this.#ending) throw new Error(`${name} does not start: the demo is ending`)
    const child = spawn(command, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const made = watched(name, child)
    // Known from its first moment on, so that an end in between does not miss it.
    if (child.pid !== undefined) this.#all.push({ child: made, process: child })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => reject(new Error(`${name} does not start: ${error.message}`)))
    })
    return made
  }

  /** Every process that runs, or did. */
  list(): readonly Child[] {
    return this.#all.map(({ child }) => child)
  }

  /** Ends all that run, the newest first; nothing can be started any more. */
  async stop(): Promise<void> {
    this.#ending = true
    for (const { child } of [...this.#all].reverse()) await child.stop()
  }

  /** Ends all that run without waiting: for the moment at which this process itself ends. */
  abandon(): void {
    for (const { process, child } of this.#all) if (child.isRunning()) process.kill('SIGKILL')
  }
}

const watched = (name: string, child: ChildProcess): Child => {
  const lines: string[] = []
  const first = Promise.withResolvers<string>()
  // Whoever waits for it hears of a failure; nobody has to.
  first.promise.catch(() => {})
  const keep = (line: string) => {
    lines.push(line.slice(0, 2_000))
    if (lines.length > TAIL_LINES) lines.shift()
  }
  createInterface({ input: child.stdout! }).on('line', (line) => {
    keep(line)
    first.resolve(line)
  })
  createInterface({ input: child.stderr! }).on('line', keep)
  const isRunning = () => child.exitCode === null && child.signalCode === null
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => {
      const how = signal === null ? `exit code ${code}` : signal
      first.reject(new Error(`${name} ended with ${how}:\n${lines.slice(-12).join('\n')}`))
      resolve(how)
    })
  })
  const kill = async () => {
    if (isRunning()) child.kill('SIGKILL')
    await ended
  }
  const stop = async (graceMs = GRACE_MS) => {
    if (isRunning()) child.kill('SIGTERM')
    const late = setTimeout(() => void kill(), graceMs)
    await ended
    clearTimeout(late)
  }
  return { name, firstLine: first.promise, ended, isRunning, tail: () => [...lines], stop, kill }
}

/** Our environment without what a test runner puts there for its own children, and without settings of hubward's. */
const environment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS$|NODE_V8_COVERAGE$|TAP|HUBWARD_)/.test(name)),
  )
