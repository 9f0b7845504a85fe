import type { EpochMs } from '../model/names.ts'
import {
  type MaintenanceOrder,
  OVERRIDE_LIFE_MAX_MS,
  type Override,
  type OverrideScope,
  type OverrideSet,
  type RoutingSwitch,
} from '../model/override.ts'
import type { Problem } from '../model/problem.ts'
import { signalOf } from '../model/signal.ts'

/** Every code that reading overrides can give, and what it means. To add one, add a row. */
export const OVERRIDE_PROBLEMS = {
  'override/syntax': 'the file is not JSON',
  'override/shape': 'a field is missing, unknown or of the wrong type',
  'override/too-large': 'the file is larger than 1 MiB or holds more than 1,000 orders',
  'override/duplicate-id': 'two orders have one id',
  'override/no-expiry': 'an order without an end',
  'override/expiry': 'an order that ends too late, or before it begins',
  'override/scope': 'an order that covers nothing by name',
  'override/constraint': 'an order to waive what is not a threshold',
  'override/unknown-id': 'no order has this id',
  'override/file-gone': 'the file is gone while orders of it are in force',
  'override/from-disk': 'the file is unusable; the last good orders are taken from disk',
  'override/unreadable': 'the file cannot be read or written',
  'override/locked': 'somebody else is writing the file',
} as const satisfies Record<string, string>

/** A set without orders. */
export const NO_OVERRIDES: OverrideSet = { overrides: [], maintenance: [] }

const BYTES_MAX = 1_048_576
const ORDERS_MAX = 1_000
/** How far a clock may run ahead of ours: an order made later still could be made to last for ever. */
const CLOCK_AHEAD_MS = 300_000

/** What came of reading orders: a set, or all that is wrong. */
export interface OverridesRead {
  readonly set: OverrideSet | null
  readonly problems: readonly Problem[]
}

type Fields = Readonly<Record<string, unknown>>

/** The orders in a text: JSON with `routing`, `overrides` and `maintenance`, times as ISO 8601 or epoch milliseconds. */
export function readOverrides(text: string, path: string, now: EpochMs): OverridesRead {
  const reading = new Reading(path, now)
  if (Buffer.byteLength(text) > BYTES_MAX) {
    reading.tell('override/too-large', 'the file', `has more than ${BYTES_MAX} bytes`, 'take old orders out of it')
    return reading.result(NO_OVERRIDES)
  }
  let value: unknown
  try {
    // An empty file is somebody in the middle of writing: it must not end a drain.
    value = JSON.parse(text)
  } catch (error) {
    return { set: null, problems: [syntaxProblem(text, path, error as Error)] }
  }
  return reading.result(reading.set(value))
}

