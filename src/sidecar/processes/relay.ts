import { END, type Handlers, type ProcessHandler, type StreamState } from '../../envoy/handlers.ts'
import { NotReady } from '../judge.ts'
import { type Channel, frameOf, WAITING_BYTES_MAX } from './frames.ts'

/** Thrown on the way to a decision that only the main process may make. */
export class MainDecides extends NotReady {}

/**
 * Streams of one process that are answered by the main process at once; beyond it, as on a main process that takes nothing,
 * their route's failure mode has its say.
 */
const RELAYED_MAX = 4_096

/** Bytes before a message: the number of its stream, and whether its answer is wanted. */
const HEAD_BYTES = 5

/** How requests come to the main process from a decider. */
export interface Relaying {
  readonly handlers: Handlers
  /** Takes what the main process answers; undefined: it can't. */
  readonly answered: (payload: Buffer, isAnswer: boolean) => void
}

/**
 * Has the main process answer what is its own to decide. The bytes of Envoy travel as they are, there and back, so that
 * whatever the main process makes of a request (a reservation, a wait, a token) needs no second form.
 */
export function relaying(
  handlers: Handlers,
  channel: Channel,
  counted: (result: 'relayed' | 'refused') => void,
): Relaying {
  const open = new Map<number, StreamState>()
  /** Headers of requests that wait for their body. */
  const headers = new WeakMap<StreamState, Buffer>()
  let last = 0
  const relay = (message: Buffer, stream: StreamState): undefined => {
    if (stream.send === undefined || open.size >= RELAYED_MAX || channel.waiting() > WAITING_BYTES_MAX)
      throw new MainDecides('only the main process may decide it')
    last = last === 0xffffffff ? 1 : last + 1
    const number = last
    const before = headers.get(stream)
    if (before !== undefined) channel.write(frameOf('relay', messageOf(number, before, false)))
    channel.write(frameOf('relay', messageOf(number, message, true)))
    stream.decided = true
    stream.waiting = undefined
    open.set(number, stream)
    stream.gone = () => {
      open.delete(number)
      channel.write(frameOf('relayGone', numberOf(number)))
    }
    counted('relayed')
    return undefined
  }
  return {
    handlers: {
      ...handlers,
      process: (message, stream) => {
        try {
          const answer = handlers.process(message, stream)
          if (stream.waiting !== undefined && stream.decided !== true) headers.set(stream, Buffer.from(message))
          return answer
        } catch (error) {
          if (error instanceof MainDecides) return relay(message, stream)
          throw error
        }
      },
      failed: (error, where) => {
        if (error instanceof MainDecides) counted('refused')
        else handlers.failed(error, where)
      },
    },
    answered: (payload, isAnswer) => {
      const stream = open.get(payload.readUInt32BE(0))
      if (stream === undefined) return
      if (isAnswer) stream.send?.(payload.subarray(4))
      else stream.fail?.()
    },
  }
}

/** What answers the relayed streams of one decider, in the main process. */
export interface RelayEnd {
  readonly message: (payload: Buffer) => void
  readonly gone: (payload: Buffer) => void
  /** The process has gone, and all of its streams. */
  readonly close: () => void
}

/**
 * The streams of one decider, answered as if Envoy had asked here. Headers before a body have been answered and counted
 * there; `uncounted` takes them in.
 */
export function relayEnd(
  handlers: () => Handlers,
  uncounted: ProcessHandler,
  write: (frame: Buffer) => void,
): RelayEnd {
  const open = new Map<number, StreamState>()
  const end = (number: number): void => {
    const stream = open.get(number)
    open.delete(number)
    stream?.gone?.()
  }
  return {
    message: (payload) => {
      const number = payload.readUInt32BE(0)
      const isWanted = payload[4] === 1
      let stream = open.get(number)
      if (stream === undefined) {
        stream = {
          send: (answer) => write(frameOf('answer', [numberOf(number), answer])),
          fail: () => write(frameOf('noAnswer', numberOf(number))),
        }
        open.set(number, stream)
      }
      try {
        const take = isWanted ? handlers().process : uncounted
        const answer = take(Buffer.from(payload.subarray(HEAD_BYTES)), stream)
        if (isWanted && answer !== undefined && answer !== END) stream.send?.(answer)
      } catch (error) {
        handlers().failed(error, 'ext_proc')
        stream.fail?.()
      }
    },
    gone: (payload) => end(payload.readUInt32BE(0)),
    close: () => {
      for (const number of [...open.keys()]) end(number)
    },
  }
}

const numberOf = (number: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(number, 0)
  return bytes
}

const messageOf = (number: number, message: Buffer, isWanted: boolean): Uint8Array[] => [
  numberOf(number),
  Buffer.of(isWanted ? 1 : 0),
  message,
]
