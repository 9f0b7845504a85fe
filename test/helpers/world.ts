import { decide } from '../../src/engine/decide.ts'
import { emptySnapshot, fold } from '../../src/engine/fold.ts'
import type { EngineSnapshot } from '../../src/engine/programs.ts'
import { createFlagCompiler } from '../../src/flags/compile-flag.ts'
import { readFlags } from '../../src/flags/read-flags.ts'
import type { Change } from '../../src/model/change.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { DocumentSet, Model, Policy, Pool, Site, WorkloadClass } from '../../src/model/documents.ts'
import { TIMERS_DEFAULT } from '../../src/model/documents.ts'
import type { Event } from '../../src/model/event.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { OverrideSet } from '../../src/model/override.ts'
import type { Heartbeat, Sample } from '../../src/model/sample.ts'
import type { Threshold } from '../../src/model/threshold.ts'

/** The time at which every test world begins. */
export const T0 = 1_800_000_000_000

/** The one condition language of these tests: `region == X`, or a fact's name for "is true". */
const compile = (source: string) => {
  const [name, value] = source.split(' == ')
  return (facts: Facts) =>
    String((facts as unknown as Record<string, unknown>)[name!] ?? facts.extra[name!] ?? '') === (value ?? 'true')
}

/** A pool serving llama, and whatever else is said. */
export const pool = (name: string, over: Partial<Pool> = {}): Pool => ({
  name,
  cluster: `${name}-cluster`,
  models: [{ name: 'llama' } satisfies Model],
  capacity: 1,
  ...over,
})

/** A site of one pool `default` whose cluster is called like the site, in the EU, and whatever else is said. */
export const site = (name: string, over: Partial<Site> & { pool?: Partial<Pool> } = {}): Site => {
  const { pool: poolOver, ...rest } = over
  return {
    metadata: { name },
    role: 'hub',
    jurisdictions: ['EU'],
    pools: [pool('default', { cluster: name, ...poolOver })],
    maintenance: [],
    ...rest,
  }
}

/** The class chat, or another, as a workload class with nothing special about it. */
export const workload = (name = 'chat', over: Partial<WorkloadClass> = {}): WorkloadClass => ({
  metadata: { name },
  critical: false,
  flexibility: 'inflexible',
  whenHubwardIsDown: 'default',
  freshness: {},
  whenStale: { action: 'lowest-risk', alert: false },
  panic: 'last-good',
  session: { lifeMs: 1_800_000 },
  ...over,
})

/** At most, and the value that lifts it again. */
export const max = (limit: number, resume = limit): Threshold => ({ op: 'max', limit, resume })
/** At least, and the value that lifts it again. */
export const min = (limit: number, resume = limit): Threshold => ({ op: 'min', limit, resume })

/** A policy for chat over these tiers, everything else plain. */
export const policy = (
  tiers: readonly (readonly string[])[] | { nearest: number } | { all: true },
  over: Partial<Policy> & { name?: string; version?: number; signals?: Record<string, Threshold> } = {},
): Policy => {
  const { name = 'p', version = 1, signals = {}, ...rest } = over
  return {
    metadata: { name, version },
    class: 'chat',
    priority: 0,
    residency: 'unrestricted',
    require: { signals: Object.entries(signals).map(([signal, threshold]) => ({ signal, threshold })) },
    bands: [],
    rank: [],
    ladder: 'nearest' in tiers || 'all' in tiers ? tiers : { tiers },
    session: 'none',
    timers: TIMERS_DEFAULT,
    otherwise: [{ action: 'deny' }],
    hash: `hash of ${name}@${version}`,
    ...rest,
  }
}

/** A running hubward in miniature: documents go in, time passes, requests are decided. */
export class World {
  snapshot: EngineSnapshot = emptySnapshot(compile, createFlagCompiler({ fractionalVersion: 2 }).compile)
  now = T0
  readonly events: Event[] = []
  readonly tally = { dispatched: {} as Record<string, number>, held: {}, sidecars: 1 }
  #requests = 0

  constructor(set: Partial<DocumentSet>, source = 'test') {
    this.documents(set, source)
  }

  apply(change: Change): this {
    const folded = fold(this.snapshot, change)
    this.snapshot = folded.snapshot
    this.events.push(...folded.events)
    return this
  }

  documents(set: Partial<DocumentSet>, source = 'test'): this {
    const whole: DocumentSet = {
      sites: [],
      residencies: [],
      classes: [workload()],
      policies: [],
      factSources: [],
      readiness: [],
      cohorts: [],
      rollouts: [],
      tests: [],
      ...set,
    }
    return this.apply({
      kind: 'documents-accepted',
      at: this.now,
      source,
      version: 'v1',
      nonce: 'n',
      hash: 'h',
      set: whole,
      problems: [],
    })
  }

