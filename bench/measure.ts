import { AccessLogMessage } from '../src/envoy/wire/access-log.ts'
import { Measure } from '../src/measure/measure.ts'
import { createMetrics } from '../src/metrics.ts'
import type { Decision } from '../src/model/decision.ts'
import type { Facts } from '../src/model/facts.ts'
import type { AccessEntry } from '../src/model/outcome.ts'
import { logOf } from '../test/helpers/access-log-messages.ts'

/* What measuring costs: by decision, and by request that has ended. Run with `node bench/measure.ts`. */

/** One thing that was measured. */
export interface MeasureRow {
  readonly what: string
  /** Nanoseconds of CPU for one of it. */
  readonly ns: number
  /** As many in a second of one core. */
  readonly perCpuSecond: number
}

const T0 = 1_795_885_846_000
const SITES = 20
const CLASSES = ['interactive-inference', 'agentic', 'summarisation', 'batch-inference']
const REGIONS = ['EMEA', 'AMER', 'APAC', 'MEA']
const TIERS = ['standard', 'premium', 'internal']
const SLO = {
  objectivePct: 99.5,
  ttftMs: 2_000,
  responseMs: 60_000,
  windowMs: 2_592_000_000,
  locality: { objectivePct: 90, budgetMs: 800 },
}

const idOf = (n: number): string => `${(T0 + n).toString(36)}-${(n * 2_654_435_761).toString(16).padStart(16, '0')}`

const measuring = (): Measure => {
  const targets = Array.from({ length: SITES }, (_, n) => `s${n}/h100`)
  const byCluster = new Map(targets.map((target, n) => [`s${n}-h100`, target]))
  const never = () => false
  return new Measure({
    ...{ now: T0, metrics: createMetrics(), pending: 65_536, cellsMax: 4_096, bytesMax: 33_554_432 },
    known: {
      targetOf: (cluster) => byCluster.get(cluster),
      isClass: () => true,
      sloOf: () => SLO,
      artifactOf: () => 'llama-3.1-70b@2026-09',
      signalAt: () => 12,
    },
    gpuOf: () => 'H100',
    passive: { targets: () => targets, isAsked: never, isToldByOthers: never },
    burn: { sloOf: () => SLO, classes: () => CLASSES, sites: () => [], isAsked: never },
    arms: { ended: () => {}, reported: () => {} },
  })
}

const decisionOf = (n: number): Decision =>
  ({
    ...{
      id: idOf(n),
      at: T0 + n,
      class: CLASSES[n % 4],
      action: 'route',
      target: `s${n % SITES}/h100`,
      reason: 'first-choice',
    },
    ...{
      ladder: [[`s${n % SITES}`]],
      because: [],
      layers: [],
      policy: `p${n % 4}@1`,
      arm: n % 2 === 0 ? 'treatment' : 'control',
    },
    rollout: 'nearer',
  }) as unknown as Decision

const factsOf = (n: number): Facts => ({
  ...{ requestId: '', seed: '', class: CLASSES[n % 4]!, session: { verdict: 'none' } as const, model: 'llama-3.1-70b' },
  ...{ tenant: `tenant-${n % 500}`, tier: TIERS[n % 3]!, region: REGIONS[(n >> 2) % 4]!, country: 'NL' },
  extra: { promptType: n % 2 === 0 ? 'rag' : 'chat' },
})

const lineOf = (n: number): object => {
  const ms = 400 + ((n * 7_919) % 9_000)
  const after = (of: number) => ({ seconds: Math.floor(of / 1_000), nanos: (of % 1_000) * 1_000_000 })
  return {
    common_properties: {
      start_time: { seconds: Math.floor(T0 / 1_000), nanos: 822_000_000 },
      ...{ time_to_first_upstream_tx_byte: after(3), time_to_first_upstream_rx_byte: after(20), duration: after(ms) },
      ...{ upstream_cluster: `s${n % SITES}-h100`, upstream_request_attempt_count: 1, access_log_type: 6 },
      custom_tags: { 'hubward.first-body-us': String((100 + (n % 250)) * 1_000) },
    },
    request: {
      request_id: `590cd2ca-452d-4613-92ad-${n}`,
      request_headers: { 'x-hubward-decision': idOf(n), 'x-hubward-action': 'route' },
    },
    response: { response_code: { value: n % 97 === 0 ? 503 : 200 }, response_code_details: 'via_upstream' },
  }
}

const timed = (what: string, count: number, run: () => void): MeasureRow => {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  const ns = ((user + system) * 1_000) / count
  return { what, ns: Math.round(ns), perCpuSecond: Math.round(1e9 / ns) }
}

const COUNT = 200_000
const BATCH = 128
const ROUND = 51_200

/** What measuring costs a decision, and an entry of the access log without and with its decoding. */
export const measureRows = (): MeasureRow[] => {
  const decisions = Array.from({ length: COUNT }, (_, n) => decisionOf(n))
  const plain = decisions.map((decision) => ({ ...decision, arm: null }))
  const facts = Array.from({ length: COUNT }, (_, n) => factsOf(n))
  const messages: Buffer[] = []
  for (let n = 0; n < COUNT; n += BATCH)
    messages.push(logOf(...Array.from({ length: Math.min(BATCH, COUNT - n) }, (_, at) => lineOf(n + at))))
  const entriesOf = (message: Buffer): readonly AccessEntry[] => {
    const reader = new AccessLogMessage(message)
    const all: AccessEntry[] = []
    while (!reader.done) all.push(...reader.next(BATCH))
    return all
  }
  const entries = messages.map(entriesOf)
  let rows: MeasureRow[] = []
  // The first turn is for the compiler.
  for (let turn = 0; turn < 2; turn++) {
    const kept = (what: string, of: readonly Decision[]): MeasureRow => {
      const measure = measuring()
      return timed(what, COUNT, () => {
        for (let n = 0; n < COUNT; n++) measure.decided(facts[n]!, of[n]!, undefined, true)
      })
    }
    rows = [
      kept('a decision is kept', plain),
      kept('a decision of an arm is kept', decisions),
      joined('an entry is joined and counted', (batch) => entries[batch]!),
      joined('an entry is decoded, joined and counted', (batch) => entriesOf(messages[batch]!)),
    ]
  }
  return rows

  /** The ring has the last 65,536 decisions: as many as fit at a time, so that each entry finds its own. */
  function joined(what: string, of: (batch: number) => readonly AccessEntry[]): MeasureRow {
    const measure = measuring()
    const all: MeasureRow[] = []
    for (let from = 0; from < COUNT; from += ROUND) {
      const end = Math.min(COUNT, from + ROUND)
      for (let n = from; n < end; n++) measure.decided(facts[n]!, decisions[n]!, undefined, true)
      all.push(
        timed(what, COUNT, () => {
          for (let batch = from / BATCH; batch < Math.ceil(end / BATCH); batch++) {
            // 20,000 a second.
            const now = T0 + Math.floor((batch * BATCH) / 20)
            measure.accessLog(of(batch), now)
            if (batch % 160 === 0) measure.pass(now)
          }
        }),
      )
    }
    const ns = all.reduce((sum, row) => sum + row.ns, 0)
    return { what, ns, perCpuSecond: Math.round(1e9 / ns) }
  }
}

if (process.argv[1] === import.meta.filename) console.table(measureRows())
