import { createHash } from 'node:crypto'

/** An answer that is the same for all who ask at one revision. */
export interface Rendered {
  readonly revision: number
  readonly body: string
  readonly etag: string
}

/** What the answers are made of. */
export interface LongPollOptions {
  readonly revision: () => number
  readonly render: () => unknown
  /** How many may wait at once. */
  readonly waitersMax: number
}

/** Rendering may take this share of the time: 1,000 sites take 10 ms, and the snapshot changes 20 times a second. */
const RENDER_SHARE = 0.1

/** One who waits for a revision after `after`. */
interface Waiter {
  readonly after: number
  readonly done: (rendered: Rendered | undefined) => void
  readonly timer: NodeJS.Timeout
}

/**
 * Answers that are rendered once for each revision, however many ask, and for those who wait when there is something
 * newer. Renderings keep a distance of ten times what the last one took, for they share a thread with the requests.
 */
export class LongPoll {
  readonly #options: LongPollOptions
  readonly #waiters = new Set<Waiter>()
  #last: Rendered | undefined
  #renderedAt = Number.NEGATIVE_INFINITY
  #tookMs = 0
  #wake: NodeJS.Timeout | undefined

  constructor(options: LongPollOptions) {
    this.#options = options
  }

  /** The answer now, or one of a moment ago. */
  now(): Rendered {
    return this.#last !== undefined && this.#waitMs() > 0 ? this.#last : this.#render()
  }

  /** The first answer whose revision is higher; undefined once the time is over. Null: too many wait already. */
  after(after: number, timeoutMs: number, onGone: (gone: () => void) => void): Promise<Rendered | undefined> | null {
    if (this.#options.revision() > after) {
      const { revision } = this.now()
      if (revision > after) return Promise.resolve(this.#last)
    }
    if (this.#waiters.size >= this.#options.waitersMax) return null
    const { promise, resolve } = Promise.withResolvers<Rendered | undefined>()
    const done = (rendered: Rendered | undefined): void => {
      clearTimeout(waiter.timer)
      this.#waiters.delete(waiter)
      resolve(rendered)
    }
    const waiter: Waiter = { after, done, timer: setTimeout(() => done(undefined), timeoutMs) }
    this.#waiters.add(waiter)
    onGone(() => done(undefined))
    if (this.#options.revision() > after) this.changed()
    return promise
  }

  /** To be called after every change: takes no time where nobody waits. */
  changed(): void {
    if (this.#waiters.size === 0 || this.#wake !== undefined) return
    this.#wake = setTimeout(() => this.#answer(), this.#waitMs())
  }

  waiting(): number {
    return this.#waiters.size
  }

  /** Lets all who wait go. */
  close(): void {
    clearTimeout(this.#wake)
    for (const waiter of this.#waiters) waiter.done(undefined)
  }

  #answer(): void {
    this.#wake = undefined
    const rendered = this.#render()
    for (const waiter of this.#waiters) if (rendered.revision > waiter.after) waiter.done(rendered)
  }

  #waitMs(): number {
    return Math.max(0, this.#renderedAt + this.#tookMs / RENDER_SHARE - performance.now())
  }

  #render(): Rendered {
    const revision = this.#options.revision()
    if (this.#last?.revision === revision) return this.#last
    const begun = performance.now()
    const body = JSON.stringify(this.#options.render())
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
    this.#last = { revision, body, etag }
    this.#renderedAt = performance.now()
    this.#tookMs = this.#renderedAt - begun
    return this.#last
  }
}
