import { type DocumentSet, type Policy, policyRef, type Timers } from '../model/documents.ts'
import { signalFor, signalOf } from '../model/signal.ts'
import type { Threshold } from '../model/threshold.ts'
import { freshnessLimit } from './columns.ts'
import { type GateRef, gateKey } from './gates.ts'
import {
  type Compiler,
  type EntryProgram,
  heldKey,
  NEAREST,
  PATH_COST,
  type PolicyProgram,
  type Specs,
  type TargetProgram,
} from './programs.ts'
import { ReadinessCompiler } from './readiness-rules.ts'

/** What policies are compiled against. */
export interface Ground {
  readonly set: DocumentSet
  readonly targets: readonly TargetProgram[]
  readonly indexOf: ReadonlyMap<string, number>
  readonly bySite: ReadonlyMap<string, readonly number[]>
  readonly compile: (source: string) => NonNullable<PolicyProgram['when']>
}

/** A compiler of policies, the readiness rules that it shares, and the books in which it notes what has to be measured. */
export const policyCompiler = (ground: Ground) => {
  const { set, targets, indexOf, bySite, compile } = ground
  const gateSpecs = new Map<string, Parameters<typeof gateKey>[0]>()
  const heldSpecs = new Map<string, Specs['heldSpecs'] extends ReadonlyMap<string, infer One> ? One : never>()
  const models = new Set(targets.flatMap((target) => [...target.models.keys()]))
  const workloads = new Map(set.classes.map((one) => [one.metadata.name, one]))

  const gate = (signal: string, threshold: Threshold, timers: Timers, quiet = false): GateRef => {
    const spec = { signal, op: threshold.op, limit: threshold.limit, resume: threshold.resume, ...timers }
    const key = gateKey(spec)
    // What a policy asks for is told, though readiness asks for the same.
    if (!quiet) gateSpecs.set(key, spec)
    else if (!gateSpecs.has(key)) gateSpecs.set(key, { ...spec, quiet: true })
    const byModel = new Map<string, string>()
    if (signalOf(signal)?.byModel) for (const model of models) byModel.set(model, gateKey({ ...spec, model }))
    return { signal, threshold, key, byModel: byModel.size > 0 ? byModel : undefined }
  }
  const held = (signal: string, within: number, withinPct: number, stableForMs: number): string => {
    const key = heldKey(signal, within, withinPct, stableForMs)
    heldSpecs.set(key, { signal, within, withinPct, stableForMs })
    return key
  }
  const readiness = new ReadinessCompiler(
    set.readiness,
    targets.map(({ site }) => site),
    gate,
  )
  const entry = (name: string): EntryProgram => ({
    name,
    targets: name.includes('/') ? (indexOf.has(name) ? [indexOf.get(name)!] : []) : (bySite.get(name) ?? []),
  })

  const policy = (doc: Policy): PolicyProgram => {
    const workload = workloads.get(doc.class)
    const ladder = doc.ladder
    const tiers =
      'tiers' in ladder
        ? ladder.tiers.map((tier) => tier.map(entry))
        : 'all' in ladder
          ? [targets.map((target) => ({ name: target.name, targets: [target.index] }))]
          : []
    if ('nearest' in ladder) held(NEAREST.signal, NEAREST.within, NEAREST.withinPct, doc.timers.stableForMs)
    const ladderNames = 'tiers' in ladder ? ladder.tiers : 'all' in ladder ? [['*']] : [[`nearest ${ladder.nearest}`]]
    const measured = doc.require.signals.filter((one) => one.signal !== PATH_COST)
    const required = [...measured.map((one) => one.signal), ...doc.bands.map((band) => band.signal)].filter(
      (signal, at, all) => all.indexOf(signal) === at,
    )
    const own = (signal: string): string => signalFor(signal, doc.class)
    return {
      doc,
      ref: policyRef(doc),
      when: doc.when === undefined ? undefined : compile(doc.when),
      timers: doc.timers,
      tiers,
      nearest: 'nearest' in ladder ? ladder.nearest : 0,
      ladderNames,
      nextAfter: nextAfter(ladderNames, tiers.length, doc),
      pathCostMax: doc.require.signals.find((one) => one.signal === PATH_COST)?.threshold.limit,
      gates: measured.map((one) => gate(own(one.signal), one.threshold, doc.timers)),
      bands: doc.bands.map((band) => ({
        signal: own(band.signal),
        steps: band.steps.map((step) => ({
          gate: step.threshold === undefined ? undefined : gate(own(band.signal), step.threshold, doc.timers),
          action: step.action,
        })),
      })),
      freshness: required.map((signal) => ({ signal: own(signal), limitMs: freshnessLimit(workload, signal) })),
      rank: doc.rank.map((one) => ({
        signal: own(one.signal),
        heldKey:
          one.signal === PATH_COST
            ? ''
            : held(own(one.signal), one.within ?? 0, one.withinPct ?? 0, doc.timers.stableForMs),
        prefer: one.prefer,
        within: one.within ?? 0,
        withinPct: one.withinPct ?? 0,
      })),
      degraded: doc.degraded === undefined ? undefined : entry(doc.degraded.site),
      readiness: readiness.of(doc.class, workload),
      admission: readiness.checks(doc, workload),
    }
  }
  const entries = (name: string): readonly EntryProgram[] => {
    if (name.includes('/') || bySite.has(name)) return [entry(name)]
    const there = set.sites.filter(({ place }) => [place?.region, place?.metro, place?.country].includes(name))
    // A name that nothing bears stays in the ladder, so that a decision shows it.
    return there.length === 0 ? [entry(name)] : there.map((site) => entry(site.metadata.name))
  }
  const sites = () => [...bySite.keys()].map(entry)
  const compiler: Compiler = { policy, gate, held, entries, sites }
  return { compiler, readiness, specs: { gateSpecs, heldSpecs } satisfies Specs }
}

/** By tier, the first standing for none yet: what comes after it, for a decision's `next`. */
export const nextAfter = (
  ladderNames: readonly (readonly string[])[],
  tiers: number,
  doc: Pick<Policy, 'otherwise'>,
): readonly (readonly string[])[] => {
  const actions = doc.otherwise.map((one) => (one.action === 'degrade' ? 'degraded' : one.action))
  return Array.from({ length: tiers + 1 }, (_, tier) => [...ladderNames.slice(tier).flat(), ...actions])
}
