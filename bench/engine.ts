import { compileCondition } from '../src/documents/conditions.ts'
import { decide } from '../src/engine/decide.ts'
import { emptySnapshot, fold } from '../src/engine/fold.ts'
import type { EngineSnapshot } from '../src/engine/programs.ts'
import { createFlagCompiler } from '../src/flags/compile-flag.ts'
import { type DocumentSet, type Policy, type Site, TIMERS_DEFAULT } from '../src/model/documents.ts'
import type { Facts } from '../src/model/facts.ts'
import type { Sample } from '../src/model/sample.ts'
import { withLayers } from './layers.ts'

/** One row of results; times in microseconds. */
export interface EngineRow {
  readonly what: string
  readonly sites: number
  readonly policies: number
  readonly p50Us: number
  readonly p99Us: number
}

/** The time at which every bench begins. */
export const NOW = 1_800_000_000_000

/** Two sites of the EU, one where its data must not go, and another one: the usual request goes to its first choice. */
const tiersOf = (policy: number, sites: number): string[][] => {
  const even = (at: number): string => `s${(2 * at) % (sites - (sites % 2))}`
  return [[...new Set([even(policy), even(policy + 1)])], [`s${(2 * policy + 1) % sites}`], [even(policy + 2)]]
}

const setOf = (sites: number, policies: number, cluster: string | undefined, isWide: boolean): DocumentSet => ({
  sites: Array.from(
    { length: sites },
    (_, i): Site => ({
      metadata: { name: `s${i}` },
      role: 'hub',
      jurisdictions: [i % 2 === 0 ? 'EU' : 'UK'],
      pools: [
        {
          name: 'h100',
          cluster: cluster ?? `s${i}-h100`,
          gpu: 'H100',
          cooling: 'liquid',
          models: [{ name: 'llama', maxContextTokens: 131_072, tools: true }],
          capacity: 8,
        },
      ],
      maintenance: [],
      powerBudgetMw: 10,
      derating: { designPue: 1.15, designAmbientC: 32 },
      loops: [{ name: 'cdu-1', capacityKw: 1_000, ratedFlowLpm: 1_000, supplyLimitC: 40, designSupplyC: 28 }],
    }),
  ),
  residencies: [{ metadata: { name: 'eu' }, allows: ['EU'], default: { sites: ['s0'] } }],
  classes: [
    {
      metadata: { name: 'chat' },
      critical: false,
      flexibility: 'inflexible',
      whenHubwardIsDown: 'default',
      freshness: {},
      whenStale: { action: 'lowest-risk', alert: false },
      panic: 'last-good',
      session: { lifeMs: 1_800_000 },
    },
  ],
  policies: Array.from(
    { length: policies },
    (_, i): Policy => ({
      metadata: { name: `p${i}`, version: 1 },
      class: 'chat',
      ...(i === policies - 1 ? {} : { when: `request.region == "R${i}"` }),
      priority: policies - i,
      residency: 'required',
      require: {
        signals: [
          { signal: 'ttft.p95_ms', threshold: { op: 'max', limit: 150 + i, resume: 120 } },
          { signal: 'queue.depth', threshold: { op: 'max', limit: 40, resume: 32 } },
          { signal: 'replica.warm', threshold: { op: 'min', limit: 1, resume: 1 } },
        ],
      },
      bands: [],
      rank: [{ signal: 'network.rtt_p95_ms', prefer: 'lower', within: 10 }],
      ladder: isWide ? { all: true } : { tiers: tiersOf(i, sites) },
      session: 'none',
      experiments: { cohorts: ['*'] },
      timers: TIMERS_DEFAULT,
      otherwise: [{ action: 'deny' }],
      hash: 'h',
    }),
  ),
  factSources: [],
  readiness: [],
  cohorts: [],
  rollouts: [],
  tests: [],
})

const SIGNALS = ['ttft.p95_ms', 'queue.depth', 'replica.warm', 'network.rtt_p95_ms', 'kv.used_ratio'] as const

/** Samples of five signals of so many sites, from one on. */
export const batch = (sites: number, from: number, count: number, at: number): Sample[] =>
  Array.from({ length: count }, (_, i) => ({
    signal: SIGNALS[i % 5]!,
    site: `s${(from + Math.floor(i / 5)) % sites}`,
    pool: 'h100',
    value: i % 5 === 2 ? 1 : i % 5 === 4 ? 0.4 : 20 + (i % 7),
    at,
    source: 'bench',
    count: 5_000,
  }))

