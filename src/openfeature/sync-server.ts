import {
  type Metadata,
  Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { definitionText, parseSelector, type Selector, type ServedFlag } from './definitions.ts'
import { readSyncRequest, type SyncRequest, writeFlags, writeMetadata } from './sync-messages.ts'
import { SELECTOR_HEADER, SYNC_SERVICE } from './sync-protocol.ts'

/** What a server of flagd.sync.v1 is handed. */
export interface SyncServerEdges {
  /** The flags in force; the same list as long as nothing has changed. */
  readonly flags: () => readonly ServedFlag[]
  readonly streamsMax: number
  /** What is told of hubward itself. */
  readonly about: Readonly<Record<string, string>>
  /** Listens, and hands connections to the server. */
  readonly listen: (server: Server) => Promise<SyncListener>
}

/** An open listener. */
export interface SyncListener {
  readonly address: string
  readonly destroy: () => void
}

/** A running server of flagd.sync.v1. */
export interface SyncServer {
  readonly address: string
  /** To be called after every change of the snapshot. */
  readonly changed: () => void
  readonly streams: () => number
  readonly stop: () => void
}

/** A provider that follows. */
interface Follower {
  readonly selector: Selector
  /** What it was sent last. */
  sent: string
  /** Until it has read, nothing more is written: then it gets the newest. */
  isSlow: boolean
  readonly write: (text: string) => void
}

/** Requests are two short texts. */
const REQUEST_BYTES_MAX = 16_384
/** Who does not read for so long is let go, with what waits for it. */
const SLOW_MS_MAX = 60_000
/** Changes that come together are looked at together. */
const TOGETHER_MS = 50
const KEEPALIVE_MS = 60_000
const KEEPALIVE_TIMEOUT_MS = 20_000

/**
 * Serves flags to providers of flagd that evaluate by themselves: all of them on connecting, and again when those that
 * the provider asked for have changed. For one that is slow only the newest waits.
 */
export async function startSyncServer(edges: SyncServerEdges): Promise<SyncServer> {
  const followers = new Set<Follower>()
  const made = memo(edges.flags)
  let timer: NodeJS.Timeout | undefined
  const server = new Server({
    'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': edges.streamsMax + 16,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.enable_channelz': 0,
  })
  server.addService(SYNC_SERVICE, {
    SyncFlags: (call: ServerWritableStream<Buffer, Buffer>) => {
      const asked = askedBy(call)
      if (typeof asked === 'string') return refuse(call, status.INVALID_ARGUMENT, asked)
      if (followers.size >= edges.streamsMax)
        return refuse(call, status.RESOURCE_EXHAUSTED, `${edges.streamsMax} follow already`)
      const follower = follow(call, asked, () => made(asked))
      followers.add(follower)
      const gone = (): void => void followers.delete(follower)
      call.on('cancelled', gone).on('close', gone).on('error', gone)
      follower.write(made(asked))
    },
    FetchAllFlags: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const asked = askedBy(call)
      if (typeof asked === 'string') done({ code: status.INVALID_ARGUMENT, details: asked })
      else done(null, writeFlags(made(asked)))
    },
    GetMetadata: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
      done(null, writeMetadata(edges.about)),
  })
  const listener = await edges.listen(server)
  const push = (): void => {
    timer = undefined
    for (const follower of followers) {
      if (follower.isSlow) continue
      const text = made(follower.selector)
      if (text !== follower.sent) follower.write(text)
    }
  }
  return {
    address: listener.address,
    changed: () => {
      if (followers.size > 0) timer ??= setTimeout(push, TOGETHER_MS)
    },
    streams: () => followers.size,
    stop: () => {
      clearTimeout(timer)
      server.forceShutdown()
      listener.destroy()
    },
  }
}

/** Texts by selector, made once for each state of the flags. */
function memo(flags: SyncServerEdges['flags']): (selector: Selector) => string {
  let of: readonly ServedFlag[] | undefined
  const texts = new Map<string, string>()
  return (selector) => {
    const now = flags()
    // Nobody keeps more selectors than that; who does has each of them made anew.
    if (now !== of || texts.size > 256) texts.clear()
    of = now
    const key = JSON.stringify([selector.flagSetId ?? null, selector.source ?? null])
    const text = texts.get(key) ?? definitionText(now, selector)
    texts.set(key, text)
    return text
  }
}

function follow(call: ServerWritableStream<Buffer, Buffer>, selector: Selector, newest: () => string): Follower {
  let patience: NodeJS.Timeout | undefined
  const gone = (): void => clearTimeout(patience)
  call.on('close', gone).on('cancelled', gone)
  const follower: Follower = {
    selector,
    sent: '',
    isSlow: false,
    write: (text) => {
      follower.sent = text
      follower.isSlow = true
      patience = setTimeout(() => refuse(call, status.UNAVAILABLE, 'nothing was read for a minute'), SLOW_MS_MAX)
      // Not what `write` gives: that stream would take sixteen more before it says that it is full.
      call.write(writeFlags(text), () => {
        gone()
        follower.isSlow = false
        if (call.cancelled || call.destroyed) return
        const now = newest()
        if (now !== follower.sent) follower.write(now)
      })
    },
  }
  return follower
}

function refuse(call: ServerWritableStream<Buffer, Buffer>, code: status, details: string): void {
  call.emit('error', Object.assign(new Error(details), { code, details }))
}

/** Which flags a call asks for, by its header before its message; a text: why that can't be told. */
function askedBy(call: { readonly request: Buffer; readonly metadata: Metadata }): Selector | string {
  let request: SyncRequest
  try {
    request = readSyncRequest(call.request)
  } catch (error) {
    return `no request of flagd.sync.v1: ${(error as Error).message}`
  }
  const [header] = call.metadata.get(SELECTOR_HEADER)
  const text = typeof header === 'string' && header !== '' ? header : request.selector
  return (
    parseSelector(text) ?? `the selector ${JSON.stringify(text.slice(0, 64))} asks for neither flagSetId nor source`
  )
}
