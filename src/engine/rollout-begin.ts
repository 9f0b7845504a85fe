import { murmur3 } from '../math/murmur3.ts'
import type { EpochMs } from '../model/names.ts'
import type { Rollout, RolloutState } from '../model/rollout.ts'
import { NO_COUNTS } from './compare.ts'
import type { Programs } from './programs.ts'
import { atStage } from './rollout.ts'

/**
 * A hash of what a rollout does and is judged by; another one begins anew. Whom to call, where to look and when stages
 * may begin can be corrected without starting over.
 */
export function rolloutHash(rollout: Rollout): string {
  const { metadata, rollback: _, escalation: __, dashboard: ___, freezeWindows: ____, ...rest } = rollout
  return hashOf(JSON.stringify([metadata.name, rest]))
}

const hashOf = (text: string): string =>
  [0, 1].map((seed) => murmur3(text, seed).toString(16).padStart(8, '0')).join('')

/** What the flag of a rollout has to say: the policy that its treatment names, null for an overlay, and a hash of both variants. */
export interface Treatment {
  readonly policy: string | null
  readonly meaning: string
}

/** What the flag of a rollout gives its treatment; undefined while it is not there, or what it names is not. */
export function treatmentOf({ flags, policies }: Programs, rollout: Rollout): Treatment | undefined {
  const program = flags.get(rollout.flag)
  if (program?.rollout !== rollout.metadata.name) return undefined
  const { meanings } = program.flag
  const treatment = meanings[rollout.variants.treatment]
  if (treatment === undefined) return undefined
  // Arms that are served alike would show that nothing is worse.
  if (treatment.kind === 'policy' && policies.get(treatment.policy)?.doc.class !== rollout.class) return undefined
  return {
    policy: treatment.kind === 'policy' ? treatment.policy : (rollout.policy ?? null),
    meaning: hashOf(JSON.stringify([meanings[rollout.variants.control] ?? null, treatment])),
  }
}

/** A rollout at the begin of its first stage. */
export function begun(rollout: Rollout, { policy, meaning }: Treatment, now: EpochMs): RolloutState {
  const blank: RolloutState = {
    name: rollout.metadata.name,
    flag: rollout.flag,
    hash: rolloutHash(rollout),
    policy,
    meaning,
    status: 'running',
    stage: 0,
    stageSince: now,
    startedAt: now,
    shareBp: 0,
    tenantsBp: 0,
    says: '',
    tests: {},
    totals: NO_COUNTS,
    stageUnits: { control: 0, treatment: 0 },
    criteria: [],
    artifacts: { control: [], treatment: [] },
    needed: null,
    classUnits: 0,
  }
  return atStage(rollout, blank, 0, now)
}
