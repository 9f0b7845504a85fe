import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { flagsFailure } from './failure.ts'
import type { FlagIntake } from './flag-intake.ts'
import type { FlagLoop } from './flag-loop.ts'
import { FLAGS_BYTES_MAX, type NetworkAccess } from './http-ask.ts'
import type { SyncFlagsConfig } from './kinds.ts'
import type { FlagAttempt } from './remote-flags.ts'
import { readFlagsMessage, writeSyncRequest } from './sync-messages.ts'
import { SELECTOR_HEADER, SYNC_SERVICE } from './sync-protocol.ts'

/** Where a service of flagd.sync.v1 is, as it is shown and as grpc-js takes it. */
export const syncTarget = ({ address, socket }: Pick<SyncFlagsConfig, 'address' | 'socket'>): string =>
  socket === undefined ? (address ?? '') : `unix:${socket}`

/** What the answer to a question about the metadata says of a server that is gone; all others come from one that lives. */
const GONE: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED])

/**
 * One stream of flagd.sync.v1, from its connection to its end. Fulfilled when it has been used as long as it should;
 * rejects when it ended before, when it said nothing in time, or when nobody answers at the other end any more. Messages
 * that can't be used are refused and the stream goes on; while one is read, only the newest of those after it waits.
 */
export const syncAttempt =
  (config: SyncFlagsConfig, access: NetworkAccess, intake: FlagIntake, loop: () => FlagLoop): FlagAttempt =>
  async (signal) => {
    const where = syncTarget(config)
    const client = new Client(where, ...(await channelOf(config, access)))
    const headers = new Metadata()
    for (const [name, value] of Object.entries(await access.headers())) headers.set(name, value)
    if (config.selector !== undefined) headers.set(SELECTOR_HEADER, config.selector)
    const timers: NodeJS.Timeout[] = []
    const over = Promise.withResolvers<void>()
    over.promise.catch(() => {})
    let isHeard = false
    const fail = (error: Error): void => over.reject(error)
    // The first message has as long as an answer.
    const first = setTimeout(
      () => fail(flagsFailure('flag-source/timeout', `${where}: no flags in ${config.timeoutMs} ms`)),
      config.timeoutMs,
    )
    timers.push(first)
    signal.addEventListener('abort', () => fail(signal.reason as Error), { once: true })
    let stream: ClientReadableStream<Buffer> | undefined
    try {
      const { path, requestSerialize, responseDeserialize } = SYNC_SERVICE.SyncFlags
      const asked = writeSyncRequest({ providerId: config.providerId ?? '', selector: config.selector ?? '' })
      stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, asked, headers)
      const take = newestOnly(async (bytes: Buffer) => {
        await intake.take([{ path: where, text: textIn(bytes) }], signal)
        if (signal.aborted) return
        loop().wentWell()
      })
      stream.on('data', (bytes: Buffer) => {
        if (!isHeard) {
          isHeard = true
          clearTimeout(first)
          watchOver()
        }
        take(bytes)
      })
      stream.on('error', (error: ServiceError) => fail(ended(where, error)))
      stream.on('end', () => fail(flagsFailure('flag-source/ended', `${where} ended the stream`)))
      const watchOver = (): void => {
        timers.push(setInterval(() => ask(client, headers, config.timeoutMs).then(lives, fail), config.pollMs))
        timers.push(setTimeout(() => over.resolve(), config.streamDeadlineMs))
      }
      const lives = (code: number): void => {
        if (GONE.has(code)) fail(flagsFailure('flag-source/timeout', `${where} does not answer any more`))
        else intake.unchanged()
      }
      await over.promise
    } finally {
      for (const timer of timers) clearTimeout(timer)
      stream?.on('error', () => {})
      stream?.cancel()
      client.close()
    }
  }

/** Whether anybody is there: the status of an answer about the metadata, which not every server has. */
const ask = (client: Client, headers: Metadata, timeoutMs: number): Promise<number> =>
  new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = SYNC_SERVICE.GetMetadata
    const options = { deadline: Date.now() + timeoutMs }
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.alloc(0), headers, options, (error) =>
      resolve(error?.code ?? status.OK),
    )
  })

async function channelOf(config: SyncFlagsConfig, access: NetworkAccess) {
  const tls = await access.tls()
  const bytes = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text))
  const secured =
    config.tls === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(bytes(tls?.ca), bytes(tls?.key), bytes(tls?.cert))
  const name = tls?.servername
  return [
    secured,
    {
      'grpc.max_receive_message_length': FLAGS_BYTES_MAX,
      'grpc.max_send_message_length': FLAGS_BYTES_MAX,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
      // A connection of our own: what another source did to the same server is nothing to us.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
      ...(name === undefined ? {} : { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name }),
    },
  ] as const
}

/** What can't be read as a message becomes a text that can't be read as flags, and is refused like one. */
const textIn = (bytes: Buffer): string => {
  try {
    return readFlagsMessage(bytes)
  } catch (error) {
    return `no message of flagd.sync.v1: ${(error as Error).message}`
  }
}

const ended = (where: string, { code, details }: ServiceError) => {
  const word = status[code] ?? String(code)
  if (code === status.RESOURCE_EXHAUSTED)
    return flagsFailure('flag-source/too-large', `${where}: ${word}: ${String(details).slice(0, 200)}`)
  return flagsFailure('flag-source/unreachable', `${where}: ${word}: ${String(details).slice(0, 200)}`)
}

/** A server that sends without end has its sets read ten times a second. */
const REST_MS = 100

/** Runs one after another; of those that come meanwhile only the newest. */
function newestOnly<Item>(run: (item: Item) => Promise<void>): (item: Item) => void {
  let waiting: { readonly item: Item } | undefined
  let isRunning = false
  return async (item) => {
    waiting = { item }
    if (isRunning) return
    isRunning = true
    while (waiting !== undefined) {
      const { item: next } = waiting as { readonly item: Item }
      waiting = undefined
      await run(next)
      await new Promise((resolve) => setTimeout(resolve, REST_MS))
    }
    isRunning = false
  }
}
