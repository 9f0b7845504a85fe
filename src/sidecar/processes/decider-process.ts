import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Channel, type FrameName, frameOf, openChannel } from './frames.ts'
import type { Ready } from './messages.ts'

/** Why a process is started anew: a word of its own for each, because they are counted. */
export type RestartCause = 'ended' | 'silent' | 'behind' | 'differs' | 'late'

/** What one decider is run with. */
export interface DeciderProcessParts {
  /** Writes the first frame, and whatever has to follow it from now on. */
  readonly begin: (channel: Channel) => void
  /** It listens; until it is gone it may be told to serve. */
  readonly ready: (ready: Ready) => void
  readonly took: (name: FrameName, payload: Buffer) => void
  /** It is no more; a new one comes after `afterMs`, unless it was told to leave. */
  readonly gone: (cause: RestartCause, detail: string, afterMs: number) => void
  /** Taking in what it said has failed: a mistake made here, and none of its. */
  readonly bug: (error: unknown) => void
  /** What a new one waits longer than need be, so that those which ended together do not begin together. */
  readonly apartMs: number
  /** Runs Node with these arguments; tests have it fail. */
  readonly run?: (args: readonly string[]) => ChildProcess
}

/** A decider, whichever process it is at the moment. */
export interface DeciderProcess {
  readonly start: (afterMs: number) => void
  readonly write: (frame: Buffer) => void
  /** To be called once a second: looks whether it lives and keeps up. */
  readonly look: () => void
  /** Has it leave for good; fulfilled when it is gone, at the latest a while after the drain. */
  readonly leave: (forMs: number) => Promise<void>
  readonly kill: () => void
}

/** Seconds without a word before it counts as hung, and until it must listen. */
const SILENT_LOOKS = 5
const START_LOOKS = 60
/** Bytes of the feed that it has not taken; a snapshot on its way is not counted. */
const BEHIND_BYTES_MAX = 32 * 1_048_576
/** The first pause before a new process, and the last; each is twice the one before. */
const PAUSE_MS = 200
const PAUSE_MS_MAX = 10_000
/** Who served so many seconds begins with the first pause again. */
const STEADY_LOOKS = 30
/** How long its last words may take after the drain. */
const LAST_WORDS_MS = 3_000

/** The file of its pipe. */
const CHANNEL_FD = 3

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const ENTRY = fileURLToPath(new URL(`./decider.${extension}`, import.meta.url))

/** A decider that is not started yet. It is started anew whenever it ends, until it is told to leave. */
export function createDeciderProcess(parts: DeciderProcessParts): DeciderProcess {
  let child: ChildProcess | undefined
  let channel: Channel | undefined
  let isReady = false
  let isLeaving = false
  let silent = 0
  let looks = 0
  let failures = 0
  let beginBytes = 0
  let cause: readonly [RestartCause, string] | undefined
  let again: NodeJS.Timeout | undefined
  let left = (): void => {}

  const end = (why: RestartCause, detail: string): void => {
    cause ??= [why, detail]
    child?.kill('SIGKILL')
  }
  const took = (name: FrameName, payload: Buffer): void => {
    silent = 0
    if (name === 'differs') end('differs', payload.toString())
    else if (name === 'ready') {
      isReady = true
      looks = 0
      parts.ready(JSON.parse(payload.toString()) as Ready)
    } else parts.took(name, payload)
  }
  const gone = (code: number | null, signal: NodeJS.Signals | null): void => {
    channel?.close()
    child = undefined
    channel = undefined
    if (isLeaving) {
      left()
      return
    }
    const [why, detail] = cause ?? ['ended', signal ?? `exit code ${code}`]
    if (isReady && looks >= STEADY_LOOKS) failures = 0
    const afterMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** failures++) + parts.apartMs
    again = setTimeout(start, afterMs)
    parts.gone(why, detail, afterMs)
  }
  const start = (): void => {
    isReady = false
    silent = 0
    looks = 0
    cause = undefined
    let started: ChildProcess
    try {
      started = (parts.run ?? runNode)([...execArguments(), ENTRY])
    } catch (error) {
      // No memory, or no right to: it may be there another time, and this process serves meanwhile.
      cause = ['ended', (error as Error).message]
      gone(null, null)
      return
    }
    child = started
    let isOver = false
    const over = (code: number | null, signal: NodeJS.Signals | null, error?: Error): void => {
      if (isOver) return
      isOver = true
      if (error !== undefined) cause ??= ['ended', error.message]
      gone(code, signal)
    }
    // Not `exit`: its last words may still be in the pipe.
    started.once('close', over)
    started.once('error', (error) => over(null, null, error))
    // Where no file can be opened any more there is not even a list of them.
    const socket = started.stdio?.[CHANNEL_FD] as Socket | null | undefined
    if (socket === null || socket === undefined) {
      started.kill('SIGKILL')
      // After the error that may tell why.
      setImmediate(over, null, null, new Error('no pipe to it could be opened'))
      return
    }
    channel = openChannel(socket, {
      took: (name, payload) => {
        if (child === started) took(name, payload)
      },
      failed: parts.bug,
      // Its end comes as an exit; a channel that breaks while it lives makes it useless.
      closed: (why) => {
        if (child === started && !isLeaving) setTimeout(() => child === started && end('ended', why), 100).unref()
      },
    })
    try {
      parts.begin(channel)
    } catch (error) {
      parts.bug(error)
      end('ended', (error as Error).message)
    }
    beginBytes = channel.waiting()
  }
  return {
    start: (afterMs) => {
      again = setTimeout(start, afterMs)
    },
    write: (frame) => channel?.write(frame),
    look: () => {
      if (child === undefined || channel === undefined) return
      silent += 1
      looks += 1
      if (!isReady) {
        if (looks > START_LOOKS) end('late', `it does not listen after ${START_LOOKS} s`)
      } else if (silent > SILENT_LOOKS) end('silent', `nothing was heard of it for ${SILENT_LOOKS} s`)
      const waiting = channel.waiting()
      if (waiting < beginBytes) beginBytes = waiting
      if (waiting - beginBytes > BEHIND_BYTES_MAX) end('behind', `${waiting} bytes of the feed wait for it`)
    },
    leave: (forMs) => {
      isLeaving = true
      clearTimeout(again)
      if (child === undefined) return Promise.resolve()
      return new Promise((resolve) => {
        const late = setTimeout(() => child?.kill('SIGKILL'), forMs + LAST_WORDS_MS)
        left = () => {
          clearTimeout(late)
          resolve()
        }
        channel?.write(frameOf('drain', JSON.stringify({ forMs, announce: false })))
      })
    },
    kill: () => {
      isLeaving = true
      clearTimeout(again)
      child?.kill('SIGKILL')
    },
  }
}

/** Its standard output is nobody's: what hubward says there is one line about itself. */
const runNode = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })

/** What Node itself was told, without a debugger's port, which only one process can have. */
const execArguments = (): string[] => process.execArgv.filter((one) => !one.startsWith('--inspect'))
