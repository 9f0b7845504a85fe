import type { WorkloadClass } from '../model/documents.ts'
import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import type { Override } from '../model/override.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { Tally } from '../model/tally.ts'
import { coversRequest, isInForce } from './orders.ts'
import type { PolicyProgram, Programs } from './programs.ts'

/** All that one decision looks at, gathered once. */
export interface Scene {
  readonly facts: Facts
  readonly data: SnapshotData
  readonly programs: Programs
  readonly tally: Tally
  readonly now: EpochMs
  readonly policy: PolicyProgram | undefined
  readonly workload: WorkloadClass | undefined
  /** Overrides in force that speak of this request, by kind. */
  readonly drains: readonly Override[]
  readonly pins: readonly Override[]
  readonly admits: readonly Override[]
}

const NONE: readonly Override[] = []

/** The scene of one request under one policy. */
export const sceneOf = (
  facts: Facts,
  data: SnapshotData,
  programs: Programs,
  tally: Tally,
  now: EpochMs,
  policy: PolicyProgram | undefined,
  workload: WorkloadClass | undefined,
): Scene => {
  let drains = NONE
  let pins = NONE
  let admits = NONE
  for (const order of programs.overrides) {
    if (!isInForce(order, now) || !coversRequest(order.scope, facts)) continue
    if (order.kind === 'drain') drains = [...drains, order]
    else if (order.kind === 'pin') pins = [...pins, order]
    else if (order.kind === 'admit') admits = [...admits, order]
  }
  return { facts, data, programs, tally, now, policy, workload, drains, pins, admits }
}
