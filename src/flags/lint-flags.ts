import type { DocumentSet } from '../model/documents.ts'
import type { Flag, FlagSet, Overlay } from '../model/flag.ts'
import type { EpochMs } from '../model/names.ts'
import { type FlagFinding, finding } from './findings.ts'
import { type KnownNames, knownNames, lintAgainst } from './lint-documents.ts'
import { lintMetadata } from './lint-metadata.ts'
import { lintTargeting } from './lint-targeting.ts'
import { isTargeted, outcomesOf } from './outcomes.ts'

/** What flags are held against. */
export interface LintContext {
  /** For dates. */
  readonly now: EpochMs
  /** The documents in force. Absent: names that flags take from them are not looked at. */
  readonly documents?: DocumentSet
  /** How many flags may steer one class; absent: FLAGS_PER_CLASS_MAX. */
  readonly flagsPerClassMax?: number
}

/** How many flags may steer one class: about as many as a person keeps in mind at three in the morning. */
export const FLAGS_PER_CLASS_MAX = 8
/** How many findings are told. */
const FINDINGS_MAX = 1_000

/**
 * What is to be said of flags that have a layer; others are nobody's business here. Findings are warnings, but for those
 * that refuse the set, see FLAG_FINDINGS. In the order of the keys.
 */
export function lintFlags(set: FlagSet, context: LintContext): FlagFinding[] {
  const steps = lintInSteps(set, context)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The same, flag by flag, for whoever has requests to answer meanwhile. */
export function* lintInSteps(set: FlagSet, context: LintContext): Generator<undefined, FlagFinding[]> {
  const flags = Object.values(set.flags)
    .filter(({ layer }) => layer !== undefined)
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  const known = context.documents === undefined ? undefined : knownNames(context.documents)
  const found: FlagFinding[] = []
  for (const flag of flags) {
    if (found.length < FINDINGS_MAX) found.push(...lintFlag(flag, context.now, known))
    yield
  }
  found.push(...lintCounts(flags, context.flagsPerClassMax ?? FLAGS_PER_CLASS_MAX))
  found.push(...(yield* lintNeighbours(flags)))
  return found.slice(0, FINDINGS_MAX)
}

function lintFlag(flag: Flag, now: EpochMs, known: KnownNames | undefined): FlagFinding[] {
  // A rollout writes its arms into the targeting: they are given, whatever the flag's own rules say.
  const given = flag.layer === 'rollout' ? Object.keys(flag.definition.variants) : []
  return [
    ...lintMetadata(flag, now),
    ...lintConstraints(flag),
    ...lintTargeting(flag, given),
    ...(known === undefined ? [] : lintAgainst(flag, known)),
  ]
}

const STEERED: readonly (readonly [name: string, isSteered: (overlay: Overlay) => boolean])[] = [
  ['the preferred region', ({ first }) => first !== undefined],
  ['locality', ({ locality }) => locality !== undefined],
  ['the ladder', ({ ladder, fallbackTiers }) => ladder !== undefined || fallbackTiers !== undefined],
  ['latency', ({ maxP95Ms }) => maxP95Ms !== undefined],
  ['which sites are eligible', ({ eligibleSites }) => eligibleSites !== undefined],
  ['the smaller model', ({ degraded }) => degraded !== undefined],
]

/** One flag, one constraint: of several nobody can say afterwards which made the difference. */
function lintConstraints({ key, meanings }: Flag): FlagFinding[] {
  const overlays = Object.values(meanings).flatMap((meaning) => (meaning.kind === 'overlay' ? [meaning.overlay] : []))
  const steered = STEERED.filter(([, isSteered]) => overlays.some(isSteered)).map(([name]) => name)
  // A preferred region and the latency past which it is left are one rule: where to go, and until when.
  if (steered.length < 2 || String(steered) === 'the preferred region,latency') return []
  const message = `it steers ${steered.join(', ')} at once, so nobody can tell which of them made a difference`
  return [finding('flag/several-constraints', key, ['variants'], message, 'make a flag for each')]
}

/** Of one layer and class the first by its key is asked first: if it always has a say, those after it never have. */
function* lintNeighbours(flags: readonly Flag[]): Generator<undefined, FlagFinding[]> {
  const speaking = new Map<string, string>()
  const found: FlagFinding[] = []
  for (const flag of flags) {
    const { key, layer, class: className, definition } = flag
    if (definition.state !== 'ENABLED') continue
    const place = `${layer} ${className}`
    const first = speaking.get(place)
    if (first !== undefined) {
      const message = `${first} comes before it in the layer ${layer} of ${className} and always has a say, so it never has`
      const remedy = 'let the first one leave somebody to it, or make them one'
      found.push(finding('flag/shadowed-flag', key, [], message, remedy))
    } else if (alwaysSpeaks(flag)) speaking.set(place, key)
    yield
  }
  return found
}

/** Whether every outcome of a flag means something. A rollout has the last word on its flag, so of one nothing is said. */
function alwaysSpeaks({ layer, definition, meanings }: Flag): boolean {
  if (layer === 'rollout') return false
  const speaks = (variant: string | null | undefined): boolean =>
    typeof variant === 'string' && Object.hasOwn(meanings, variant) && meanings[variant]!.kind !== 'nothing'
  if (!isTargeted(definition)) return speaks(definition.defaultVariant)
  const outcomes = outcomesOf(definition.targeting)
  return (
    !outcomes.open && [...outcomes.variants].every(speaks) && (!outcomes.default || speaks(definition.defaultVariant))
  )
}

function lintCounts(flags: readonly Flag[], most: number): FlagFinding[] {
  return [...Map.groupBy(flags, (flag) => flag.class ?? '')].flatMap(([className, group]) => {
    const last = group[most]
    if (last === undefined) return []
    const message = `${group.length} flags steer ${className}, and more than ${most} are too many to keep in mind`
    return [finding('flag/too-many', last.key, [], message, 'take out those that have done their work')]
  })
}