function syntaxProblem(text: string, path: string, error: Error): Problem {
  const at = Number(/position (\d+)/.exec(error.message)?.[1] ?? text.length)
  const before = text.slice(0, at).split('\n')
  const place = { path, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
  const remedy = 'change overrides with `hubward override`, which writes the file whole'
  return { code: 'override/syntax', severity: 'error', message: `no JSON: ${error.message}`, ...place, remedy }
}

class Reading {
  readonly #problems: Problem[] = []
  readonly #path: string
  readonly #now: EpochMs

  constructor(path: string, now: EpochMs) {
    this.#path = path
    this.#now = now
  }

  result(set: OverrideSet): OverridesRead {
    return { set: this.#problems.length === 0 ? set : null, problems: this.#problems }
  }

  tell(code: keyof typeof OVERRIDE_PROBLEMS, where: string, what: string, remedy?: string): void {
    const message = `${where} ${what}`
    const problem: Problem = { code, severity: 'error', message, path: this.#path }
    this.#problems.push(remedy === undefined ? problem : { ...problem, remedy })
  }

  set(value: unknown): OverrideSet {
    const fields = this.#fields(value, 'the file', ['$schema', 'routing', 'overrides', 'maintenance'])
    const list = (name: 'overrides' | 'maintenance'): unknown[] => {
      const found = fields[name] ?? []
      if (Array.isArray(found)) return found
      this.tell('override/shape', name, 'has to be a list')
      return []
    }
    const [overrides, maintenance] = [list('overrides'), list('maintenance')]
    if (overrides.length + maintenance.length > ORDERS_MAX) {
      this.tell('override/too-large', 'the file', `has more than ${ORDERS_MAX} orders`, 'take old orders out of it')
      return NO_OVERRIDES
    }
    const set = {
      ...(fields.routing === undefined ? {} : { routing: this.#routing(fields.routing) }),
      overrides: overrides.map((order, index) => this.#override(order, `overrides[${index}]`)),
      maintenance: maintenance.map((order, index) => this.#maintenance(order, `maintenance[${index}]`)),
    }
    const ids = [...set.overrides, ...set.maintenance].map(({ id }) => id)
    for (const id of new Set(ids.filter((one, index) => one !== '' && ids.indexOf(one) !== index))) {
      this.tell('override/duplicate-id', `the id "${id}"`, 'is used twice', 'give each order an id of its own')
    }
    return set
  }

  #override(value: unknown, where: string): Override {
    const known = ['id', 'kind', 'scope', 'constraint', 'reason', 'author', 'created', 'expires']
    const fields = this.#fields(value, where, known)
    const kind = fields.kind as Override['kind']
    if (!['drain', 'pin', 'freeze', 'admit'].includes(kind)) {
      this.tell('override/shape', `${where}.kind`, `is ${JSON.stringify(kind)}`, 'write drain, pin, freeze or admit')
    }
    const created = this.#time(fields, 'created', where)
    const order = {
      id: this.#text(fields, 'id', where, 100),
      kind,
      scope: this.#scope(fields.scope, kind, where),
      ...(fields.constraint === undefined ? {} : { constraint: this.#text(fields, 'constraint', where, 100) }),
      reason: this.#text(fields, 'reason', where, 500),
      author: this.#text(fields, 'author', where, 254),
      created,
      expires: this.#expiry(fields, created, where),
    }
    this.#constraint(order, where)
    return order
  }

  #scope(value: unknown, kind: string, where: string): OverrideScope {
    const fields = this.#fields(value, `${where}.scope`, ['site', 'pool', 'class', 'tenant', 'region'])
    for (const name of Object.keys(fields)) this.#text(fields, name, `${where}.scope`, 200)
    if (Object.keys(fields).length === 0 && kind !== 'freeze') {
      this.tell('override/scope', where, 'covers everything', 'name a site, pool, class, tenant or region')
    }
    if (fields.pool !== undefined && fields.site === undefined) {
      this.tell('override/scope', where, 'names a pool without its site', 'name the site too')
    }
    if (kind === 'pin' && fields.site === undefined) {
      this.tell('override/scope', where, 'pins without saying where', 'name the site')
    }
    return fields as OverrideScope
  }

  #constraint({ kind, constraint }: Pick<Override, 'kind' | 'constraint'>, where: string): void {
    if (kind !== 'admit') {
      if (constraint !== undefined)
        this.tell('override/constraint', where, `is a ${kind} and waives nothing`, 'leave constraint out')
      return
    }
    if (constraint !== undefined && signalOf(constraint) !== undefined) return
    const remedy = 'name the signal whose threshold is waived, such as queue.depth; what is hard is never waived'
    this.tell(
      'override/constraint',
      where,
      `would waive ${JSON.stringify(constraint ?? null)}, which is no signal`,
      remedy,
    )
  }

  #expiry(fields: Fields, created: EpochMs, where: string): EpochMs {
    if (fields.expires === undefined) {
      this.tell('override/no-expiry', where, 'has no `expires`', 'every order ends by itself: say when')
      return created
    }
    const expires = this.#time(fields, 'expires', where)
    if (created > this.#now + CLOCK_AHEAD_MS) {
      this.tell('override/expiry', where, 'was created in the future', 'correct the clock of whoever wrote it')
    } else if (expires <= created) {
      this.tell('override/expiry', where, 'ends before it begins', 'correct `expires`')
    } else if (expires - created > OVERRIDE_LIFE_MAX_MS) {
      const hours = OVERRIDE_LIFE_MAX_MS / 3_600_000
      this.tell(
        'override/expiry',
        where,
        `lasts longer than ${hours} h`,
        'shorten it, and change a policy if it has to last',
      )
    }
    return expires
  }

  #maintenance(value: unknown, where: string): MaintenanceOrder {
    const fields = this.#fields(value, where, ['id', 'site', 'pool', 'from', 'to', 'reason', 'author'])
    const [from, to] = [this.#time(fields, 'from', where), this.#time(fields, 'to', where)]
    if (to <= from) this.tell('override/expiry', where, 'ends before it begins', 'swap from and to')
    return {
      id: this.#text(fields, 'id', where, 100),
      site: this.#text(fields, 'site', where, 63),
      ...(fields.pool === undefined ? {} : { pool: this.#text(fields, 'pool', where, 63) }),
      from,
      to,
      reason: this.#text(fields, 'reason', where, 500),
      author: this.#text(fields, 'author', where, 254),
    }
  }

  #routing(value: unknown): RoutingSwitch {
    const where = 'routing'
    const fields = this.#fields(value, where, ['enabled', 'reason', 'author', 'at'])
    if (typeof fields.enabled !== 'boolean') this.tell('override/shape', 'routing.enabled', 'has to be true or false')
    return {
      enabled: fields.enabled === true,
      reason: this.#text(fields, 'reason', where, 500),
      author: this.#text(fields, 'author', where, 254),
      at: this.#time(fields, 'at', where),
    }
  }

  #fields(value: unknown, where: string, known: readonly string[]): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.tell('override/shape', where, 'has to be an object')
      return {}
    }
    for (const name of Object.keys(value).filter((field) => !known.includes(field))) {
      this.tell('override/shape', where, `has an unknown field "${name}"`, `known: ${known.join(', ')}`)
    }
    return value as Fields
  }

  #text(fields: Fields, name: string, where: string, lengthMax: number): string {
    const value = fields[name]
    if (typeof value === 'string' && value.trim() !== '' && value.length <= lengthMax) return value
    this.tell('override/shape', `${where}.${name}`, `has to be a text of 1 to ${lengthMax} characters`)
    return ''
  }

  #time(fields: Fields, name: string, where: string): EpochMs {
    const value = fields[name]
    const at = typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : value
    if (typeof at === 'number' && Number.isFinite(at)) return at
    this.tell('override/shape', `${where}.${name}`, 'has to be a time', 'write it like 2026-12-01T22:00:00Z')
    return 0
  }
}
