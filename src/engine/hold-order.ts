import type { EpochMs } from '../model/names.ts'

/** What the order of held requests looks at. */
export interface Waiting {
  /** Critical classes come before all others. */
  readonly critical: boolean
  readonly tenant: string
  /** When an answer is of no use any more; the earliest of a tenant goes first. */
  readonly deadline: EpochMs
  /**
   * What serving it costs, in tokens as far as they are known: a tenant with long prompts does not get more for it. Past
   * COST_MAX it counts as that.
   */
  readonly cost: number
}

/** What a tenant may spend in one turn, in tokens: an ordinary request or two. */
export const QUANTUM = 4_096
/**
 * What one request counts for at most: 32 turns, the whole context of a usual model. The cost may be a client's word, and
 * without a bound one who asks for an answer of 1e300 tokens would have us save up for it for ever.
 */
const COST_MAX = 32 * QUANTUM

const costOf = ({ cost }: Waiting): number => (cost < COST_MAX ? cost : COST_MAX)

interface Line<T extends Waiting> {
  readonly tenant: string
  /** Earliest deadline first; equal ones as they came. */
  readonly waiting: T[]
  deficit: number
  /** The most that one of it has cost: nobody saves up for more. */
  largest: number
}

/**
 * Held requests in the order in which they are let go: critical classes first, tenants in turn by deficit round robin
 * (Shreedhar and Varghese 1995), and inside a tenant the earliest deadline first. Nobody's turn is skipped: a tenant
 * whose next request costs more than its turn allows saves up for it. Example: A waits with three requests of 4,000
 * tokens and B with one; they go A, B, A, A.
 */
export class HoldOrder<T extends Waiting> {
  readonly #lanes: readonly [critical: Line<T>[], other: Line<T>[]] = [[], []]
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Takes one in. */
  add(one: T): void {
    const lane = this.#lane(one)
    let line = lane.find(({ tenant }) => tenant === one.tenant)
    if (line === undefined) {
      line = { tenant: one.tenant, waiting: [], deficit: 0, largest: 0 }
      lane.push(line)
    }
    let at = line.waiting.length
    while (at > 0 && line.waiting[at - 1]!.deadline > one.deadline) at -= 1
    line.waiting.splice(at, 0, one)
    line.largest = Math.max(line.largest, costOf(one))
    this.#size += 1
  }

  /** Takes one out, wherever it stands; false: it was not there. */
  remove(one: T): boolean {
    const lane = this.#lane(one)
    const index = lane.findIndex(({ tenant }) => tenant === one.tenant)
    const line = lane[index]
    const at = line?.waiting.indexOf(one) ?? -1
    if (line === undefined || at < 0) return false
    line.waiting.splice(at, 1)
    if (line.waiting.length === 0) lane.splice(index, 1)
    this.#size -= 1
    return true
  }

  /**
   * Goes through the waiting in order and lets those go for which `go` says so; `stop` ends the round. One that can't go
   * loses nothing: its tenant's turn passes to its next request, and its savings stay for the next round.
   */
  release(go: (one: T) => 'go' | 'stay' | 'stop'): T[] {
    const gone: T[] = []
    for (const lane of this.#lanes) {
      const asked = new Set<T>()
      let idle = 0
      // Each turn moves a tenant to the end; once nobody has let anything go for a whole round there is nobody left to ask.
      while (lane.length > 0 && idle < lane.length) {
        const line = lane.shift()!
        line.deficit += QUANTUM
        let moved = false
        for (let at = 0; at < line.waiting.length; at++) {
          const one = line.waiting[at]!
          if (asked.has(one)) continue
          const cost = costOf(one)
          if (cost > line.deficit) {
            moved = true
            break
          }
          asked.add(one)
          const verdict = go(one)
          if (verdict === 'stop') {
            lane.unshift(line)
            line.deficit -= QUANTUM
            return gone
          }
          if (verdict === 'stay') continue
          line.deficit -= cost
          line.waiting.splice(at, 1)
          this.#size -= 1
          gone.push(one)
          moved = true
          break
        }
        idle = moved ? 0 : idle + 1
        if (line.waiting.length > 0) {
          // Who is asked and cannot go does not save up without end.
          line.deficit = Math.min(line.deficit, QUANTUM + line.largest)
          lane.push(line)
        }
      }
    }
    return gone
  }

  /** All that wait, in no particular order. */
  all(): T[] {
    return this.#lanes.flatMap((lane) => lane.flatMap(({ waiting }) => waiting))
  }

  #lane(one: T): Line<T>[] {
    return this.#lanes[one.critical ? 0 : 1]
  }
}
