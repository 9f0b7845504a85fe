import type { Decided } from '../model/outcome.ts'
import type { Arm } from '../model/rollout.ts'
import { hashOfId, IdTable } from './id-table.ts'

/** Names of outcomes that can be told apart by one bit each. */
export const NAMES_MAX = 64
/** Texts that are kept by number: rollouts, classes, policies and flags. */
const TEXTS_MAX = 65_000

/**
 * Which arm the last decisions of rollouts were in, for outcomes that a business reports hours later. It holds four times
 * as many decisions as the ring of all of them, and only those of arms; nothing is allocated before the first of these.
 */
export class ArmRing {
  readonly #size: number
  #kept: Kept | undefined
  #next = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Notes the decision, where it is of an arm and no tester's. */
  add(decided: {
    readonly id: string
    readonly at: number
    readonly class: string
    readonly arm: Arm | null
    readonly rollout?: string | null | undefined
    readonly policy: string | null
    readonly forced?: boolean | undefined
  }): void {
    if (decided.arm === null || decided.rollout == null || decided.forced === true) return
    this.#kept ??= keptFor(this.#size)
    const kept = this.#kept
    const place = this.#next
    this.#next = place + 1 === this.#size ? 0 : place + 1
    if (kept.ids[place] !== undefined) kept.table.remove(kept.hashes[place]!, place)
    const hash = hashOfId(decided.id)
    kept.ids[place] = decided.id
    kept.hashes[place] = hash
    kept.table.put(hash, place)
    kept.at[place] = decided.at
    kept.isTreatment[place] = decided.arm === 'treatment' ? 1 : 0
    kept.classes[place] = numberOf(kept, decided.class)
    kept.rollouts[place] = numberOf(kept, decided.rollout)
    kept.policies[place] = numberOf(kept, decided.policy ?? '')
    kept.reported.fill(0, place * 2, place * 2 + 2)
  }

  /** What is known of a decision of an arm. */
  find(id: string): Decided | undefined {
    const place = this.#find(id)
    if (place < 0) return undefined
    const kept = this.#kept!
    const text = (number: number): string => kept.texts[number]!
    const policy = text(kept.policies[place]!)
    return {
      ...{ id, at: kept.at[place]!, class: text(kept.classes[place]!), action: 'route', reason: 'first-choice' },
      ...{ target: null, firstChoice: null, flag: null, forced: false, policy: policy === '' ? null : policy },
      ...{ arm: kept.isTreatment[place] === 1 ? 'treatment' : 'control', rollout: text(kept.rollouts[place]!) },
    }
  }

  /** Notes that an outcome of this name was reported of a decision; false: it was already, or the decision is not known. */
  report(id: string, name: number): boolean {
    const place = this.#find(id)
    if (place < 0) return false
    const [word, bit] = [place * 2 + (name >> 5), 1 << (name & 31)]
    const { reported } = this.#kept!
    if ((reported[word]! & bit) !== 0) return false
    reported[word]! |= bit
    return true
  }

  #find(id: string): number {
    const kept = this.#kept
    return kept === undefined ? -1 : kept.table.find(hashOfId(id), (place) => kept.ids[place] === id)
  }
}

interface Kept {
  readonly table: IdTable
  readonly ids: (string | undefined)[]
  readonly hashes: Int32Array
  readonly at: Float64Array
  readonly isTreatment: Uint8Array
  readonly classes: Uint16Array
  readonly rollouts: Uint16Array
  readonly policies: Uint16Array
  readonly reported: Int32Array
  readonly texts: string[]
  readonly numbers: Map<string, number>
}

const keptFor = (size: number): Kept => ({
  table: new IdTable(size),
  ids: new Array<string | undefined>(size).fill(undefined),
  hashes: new Int32Array(size),
  at: new Float64Array(size),
  isTreatment: new Uint8Array(size),
  classes: new Uint16Array(size),
  rollouts: new Uint16Array(size),
  policies: new Uint16Array(size),
  reported: new Int32Array(size * 2),
  texts: [''],
  numbers: new Map([['', 0]]),
})

const numberOf = ({ texts, numbers }: Kept, text: string): number => {
  const known = numbers.get(text)
  if (known !== undefined) return known
  // Names of documents: a process never sees so many.
  if (texts.length >= TEXTS_MAX) return 0
  numbers.set(text, texts.length)
  texts.push(text)
  return texts.length - 1
}
