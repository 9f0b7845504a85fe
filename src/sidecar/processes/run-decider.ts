import type { Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type EnvoyServer, startEnvoyServer } from '../../envoy/grpc-server.ts'
import { createLog, type Log } from '../../log.ts'
import { createPath, type DeciderPath } from './decider-path.ts'
import { type Channel, type FrameName, frameOf, openChannel } from './frames.ts'
import type { Begin, Ready } from './messages.ts'

/** Looks at the feed once a second; so many in a row without a word from the main process, and it is gone or hangs. */
const SILENT_LOOKS = 5
const LOOK_MS = 1_000
/** How often it is said how things are. */
const TELL_MS = 250
/** How long requests are still answered without a main process, so that Envoy's health check sees it in time. */
const ORPHAN_DRAIN_MS = 5_000

/** How to leave. */
export interface DrainOrder {
  readonly forMs: number
  /** Others are there to be asked. */
  readonly announce: boolean
}

/** Serves requests on the other end of the channel until it is told to leave, or nobody tells it anything any more. */
export function runDecider(socket: Socket): void {
  let running: Running | undefined
  let silent = 0
  const took = (name: FrameName, payload: Buffer): void => {
    silent = 0
    if (name === 'begin') {
      const begin = JSON.parse(payload.toString()) as Begin
      running = begun(begin, channel)
    } else running?.took(name, payload)
  }
  const orphaned = (why: string): void => {
    if (running === undefined) process.exit(1)
    running.leave({ forMs: ORPHAN_DRAIN_MS, announce: true }, why)
  }
  const channel = openChannel(socket, { took, closed: orphaned })
  // Looks are counted, and not the time: whoever was stopped for a while finds its mail before the second one.
  setInterval(() => {
    silent += 1
    if (silent === SILENT_LOOKS) orphaned('the main process says nothing any more')
  }, LOOK_MS)
}

interface Running {
  readonly took: (name: FrameName, payload: Buffer) => void
  readonly leave: (order: DrainOrder, why?: string) => void
}

const begun = (begin: Begin, channel: Channel): Running => {
  const { index, config } = begin
  const log = createLog(config.logLevel, undefined, { instance: config.instance, process: index })
  const end = (error: unknown): void => {
    setTimeout(() => process.exit(1), 1_000)
    log.fatal({ err: error }, 'a mistake of ours: this process ends, and another one takes its place')
    log.flush(() => process.exit(1))
  }
  process.on('uncaughtException', end).on('unhandledRejection', end)
  let server: EnvoyServer | undefined
  let path: DeciderPath | undefined
  let isLeaving = false
  /** What comes before all is open. */
  const early: [FrameName, Buffer][] = []
  const leave = ({ forMs, announce }: DrainOrder, why?: string): void => {
    if (isLeaving) return
    isLeaving = true
    if (why !== undefined) log.error({ why }, 'this process leaves')
    void leaving(path, server, { forMs, announce }, channel).then(() => log.flush(() => process.exit(0)))
  }
  const open = async (): Promise<void> => {
    const delay = monitorEventLoopDelay({ resolution: 20 })
    delay.enable()
    path = await createPath(begin, {
      channel,
      log,
      state: () => {
        const loopDelayMs = delay.count === 0 ? 0 : delay.max / 1e6
        delay.reset()
        return { active: server?.active() ?? 0, loopDelayMs }
      },
    })
    await path.warm()
    server = await startEnvoyServer(
      config.listeners,
      path.handlers,
      (error) => log.warn({ detail: error.message }, 'trouble with TLS'),
      config.transport,
    )
    const ready: Ready = { addresses: server.addresses, pid: process.pid }
    channel.write(frameOf('ready', JSON.stringify(ready)))
    setInterval(path.tell, TELL_MS)
    for (const [name, payload] of early.splice(0)) took(name, payload)
  }
  const took = (name: FrameName, payload: Buffer): void => {
    // Who is to leave before it is there does not come first.
    if (name === 'drain') leave(JSON.parse(payload.toString()) as DrainOrder)
    else if (server === undefined || path === undefined) early.push([name, payload])
    else if (name === 'serve') serve(path, server, log)
    else path.took(name, payload)
  }
  open().catch((error: Error) => {
    log.error({ detail: error.message }, 'this process can not serve')
    log.flush(() => process.exit(1))
  })
  return { took, leave }
}

const serve = (path: DeciderPath, server: EnvoyServer, log: Log): void => {
  path.warm().then(
    () => {
      server.setServing(true)
      log.info({ listeners: server.addresses }, 'this process serves')
    },
    () => {},
  )
}

const leaving = async (
  path: DeciderPath | undefined,
  server: EnvoyServer | undefined,
  order: DrainOrder,
  channel: Channel,
): Promise<void> => {
  path?.stopHolding()
  await server?.drain(order)
  path?.flush()
  // The last words are on their way when the other end has taken them; it may be gone.
  for (let left = 100; left > 0 && channel.waiting() > 0; left--) await new Promise((go) => setTimeout(go, 10))
}
