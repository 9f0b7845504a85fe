import { Block, type BlockShape, CELLS_MAX, type Visited } from './block.ts'
import type { Labels } from './labels.ts'
import { type Sealed, Sealing } from './sealed.ts'

/** The stretches of time: six of ten seconds make the last minute, five minutes are kept for two hours, hours for two days. */
export const SLICE_MS = 10_000
const FIVE_MS = 300_000
const HOUR_MS = 3_600_000
const SLICES_KEPT = 6
const FIVES_KEPT = 24
const HOURS_KEPT = 48

/** How large it may grow. */
export interface StoreBounds {
  /** Cells in one stretch of time, 4,096 at most. */
  readonly cellsMax: number
  /** Bytes of everything that nothing is added to any more; beyond it the oldest go. */
  readonly bytesMax: number
}

/** Work that is done in parts: goes on for about so many places of a table, and says whether it is done. */
type Task = (slots: number) => boolean

/**
 * Everything that was measured in the last two days, in stretches of time that grow with their age. A request is counted
 * once, in the running ten seconds; what has ended is added to the running five minutes, and that to the running hour, a
 * part of the table at a time so that no request waits for it.
 */
export class MeasureStore {
  readonly #shape: BlockShape
  readonly #bounds: StoreBounds
  readonly #labels: readonly Labels[]
  #slice: Block
  #five: Block
  #hour: Block
  readonly #slices: Block[] = []
  readonly #fives: Sealed[] = []
  readonly #hours: Sealed[] = []
  readonly #tasks: Task[] = []
  /** Blocks that have ended and are not sealed yet. */
  readonly #ended = new Set<Block>()
  /** Requests that were counted under less than their own labels, since the start. */
  folded = 0

  constructor(
    shape: Pick<BlockShape, 'dimensions' | 'coarse' | 'sums'>,
    labels: readonly Labels[],
    bounds: StoreBounds,
    now: number,
  ) {
    this.#shape = { ...shape, cellsMax: Math.min(CELLS_MAX, bounds.cellsMax), entriesMax: bounds.cellsMax * 32 }
    this.#bounds = bounds
    this.#labels = labels
    this.#slice = this.#block(now, SLICE_MS)
    this.#five = this.#block(now, FIVE_MS)
    this.#hour = this.#block(now, HOUR_MS)
  }

