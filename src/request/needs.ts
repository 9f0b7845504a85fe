import type { JobNeeds } from '../model/facts.ts'
import { signalOf } from '../model/signal.ts'

/** A job's needs as far as they could be read, and the parts that could not. */
export interface NeedsRead {
  readonly needs: JobNeeds
  /** The parts that say nothing we understand: whoever asked for something must not be given less without a word. */
  readonly unread: readonly string[]
}

const TEXT_CHARS_MAX = 2_048
const PARTS_MAX = 32
/** How much of a part that could not be read is shown. */
const SHOWN_CHARS = 80
const PART = /^([A-Za-z][A-Za-z0-9_.-]*)(?:\s*(>=|<=|=)\s*(.+))?$/
const NUMBER = /^-?[0-9]+(?:\.[0-9]+)?$/
const SIGNAL = /^[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+$/
const CHOICE = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
const DATA = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/

type Amount = 'mw' | 'coolingKw' | 'gpus' | 'gpusMin' | 'batchSize' | 'hours'

/** Amounts as they may be written, in text and in JSON; the largest says what no job can mean. */
const AMOUNTS: Readonly<Record<string, { field: Amount; max: number; by?: number; whole?: true }>> = {
  mw: { field: 'mw', max: 100_000 },
  kw: { field: 'mw', max: 100_000_000, by: 0.001 },
  cooling_kw: { field: 'coolingKw', max: 100_000_000 },
  coolingKw: { field: 'coolingKw', max: 100_000_000 },
  gpus: { field: 'gpus', max: 10_000_000, whole: true },
  gpus_min: { field: 'gpusMin', max: 10_000_000, whole: true },
  gpusMin: { field: 'gpusMin', max: 10_000_000, whole: true },
  batch: { field: 'batchSize', max: 1_000_000_000, whole: true },
  batch_size: { field: 'batchSize', max: 1_000_000_000, whole: true },
  batchSize: { field: 'batchSize', max: 1_000_000_000, whole: true },
  hours: { field: 'hours', max: 100_000 },
}

const LATENCY: ReadonlySet<string> = new Set(['latency_ms', 'latencyMs'])
const LATENCY_SIGNAL = 'network.rtt_p95_ms'

/** May it be asked to come back later? As it may be written, and what it means. */
const MAY_DELAY: Readonly<Record<string, boolean>> = {
  'may-delay': true,
  'may-delay=yes': true,
  'may-delay=true': true,
  'no-delay': false,
  'may-delay=no': false,
  'may-delay=false': false,
}

/**
 * A job's own needs, `mw=2, gpus=16, gpu=H100|B200, cooling=liquid, near=vector-index, network.rtt_p95_ms<=40`, parts
 * parted by commas. A part only ever tightens: of two limits on one signal the harder holds, of two amounts the larger,
 * of two lists of kinds what both have, of two lists of data both. A signal that nobody knows stays in the needs: no
 * target will meet it, and the answer names it.
 */
export const parseNeeds = (text: string): NeedsRead => readNeeds([text])

/** The needs that several places state of one job, each as text or as a JSON object; together they tighten. */
export function readNeeds(stated: readonly unknown[]): NeedsRead {
  const reader = new NeedsReader()
  for (const one of stated) {
    if (typeof one === 'string') reader.text(one)
    else if (typeof one === 'object' && one !== null && !Array.isArray(one)) reader.object(one)
    else reader.unread.push(shown(one))
  }
  return { needs: reader.needs(), unread: reader.unread }
}

class NeedsReader {
  readonly unread: string[] = []
  readonly #signals = new Map<string, { min?: number; max?: number }>()
  readonly #amounts: { -readonly [Name in Amount]?: number } = {}
  readonly #near = new Set<string>()
  #gpu: readonly string[] | undefined = undefined
  #cooling: readonly string[] | undefined = undefined
  #mayDelay: boolean | undefined = undefined

  /** The header's form. */
  text(text: string): void {
    if (text.length > TEXT_CHARS_MAX) {
      this.unread.push(`${text.slice(0, 40)}…`)
      return
    }
    const parts = text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
    for (const [index, part] of parts.entries()) {
      const [, name = '', op, written = ''] = PART.exec(part) ?? []
      const mayDelay = MAY_DELAY[part.replaceAll(/\s*=\s*/g, '=')]
      const isRead =
        index < PARTS_MAX &&
        (mayDelay !== undefined
          ? this.#delay(mayDelay)
          : op !== undefined &&
            (NUMBER.test(written) && name !== 'near'
              ? this.#number(name, op, Number(written))
              : op === '=' && this.#names(name, written.split('|'))))
      if (!isRead) this.unread.push(part.slice(0, SHOWN_CHARS))
    }
  }

  /** The JSON form: the fields of JobNeeds, and the amounts as the text has them. */
  object(object: object): void {
    const entries = Object.entries(object)
    for (const [index, [name, value]] of entries.entries()) {
      const isRead =
        index < PARTS_MAX &&
        (name === 'signals'
          ? this.#limits(value)
          : name === 'mayDelay'
            ? typeof value === 'boolean' && this.#delay(value)
            : typeof value === 'number'
              ? this.#number(name, '=', value)
              : this.#names(name, [value].flat()))
      if (!isRead) this.unread.push(`${name}: ${shown(value)}`.slice(0, SHOWN_CHARS))
    }
  }

  needs(): JobNeeds {
    const { gpus, gpusMin, ...amounts } = this.#amounts
    return {
      ...(this.#signals.size === 0 ? {} : { signals: Object.fromEntries(this.#signals) }),
      ...(this.#gpu === undefined ? {} : { gpu: this.#gpu }),
      ...(this.#cooling === undefined ? {} : { cooling: this.#cooling }),
      ...(this.#mayDelay === undefined ? {} : { mayDelay: this.#mayDelay }),
      ...amounts,
      // A job that cannot do with fewer than that wants at least as many.
      ...(gpus === undefined && gpusMin === undefined ? {} : { gpus: Math.max(gpus ?? 0, gpusMin ?? 0) }),
      ...(gpusMin === undefined ? {} : { gpusMin }),
      ...(this.#near.size === 0 ? {} : { near: [...this.#near] }),
    }
  }

  #delay(may: boolean): boolean {
    this.#mayDelay = may && this.#mayDelay !== false
    return true
  }

  #number(name: string, op: string, value: number): boolean {
    if (!Number.isFinite(value)) return false
    const amount = Object.hasOwn(AMOUNTS, name) ? AMOUNTS[name] : undefined
    if (amount !== undefined) {
      if (op === '<=' || value < 0 || value > amount.max || (amount.whole && !Number.isInteger(value))) return false
      this.#amounts[amount.field] = Math.max(this.#amounts[amount.field] ?? 0, value * (amount.by ?? 1))
      return true
    }
    if (LATENCY.has(name)) return op !== '>=' && value >= 0 && this.#limit(LATENCY_SIGNAL, '<=', value)
    if (!SIGNAL.test(name)) return false
    return this.#limit(name, op === '=' ? (signalOf(name)?.worseWhen === 'higher' ? '<=' : '>=') : op, value)
  }

  #limit(signal: string, op: string, limit: number): boolean {
    const before = this.#signals.get(signal) ?? {}
    this.#signals.set(
      signal,
      op === '>='
        ? { ...before, min: Math.max(before.min ?? limit, limit) }
        : { ...before, max: Math.min(before.max ?? limit, limit) },
    )
    return true
  }

  #limits(value: unknown): boolean {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    const entries = Object.entries(value)
    return (
      entries.length <= PARTS_MAX &&
      entries.every(([signal, limits]) => {
        if (!SIGNAL.test(signal) || typeof limits !== 'object' || limits === null) return false
        const bounds = Object.entries(limits)
        return (
          bounds.length > 0 &&
          bounds.every(
            ([bound, limit]) =>
              (bound === 'min' || bound === 'max') &&
              typeof limit === 'number' &&
              Number.isFinite(limit) &&
              this.#limit(signal, bound === 'min' ? '>=' : '<=', limit),
          )
        )
      })
    )
  }

  #names(name: string, written: readonly unknown[]): boolean {
    const names = written.map((one) => (typeof one === 'string' ? one.trim() : undefined))
    const form = name === 'near' ? DATA : CHOICE
    if (names.length === 0 || names.length > PARTS_MAX) return false
    if (!names.every((one): one is string => one !== undefined && form.test(one))) return false
    if (name === 'near') for (const one of names) this.#near.add(one)
    else if (name === 'gpu') this.#gpu = narrowed(this.#gpu, names)
    else if (name === 'cooling') this.#cooling = narrowed(this.#cooling, names)
    else return false
    return this.#near.size <= PARTS_MAX
  }
}

/** Empty: the job asked for two things that no pool is at once, and none will do. */
const narrowed = (before: readonly string[] | undefined, asked: readonly string[]): readonly string[] =>
  before === undefined ? asked : before.filter((name) => asked.includes(name))

const shown = (value: unknown): string => (JSON.stringify(value) ?? typeof value).slice(0, SHOWN_CHARS)
