import type { Decision } from '../model/decision.ts'

/** Answers that are kept; documents have far fewer combinations of targets, reasons and policies in use at a time. */
const KEPT_MAX = 4_096
/** Stands in an answer where an id will: no name of anything has such a letter. */
const MARK = '\u0001'

interface Ready {
  readonly bytes: Buffer
  /** Where the decision's id goes, and how long it is. */
  readonly idAt: number
  readonly idLength: number
}

type Level = Map<string, Level | Ready>
type Routed = Extract<Decision, { readonly action: 'route' | 'degrade' }>

/**
 * Answers made ahead: two decisions for the same target with the same reason, policy and arm differ in nothing but their
 * id. The first of a kind is encoded, the others are a copy of it with another id.
 */
export class ReadyAnswers {
  readonly #encode: (decision: Decision) => Buffer
  readonly #keptMax: number
  #root: Level = new Map()
  #kept = 0

  constructor(encode: (decision: Decision) => Buffer, keptMax = KEPT_MAX) {
    this.#encode = encode
    this.#keptMax = keptMax
  }

  get kept(): number {
    return this.#kept
  }

  /** The answer to a decision; undefined where more than its id is its own, and it has to be encoded. */
  answer(decision: Decision): Buffer | undefined {
    if (decision.action !== 'route' && decision.action !== 'degrade') return undefined
    if (decision.reservation !== undefined || decision.movedFrom !== undefined) return undefined
    // Without a model it would be filed where the routes are.
    if (decision.action === 'degrade' && decision.model === '') return undefined
    const { id } = decision
    const ready = this.#find(decision) ?? this.#make(decision)
    if (ready === undefined || ready.idLength !== id.length) return undefined
    const answer = Buffer.allocUnsafe(ready.bytes.length)
    answer.set(ready.bytes)
    const { idAt } = ready
    for (let i = 0; i < id.length; i++) {
      const code = id.charCodeAt(i)
      if (code > 0x7f) return undefined
      answer[idAt + i] = code
    }
    return answer
  }

  #find(decision: Routed): Ready | undefined {
    const { action, cluster = '', target = '', reason, policy, arm } = decision
    let level: Level | Ready | undefined = this.#root.get(cluster)
    level = (level as Level | undefined)?.get(target)
    level = (level as Level | undefined)?.get(reason)
    level = (level as Level | undefined)?.get(policy ?? '')
    level = (level as Level | undefined)?.get(arm ?? '')
    return (level as Level | undefined)?.get(action === 'degrade' ? decision.model : '') as Ready | undefined
  }

  #make(decision: Routed): Ready | undefined {
    const { action, cluster = '', target = '', reason, policy, arm, id } = decision
    const mark = MARK.repeat(id.length)
    const bytes = this.#encode({ ...decision, id: mark })
    const idAt = bytes.indexOf(mark)
    if (idAt < 0 || id.length === 0) return undefined
    if (this.#kept >= this.#keptMax) {
      // Names change with documents, for years.
      this.#root = new Map()
      this.#kept = 0
    }
    const keys = [cluster, target, reason, policy ?? '', arm ?? '', action === 'degrade' ? decision.model : '']
    const last = keys.pop()!
    let level = this.#root
    for (const key of keys) {
      let next = level.get(key) as Level | undefined
      if (next === undefined) {
        next = new Map()
        level.set(key, next)
      }
      level = next
    }
    const ready: Ready = { bytes, idAt, idLength: id.length }
    level.set(last, ready)
    this.#kept += 1
    return ready
  }
}
