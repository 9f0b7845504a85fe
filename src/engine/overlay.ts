import type { Policy } from '../model/documents.ts'
import type { Overlay } from '../model/flag.ts'
import type { Threshold } from '../model/threshold.ts'
import { nextAfter } from './compile-policy.ts'
import { type Compiler, type EntryProgram, NEAREST, type PolicyProgram } from './programs.ts'

/** The latencies of a policy that `max_p95_ms` speaks of. */
const P95_SIGNALS: readonly string[] = ['ttft.p95_ms', 'response.p95_ms']
/** The one that it adds where a policy has none of them. */
const P95_SIGNAL = 'response.p95_ms'
/** How far inside its limit a derived resume value lies. */
const RESUME_RATIO = 0.9

/** Whether an overlay needs something measured that its policy does not: it is then derived ahead of the first request. */
export const needsSpecs = ({ maxP95Ms, locality }: Overlay): boolean =>
  maxP95Ms !== undefined || (locality !== undefined && locality !== 'any')

/** Names that an overlay leaves a policy with, of which no document has any: it would be left with no site at all. */
export const unknownIn = ({ ladder, fallbackTiers, eligibleSites }: Overlay, compiler: Compiler): string | undefined =>
  [ladder?.flat(), fallbackTiers?.flat(), eligibleSites]
    .find(
      (names = []) => names.length > 0 && names.flatMap(compiler.entries).every(({ targets }) => targets.length === 0),
    )
    ?.join(', ')

/**
 * The policy with an overlay on it. Hard constraints, requirements beside the latency, sessions and timers stay as they
 * are. {"preferred_region": "ams", "fallback_region": "fra"} on [[fra], [lon, ams]] gives [[ams], [fra], [lon]].
 */
export const derivePolicy = (base: PolicyProgram, overlay: Overlay, compiler: Compiler): PolicyProgram => {
  const doc = docWith(base.doc, overlay)
  const tier = (names: readonly string[]): readonly EntryProgram[] => names.flatMap((name) => compiler.entries(name))
  let rest = overlay.ladder === undefined ? base.tiers : overlay.ladder.map(tier)
  let nearest = overlay.ladder === undefined ? base.nearest : 0
  if (overlay.fallbackTiers !== undefined) {
    rest = [...rest.slice(0, 1), ...overlay.fallbackTiers.map(tier)]
    nearest = 0
  }
  let first: readonly (readonly EntryProgram[])[] = (overlay.first ?? []).map((name) => tier([name]))
  const taken = new Set(first.flat().flatMap((entry) => entry.targets))
  if (overlay.first !== undefined) rest = narrowed(rest, (index) => !taken.has(index))
  let { only, degraded } = base
  if (overlay.eligibleSites !== undefined) {
    const eligible = new Set(tier(overlay.eligibleSites).flatMap((entry) => entry.targets))
    const keeps = (index: number) => eligible.has(index)
    first = narrowed(first, keeps)
    rest = narrowed(rest, keeps)
    only = eligible
    if (degraded !== undefined) degraded = narrowed([[degraded]], keeps)[0]?.[0]
  }
  if (overlay.degraded !== undefined) degraded = compiler.entries(overlay.degraded.site)[0]
  // Who goes first by name goes on going first; the rest of the ladder is one tier, or by round trip.
  if (overlay.locality === 'any') {
    const left = nearest > 0 ? [compiler.sites()] : [rest.flat()]
    rest = narrowed(left, (index) => !taken.has(index) && only?.has(index) !== false)
    nearest = 0
  } else if (overlay.locality !== undefined) {
    only ??= nearest > 0 ? undefined : new Set([...first, ...rest].flat().flatMap((entry) => entry.targets))
    nearest = overlay.locality.nearest
    rest = []
    compiler.held(NEAREST.signal, NEAREST.within, NEAREST.withinPct, doc.timers.stableForMs)
  }
  const tiers = [...first, ...rest]
  const ladderNames = [
    ...tiers.map((entries) => entries.map((entry) => entry.name)),
    ...(nearest > 0 ? [[`nearest ${nearest}`]] : []),
  ]
  return {
    ...base,
    doc,
    tiers,
    nearest,
    ...(only === undefined ? {} : { only }),
    ladderNames,
    nextAfter: nextAfter(ladderNames, tiers.length, doc),
    gates: gatesWith(base, overlay, compiler),
    degraded,
  }
}

const narrowed = (
  tiers: readonly (readonly EntryProgram[])[],
  keeps: (index: number) => boolean,
): readonly (readonly EntryProgram[])[] =>
  tiers
    .map((tier) =>
      tier.flatMap((entry) => {
        const targets = entry.targets.filter(keeps)
        if (targets.length === entry.targets.length) return [entry]
        return targets.length === 0 ? [] : [{ ...entry, targets }]
      }),
    )
    .filter((tier) => tier.length > 0)

const docWith = (doc: Policy, { degraded }: Overlay): Policy => {
  if (degraded === undefined) return doc
  const isListed = doc.otherwise.some((one) => one.action === 'degrade')
  return { ...doc, degraded, otherwise: isListed ? doc.otherwise : [{ action: 'degrade' }, ...doc.otherwise] }
}

const gatesWith = (base: PolicyProgram, { maxP95Ms }: Overlay, { gate }: Compiler): PolicyProgram['gates'] => {
  if (maxP95Ms === undefined) return base.gates
  const threshold: Threshold = { op: 'max', limit: maxP95Ms, resume: maxP95Ms * RESUME_RATIO, derived: true }
  const own = base.gates.filter((one) => P95_SIGNALS.includes(one.signal))
  // Where nobody requires such a signal nobody may measure it: the limit then counts where there is a number.
  if (own.length === 0) return [...base.gates, gate(P95_SIGNAL, threshold, base.timers)]
  return base.gates.map((one) => (own.includes(one) ? gate(one.signal, threshold, base.timers) : one))
}
