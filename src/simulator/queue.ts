/** One request's place: first in the line, then in a slot. */
export interface Place {
  readonly engine: number
  readonly model: string
  readonly running: boolean
  /** Gives the place up, wherever it is; the next in line moves up. Safe to call again. */
  leave(): void
}

interface Entry {
  readonly engine: number
  readonly model: string
  running: boolean
  readonly start: () => void
}

interface Engine {
  readonly running: Set<Entry>
  /** A Set keeps the order of arrival and forgets an entry from the middle at once. */
  readonly line: Set<Entry>
  advancing: boolean
}

/** What `fill` occupies. Synthetic requests hold their places until released, and never run or end by themselves. */
export interface Filling {
  readonly queued: number
  readonly slots: number
}

/**
 * Slots and lines of a site, one of each by engine. Requests start first come, first served. Synthetic requests count
 * as waiting and against the limit, but real requests pass them; what holds real ones up is the slots they occupy.
 */
export class Queue {
  readonly #engines: Engine[]
  readonly #slots: number
  readonly #max: number
  readonly #changed: () => void
  #filling: Filling = { queued: 0, slots: 0 }

  constructor(options: { slots: number; engines: number; max: number; changed?: () => void }) {
    this.#engines = Array.from({ length: options.engines }, () => ({
      running: new Set<Entry>(),
      line: new Set<Entry>(),
      advancing: false,
    }))
    this.#slots = options.slots
    this.#max = options.max
    this.#changed = options.changed ?? (() => {})
  }

  /** Whether one more request would be taken. */
  hasRoom(): boolean {
    const waiting = this.waiting()
    return waiting < this.#max || (waiting === 0 && this.#engines.some((_, index) => this.#free(index) > 0))
  }

  /** Takes a request on the engine with the least to do; `start` runs when it has a slot, perhaps before this returns. */
  enter(model: string, start: (place: Place) => void): Place {
    const engine = this.#leastLoaded()
    const entry: Entry = { engine, model, running: false, start: () => start(place) }
    const place: Place = {
      engine,
      model,
      get running() {
        return entry.running
      },
      leave: () => this.#leave(entry),
    }
    this.#engines[engine]!.line.add(entry)
    this.#advance(engine)
    this.#changed()
    return place
  }

  /** Puts synthetic requests into the line and into slots, in place of those of an earlier call; zeros release them. */
  fill(filling: Filling): void {
    this.#filling = filling
    this.#engines.forEach((_, index) => {
      this.#advance(index)
    })
    this.#changed()
  }

  /** Requests in a slot, synthetic ones with them; of one engine, of one model where named (synthetic ones then left out). */
  running(engine?: number, model?: string): number {
    return this.#sum(engine, (one, index) =>
      model === undefined ? one.running.size + this.syntheticRunning(index) : count(one.running, model),
    )
  }

  /** Requests in the line, counted as `running` counts. */
  waiting(engine?: number, model?: string): number {
    return this.#sum(engine, (one, index) =>
      model === undefined ? one.line.size + this.syntheticWaiting(index) : count(one.line, model),
    )
  }

  /** Slots of one engine that synthetic requests hold. A real request that runs keeps its slot until it ends. */
  syntheticRunning(engine: number): number {
    return Math.max(
      0,
      Math.min(this.#share(this.#filling.slots, engine), this.#slots - this.#engines[engine]!.running.size),
    )
  }

  /** Synthetic requests in one engine's line. */
  syntheticWaiting(engine: number): number {
    return this.#share(this.#filling.queued, engine)
  }

  #sum(engine: number | undefined, of: (engine: Engine, index: number) => number): number {
    return this.#engines.reduce(
      (sum, one, index) => (engine === undefined || engine === index ? sum + of(one, index) : sum),
      0,
    )
  }

  /** An even split, the remainder to the first engines. */
  #share(total: number, engine: number): number {
    const engines = this.#engines.length
    return Math.floor((total + engines - 1 - engine) / engines)
  }

  #free(engine: number): number {
    return this.#slots - this.#engines[engine]!.running.size - this.#share(this.#filling.slots, engine)
  }

  /** vLLM's own rule between data-parallel engines: a waiting request weighs four running ones. */
  #leastLoaded(): number {
    const loads = this.#engines.map((_, index) => 4 * this.waiting(index) + this.running(index))
    return loads.indexOf(Math.min(...loads))
  }

  #advance(index: number): void {
    const engine = this.#engines[index]!
    // A start that ends at once comes back here: the loop already under way goes on, or a long line were a deep stack.
    if (engine.advancing) return
    engine.advancing = true
    for (const entry of engine.line) {
      if (this.#free(index) <= 0) break
      engine.line.delete(entry)
      engine.running.add(entry)
      entry.running = true
      entry.start()
    }
    engine.advancing = false
  }

  #leave(entry: Entry): void {
    const engine = this.#engines[entry.engine]!
    if (!engine.running.delete(entry) && !engine.line.delete(entry)) return
    entry.running = false
    this.#advance(entry.engine)
    this.#changed()
  }
}

const count = (entries: ReadonlySet<Entry>, model: string): number => {
  let sum = 0
  for (const entry of entries) if (entry.model === model) sum += 1
  return sum
}
