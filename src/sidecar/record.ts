import { createHash } from 'node:crypto'
import { inputsOf } from '../engine/explain.ts'
import { ENGINE_VERSION } from '../engine/version.ts'
import type { DecisionRecord } from '../model/record.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { Made } from './judge.ts'

/** How many inputs a record may carry before it can't be replayed from itself. */
const INPUTS_MAX = 400

/** A decision as the journal keeps it. Session keys are hashed: whoever reads the journal must not become somebody. */
export const recordOf = (made: Made, sampledBy: DecisionRecord['sampledBy']): DecisionRecord => {
  const { facts, decision, snapshot, now, dispatched } = made
  const inputs = inputsOf(facts, snapshot, now)
  const { sessionKey, ...rest } = facts
  const hashed =
    sessionKey === undefined
      ? rest
      : { ...rest, sessionKey: `sha256:${createHash('sha256').update(sessionKey).digest('hex').slice(0, 32)}` }
  return {
    kind: 'decision',
    decision,
    facts: hashed,
    now,
    engineVersion: ENGINE_VERSION,
    snapshotHash: hashOf(snapshot.data),
    sourceVersions: Object.fromEntries(
      Object.values(snapshot.data.sources).map((source) => [source.name, source.version]),
    ),
    tally: dispatched,
    inputs,
    // A hashed session key decides otherwise wherever a ramp is under way, so such a record only tells.
    replayable: inputs.length < INPUTS_MAX && sessionKey === undefined,
    sampledBy,
  }
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
