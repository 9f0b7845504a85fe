import type { FlagCompiler } from '../../flags/compile-flag.ts'
import type { Change } from '../../model/change.ts'
import type { SnapshotData } from '../../model/snapshot.ts'
import { digestOf } from './digest.ts'
import type { Check } from './messages.ts'

/** Changes of one turn, in order, and the revision that they lead to. */
export interface FeedFrame {
  readonly changes: readonly Change[]
  readonly revision: number
}

/** Makes the changes of a feed, in the order in which they came. */
export interface Applying {
  readonly feed: (frame: FeedFrame) => void
  readonly check: (check: Check) => void
}

/** What changes are made with. */
export interface ApplyingParts {
  readonly apply: (change: Change) => void
  readonly data: () => SnapshotData
  readonly compiler: Pick<FlagCompiler, 'prepare' | 'retain'>
  /** Every hash of a flag that is in force. */
  readonly hashes: () => Iterable<string>
  /** The snapshot is not the main process's: nothing here is to be trusted any more. */
  readonly differs: (why: string) => void
}

const SLICE_MS = 2

/**
 * Makes the same changes as the main process. Flags are compiled ahead in slices as there, because ten thousand of them
 * at once would hold requests up; what comes meanwhile waits behind them.
 */
export function createApplying({ apply, data, compiler, hashes, differs }: ApplyingParts): Applying {
  let waiting: (() => Iterator<unknown> | undefined)[] = []
  let isBusy = false

  const run = (): void => {
    let done = 0
    while (done < waiting.length) {
      const steps = waiting[done++]!()
      if (steps === undefined) continue
      isBusy = true
      waiting = waiting.slice(done)
      inSlices(steps, () => {
        isBusy = false
        run()
      })
      return
    }
    waiting = []
  }
  const add = (...work: readonly (() => Iterator<unknown> | undefined)[]): void => {
    waiting.push(...work)
    if (!isBusy) run()
  }
  const make = (change: Change) => (): undefined => {
    apply(change)
    if (change.kind === 'flags-accepted') compiler.retain(hashes())
  }
  return {
    feed: ({ changes, revision }) =>
      add(
        ...changes.flatMap((change) =>
          change.kind === 'flags-accepted' ? [() => compiler.prepare(change.set), make(change)] : [make(change)],
        ),
        () => {
          const ours = data().revision
          if (ours !== revision) differs(`revision ${ours} where ${revision} should be`)
          return undefined
        },
      ),
    check: ({ revision, digest, ...part }) =>
      add(() => {
        const ours = digestOf(data(), part)
        if (ours !== digest) differs(`${part.path.join('/')} is not the same at revision ${revision}`)
        return undefined
      }),
  }
}

const inSlices = (steps: Iterator<unknown>, done: () => void): void => {
  const deadline = performance.now() + SLICE_MS
  while (steps.next().done !== true) {
    if (performance.now() < deadline) continue
    setImmediate(inSlices, steps, done)
    return
  }
  done()
}
