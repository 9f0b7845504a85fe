import type { CaseEngine } from '../documents/cases.ts'
import { decide } from '../engine/decide.ts'
import { emptySnapshot, fold } from '../engine/fold.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import { readinessOf } from '../engine/readiness.ts'
import { createFlagCompiler } from '../flags/compile-flag.ts'
import { readFlags } from '../flags/read-flags.ts'

const compiler = createFlagCompiler()

/** The engine that policy cases are run with. */
export const CASE_ENGINE = {
  emptySnapshot,
  fold,
  decide,
  readFlags,
  compileFlag: compiler.compile,
  readiness: (snapshot, target, className, now) => {
    const index = snapshot.programs.indexOf.get(target)
    return index === undefined ? undefined : readinessOf(snapshot, index, className, now)
  },
} as const satisfies CaseEngine<EngineSnapshot>
