import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { processingRequest, requestHeaders } from '../../bench/messages.ts'
import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { CountedStreams, GREETING } from './counted-streams.ts'
import { cut } from './h2-frames.ts'
import { childEnvironment } from './running-envoy.ts'

/** What a request comes to on a unix socket, as the kernel and the client count it. */
export interface CountedWire {
  /** Calls of read and write by the server's process. */
  readonly reads: number
  readonly writes: number
  /** All bytes of its answer, and those of the message in it. */
  readonly bytes: number
  readonly messageBytes: number
}

const callsOf = (pid: number): readonly [reads: number, writes: number] => {
  const text = readFileSync(`/proc/${pid}/io`, 'utf8')
  return [Number(/syscr: (\d+)/.exec(text)![1]), Number(/syscw: (\d+)/.exec(text)![1])]
}

const REQUESTS = 1_600

/** Sends so many streams at once, waits for all their answers, and sends the next, to hubward's server of its own. */
export const countWire = async (atOnce: readonly number[], prelude?: string): Promise<readonly CountedWire[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-counted-'))
  const path = join(folder, 's.sock')
  const serve = join(import.meta.dirname, '../../bench/serve.ts')
  const server = spawn(
    process.execPath,
    [...(prelude === undefined ? [] : ['--import', prelude]), serve, path, 'own', '--share=0'],
    { stdio: ['pipe', 'pipe', 'inherit'], env: childEnvironment() },
  )
  try {
    await once(createInterface(server.stdout!), 'line')
    const all: CountedWire[] = []
    for (const count of atOnce) all.push(await counted(server.pid!, path, count))
    return all
  } finally {
    server.kill('SIGKILL')
    await once(server, 'exit')
    rmSync(folder, { recursive: true, force: true })
  }
}

const counted = async (pid: number, path: string, atOnce: number): Promise<CountedWire> => {
  const socket = connect(path)
  const streams = new CountedStreams(Array.from({ length: 100 }, (_, i) => processingRequest(requestHeaders(i))))
  let rest: Buffer = Buffer.alloc(0)
  let open = 0
  let bytes = 0
  let messageBytes = 0
  let answered = (): void => {}
  socket.on('data', (part: Buffer) => {
    bytes += part.length
    const heard = cut(rest.length === 0 ? part : Buffer.concat([rest, part]))
    rest = heard.rest
    for (const { type, flags, payload } of heard.frames) {
      if (type === FRAME.reset || type === FRAME.goaway) socket.destroy(new Error('the server gave up'))
      if (type === FRAME.data) messageBytes += payload.length
      if (type === FRAME.headers && (flags & FLAG.endStream) !== 0) open -= 1
    }
    if (open === 0) answered()
  })
  const failed = once(socket, 'close').then(() => Promise.reject(new Error('the connection ended')))
  const send = (requests: number): Promise<void> =>
    Promise.race([
      failed,
      new Promise<void>((resolve) => {
        let left = requests
        answered = () => {
          if (left === 0) return resolve()
          open = Math.min(atOnce, left)
          left -= open
          socket.write(streams.next(open))
        }
        answered()
      }),
    ])
  failed.catch(() => {})
  await once(socket, 'connect')
  socket.write(GREETING)
  // What is compiled while others are asked for wakes threads, and that is a write each.
  await send(REQUESTS)
  bytes = 0
  messageBytes = 0
  const before = callsOf(pid)
  await send(REQUESTS)
  const after = callsOf(pid)
  socket.destroy()
  return {
    reads: (after[0] - before[0]) / REQUESTS,
    writes: (after[1] - before[1]) / REQUESTS,
    bytes: bytes / REQUESTS,
    messageBytes: messageBytes / REQUESTS,
  }
}

if (import.meta.main) console.log(JSON.stringify(await countWire([1, 32])))