  /** The running ten seconds, to count in. */
  open(now: number): Block {
    if (now >= this.#slice.begin + SLICE_MS) this.roll(now)
    return this.#slice
  }

  /** Closes the stretches that have ended by now. */
  roll(now: number): void {
    if (now < this.#slice.begin + SLICE_MS) return
    const ended = this.#slice
    this.#slice = this.#block(now, SLICE_MS)
    while ((this.#slices[0]?.begin ?? now) <= now - (SLICES_KEPT + 1) * SLICE_MS) this.#slices.shift()
    if (!ended.isEmpty) {
      this.folded += ended.folded
      this.#slices.push(ended)
      this.#tasks.push(merging(ended, this.#five))
    }
    if (now < this.#five.begin + FIVE_MS) return
    const [five, hour] = [this.#five, this.#hour]
    this.#five = this.#block(now, FIVE_MS)
    // Behind what is still to be added to it.
    this.#tasks.push(merging(five, hour), this.#sealing(five, this.#fives, FIVES_KEPT))
    if (now < hour.begin + HOUR_MS) return
    this.#hour = this.#block(now, HOUR_MS)
    this.#tasks.push(this.#sealing(hour, this.#hours, HOURS_KEPT), this.#forgetting())
  }

  /** Goes on adding up and sealing, for about so many places of a table; to the end where nobody says. */
  work(slots = Number.POSITIVE_INFINITY): void {
    const end = this.#tasks.length
    for (let done = 0; done < end || slots === Number.POSITIVE_INFINITY; done++) {
      const task = this.#tasks[0]
      if (task === undefined) return
      while (!task(slots)) if (slots !== Number.POSITIVE_INFINITY) return
      this.#tasks.shift()
      // A small one leaves room for the next; a large one was not done in one go.
      if (slots !== Number.POSITIVE_INFINITY && done >= SMALL_TASKS) return
    }
  }

  /** Is everything added up and sealed that has ended? */
  get isIdle(): boolean {
    return this.#tasks.length === 0
  }

  /**
   * The blocks that hold what happened from a moment on, as finely as it is still known, and how long a stretch of them
   * is: the last minute in tens of seconds, two hours in fives of minutes, beyond in hours. What is still live has to be
   * read before anything else happens; what is sealed stays as it is.
   */
  since(
    from: number,
    now: number,
  ): { readonly live: readonly Block[]; readonly sealed: readonly Sealed[]; readonly stretchMs: number } {
    this.roll(now)
    this.work()
    const touches = (stretchMs: number) => (block: Visited) => block.begin + stretchMs > from
    if (from >= now - SLICES_KEPT * SLICE_MS)
      return { live: [...this.#slices.filter(touches(SLICE_MS)), this.#slice], sealed: [], stretchMs: SLICE_MS }
    if (from >= now - FIVES_KEPT * FIVE_MS)
      return { live: [this.#five, this.#slice], sealed: this.#fives.filter(touches(FIVE_MS)), stretchMs: FIVE_MS }
    const live = [this.#hour, this.#five, this.#slice]
    return { live, sealed: this.#hours.filter(touches(HOUR_MS)), stretchMs: HOUR_MS }
  }

  /** Cells of the running ten seconds, and bytes of everything that is kept. */
  get size(): { readonly cells: number; readonly bytes: number } {
    const all: readonly Visited[] = [
      ...this.#hours,
      ...this.#fives,
      ...this.#slices,
      this.#hour,
      this.#five,
      this.#slice,
    ]
    return { cells: this.#slice.cells, bytes: all.reduce((sum, { bytes }) => sum + bytes, 0) }
  }

  #block(now: number, stretchMs: number): Block {
    return new Block(Math.floor(now / stretchMs) * stretchMs, this.#shape)
  }

  #sealing(block: Block, kept: Sealed[], max: number): Task {
    this.#ended.add(block)
    let sealing: Sealing | undefined
    return (slots) => {
      if (!block.isEmpty) {
        sealing ??= new Sealing(block, this.#shape)
        const sealed = sealing.next(slots)
        if (sealed === undefined) return false
        kept.push(sealed)
        if (kept.length > max) kept.shift()
        let bytes = [...this.#hours, ...this.#fives].reduce((sum, one) => sum + one.bytes, 0)
        while (bytes > this.#bounds.bytesMax && this.#hours.length > 1) bytes -= this.#hours.shift()!.bytes
      }
      this.#ended.delete(block)
      return true
    }
  }

  /**
   * Labels that no block has any more are forgotten, so that those of yesterday leave room for others: one sealed block
   * at a time, and at the end, at once, those that are still being written to.
   */
  #forgetting(): Task {
    const used = this.#labels.map(() => new Set<number>())
    const note = (block: Visited): void =>
      block.visitCells((_cell, labels) => {
        for (let at = 0; at < used.length; at++) used[at]!.add(labels[at]!)
      })
    let sealed: Visited[] | undefined
    return () => {
      sealed ??= [...this.#hours, ...this.#fives]
      const next = sealed.pop()
      if (next !== undefined) {
        note(next)
        return false
      }
      for (const block of [...this.#ended, ...this.#slices, this.#hour, this.#five, this.#slice]) note(block)
      for (const [at, labels] of this.#labels.entries()) labels.keep(used[at]!)
      return true
    }
  }
}

/** Tasks that are done in one call: most of them find next to nothing. */
const SMALL_TASKS = 4

/** Adds a block to a longer one. */
const merging = (from: Block, to: Block): Task => {
  let cells: Int16Array | undefined
  let slot = 0
  return (slots) => {
    cells ??= mapped(from, to)
    const own = cells
    const isUnfinished = from.visitSlots(slot, slot + slots, (cell, time, bucket, count) =>
      to.count(own[cell]!, time, bucket, count),
    )
    slot += slots
    return !isUnfinished
  }
}

/** Which cell of the longer stretch each cell goes to, those with the most requests first; their sums go along. */
const mapped = (from: Block, to: Block): Int16Array => {
  const entries = new Uint32Array(from.cells)
  from.visitCounts((cell) => {
    entries[cell]! += 1
  })
  const order: { cell: number; requests: number; labels: Uint16Array; sums: Float64Array }[] = []
  from.visitCells((cell, labels, sums) => {
    order.push({ cell, requests: sums[0]!, labels: Uint16Array.from(labels), sums: Float64Array.from(sums) })
  })
  order.sort((a, b) => b.requests - a.requests)
  const cells = new Int16Array(from.cells)
  for (const { cell, requests, labels, sums } of order) {
    const own = to.cellFor(labels, requests, entries[cell]!)
    cells[cell] = own
    for (let at = 0; at < sums.length; at++) if (sums[at] !== 0) to.sum(own, at, sums[at]!)
  }
  return cells
}
