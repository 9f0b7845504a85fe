import type { ActionSpec } from '../model/action.ts'
import type { Facts } from '../model/facts.ts'
import type { FlagContext, FlagResult, LayerTrace } from '../model/flag.ts'
import type { EpochMs, RolloutName } from '../model/names.ts'
import type { Arm } from '../model/rollout.ts'
import { isStaleSource } from './fold-flags.ts'
import type { ClassProgram, EngineSnapshot, PolicyProgram, Programs, Steering } from './programs.ts'

/** Step 2 of the order of judgement: what is in force for a request, and who says so. */
export interface Choice {
  readonly policy: PolicyProgram | undefined
  /** The winner first; the shared empty list where no flag had a say. */
  readonly layers: readonly LayerTrace[]
  readonly arm: Arm | null
  readonly rollout: RolloutName | undefined
  readonly forced: boolean
  /** What a flag of the kill-switch or incident layer says instead of a policy. */
  readonly action: ActionSpec | undefined
}

const NO_LAYERS: readonly LayerTrace[] = []

/**
 * The policy in force by itself: of the class's policies the first one in order of priority whose condition holds, or
 * the one that it names for the request's tenant; undefined where none covers the request.
 */
export const policyFor = (
  facts: Facts,
  workload: ClassProgram | undefined,
  programs: Pick<Programs, 'policies'>,
): PolicyProgram | undefined => {
  const covering = coveringPolicy(facts, workload)
  return covering === undefined ? undefined : (tenantsOwn(facts, covering, programs) ?? covering)
}

const coveringPolicy = (facts: Facts, workload: ClassProgram | undefined): PolicyProgram | undefined => {
  for (const policy of workload?.policies ?? []) if (policy.when === undefined || policy.when(facts)) return policy
  return undefined
}

const tenantsOwn = (facts: Facts, policy: PolicyProgram, { policies }: Pick<Programs, 'policies'>) => {
  const overrides = policy.doc.tenantOverrides
  if (overrides === undefined || facts.tenant === undefined || !Object.hasOwn(overrides, facts.tenant)) return undefined
  const own = policies.get(overrides[facts.tenant]!)
  return own?.doc.class === policy.doc.class ? own : undefined
}

/**
 * The policy in force once flags have spoken, layer by layer, the strongest first. The first flag whose variant means
 * something wins; what the others would have said is told as shadowed. A control arm that means nothing leaves the word
 * to weaker layers, and to no other rollout. Experiments end where routing is switched off, for tenants with a policy of their own, and for
 * requests outside the cohorts that the policy lets be experimented on.
 */
export const choose = (facts: Facts, snapshot: EngineSnapshot, now: EpochMs): Choice => {
  const { programs } = snapshot
  const workload = programs.classes.get(facts.class)
  const covering = coveringPolicy(facts, workload)
  const own = covering === undefined ? undefined : tenantsOwn(facts, covering, programs)
  const base = own ?? covering
  const choice: Draft = {
    policy: base,
    layers: NO_LAYERS,
    arm: null,
    rollout: undefined,
    forced: false,
    action: undefined,
  }
  if (workload === undefined || workload.steering.length === 0) return choice
  const cohorts = cohortsOf(facts, programs)
  const context = contextOf(facts, cohorts, workload)
  const isOpen = own === undefined && mayExperiment(covering, cohorts, programs)
  const layers: LayerTrace[] = []
  let winner: LayerTrace | undefined
  for (const steering of workload.steering) {
    if (steering.layer === 'rollout' && !isOpen) continue
    const said = listen(steering, facts, context, snapshot, now)
    if (said === undefined) continue
    const { trace, arm } = said
    const effect = said.variant === undefined ? undefined : steering.effects.get(said.variant)
    // Whom a rollout has taken in no other experiments on, its control neither: it would not be one any more.
    if (winner !== undefined || (steering.layer === 'rollout' && choice.arm !== null)) {
      if (trace.error !== undefined || (effect !== undefined && effect.kind !== 'nothing'))
        layers.push({ ...trace, shadowed: true })
      continue
    }
    if (arm !== undefined && choice.arm === null) {
      choice.arm = arm
      choice.rollout = steering.rollout
    }
    const error = trace.error ?? apply(effect, facts, base, choice)
    if (error !== undefined && error !== '') layers.push({ ...trace, error })
    else if (error === undefined) {
      winner = trace
      layers.unshift(trace)
    } else if (arm !== undefined) layers.push(trace)
  }
  if (layers.length > 0) choice.layers = layers
  choice.forced = facts.forced !== undefined && (choice.arm !== null || facts.forced.cohort !== undefined)
  return choice
}

type Draft = { -readonly [Name in keyof Choice]: Choice[Name] }

