import { murmur3 } from '../math/murmur3.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import type { Decided } from '../model/outcome.ts'
import { hashOfId, IdTable } from './id-table.ts'

/** Texts of requests that are shared between the decisions that hold them; beyond it all are forgotten and shared anew. */
const SHARED_MAX = 4_096
/** A text of a request longer than that is cut: nobody measures by it. */
const TEXT_CHARS_MAX = 128

const TREATMENT = 1
const CONTROL = 2
const FORCED = 4
const JOINED = 8

type Text = string | null

/**
 * The last decisions by their id, until their requests have ended: columns that are allocated once and written round
 * and round, so that a decision costs the request path a few stores and no object.
 */
export class DecidedRing {
  readonly #table: IdTable
  readonly #ids: string[]
  readonly #hashes: Int32Array
  readonly #at: Float64Array
  readonly #heldMs: Float64Array
  /** Hashes of the keys of sessions; -1: none. */
  readonly #sessions: Float64Array
  readonly #marks: Uint8Array
  readonly #texts: readonly Text[][]
  readonly #size: number
  #shared = new Map<string, string>()
  #next = 0
  /** Decisions that were overwritten before their request had been heard of. */
  overwritten = 0

  constructor(size: number) {
    this.#size = size
    this.#table = new IdTable(size)
    this.#ids = new Array<string>(size).fill('')
    this.#hashes = new Int32Array(size)
    this.#at = new Float64Array(size)
    this.#heldMs = new Float64Array(size)
    this.#sessions = new Float64Array(size)
    this.#marks = new Uint8Array(size)
    this.#texts = Array.from({ length: COLUMNS }, () => new Array<Text>(size).fill(null))
  }

  /** Keeps what outcomes need of a decision. */
  add(decision: Decision, facts: Facts, heldMs: number | undefined): void {
    const place = this.#next
    this.#next = place + 1 === this.#size ? 0 : place + 1
    const before = this.#ids[place]!
    if (before !== '') {
      if ((this.#marks[place]! & JOINED) === 0) this.overwritten += 1
      this.#table.remove(this.#hashes[place]!, place)
    }
    const { id } = decision
    const hash = hashOfId(id)
    this.#ids[place] = id
    this.#hashes[place] = hash
    this.#table.put(hash, place)
    this.#at[place] = decision.at
    this.#heldMs[place] = heldMs ?? -1
    // Asked of arms alone, whose split is counted by sessions.
    this.#sessions[place] = decision.arm === null || facts.sessionKey === undefined ? -1 : murmur3(facts.sessionKey)
    this.#marks[place] =
      (decision.arm === null ? 0 : decision.arm === 'treatment' ? TREATMENT : CONTROL) |
      (decision.forced === true ? FORCED : 0)
    const target = decision.action === 'route' || decision.action === 'degrade' ? (decision.target ?? null) : null
    const texts = this.#texts
    texts[CLASS]![place] = this.#share(decision.class)
    texts[ACTION]![place] = decision.action
    texts[REASON]![place] = decision.reason
    texts[TARGET]![place] = target
    texts[FIRST]![place] = firstChoiceOf(decision, target)
    texts[POLICY]![place] = decision.policy
    texts[FLAG]![place] = decision.layers[0]?.flag ?? null
    texts[ROLLOUT]![place] = decision.rollout ?? null
    texts[TENANT]![place] = this.#share(facts.tenant)
    texts[TIER]![place] = this.#share(facts.tier)
    texts[REGION]![place] = this.#share(facts.region)
    texts[COUNTRY]![place] = this.#share(facts.country)
    texts[MODEL]![place] = this.#share(decision.action === 'degrade' ? decision.model : facts.model)
    const { promptType } = facts.extra
    texts[PROMPT]![place] = typeof promptType === 'string' ? this.#share(promptType) : null
  }

  /** The place of a decision; -1: it is not, or not any more, known. */
  find(id: string): number {
    return this.#table.find(hashOfId(id), (place) => this.#ids[place] === id)
  }

  /** Marks the decision as one whose request has ended; false: it was already. */
  join(place: number): boolean {
    if ((this.#marks[place]! & JOINED) !== 0) return false
    this.#marks[place]! |= JOINED
    return true
  }

  /** When the oldest decision that is kept was made; 0: the ring has not been full yet. */
  get since(): EpochMs {
    return this.#ids[this.#next] === '' ? 0 : this.#at[this.#next]!
  }

  /** What is kept of the decision at a place. */
  at(place: number): Decided {
    const text = (column: number): string | null => this.#texts[column]![place]!
    const marks = this.#marks[place]!
    const heldMs = this.#heldMs[place]!
    const session = this.#sessions[place]!
    const [tenant, tier, region, country, model, promptType] = [TENANT, TIER, REGION, COUNTRY, MODEL, PROMPT].map(text)
    return {
      id: this.#ids[place]!,
      at: this.#at[place]!,
      class: text(CLASS) ?? '',
      action: text(ACTION) as Decided['action'],
      reason: text(REASON) as Decided['reason'],
      target: text(TARGET),
      firstChoice: text(FIRST),
      policy: text(POLICY),
      arm: (marks & TREATMENT) !== 0 ? 'treatment' : (marks & CONTROL) !== 0 ? 'control' : null,
      flag: text(FLAG),
      rollout: text(ROLLOUT),
      forced: (marks & FORCED) !== 0,
      ...(tenant == null ? {} : { tenant }),
      ...(tier == null ? {} : { tier }),
      ...(region == null ? {} : { region }),
      ...(country == null ? {} : { country }),
      ...(model == null ? {} : { model }),
      ...(promptType == null ? {} : { promptType }),
      ...(heldMs < 0 ? {} : { heldMs }),
      ...(session < 0 ? {} : { session }),
    }
  }

  /** One text for all requests that bring the same: each brings a copy of its own, which would live as long as the ring. */
  #share(text: string | undefined): Text {
    if (text === undefined) return null
    const known = this.#shared.get(text)
    if (known !== undefined) return known
    if (this.#shared.size >= SHARED_MAX) this.#shared = new Map()
    const kept = text.length > TEXT_CHARS_MAX ? text.slice(0, TEXT_CHARS_MAX) : text
    this.#shared.set(kept, kept)
    return kept
  }
}

const [CLASS, ACTION, REASON, TARGET, FIRST, POLICY, FLAG, ROLLOUT] = [0, 1, 2, 3, 4, 5, 6, 7] as const
const [TENANT, TIER, REGION, COUNTRY, MODEL, PROMPT, COLUMNS] = [8, 9, 10, 11, 12, 13, 14] as const

/**
 * Where the request would best have gone. A tier of several sites has as many first choices: what took it is the first
 * choice then.
 */
const firstChoiceOf = (decision: Decision, target: string | null): string | null =>
  decision.reason === 'first-choice' ? target : (firstWanted(decision) ?? null)

/**
 * What a ladder names first. One that is worked out for each request names nothing: it is what stood in the way then, if
 * anything did.
 */
export const firstWanted = ({ ladder, because }: Pick<Decision, 'ladder' | 'because'>): string | undefined => {
  const first = ladder[0]?.[0]
  return first !== undefined && first !== '*' && !first.startsWith('nearest ') ? first : because[0]?.target
}
