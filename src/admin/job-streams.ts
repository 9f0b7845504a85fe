import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Job, JobEvent } from '../model/job.ts'
import { type JobsView, jobView } from './jobs-view.ts'
import { problem } from './problem.ts'

/** How often a stream on which nothing happens says that it is there, well inside the timeout of idle connections. */
const HEARTBEAT_MS = 15_000
/** What may wait for a reader that does not read; then its stream ends, and it comes back for what it missed. */
const WAITING_BYTES_MAX = 262_144

/** Server-sent events of jobs, to a bounded number of listeners. */
export class JobStreams {
  readonly #feed: JobsView['feed']
  readonly #max: number
  readonly #ends = new Set<() => void>()

  constructor(feed: JobsView['feed'], max: number) {
    this.#feed = feed
    this.#max = max
  }

  get size(): number {
    return this.#ends.size
  }

  /** Answers with a stream of one job's events, or of all; what came after the last id that the listener saw is first. */
  open(_request: FastifyRequest, reply: FastifyReply, lastEventId: string | undefined, job: Job | undefined): object {
    if (this.#ends.size >= this.#max) {
      reply.header('retry-after', '5')
      return problem(reply, 503, 'Too many listen already', `${this.#max} listen to the events of jobs`)
    }
    reply.hijack()
    const { raw } = reply
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-accel-buffering': 'no',
    })
    const write = (text: string): void => {
      raw.write(text)
      if (raw.writableLength > WAITING_BYTES_MAX) raw.destroy()
    }
    const send = (event: JobEvent): void => {
      if (job !== undefined && event.job.id !== job.id) return
      write(this.#text(event.number, event.kind, event))
      if (job !== undefined && event.kind === 'ended') end()
    }
    const end = (): void => {
      clearInterval(heartbeat)
      unsubscribe()
      this.#ends.delete(end)
      raw.end()
    }
    const heartbeat = setInterval(() => write(': here\n\n'), HEARTBEAT_MS)
    const unsubscribe = this.#feed.subscribe(send)
    this.#ends.add(end)
    raw.on('close', end).on('error', end)
    write('retry: 2000\n\n')
    const missed = lastEventId === undefined ? undefined : this.#since(lastEventId)
    const last = this.#feed.last()
    if (lastEventId !== undefined && missed === undefined)
      write(`event: reset\nid: ${this.#feed.run}-${last}\ndata: {}\n\n`)
    if (job !== undefined && missed === undefined)
      write(`event: job\nid: ${this.#feed.run}-${last}\ndata: ${JSON.stringify(jobView(job))}\n\n`)
    if (job === undefined && lastEventId === undefined)
      write(`id: ${this.#feed.run}-${last}\nevent: hello\ndata: {}\n\n`)
    for (const event of missed ?? []) send(event)
    return reply
  }

  close(): void {
    for (const end of [...this.#ends]) end()
  }

  #since(lastEventId: string): readonly JobEvent[] | undefined {
    const dash = lastEventId.lastIndexOf('-')
    const number = Number(lastEventId.slice(dash + 1))
    if (dash < 1 || lastEventId.slice(0, dash) !== this.#feed.run || !Number.isSafeInteger(number)) return undefined
    return this.#feed.since(number)
  }

  #text(number: number, kind: string, { at, job, cause }: JobEvent): string {
    const data = JSON.stringify({ at, ...(cause === undefined ? {} : { cause }), job: jobView(job) })
    return `id: ${this.#feed.run}-${number}\nevent: ${kind}\ndata: ${data}\n\n`
  }
}