/** Puts what a variant means into force. Undefined: it is; empty: it means nothing; else why it can't be. */
const apply = (
  effect: Steering['effects'] extends ReadonlyMap<string, infer One> ? One | undefined : never,
  facts: Facts,
  base: PolicyProgram | undefined,
  choice: Draft,
): string | undefined => {
  if (effect === undefined || effect.kind === 'nothing') return ''
  switch (effect.kind) {
    case 'action':
      choice.action = effect.spec
      return undefined
    case 'policy': {
      const { policy, ref } = effect
      if (policy === undefined) return `no document has ${ref} for this class`
      if (policy.when !== undefined && !policy.when(facts)) return `${ref} does not cover this request`
      choice.policy = policy
      return undefined
    }
    case 'overlay':
      if (effect.unknown !== undefined) return `no document has a site, pool or place called ${effect.unknown}`
      if (base === undefined) return 'no policy covers this request, so there is nothing to lie over'
      choice.policy = effect.over(base)
      return undefined
    default:
      return effect satisfies never
  }
}

interface Said {
  readonly trace: LayerTrace
  readonly variant: string | undefined
  readonly arm: Arm | undefined
}

/** What one flag says of a request; undefined: it has nothing to say. */
const listen = (
  steering: Steering,
  facts: Facts,
  context: FlagContext,
  { data }: EngineSnapshot,
  now: EpochMs,
): Said | undefined => {
  const { flag, layer, source, arms } = steering
  const state = data.flagSets[source]
  const isStale = state !== undefined && isStaleSource(state, now)
  if (isStale && state.whenStale === 'off')
    return {
      trace: { layer, flag: flag.key, variant: '', stale: true, error: 'stale, and off by that' },
      variant: undefined,
      arm: undefined,
    }
  const forced = arms === undefined ? undefined : facts.forced?.arm
  const result = forced === undefined ? steering.evaluate(context, now) : forcedResult(arms!, forced)
  const { variant, reason, errorMessage, errorCode } = result
  const stale = isStale ? ({ stale: true } as const) : undefined
  if (reason === 'ERROR')
    return {
      trace: { layer, flag: flag.key, variant: '', error: errorMessage ?? errorCode ?? 'ERROR', ...stale },
      variant: undefined,
      arm: undefined,
    }
  if (variant === undefined) return undefined
  // Only who was led into an arm by the targeting takes part; the flag's default is for everybody else.
  const isInArm = reason === 'TARGETING_MATCH' && arms !== undefined && Object.hasOwn(arms, variant)
  const arm = isInArm ? arms[variant] : undefined
  return {
    trace: stale === undefined ? { layer, flag: flag.key, variant } : { layer, flag: flag.key, variant, ...stale },
    variant,
    arm,
  }
}

const forcedResult = (arms: Readonly<Record<string, Arm>>, arm: Arm): FlagResult => {
  const variant = Object.keys(arms).find((name) => arms[name] === arm)
  return variant === undefined ? { reason: 'DEFAULT' } : { reason: 'TARGETING_MATCH', variant }
}

/** May rollouts take this request in? */
const mayExperiment = (
  policy: PolicyProgram | undefined,
  cohorts: readonly string[],
  { routing }: Programs,
): boolean => {
  const allowed = policy?.doc.experiments?.cohorts
  if (allowed === undefined || routing?.enabled === false) return false
  return allowed.includes('*') || allowed.some((name) => cohorts.includes(name))
}

const NO_COHORTS: readonly string[] = []

/** The names of the cohorts that a request belongs to, a tester's among them. */
export const cohortsOf = (facts: Facts, { cohorts }: Pick<Programs, 'cohorts'>): readonly string[] => {
  const forced = facts.forced?.cohort
  if (cohorts.size === 0 && forced === undefined) return NO_COHORTS
  const names: string[] = forced === undefined ? [] : [forced]
  for (const [name, when] of cohorts) if (name !== forced && when(facts)) names.push(name)
  return names
}

/** What flags are evaluated in: the facts by their names, cohorts, and the key that keeps a session in its arm. */
const contextOf = (facts: Facts, cohorts: readonly string[], workload: ClassProgram): FlagContext => ({
  ...facts.extra,
  targetingKey: facts.sessionKey ?? facts.seed,
  class: facts.class,
  model: facts.model,
  tenant: facts.tenant,
  tier: facts.tier,
  region: facts.region,
  country: facts.country,
  asn: facts.asn,
  method: facts.method,
  path: facts.path,
  residency: facts.residency,
  residencyClass: facts.residencyClass,
  contextTokens: facts.contextTokens,
  tools: facts.tools,
  critical: workload.doc?.critical === true,
  cohorts,
})
