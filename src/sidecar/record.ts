import { createHash, createHmac, randomBytes } from 'node:crypto'
import { inputsOf } from '../engine/explain.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import { ENGINE_VERSION } from '../engine/version.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts, FactValue } from '../model/facts.ts'
import type { DecisionRecord } from '../model/record.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { Made } from './judge.ts'

/** How many inputs a record may carry before it can't be replayed from itself. */
const INPUTS_MAX = 400

/**
 * What builds the records of the journal. Session keys, and the facts that the configuration hides, are written as a
 * keyed hash: equal ones can be told, and nobody can find them by trying. The key lives as long as hubward runs.
 */
export const recorder = (
  hidden: readonly string[],
  key: Buffer = randomBytes(32),
): ((made: Made, sampledBy: DecisionRecord['sampledBy']) => DecisionRecord) => {
  const names = new Set(['sessionKey', ...hidden])
  const hide = (value: unknown): string =>
    `hidden:${createHmac('sha256', key).update(JSON.stringify(value)).digest('base64url').slice(0, 22)}`
  const shown = <Value>(values: Readonly<Record<string, Value>>): Record<string, Value | string> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, names.has(name) ? hide(value) : value]))

  return ({ facts, decision, snapshot, now, dispatched, heldMs }, sampledBy) => {
    const inputs = inputsOf(facts, snapshot, now)
    // While a target comes back its share is compared with a hash of the session key, which is not written down.
    const readsKey = facts.sessionKey !== undefined && inputs.some(({ share }) => share > 0 && share < 1)
    // So are the buckets of flags; which of them asked for one is not told, and by another they might have had a say.
    const steering = snapshot.programs.classes.get(facts.class)?.steering ?? []
    const readsBucket = facts.sessionKey !== undefined && steering.length > 0
    const isHidden = hidden.some((name) => Object.hasOwn(facts, name) || Object.hasOwn(facts.extra, name))
    return {
      kind: 'decision',
      decision,
      facts: { ...(shown({ ...facts }) as unknown as Facts), extra: shown<FactValue>(facts.extra) },
      now,
      engineVersion: ENGINE_VERSION,
      snapshotHash: hashOf(snapshot.data),
      sourceVersions: Object.fromEntries(
        Object.values(snapshot.data.sources).map((source) => [source.name, source.version]),
      ),
      tally: dispatched ?? {},
      inputs,
      replayable: dispatched !== null && inputs.length < INPUTS_MAX && !readsKey && !readsBucket && !isHidden,
      sampledBy,
      ...flagsOf(decision, snapshot),
      ...(heldMs === undefined ? {} : { heldMs }),
    }
  }
}

/** Which flags had a say, in which form, and the shares of the rollout that the request takes part in. */
const flagsOf = (
  { layers, rollout }: Decision,
  { data, programs }: EngineSnapshot,
): Pick<DecisionRecord, 'flags' | 'exposure'> => {
  if (layers.length === 0) return {}
  const flags = Object.fromEntries(layers.map(({ flag }) => [flag, programs.flags.get(flag)?.flag.hash ?? '']))
  const state = rollout === undefined ? undefined : data.rollouts[rollout]
  if (state === undefined) return { flags }
  const { shareBp, tenantsBp, cohort } = state
  return { flags, exposure: { shareBp, tenantsBp, ...(cohort === undefined ? {} : { cohort }) } }
}

const hashes = new WeakMap<SnapshotData['sources'], string>()

/** The hash of what the sources of documents and overrides have in force. Sources only change when a set does. */
const hashOf = (data: SnapshotData): string => {
  let hash = hashes.get(data.sources)
  if (hash === undefined) {
    const parts = Object.values(data.sources)
      .map((source) => `${source.name}=${source.hash}`)
      .sort()
    hash = `sha256:${createHash('sha256').update(parts.join('\n')).digest('hex')}`
    hashes.set(data.sources, hash)
  }
  return hash
}