  /** A source's flags, as flagd has them; throws what is wrong with them. */
  flags(flags: object, over: { source?: string; ttlMs?: number; whenStale?: 'keep' | 'off' } = {}): this {
    const { source = 'flags', ttlMs = 0, whenStale = 'keep' } = over
    const { set, problems } = readFlags(JSON.stringify({ flags }), 'flags.json')
    if (set === null) throw new Error(problems.map(({ message }) => message).join('; '))
    const change = { at: this.now, source, version: 'v', nonce: 'n', set, problems: [], ttlMs, whenStale }
    return this.apply({ kind: 'flags-accepted', ...change })
  }

  /** Samples by target, `ams` being ams/default: `{ ams: { 'queue.depth': 3 } }`; a pair is value and count. */
  samples(
    values: Record<string, Record<string, number | readonly [number, number]>>,
    over: Partial<Sample> = {},
  ): this {
    const samples: Sample[] = []
    for (const [target, signals] of Object.entries(values)) {
      const [name, poolName] = target.split('/')
      for (const [signal, value] of Object.entries(signals)) {
        const [number, count] = typeof value === 'number' ? [value, undefined] : value
        samples.push({
          signal,
          site: name!,
          ...(poolName === undefined ? {} : { pool: poolName }),
          value: number,
          at: this.now,
          source: 'test',
          ...(count === undefined ? {} : { count }),
          ...over,
        })
      }
    }
    return this.apply({ kind: 'samples-arrived', at: this.now, samples, heartbeats: [] })
  }

  /** The same outcome of a probe, so many times, for these sites or targets. */
  probe(names: readonly string[], outcome: Heartbeat['outcome'], times = 1, kind: Heartbeat['kind'] = 'probe'): this {
    for (let i = 0; i < times; i++) {
      const heartbeats = names.map((name): Heartbeat => {
        const [siteName, poolName] = name.split('/')
        return {
          site: siteName!,
          ...(poolName === undefined ? {} : { pool: poolName }),
          kind,
          outcome,
          at: this.now,
          source: 'test',
        }
      })
      this.apply({ kind: 'samples-arrived', at: this.now, samples: [], heartbeats })
    }
    return this
  }

  overrides(set: Partial<OverrideSet>): this {
    return this.apply({
      kind: 'overrides-accepted',
      at: this.now,
      source: 'orders',
      version: 'v',
      nonce: 'n',
      set: { overrides: [], maintenance: [], ...set },
    })
  }

  clusters(...clusters: string[]): this {
    return this.apply({ kind: 'clusters-known', at: this.now, clusters })
  }

  /** So many milliseconds go by, a tick each second; `each` runs before every tick. */
  pass(ms: number, each: () => void = () => {}): this {
    const end = this.now + ms
    while (this.now < end) {
      this.now = Math.min(end, this.now + 1_000)
      each()
      this.apply({ kind: 'time-passed', at: this.now })
    }
    return this
  }

  facts(over: Partial<Facts> = {}): Facts {
    const requestId = `r${++this.#requests}`
    return {
      requestId,
      seed: requestId.padStart(16, '0'),
      class: 'chat',
      session: { verdict: 'none' },
      extra: {},
      ...over,
    }
  }

  decide(over: Partial<Facts> = {}): Decision {
    const decision = decide(this.facts(over), this.snapshot, this.tally, this.now, 'id')
    if (decision.action === 'route' && decision.target !== undefined) {
      this.tally.dispatched[decision.target] = (this.tally.dispatched[decision.target] ?? 0) + 1
    }
    return decision
  }

  /** Where a request goes: the target, or the action that is taken instead. */
  where(over: Partial<Facts> = {}): string {
    const decision = this.decide(over)
    return (decision.action === 'route' || decision.action === 'degrade' ? decision.target : decision.action) ?? 'envoy'
  }
}

/** An override of a kind with a scope, in force for an hour from T0. */
export const order = (
  kind: 'drain' | 'pin' | 'freeze' | 'admit',
  scope: OverrideSet['overrides'][number]['scope'],
  over: Partial<OverrideSet['overrides'][number]> = {},
): OverrideSet['overrides'][number] => ({
  id: `${kind}-1`,
  kind,
  scope,
  reason: 'because',
  author: 'ops@example.com',
  created: T0,
  expires: T0 + 3_600_000,
  ...over,
})
