import { Measure, type MeasureParts } from '../../src/measure/measure.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Slo } from '../../src/model/documents.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { AccessEntry, Decided, Outcome, ReportedOutcome } from '../../src/model/outcome.ts'
import { T0 } from './world.ts'

/** A request that Amsterdam served in 900 ms, its first token after 200, and whatever else is said. */
export const entry = (over: Partial<AccessEntry> = {}): AccessEntry => ({
  decision: '',
  requestId: 'r',
  startedAt: T0,
  durationMs: 900,
  firstBodyMs: 200,
  firstHeaderMs: 40,
  upstreamBeginMs: 5,
  status: 200,
  flags: [],
  details: 'via_upstream',
  cluster: 'ams',
  attempts: 1,
  requestBytes: 100,
  responseBytes: 1_000,
  headers: {},
  ...over,
})

/** A decision that sends chat to Amsterdam, its first choice, and whatever else is said. */
export const decision = (id: string, over: Partial<Decision> = {}): Decision =>
  ({
    id,
    at: T0,
    class: 'chat',
    action: 'route',
    target: 'ams/default',
    cluster: 'ams',
    reason: 'first-choice',
    because: [],
    ladder: [['ams'], ['fra']],
    next: [],
    policy: 'p@1',
    policyHash: null,
    revision: 1,
    layers: [],
    override: null,
    arm: null,
    session: 'none',
    stale: [],
    insufficient: [],
    ...over,
  }) as Decision

/** The facts of a chat request. */
export const facts = (over: Partial<Facts> = {}): Facts => ({
  requestId: 'r',
  seed: '0',
  class: 'chat',
  session: { verdict: 'none' },
  extra: {},
  ...over,
})

/** An id as decisions have it. */
export const idAt = (at: number, number: number): string =>
  `${at.toString(36)}-${number.toString(16).padStart(16, '0')}`

/** Half of the requests within 300 ms and 2 s, most of them near within 250 ms. */
export const SLO: Slo = {
  objectivePct: 99,
  ttftMs: 300,
  responseMs: 2_000,
  windowMs: 30 * 86_400_000,
  locality: { objectivePct: 90, budgetMs: 250 },
}

/** Measuring over two sites whose clusters are called like them, with what the arms were told. */
export const measuring = (over: Partial<MeasureParts> = {}) => {
  const ended: Outcome[] = []
  const reported: [ReportedOutcome, Decided | undefined][] = []
  const asked = new Set<string>()
  const signals = new Map<string, number>()
  const metrics = createMetrics()
  const targets = ['ams/default', 'fra/default']
  const measure = new Measure({
    now: T0,
    metrics,
    pending: 1_024,
    cellsMax: 4_096,
    bytesMax: 33_554_432,
    known: {
      targetOf: (cluster) => (targets.includes(`${cluster}/default`) ? `${cluster}/default` : undefined),
      isClass: (name) => name === 'chat',
      sloOf: (name) => (name === 'chat' ? SLO : undefined),
      artifactOf: (_target, model) => `${model ?? 'llama'}@2026-09`,
      signalAt: (target, signal) => signals.get(`${target} ${signal}`),
    },
    gpuOf: () => 'H100',
    passive: { targets: () => targets, isAsked: (signal) => asked.has(signal), isToldByOthers: () => false },
    burn: {
      sloOf: (name) => (name === 'chat' ? SLO : undefined),
      classes: () => ['chat'],
      sites: () => ['ams', 'fra'],
      isAsked: (signal) => asked.has(signal),
    },
    arms: { ended: (outcome) => ended.push(outcome), reported: (...one) => reported.push(one) },
    ...over,
  })
  /** So many requests that were decided and have ended, all alike. */
  const requests = (
    count: number,
    now: number,
    seen: Partial<AccessEntry> = {},
    said: Partial<Decision> = {},
  ): void => {
    for (let n = 0; n < count; n++) {
      const id = idAt(now, next++)
      measure.decided(facts({ region: 'EMEA', tier: 'premium' }), decision(id, { at: now, ...said }), undefined, true)
      measure.accessLog([entry({ decision: id, startedAt: now, ...seen })], now)
    }
  }
  let next = 1
  return { measure, metrics, ended, reported, asked, signals, requests }
}
