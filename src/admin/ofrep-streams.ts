import { createHash, randomBytes } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import type { FlagContext } from '../model/flag.ts'
import type { EpochMs } from '../model/names.ts'
import type { FlagsView } from './flags-view.ts'
import { allFlags } from './ofrep-answers.ts'

/** What is remembered of a bulk evaluation, so that a stream can tell when its answer has changed. */
interface Asked {
  readonly context: FlagContext
  readonly origin: string
  readonly etag: string
}

/** A stream that is open. */
interface Open {
  readonly asked: Asked | undefined
  /** The answer, or the definitions, that the listener knows. */
  seen: string
  readonly send: (event: object) => void
  readonly end: () => void
}

/** Snapshots change with every sample; whether that altered an answer is looked at this often at most. */
const LOOK_MS = 1_000
const HEARTBEAT_MS = 15_000
/** OFREP's own default: how long a client that nobody looks at keeps its stream. */
const INACTIVITY_SEC = 120
/** Contexts whose streams are still expected, the oldest given up first. */
const TICKETS_MAX = 4_096
const CONTEXT_CHARS_MAX = 8_192
const WAITING_BYTES_MAX = 65_536

/** Where listeners of flags are sent to. */
export const EVENTS_PATH = '/ofrep/v1/events'

/**
 * Server-sent `refetchEvaluation`, to a bounded number of listeners, and only when an answer has changed: each bulk
 * evaluation gets a ticket, and a stream that is opened with it hears of changes of that very answer, decisions
 * included. Without a ticket, or with one that has been given up, it hears of changes of definitions.
 */
export class OfrepStreams {
  readonly #view: FlagsView
  readonly #now: () => EpochMs
  readonly #key = randomBytes(16)
  readonly #tickets = new Map<string, Asked>()
  readonly #open = new Set<Open>()
  #timer: NodeJS.Timeout | undefined
  #isLooking = false

  constructor(view: FlagsView, now: () => EpochMs) {
    this.#view = view
    this.#now = now
  }

  get size(): number {
    return this.#open.size
  }

  /** The answer to a bulk evaluation, with where its changes are told. */
  async answer(context: FlagContext, origin: string): Promise<{ readonly text: string; readonly etag: string }> {
    const { ticket, isShort } = this.#ticketOf(context, origin)
    const answer = await this.#render(context, origin, ticket)
    if (!isShort) return answer
    this.#tickets.delete(ticket)
    this.#tickets.set(ticket, { context, origin, etag: answer.etag })
    const [oldest] = this.#tickets.keys()
    if (this.#tickets.size > TICKETS_MAX && oldest !== undefined) this.#tickets.delete(oldest)
    return answer
  }

  /** Whether there is room for another listener. */
  get hasRoom(): boolean {
    return this.#open.size < this.#view.streamsMax
  }

  /** Answers with a stream. */
  listen(reply: FastifyReply, ticket: string | undefined, headers: Readonly<Record<string, string>>): object {
    reply.hijack()
    const { raw } = reply
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-accel-buffering': 'no',
      ...headers,
    })
    const write = (text: string): void => {
      raw.write(text)
      if (raw.writableLength > WAITING_BYTES_MAX) raw.destroy()
    }
    const end = (): void => {
      clearInterval(heartbeat)
      this.#open.delete(open)
      raw.end()
    }
    const heartbeat = setInterval(() => write(': here\n\n'), HEARTBEAT_MS)
    const asked = ticket === undefined ? undefined : this.#tickets.get(ticket)
    const open: Open = {
      asked,
      seen: asked === undefined ? this.#view.definitions() : asked.etag,
      send: (event) => write(`data: ${JSON.stringify(event)}\n\n`),
      end,
    }
    this.#open.add(open)
    raw.on('close', end).on('error', end)
    write('retry: 2000\n\n')
    // A ticket that is not known any more is of an answer that may be an old one.
    if (ticket !== undefined && asked === undefined) open.send({ type: 'refetchEvaluation' })
    // What has changed since that answer is told at once.
    this.changed()
    return reply
  }

  /** To be called after every change of the snapshot. */
  changed(): void {
    if (this.#timer !== undefined || this.#isLooking || this.#open.size === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#isLooking = true
      void this.#look().finally(() => {
        this.#isLooking = false
      })
    }, LOOK_MS)
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const { end } of [...this.#open]) end()
  }

  async #look(): Promise<void> {
    for (const open of [...this.#open]) {
      // A mistake of ours is told to whoever asks for this answer; here its listener is let go, and comes back.
      const now = await this.#state(open).catch(() => undefined)
      if (now === undefined) open.end()
      if (now === undefined || now === open.seen || !this.#open.has(open)) continue
      open.seen = now
      open.send({ type: 'refetchEvaluation', ...(open.asked === undefined ? {} : { etag: now }) })
      // One listener after another, each in a turn of its own.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async #state({ asked }: Open): Promise<string> {
    if (asked === undefined) return this.#view.definitions()
    const { ticket } = this.#ticketOf(asked.context, asked.origin)
    return (await this.#render(asked.context, asked.origin, ticket)).etag
  }

  /** The same question has the same ticket, or its answer would never be the same. Contexts stay out of addresses. */
  #ticketOf(context: FlagContext, origin: string): { readonly ticket: string; readonly isShort: boolean } {
    const written = JSON.stringify([origin, context])
    const ticket = createHash('sha256').update(this.#key).update(written).digest('base64url').slice(0, 22)
    return { ticket, isShort: written.length <= CONTEXT_CHARS_MAX }
  }

  #render(context: FlagContext, origin: string, ticket: string) {
    const endpoint = { origin, requestUri: `${EVENTS_PATH}?ticket=${ticket}` }
    const eventStreams = [{ type: 'sse', endpoint, inactivityDelaySec: INACTIVITY_SEC }]
    return allFlags(this.#view, context, this.#now, { eventStreams })
  }
}
