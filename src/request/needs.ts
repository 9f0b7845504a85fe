import type { JobNeeds } from '../model/facts.ts'

/** A job's needs as far as they could be read, and the parts that could not. */
export interface NeedsRead {
  readonly needs: JobNeeds
  /** The parts that say nothing we understand: whoever asked for something must not be given less without a word. */
  readonly unread: readonly string[]
}

const TEXT_CHARS_MAX = 2_048
const PARTS_MAX = 32
const LIMIT = /^([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)\s*(>=|<=)\s*(-?[0-9]+(?:\.[0-9]+)?)$/
const CHOICE = /^(gpu|cooling)\s*=\s*([A-Za-z0-9][A-Za-z0-9_.|-]*)$/

/**
 * A job's own needs, `power.headroom_mw>=2, network.rtt_p95_ms<=40, gpu=H100|B200, cooling=liquid, may-delay`, parts
 * parted by commas. A part only ever tightens: of two limits on one signal the harder holds, of two lists what both
 * have. A signal that nobody knows stays in the needs: no target will meet it, and the answer names it.
 */
export function parseNeeds(text: string): NeedsRead {
  if (text.length > TEXT_CHARS_MAX) return { needs: {}, unread: [`${text.slice(0, 40)}…`] }
  const signals = new Map<string, { min?: number; max?: number }>()
  const choices = new Map<string, readonly string[]>()
  const unread: string[] = []
  let mayDelay = false
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  for (const [index, part] of parts.entries()) {
    const limit = LIMIT.exec(part)
    const choice = CHOICE.exec(part)
    if (index >= PARTS_MAX) unread.push(part)
    else if (part === 'may-delay') mayDelay = true
    else if (limit !== null) signals.set(limit[1]!, tightened(signals.get(limit[1]!), limit[2]!, Number(limit[3])))
    else if (choice !== null) choices.set(choice[1]!, narrowed(choices.get(choice[1]!), choice[2]!.split('|')))
    else unread.push(part)
  }
  const gpu = choices.get('gpu')
  const cooling = choices.get('cooling')
  return {
    needs: {
      ...(signals.size === 0 ? {} : { signals: Object.fromEntries(signals) }),
      ...(gpu === undefined ? {} : { gpu }),
      ...(cooling === undefined ? {} : { cooling }),
      ...(mayDelay ? { mayDelay } : {}),
    },
    unread,
  }
}

function tightened(
  before: { min?: number; max?: number } = {},
  op: string,
  limit: number,
): { min?: number; max?: number } {
  return op === '>='
    ? { ...before, min: Math.max(before.min ?? limit, limit) }
    : { ...before, max: Math.min(before.max ?? limit, limit) }
}

/** Empty: the job asked for two things that no pool is at once, and none will do. */
function narrowed(before: readonly string[] | undefined, asked: readonly string[]): readonly string[] {
  const names = asked.filter((name) => name !== '')
  return before === undefined ? names : before.filter((name) => names.includes(name))
}
