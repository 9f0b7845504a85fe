/** A part of a site that a fault can be limited to. */
export const SCOPES = ['all', 'chat', 'metrics', 'health'] as const

/** One of SCOPES; `chat` is everything under /v1/. */
export type Scope = (typeof SCOPES)[number]

/** The forms a site's metrics can lie in. `stale` repeats what was true when it began. */
export const LIES = ['stale', 'nan', 'zero', 'absurd', 'negative', 'empty', 'garbage'] as const

/** One of LIES. */
export type Lie = (typeof LIES)[number]

/** What a flapping site does in the second half of each period. */
export const FLAPS = ['fail', 'refuse', 'fill'] as const

/** An order to a simulated site, as POST /control takes it. */
export type Command =
  | { readonly do: 'slow'; readonly factor: number }
  | { readonly do: 'fill'; readonly queued: number; readonly slots: number }
  | { readonly do: 'fail'; readonly status: number; readonly ratio: number; readonly scope: Scope }
  | { readonly do: 'flap'; readonly periodMs: number; readonly how: (typeof FLAPS)[number]; readonly queued: number }
  | { readonly do: 'hang'; readonly scope: Scope }
  | { readonly do: 'lie'; readonly metrics: Lie }
  | { readonly do: 'die'; readonly mode: 'refuse' | 'exit' }
  | { readonly do: 'delay-headers'; readonly ms: number }
  | { readonly do: 'recover' }

type Field =
  | {
      readonly kind: 'number'
      readonly min: number
      readonly max: number
      readonly whole?: true
      readonly absent?: number
    }
  | { readonly kind: 'choice'; readonly of: readonly string[]; readonly absent?: string }

interface CommandRow {
  readonly fields: Readonly<Record<string, Field>>
  /** One line for --help. */
  readonly says: string
}

/** Every order, its fields and what it does: validation and --help read this table. */
export const COMMANDS: Readonly<Record<Command['do'], CommandRow>> = {
  slow: {
    fields: { factor: { kind: 'number', min: 0.001, max: 100_000 } },
    says: 'prefill and tokens take factor times as long, also for answers under way; 1 ends it',
  },
  fill: {
    fields: {
      queued: { kind: 'number', min: 0, max: 1_000_000, whole: true },
      slots: { kind: 'number', min: 0, max: 1_000_000, whole: true, absent: 0 },
    },
    says: 'synthetic requests take that many queue places and slots until released; zeros release them',
  },
  fail: {
    fields: {
      status: { kind: 'number', min: 400, max: 599, whole: true, absent: 500 },
      ratio: { kind: 'number', min: 0, max: 1, absent: 1 },
      scope: { kind: 'choice', of: SCOPES, absent: 'chat' },
    },
    says: 'that share of requests, evenly spread by count, is answered with the status',
  },
  flap: {
    fields: {
      periodMs: { kind: 'number', min: 10, max: 3_600_000 },
      how: { kind: 'choice', of: FLAPS, absent: 'fail' },
      queued: { kind: 'number', min: 0, max: 1_000_000, whole: true, absent: 100 },
    },
    says: 'well for half a period, then 503, or refusing connections, or with a full queue for the other half',
  },
  hang: {
    fields: { scope: { kind: 'choice', of: SCOPES, absent: 'all' } },
    says: 'accepts connections and does not answer; answers under way stand still; recover lets them go on',
  },
  lie: {
    fields: { metrics: { kind: 'choice', of: LIES } },
    says: '/metrics shows frozen, NaN, zero, absurd or negative values, nothing, or no metrics at all',
  },
  die: {
    fields: { mode: { kind: 'choice', of: ['refuse', 'exit'], absent: 'refuse' } },
    says: 'refuse: cuts every connection and listens no more until recover; exit: the process ends',
  },
  'delay-headers': {
    fields: { ms: { kind: 'number', min: 0, max: 3_600_000 } },
    says: 'a chat request is taken up only after so long; 0 ends it',
  },
  recover: { fields: {}, says: 'ends every fault and releases synthetic requests' },
}

/** The order a JSON value gives, its absent fields filled in, or a sentence that says what is wrong with it. */
export const readCommand = (value: unknown): Command | string => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'send a JSON object such as {"do":"slow","factor":4}'
  const { do: name, ...given } = value as Record<string, unknown>
  if (typeof name !== 'string' || !Object.hasOwn(COMMANDS, name))
    return `"do" must be one of ${Object.keys(COMMANDS).join(', ')}`
  const { fields } = COMMANDS[name as Command['do']]
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(fields, key))
  if (unknown !== undefined)
    return `${name} has no field "${unknown}"; it takes ${Object.keys(fields).join(', ') || 'none'}`
  const command: Record<string, unknown> = { do: name }
  for (const [key, field] of Object.entries(fields)) {
    const found = given[key] ?? field.absent
    const problem = problemOf(found, field)
    if (problem !== undefined) return `${name}.${key} must be ${problem}`
    command[key] = found
  }
  return command as unknown as Command
}

const problemOf = (value: unknown, field: Field): string | undefined => {
  if (field.kind === 'choice') return field.of.includes(value as string) ? undefined : `one of ${field.of.join(', ')}`
  const fits =
    typeof value === 'number' && value >= field.min && value <= field.max && (!field.whole || Number.isInteger(value))
  return fits ? undefined : `a ${field.whole ? 'whole ' : ''}number from ${field.min} to ${field.max}`
}
