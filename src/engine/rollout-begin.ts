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
  const text = JSON.stringify([metadata.name, rest])
  return [0, 1].map((seed) => murmur3(text, seed).toString(16).padStart(8, '0')).join('')
}

/** The policy that the treatment of a rollout names; null: an overlay. Undefined while its flag is not there. */
export function treatmentOf({ flags }: Programs, rollout: Rollout): string | null | undefined {
  const program = flags.get(rollout.flag)
  if (program?.rollout !== rollout.metadata.name) return undefined
  const meaning = program.flag.meanings[rollout.variants.treatment]
  if (meaning === undefined) return undefined
  return meaning.kind === 'policy' ? meaning.policy : (rollout.policy ?? null)
}

/** A rollout at the begin of its first stage. */
export function begun(rollout: Rollout, policy: string | null, now: EpochMs): RolloutState {
  const blank: RolloutState = {
    name: rollout.metadata.name,
    flag: rollout.flag,
    hash: rolloutHash(rollout),
    policy,
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
