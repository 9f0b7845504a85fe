import { Block, type BlockShape, CELLS_MAX, type Visited } from './block.ts'
import type { Labels } from './labels.ts'
import { Sealed } from './sealed.ts'

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

/** What is still to be added to a longer stretch of time, and how far that has come. */
interface Merge {
  readonly from: Block
  readonly to: Block
  cells: Int16Array | undefined
  slot: number
}

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
  readonly #merges: (Merge | (() => void))[] = []
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
      this.#merges.push({ from: ended, to: this.#five, cells: undefined, slot: 0 })
    }
    if (now < this.#five.begin + FIVE_MS) return
    const five = this.#five
    this.#five = this.#block(now, FIVE_MS)
    // Queued behind what is still to be added to it: whether it is empty is seen then.
    const hour = this.#hour
    this.#merges.push({ from: five, to: hour, cells: undefined, slot: 0 })
    this.#merges.push(() => keep(this.#fives, five, this.#shape, FIVES_KEPT))
    if (now < this.#hour.begin + HOUR_MS) return
    this.#hour = this.#block(now, HOUR_MS)
    this.#merges.push(() => {
      keep(this.#hours, hour, this.#shape, HOURS_KEPT)
      this.#trim()
      this.#forget()
    })
  }

  /** Goes on adding up, at most so many places of a table; all of it where nobody says. */
  work(slots = Number.POSITIVE_INFINITY): void {
    let left = slots
    for (let next = this.#merges[0]; next !== undefined && left > 0; next = this.#merges[0]) {
      if (typeof next === 'function') next()
      else {
        next.cells ??= mapped(next.from, next.to)
        const { from, to, cells, slot } = next
        const isUnfinished = from.visitSlots(slot, slot + left, (cell, time, bucket, count) =>
          to.count(cells[cell]!, time, bucket, count),
        )
        if (isUnfinished) {
          next.slot += left
          return
        }
        left -= from.entries + 1
      }
      this.#merges.shift()
    }
  }

  /**
   * The blocks that hold what happened from a moment on, as finely as it is still known, and how long a stretch of them
   * is: the last minute in tens of seconds, two hours in fives of minutes, beyond in hours.
   */
  since(from: number, now: number): { readonly blocks: readonly Visited[]; readonly stretchMs: number } {
    this.roll(now)
    this.work()
    const touches = (stretchMs: number) => (block: Visited) => block.begin + stretchMs > from
    if (from >= now - SLICES_KEPT * SLICE_MS)
      return { blocks: [...this.#slices.filter(touches(SLICE_MS)), this.#slice], stretchMs: SLICE_MS }
    if (from >= now - FIVES_KEPT * FIVE_MS)
      return { blocks: [...this.#fives.filter(touches(FIVE_MS)), this.#five, this.#slice], stretchMs: FIVE_MS }
    const running = [this.#hour, this.#five, this.#slice]
    return { blocks: [...this.#hours.filter(touches(HOUR_MS)), ...running], stretchMs: HOUR_MS }
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

  #trim(): void {
    let bytes = [...this.#hours, ...this.#fives].reduce((sum, one) => sum + one.bytes, 0)
    while (bytes > this.#bounds.bytesMax && this.#hours.length > 1) bytes -= this.#hours.shift()!.bytes
  }

  /** Labels that no block has any more are forgotten, so that those of yesterday leave room for others. */
  #forget(): void {
    const used = this.#labels.map(() => new Set<number>())
    for (const block of [...this.#hours, ...this.#fives, ...this.#slices, this.#hour, this.#five, this.#slice])
      block.visitCells((_cell, labels) => {
        for (let at = 0; at < used.length; at++) used[at]!.add(labels[at]!)
      })
    for (const [at, labels] of this.#labels.entries()) labels.keep(used[at]!)
  }
}

const keep = (kept: Sealed[], block: Block, shape: BlockShape, max: number): void => {
  if (!block.isEmpty) kept.push(new Sealed(block, shape))
  if (kept.length > max) kept.shift()
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