/**
 * A snapshot with so many sites and policies, all measured; with a cluster named, every pool is behind that one. A wide
 * one has every site a candidate of every policy.
 */
export const worldOf = (sites: number, policies: number, cluster?: string, isWide = false): EngineSnapshot => {
  let snapshot = fold(emptySnapshot(compileCondition, createFlagCompiler({ fractionalVersion: 2 }).compile), {
    kind: 'documents-accepted',
    at: NOW,
    source: 'bench',
    version: '1',
    nonce: '1',
    hash: 'h',
    set: setOf(sites, policies, cluster, isWide),
    problems: [],
  }).snapshot
  for (let from = 0; from < sites; from += 40)
    snapshot = fold(snapshot, {
      kind: 'samples-arrived',
      at: NOW,
      samples: batch(sites, from, 200, NOW),
      heartbeats: [],
    }).snapshot
  return snapshot
}

const percentiles = (
  what: string,
  sites: number,
  policies: number,
  rounds: number,
  inner: number,
  run: (i: number) => void,
): EngineRow => {
  for (let i = 0; i < 20_000; i++) run(i)
  const times = new Float64Array(rounds)
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < inner; i++) run(round * inner + i)
    times[round] = Number(process.hrtime.bigint() - start) / inner / 1_000
  }
  times.sort()
  return { what, sites, policies, p50Us: times[Math.floor(rounds * 0.5)]!, p99Us: times[Math.floor(rounds * 0.99)]! }
}

/** Times of decide and fold, each decision timed by itself, and the growth of memory over a million decisions. */
export const benchEngine = (): { readonly rows: readonly EngineRow[]; readonly grownBytes: number } => {
  const rows: EngineRow[] = []
  const tally = { dispatched: {}, held: {}, sidecars: 1 }
  for (const sites of [5, 50, 1_000]) {
    for (const policies of [1, 20, 200]) {
      const snapshot = worldOf(sites, policies)
      const facts = Array.from(
        { length: 64 },
        (_, i): Facts => ({
          requestId: `r${i}`,
          seed: `${i}`.padStart(16, '0'),
          class: 'chat',
          model: 'llama',
          region: `R${i % policies}`,
          residency: ['EU'],
          session: { verdict: 'none' },
          extra: {},
        }),
      )
      rows.push(
        percentiles(
          'decide',
          sites,
          policies,
          50_000,
          1,
          (i) => void decide(facts[i & 63]!, snapshot, tally, NOW, 'id'),
        ),
      )
    }
  }
  const layered = withLayers(worldOf(50, 20), NOW)
  const sessions = Array.from(
    { length: 64 },
    (_, i): Facts => ({
      ...{ requestId: `r${i}`, seed: `${i}`.padStart(16, '0'), class: 'chat', model: 'llama', region: `R${i % 20}` },
      ...{ residency: ['EU'], sessionKey: `session-${i}`, tenant: `tenant-${i}`, tier: 'standard' },
      ...{ session: { verdict: 'none' as const }, extra: {} },
    }),
  )
  rows.push(
    percentiles('decide, a flag in each layer', 50, 20, 50_000, 1, (i) => {
      decide(sessions[i & 63]!, layered, tally, NOW, 'id')
    }),
  )
  for (const sites of [5, 50, 1_000]) {
    let snapshot = worldOf(sites, 20)
    let at = NOW
    rows.push(
      percentiles('fold of 200 samples', sites, 20, 500, 1, (i) => {
        at += 1
        snapshot = fold(snapshot, {
          kind: 'samples-arrived',
          at,
          samples: batch(sites, i * 40, 200, at),
          heartbeats: [],
        }).snapshot
      }),
    )
  }
  const snapshot = worldOf(50, 20)
  const facts: Facts = {
    requestId: 'r',
    seed: '00',
    class: 'chat',
    model: 'llama',
    residency: ['EU'],
    session: { verdict: 'none' },
    extra: {},
  }
  const rest = (): number => {
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  }
  for (let i = 0; i < 100_000; i++) decide(facts, snapshot, tally, NOW, 'id')
  const before = rest()
  for (let i = 0; i < 1_000_000; i++) decide(facts, snapshot, tally, NOW, 'id')
  return { rows, grownBytes: rest() - before }
}

if (import.meta.main) console.log(JSON.stringify(benchEngine(), null, 1))
