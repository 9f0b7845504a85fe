import type { Flag, FlagDefinition, Json } from '../model/flag.ts'
import { type Arm, isEnded, type Rollout, type RolloutState } from '../model/rollout.ts'

/** Shares are basis points: all buckets lie below this, whatever the share, so that a growing share moves nobody away. */
export const SHARE_WHOLE = 10_000

/**
 * The flag as its rollout has it: exposure written into its targeting, so that whoever evaluates the definition, here or
 * behind flagd.sync and OFREP, puts the same request into the same arm. Who takes part: those whom the flag's own
 * targeting gives the treatment (everybody where it has none), of the stage's cohort, and of the stage's share of
 * tenants. Of them the hash of the targeting key decides the arm. Others get the flag's default,
 * or the control where that is the treatment.
 *
 * Example, at 10 %: {"if": [{"==": [<own targeting>, "treatment"]},
 * {"fractional": [{"cat": ["<flag>/arms/", {"var": "targetingKey"}]}, ["treatment", 1000], ["control", 9000]]}, null]}
 */
export const renderFlag = (flag: Flag, rollout: Rollout, state: RolloutState | undefined): Flag => {
  const { definition } = flag
  const { control, treatment } = rollout.variants
  if (state === undefined || isEnded(state.status)) {
    const isFinished = state?.status === 'finished'
    // A policy that has won is the class's default by itself; an overlay goes on for whom the flag meant it.
    if (isFinished && flag.meanings[treatment]?.kind === 'policy')
      return changed(flag, { ...without(definition), state: 'DISABLED' }, 'retired')
    if (isFinished) return won(flag, treatment)
    return changed(flag, { ...without(definition), defaultVariant: control }, 'control')
  }
  const { shareBp, tenantsBp, cohort } = state
  const own = ownTargeting(definition)
  const conditions: Json[] = [
    ...(own === undefined ? [] : [{ '==': [own, treatment] }]),
    ...(cohort === undefined ? [] : [{ in: [cohort, { var: 'cohorts' }] }]),
    ...(tenantsBp >= SHARE_WHOLE ? [] : [{ '==': [split(flag.key, 'tenants', TENANT, 'in', 'out', tenantsBp), 'in'] }]),
  ]
  const arms = split(flag.key, 'arms', TARGETING_KEY, treatment, control, shareBp)
  const targeting = conditions.length === 0 ? arms : { if: [{ and: conditions }, arms, null] }
  return changed(
    flag,
    { ...definition, targeting, defaultVariant: defaultOf(definition, rollout) },
    `${shareBp}|${tenantsBp}|${cohort ?? ''}`,
  )
}

/**
 * The flag of a rollout that no document has any more, and that had not won: it says nothing. Its own targeting alone
 * would give the treatment to all whom the flag means, and a deleted document must not promote.
 */
export const renderOrphan = (flag: Flag): Flag =>
  changed(flag, { ...without(flag.definition), state: 'DISABLED' }, 'orphan')

/** The arm that each variant of a driven flag stands for. */
export const armsOf = ({ variants }: Rollout): Readonly<Record<string, Arm>> => ({
  [variants.control]: 'control',
  [variants.treatment]: 'treatment',
})

const TARGETING_KEY: Json = { var: 'targetingKey' }
/** Who has no tenant counts as a tenant of its own: all of them together would be in or out as one. */
const TENANT: Json = { if: [{ var: 'tenant' }, { var: 'tenant' }, TARGETING_KEY] }

const split = (key: string, purpose: string, by: Json, first: string, second: string, firstBp: number): Json => ({
  fractional: [{ cat: [`${key}/${purpose}/`, by] }, [first, firstBp], [second, SHARE_WHOLE - firstBp]],
})

/** The default of those who take no part; the treatment is for nobody but whom the rollout has chosen. */
const defaultOf = ({ defaultVariant }: FlagDefinition, { variants: { control, treatment } }: Rollout): string =>
  defaultVariant === undefined || defaultVariant === null || defaultVariant === treatment ? control : defaultVariant

/** An overlay that has won: where the flag says nothing of whom it means, that is everybody, as it was in the last stage. */
const won = (flag: Flag, treatment: string): Flag =>
  ownTargeting(flag.definition) === undefined
    ? changed(flag, { ...flag.definition, defaultVariant: treatment }, 'won')
    : flag

/** What the flag itself says of whom it means; undefined: nothing. */
const ownTargeting = ({ targeting }: FlagDefinition): Json | undefined =>
  targeting === undefined || targeting === null || isEmpty(targeting) ? undefined : targeting

const isEmpty = (targeting: Json): boolean => typeof targeting === 'object' && Object.keys(targeting ?? {}).length === 0

const without = ({ targeting: _, ...rest }: FlagDefinition): FlagDefinition => rest

const changed = (flag: Flag, definition: FlagDefinition, how: string): Flag => ({
  ...flag,
  definition,
  hash: `${flag.hash}#${how}`,
})
