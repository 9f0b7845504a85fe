import { firstWanted } from '../../measure/decided-ring.ts'
import type { Decision } from '../../model/decision.ts'
import type { Facts } from '../../model/facts.ts'
import type { Counts } from './shared-tally.ts'

/** What measuring is told of one decision that another process made. */
export interface DecidedThere {
  /** As much of it as is measured by. */
  readonly facts: Facts
  readonly decision: Decision
  readonly heldMs: number | undefined
  /** The end of its request will be told by the access log. */
  readonly isLogged: boolean
}

/** What goes before the columns of a batch. */
interface Head {
  readonly number: number
  readonly sent: Counts
  /** The texts of the columns; 0 is no text. */
  readonly texts: readonly string[]
  /** Joined by line ends. */
  readonly ids: string
}

/** Decisions that a batch holds at most. */
export const BATCH_MAX = 1_024
/** A text of a request longer than that is cut, as measuring cuts it. */
const TEXT_CHARS_MAX = 128

const [CLASS, ACTION, REASON, TARGET, FIRST, POLICY, FLAG, ROLLOUT, ARM, TENANT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
const [TIER, REGION, COUNTRY, MODEL, PROMPT, MOVED, SESSION, TEXTS] = [10, 11, 12, 13, 14, 15, 16, 17] as const
const FORCED = 1
const LOGGED = 2

/**
 * Decisions on their way to the main process: numbers of texts in columns, and each text once, because the same few
 * classes, targets and tenants are in all of them. A decision costs a few look-ups here and there, and no object.
 */
export class DecidedBatch {
  #texts = new Map<string, number>()
  #ids: string[] = []
  readonly #columns = new Uint16Array(BATCH_MAX * TEXTS)
  readonly #marks = new Uint8Array(BATCH_MAX)
  readonly #times = new Float64Array(BATCH_MAX * 2)

  get size(): number {
    return this.#ids.length
  }

  add(facts: Facts, decision: Decision, heldMs: number | undefined, isLogged: boolean): void {
    const row = this.#ids.length
    this.#ids.push(decision.id)
    this.#times[row * 2] = decision.at
    this.#times[row * 2 + 1] = heldMs ?? -1
    this.#marks[row] = (decision.forced === true ? FORCED : 0) | (isLogged ? LOGGED : 0)
    const at = row * TEXTS
    const columns = this.#columns
    const { action } = decision
    const isSent = action === 'route' || action === 'degrade'
    columns[at + CLASS!] = this.#number(decision.class)
    columns[at + ACTION!] = this.#number(action)
    columns[at + REASON!] = this.#number(decision.reason)
    columns[at + TARGET!] = this.#number(isSent ? decision.target : undefined)
    columns[at + FIRST!] = this.#number(firstWanted(decision))
    columns[at + POLICY!] = this.#number(decision.policy)
    columns[at + FLAG!] = this.#number(decision.layers[0]?.flag)
    columns[at + ROLLOUT!] = this.#number(decision.rollout)
    columns[at + ARM!] = this.#number(decision.arm)
    columns[at + TENANT!] = this.#number(facts.tenant)
    columns[at + TIER] = this.#number(facts.tier)
    columns[at + REGION] = this.#number(facts.region)
    columns[at + COUNTRY] = this.#number(facts.country)
    columns[at + MODEL] = this.#number(action === 'degrade' ? decision.model : facts.model)
    const { promptType } = facts.extra
    columns[at + PROMPT] = this.#number(typeof promptType === 'string' ? promptType : undefined)
    columns[at + MOVED] = this.#number(decision.movedFrom)
    // Whole, because it is hashed there; only arms ask for it.
    columns[at + SESSION] = decision.arm === null ? 0 : this.#number(facts.sessionKey, Number.POSITIVE_INFINITY)
  }

  /** The batch as bytes; it is empty then. */
  take(number: number, sent: Counts): Buffer {
    const rows = this.#ids.length
    const head: Head = { number, sent, texts: [...this.#texts.keys()], ids: this.#ids.join('\n') }
    const text = Buffer.from(JSON.stringify(head))
    const size = Buffer.allocUnsafe(8)
    size.writeUInt32LE(text.length, 0)
    size.writeUInt32LE(rows, 4)
    const bytes = (array: Uint16Array | Uint8Array | Float64Array, length: number): Buffer =>
      Buffer.from(array.buffer, 0, length * array.BYTES_PER_ELEMENT)
    const all = Buffer.concat([
      size,
      bytes(this.#times, rows * 2),
      bytes(this.#columns, rows * TEXTS),
      bytes(this.#marks, rows),
      text,
    ])
    this.drop()
    return all
  }

  /** Forgets what it holds. */
  drop(): void {
    this.#texts = new Map()
    this.#ids = []
  }

  #number(text: string | null | undefined, charsMax = TEXT_CHARS_MAX): number {
    if (text === undefined || text === null) return 0
    const kept = text.length > charsMax ? text.slice(0, charsMax) : text
    let number = this.#texts.get(kept)
    if (number === undefined) {
      number = this.#texts.size + 1
      this.#texts.set(kept, number)
    }
    return number
  }
}

/** The decisions of a batch, as much as is measured by, and what was sent meanwhile. Throws at bytes that are no batch. */
export function readBatch(bytes: Buffer): {
  readonly number: number
  readonly sent: Counts
  readonly decided: readonly DecidedThere[]
} {
  const rows = bytes.readUInt32LE(4)
  // A copy of its own: columns of wider numbers have to begin at a multiple of their width.
  const columns = bytes.buffer.slice(bytes.byteOffset + 8, bytes.byteOffset + 8 + rows * (16 + 2 * TEXTS + 1))
  const times = new Float64Array(columns, 0, rows * 2)
  const numbers = new Uint16Array(columns, rows * 16, rows * TEXTS)
  const marks = new Uint8Array(columns, rows * (16 + 2 * TEXTS), rows)
  const from = 8 + columns.byteLength
  const { number, sent, texts, ids } = JSON.parse(bytes.toString('utf8', from, from + bytes.readUInt32LE(0))) as Head
  const names = rows === 0 ? [] : ids.split('\n')
  return {
    number,
    sent,
    decided: names.map((id, row) => {
      const text = (column: number): string | undefined => texts[numbers[row * TEXTS + column]! - 1]
      const heldMs = times[row * 2 + 1]!
      return {
        ...thereOf(id, times[row * 2]!, text, (marks[row]! & FORCED) !== 0),
        heldMs: heldMs < 0 ? undefined : heldMs,
        isLogged: (marks[row]! & LOGGED) !== 0,
      }
    }),
  }
}

type Text = (column: number) => string | undefined

const thereOf = (id: string, at: number, text: Text, isForced: boolean): Pick<DecidedThere, 'facts' | 'decision'> => {
  const [first, flag, rollout] = [text(FIRST!), text(FLAG!), text(ROLLOUT!)]
  const [tenant, tier, region, country, model] = [TENANT!, TIER, REGION, COUNTRY, MODEL].map(text)
  const [promptType, movedFrom, sessionKey, target] = [PROMPT, MOVED, SESSION, TARGET!].map(text)
  const decision = {
    ...{
      id,
      at,
      class: text(CLASS!) ?? '',
      action: text(ACTION!),
      reason: text(REASON!),
      policy: text(POLICY!) ?? null,
    },
    ...{ ladder: first === undefined ? [] : [[first]], because: [], layers: flag === undefined ? [] : [{ flag }] },
    arm: text(ARM!) ?? null,
    ...(target === undefined ? {} : { target }),
    ...(rollout === undefined ? {} : { rollout }),
    ...(isForced ? { forced: true } : {}),
    ...(movedFrom === undefined ? {} : { movedFrom }),
    ...(text(ACTION!) === 'degrade' && model !== undefined ? { model } : {}),
  }
  const facts = {
    ...{ tenant, tier, region, country, model, sessionKey },
    extra: promptType === undefined ? {} : { promptType },
  }
  return { decision: decision as unknown as Decision, facts: facts as unknown as Facts }
}
