import type { Event } from '../model/event.ts'
import { type Flag, LAYERS, type VariantMeaning } from '../model/flag.ts'
import type { ClassName, EpochMs, FlagKey, PolicyRef, SourceName } from '../model/names.ts'
import { isEnded, type Rollout, type RolloutState } from '../model/rollout.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import { keepGates, keepHeld } from './keep-measured.ts'
import { derivePolicy, needsSpecs, unknownIn } from './overlay.ts'
import type {
  ClassProgram,
  Compiler,
  Effect,
  EngineSnapshot,
  FlagProgram,
  PolicyProgram,
  Programs,
  Steering,
} from './programs.ts'
import { rolloutHash } from './rollout-begin.ts'
import { armsOf, renderFlag, renderOrphan } from './rollout-targeting.ts'

/** The programs with everything that flags and rollouts have a say in: which versions are in force, and what steers each class. */
export const withFlags = (programs: Programs, data: SnapshotData): Programs => {
  const flags = flagsOf(programs, data)
  const classes = defaultsOf(programs, data, heldBack(programs, data, flags))
  const { compiler, specs } = programs.compiler()
  for (const [name, known] of classes) {
    const steering = steeringOf(name, known, flags, programs, compiler)
    if (steering.length > 0) classes.set(name, { ...known, steering })
  }
  const isPlain = specs.gateSpecs.size === 0 && specs.heldSpecs.size === 0
  const { gateSpecs, heldSpecs } = programs.ofDocuments
  return {
    ...programs,
    flags,
    classes,
    gateSpecs: isPlain ? gateSpecs : new Map([...gateSpecs, ...specs.gateSpecs]),
    heldSpecs: isPlain ? heldSpecs : new Map([...heldSpecs, ...specs.heldSpecs]),
  }
}

/** The snapshot once its flags or rollouts have changed; what is measured is kept, and what is newly needed begins. */
export const reflag = ({ data, programs: before }: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const programs = withFlags(before, data)
  if (programs.gateSpecs === before.gateSpecs && programs.heldSpecs === before.heldSpecs) return { programs, data }
  const gates = keepGates(data.gates, undefined, data.columns, data.targets, programs, now, events)
  const held = keepHeld(data.held, undefined, data.columns, data.targets.length, programs)
  return { programs, data: { ...data, gates, held } }
}

/** The hashes of all flags in force, as they were written and as rollouts render them: their programs are still needed. */
export const hashesInForce = ({ data, programs }: EngineSnapshot): ReadonlySet<string> => {
  const hashes = new Set<string>()
  for (const { flag } of programs.flags.values()) hashes.add(flag.hash)
  for (const { set } of Object.values(data.flagSets)) for (const { hash } of Object.values(set.flags)) hashes.add(hash)
  return hashes
}

/** The names of policies that flags and rollouts speak of: they stay addressable. */
export const refsNamed = ({
  flagSets,
  rollouts,
}: Pick<SnapshotData, 'flagSets' | 'rollouts'>): ReadonlySet<PolicyRef> => {
  const refs = new Set<PolicyRef>()
  for (const { set } of Object.values(flagSets))
    for (const { meanings } of Object.values(set.flags))
      for (const meaning of Object.values(meanings)) if (meaning.kind === 'policy') refs.add(meaning.policy)
  for (const { policy } of Object.values(rollouts)) if (policy !== null) refs.add(policy)
  return refs
}

/** Every flag by key, of the source first by its name where several have it, rendered by the rollout that drives it. */
const flagsOf = (programs: Programs, { flagSets, rollouts }: SnapshotData): ReadonlyMap<FlagKey, FlagProgram> => {
  const drivers = new Map([...programs.rollouts.values()].map((one) => [one.flag, one]))
  const orphans = new Set(Object.values(rollouts).flatMap(({ flag, status }) => (status === 'finished' ? [] : [flag])))
  const flags = new Map<FlagKey, FlagProgram>()
  const add = (written: Flag, source: SourceName): void => {
    if (flags.has(written.key)) return
    const driver = drivers.get(written.key)
    const isDriven = driver !== undefined && written.layer === 'rollout' && written.class === driver.class
    const state = isDriven ? stateOf(driver, rollouts) : undefined
    const isOrphan = !isDriven && written.layer === 'rollout' && orphans.has(written.key)
    const flag = isDriven ? renderFlag(written, driver, state) : isOrphan ? renderOrphan(written) : written
    flags.set(flag.key, {
      flag,
      source,
      evaluate: programs.compileFlag(flag),
      rollout: isDriven ? driver.metadata.name : undefined,
      arms: isDriven && state !== undefined && !isEnded(state.status) ? armsOf(driver) : undefined,
    })
  }
  for (const source of Object.keys(flagSets).sort())
    for (const flag of Object.values(flagSets[source]!.set.flags)) add(flag, source)
  return flags
}

/**
 * The state by which a rollout's flag is rendered. One that is under way and stands for another document is looked at by
 * no judge: until the document that there is can begin, nobody is shown anything.
 */
const stateOf = (driver: Rollout, rollouts: SnapshotData['rollouts']): RolloutState | undefined => {
  const state = rollouts[driver.metadata.name]
  return state === undefined || isEnded(state.status) || state.hash === rolloutHash(driver) ? state : undefined
}

