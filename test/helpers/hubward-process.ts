import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { childEnvironment } from './running-envoy.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Where a hubward of a test keeps its things. */
export interface HubwardFolder {
  readonly folder: string
  readonly socket: string
  readonly config: string
  /** Puts the overrides file in place in one step, as an operator's tool does. */
  readonly writeOverrides: (set: object) => void
}

/** The socket that hubward listens on in this folder. */
export const socketIn = (folder: string): string => join(folder, 'envoy.sock')

/** Writes a configuration and documents for `hubward serve` into a folder. */
export function hubwardFolder(folder: string, documents: string, more: object = {}): HubwardFolder {
  const socket = socketIn(folder)
  const config = join(folder, 'hubward.json')
  const overrides = join(folder, 'state', 'overrides.json')
  mkdirSync(join(folder, 'documents'), { recursive: true })
  mkdirSync(join(folder, 'state'), { recursive: true })
  writeFileSync(join(folder, 'documents', 'all.yaml'), documents)
  const settings = {
    instance: 'test',
    stateDir: join(folder, 'state'),
    log: { level: 'warn' },
    listeners: [{ socket }],
    documents: [{ name: 'documents', dir: join(folder, 'documents') }],
    overrides: { poll: '100ms' },
    admin: { address: '127.0.0.1:0' },
    drain: '0s',
    ...more,
  }
  writeFileSync(config, JSON.stringify(settings))
  return {
    folder,
    socket,
    config,
    writeOverrides: (set) => {
      writeFileSync(`${overrides}.new`, JSON.stringify(set))
      renameSync(`${overrides}.new`, overrides)
    },
  }
}

/** A running `hubward serve`. */
export interface RunningHubward {
  readonly process: ChildProcess
  readonly log: () => string
  /** Ends it at once and waits until it is gone. */
  readonly stop: () => Promise<void>
}

/** Starts `hubward serve`, with more for Node itself. It is ready when Envoy's health check of it says so. */
export function startHubward({ config }: HubwardFolder, forNode: readonly string[] = []): RunningHubward {
  const cli = join(root, 'src', 'cli', 'hubward.ts')
  const child = spawn(process.execPath, [...forNode, cli, 'serve', '--config', config], {
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (part) => {
    log = (log + part).slice(-65_536)
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return {
    process: child,
    log: () => log,
    stop: () => {
      // A stopped process hears nothing but this.
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      return ended
    },
  }
}
