import type { Sink } from './answer.ts'
import type { SiteClock } from './clock.ts'
import type { Faults } from './faults.ts'
import type { Meter, Series } from './meter.ts'
import type { Ask } from './openai.ts'
import type { SiteOptions } from './options.ts'
import type { Place, Queue } from './queue.ts'
import { BLOCK_TOKENS, type PrefixCache, tokenAt } from './tokens.ts'

/** What a running request needs of its site. */
export interface Workshop {
  readonly options: SiteOptions
  readonly clock: SiteClock
  readonly queue: Queue
  readonly meter: Meter
  readonly faults: Faults
  readonly prefixes: PrefixCache
  /** Blocks in the cache of one engine. */
  readonly kvBlocks: number
}

/**
 * One request from the line to its last token: queued, prefill, then a token at each beat. A beat that comes late is
 * followed at once by those it held up, so the rate is kept whatever the timers do.
 */
export class Run {
  readonly #shop: Workshop
  readonly #ask: Ask
  readonly #sink: Sink
  readonly #arrivedAt: number
  readonly #done: () => void
  #place: Place | undefined
  #series: Series | undefined
  #cancel = () => {}
  #dueAt = 0
  #lastAt = 0
  #made = 0
  #cached = 0
  #ended = false
  #preempted = false

  /** `done` is called once, after the last token or `abort`. */
  constructor(shop: Workshop, ask: Ask, sink: Sink, arrivedAt: number, done: () => void) {
    this.#shop = shop
    this.#ask = ask
    this.#sink = sink
    this.#arrivedAt = arrivedAt
    this.#done = done
  }

  /** Joins the line; the queue must have room. */
  start(): void {
    this.#sink.open()
    const { queue } = this.#shop
    this.#place = queue.enter(this.#ask.model.name, (place) => {
      this.#place = place
      this.#prefill()
    })
  }

  /** The client is gone, or the site is: frees slot, place and cache. */
  abort(): void {
    if (this.#ended) return
    const place = this.#place
    if (place !== undefined) this.#shop.meter.of(place.engine, this.#ask.model.name).finished.abort += 1
    this.#finish()
  }

  /** What is left of the step under way takes `ratio` times as long. */
  repace(ratio: number): void {
    const now = this.#shop.clock.now()
    if (this.#series === undefined || this.#ended || this.#dueAt <= now) return
    this.#dueAt = now + (this.#dueAt - now) * ratio
    this.#beat()
  }

  /** The client reads again. */
  drained(): void {
    if (!this.#ended && this.#made > 0) this.#beat()
  }

  #prefill(): void {
    const { clock, meter, options, faults, prefixes } = this.#shop
    const series = meter.of(this.#place!.engine, this.#ask.model.name)
    const now = clock.now()
    this.#series = series
    series.queueTime.observe((now - this.#arrivedAt) / 1_000)
    this.#cached = prefixes.lookup(this.#ask.prompt, this.#ask.conversation)
    series.cacheQueries += this.#ask.promptTokens
    series.cacheHits += this.#cached
    this.#occupy(this.#ask.promptTokens)
    this.#dueAt =
      now +
      Math.max(options.ttftFloorMs, (this.#ask.promptTokens / options.prefillTokensPerS) * 1_000) * faults.state.slow
    this.#beat()
  }

  /** Makes the tokens that are due, then waits for the next one, or for a fault to end, or for the client to read. */
  #beat = (): void => {
    this.#cancel()
    const { clock, faults, options } = this.#shop
    while (!this.#ended) {
      const release = faults.hold('chat', this.#beat)
      if (release !== undefined) {
        this.#cancel = release
        return
      }
      const wait = this.#dueAt - clock.now()
      if (wait > 0) {
        this.#cancel = clock.after(wait, this.#beat)
        return
      }
      const flowing = this.#token()
      if (this.#made === this.#ask.answerTokens) {
        this.#complete()
        return
      }
      this.#dueAt += (1_000 / options.decodeTokensPerS) * faults.state.slow
      if (!flowing) return
    }
  }

  #token(): boolean {
    const { clock, options } = this.#shop
    const series = this.#series!
    const now = clock.now()
    const first = this.#made === 0
    if (first) {
      series.ttft.observe((now - this.#arrivedAt) / 1_000)
      series.promptTokens += this.#ask.promptTokens
    } else {
      series.itl.observe((now - this.#lastAt) / 1_000)
    }
    series.generationTokens += 1
    this.#occupy(1)
    this.#lastAt = now
    const text = tokenAt(this.#made, options.name, this.#ask.model.name)
    this.#made += 1
    return this.#sink.token(text, first)
  }

  #occupy(tokens: number): void {
    const { meter, kvBlocks } = this.#shop
    this.#series!.kvTokens += tokens
    if (!this.#preempted && meter.kvTokens(this.#place!.engine) > kvBlocks * BLOCK_TOKENS) {
      this.#preempted = true
      this.#series!.preemptions += 1
    }
  }

  #complete(): void {
    const series = this.#series!
    series.e2e.observe((this.#shop.clock.now() - this.#arrivedAt) / 1_000)
    series.finished[this.#ask.ends] += 1
    this.#sink.end(this.#ask.ends, {
      prompt_tokens: this.#ask.promptTokens,
      completion_tokens: this.#made,
      total_tokens: this.#ask.promptTokens + this.#made,
      prompt_tokens_details: { cached_tokens: this.#cached },
    })
    this.#finish()
  }

  #finish(): void {
    this.#ended = true
    this.#cancel()
    if (this.#series !== undefined) this.#series.kvTokens -= this.#made + this.#ask.promptTokens
    this.#place?.leave()
    this.#done()
  }
}