/** Versions that a rollout has not brought to its end: nobody has them by default. Of several rollouts the last one counts. */
const heldBack = (
  programs: Programs,
  { rollouts }: SnapshotData,
  flags: ReadonlyMap<FlagKey, FlagProgram>,
): ReadonlySet<PolicyRef> => {
  const last = new Map<PolicyRef, RolloutState>()
  for (const state of Object.values(rollouts)) {
    const before = state.policy === null ? undefined : last.get(state.policy)
    if (state.policy !== null && (before === undefined || before.startedAt < state.startedAt))
      last.set(state.policy, state)
  }
  const refs = new Set<PolicyRef>()
  for (const [ref, { status }] of last) if (status !== 'finished') refs.add(ref)
  for (const rollout of programs.rollouts.values()) {
    const { metadata, policy, flag, variants } = rollout
    const state = rollouts[metadata.name]
    const end = state !== undefined && isEnded(state.status) && state.hash === rolloutHash(rollout) ? state : undefined
    if (end?.status === 'finished') continue
    const meaning = flags.get(flag)?.flag.meanings[variants.treatment]
    // What has come to an end is told by the states, of which another rollout's may be newer.
    for (const ref of [policy, meaning?.kind === 'policy' ? meaning.policy : undefined])
      if (ref !== undefined && ref !== end?.policy) refs.add(ref)
  }
  return refs
}

/** The policies of each class that are in force by themselves: of each name the newest version that is not held back. */
const defaultsOf = (
  { policies, classes }: Programs,
  { retained }: SnapshotData,
  heldBackRefs: ReadonlySet<PolicyRef>,
): Map<ClassName, ClassProgram> => {
  const kept = new Set(retained.map(({ metadata }) => `${metadata.name}@${metadata.version}`))
  const newest = new Map<string, PolicyProgram>()
  for (const [ref, program] of policies) {
    if (kept.has(ref) || heldBackRefs.has(ref)) continue
    const known = newest.get(program.doc.metadata.name)
    if (known === undefined || known.doc.metadata.version < program.doc.metadata.version)
      newest.set(program.doc.metadata.name, program)
  }
  const byClass = new Map<ClassName, PolicyProgram[]>()
  for (const program of newest.values())
    byClass.set(program.doc.class, [...(byClass.get(program.doc.class) ?? []), program])
  const order = (a: PolicyProgram, b: PolicyProgram) =>
    b.doc.priority - a.doc.priority ||
    Number(a.when === undefined) - Number(b.when === undefined) ||
    (a.ref < b.ref ? -1 : 1)
  const names = new Set([...classes.keys(), ...byClass.keys()])
  return new Map(
    [...names].map((name) => [
      name,
      { doc: classes.get(name)?.doc, policies: (byClass.get(name) ?? []).sort(order), steering: [] },
    ]),
  )
}

/** The flags that steer a class, strongest layer first, by key inside a layer. */
const steeringOf = (
  className: ClassName,
  known: ClassProgram,
  flags: ReadonlyMap<FlagKey, FlagProgram>,
  programs: Programs,
  compiler: Compiler,
): Steering[] => {
  const steering = [...flags.values()].flatMap((program): Steering[] => {
    const { flag } = program
    if (flag.layer === undefined || flag.class !== className || flag.definition.state === 'DISABLED') return []
    const effects = Object.entries(flag.meanings).map(
      ([variant, meaning]) => [variant, effectOf(meaning, className, known, programs, compiler)] as const,
    )
    return [{ ...program, layer: flag.layer, effects: new Map(effects) }]
  })
  return steering.sort(
    (a, b) => LAYERS.indexOf(a.layer) - LAYERS.indexOf(b.layer) || (a.flag.key < b.flag.key ? -1 : 1),
  )
}

const effectOf = (
  meaning: VariantMeaning,
  className: ClassName,
  { policies }: ClassProgram,
  programs: Programs,
  compiler: Compiler,
): Effect => {
  switch (meaning.kind) {
    case 'nothing':
      return meaning
    case 'action':
      return meaning.action.action === 'route' ? { kind: 'nothing' } : { kind: 'action', spec: meaning.action }
    case 'policy': {
      const policy = programs.policies.get(meaning.policy)
      // A version of another class is none that this class may be given.
      return { kind: 'policy', ref: meaning.policy, policy: policy?.doc.class === className ? policy : undefined }
    }
    case 'overlay': {
      const derived = new Map<PolicyProgram, PolicyProgram>()
      const over = (base: PolicyProgram): PolicyProgram => {
        let made = derived.get(base)
        if (made === undefined) {
          made = derivePolicy(base, meaning.overlay, compiler)
          derived.set(base, made)
        }
        return made
      }
      if (needsSpecs(meaning.overlay)) for (const base of basesOf(policies, programs)) over(base)
      return { kind: 'overlay', over, unknown: unknownIn(meaning.overlay, compiler) }
    }
    default:
      return meaning satisfies never
  }
}

/** The policies that an overlay can come to lie on. */
const basesOf = (policies: readonly PolicyProgram[], programs: Programs): Set<PolicyProgram> =>
  new Set([
    ...policies,
    ...policies.flatMap(({ doc }) =>
      Object.values(doc.tenantOverrides ?? {}).flatMap((ref) => {
        const policy = programs.policies.get(ref)
        return policy === undefined ? [] : [policy]
      }),
    ),
  ])
