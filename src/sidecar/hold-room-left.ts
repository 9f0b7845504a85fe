import type { EngineSnapshot, PolicyProgram } from '../engine/programs.ts'
import { measuredAt, roomAt } from '../engine/room.ts'
import type { TargetName } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'

/** How many held requests a target can take now; asked of each before it is let go. */
type RoomLeft = (snapshot: EngineSnapshot, policy: PolicyProgram | undefined, target: TargetName) => number

/**
 * Keeps what had been sent to each target when its newest measurement was first seen, so that what is let go is counted
 * against that measurement whichever feed it came from. A target that nothing measures has a new account with each
 * snapshot: else its first ones would be counted against it for ever.
 */
export const createRoomLeft = (tally: Tally): RoomLeft => {
  const accounts = new Map<TargetName, { readonly of: string; readonly sent: number }>()
  let last: EngineSnapshot | undefined
  let snapshots = 0
  return (snapshot, policy, target) => {
    if (snapshot !== last) {
      last = snapshot
      snapshots += 1
      // Targets that are gone must not stay here: whoever is still asked about begins anew.
      if (accounts.size > 2 * snapshot.data.targets.length) accounts.clear()
    }
    const at = measuredAt(snapshot, policy, target)
    const of = at > 0 ? `at ${at}` : `snapshot ${snapshots}`
    let account = accounts.get(target)
    if (account?.of !== of) {
      account = { of, sent: tally.dispatched[target] ?? 0 }
      accounts.set(target, account)
    }
    return roomAt(snapshot, policy, target, tally, account.sent)
  }
}
