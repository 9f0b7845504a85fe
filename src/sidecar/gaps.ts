import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Change } from '../model/change.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { GapsReport } from '../model/gaps.ts'
import type { EpochMs } from '../model/names.ts'
import { problemText } from '../model/problem.ts'
import { readLedger, writeLedger } from './gaps-file.ts'
import { GapsLedger } from './gaps-ledger.ts'
import { GapsSums } from './gaps-report.ts'

/** What the ledger of gaps is made of. */
export interface GapsParts {
  readonly stateDir: string
  readonly clock: Clock
  readonly metrics: Metrics
  readonly log: Log
  readonly current: () => EngineSnapshot
  readonly bug: (error: unknown, where: string) => void
  /** How often it is written; a crash loses no more than that. */
  readonly saveMs?: number
}

/** What sites lacked, kept over restarts. */
export interface Gaps {
  /** To be called after every change of the snapshot. */
  readonly changed: (snapshot: EngineSnapshot, change: Change) => void
  /** To be called for every decision that stands. Takes no time for one that sends work on. */
  readonly decided: (facts: Facts, decision: Decision, key: string | undefined, now: EpochMs) => void
  readonly report: (from: EpochMs, to: EpochMs) => Promise<GapsReport>
  /** Fulfilled when all is on disk, or can't be. */
  readonly save: () => Promise<void>
  readonly close: () => Promise<void>
}

const SAVE_MS = 60_000
/** Entries that are summed up before requests get their turn: a millisecond. */
const ENTRIES_AT_ONCE = 5_000

/** Opens the ledger with what was kept in the state folder. */
export function openGaps({ stateDir, clock, metrics, log, current, bug, saveMs = SAVE_MS }: GapsParts): Gaps {
  const path = join(stateDir, 'gaps.jsonl')
  const { state, problem } = readLedger(path)
  if (problem !== undefined) log.error(problemText(problem))
  const ledger = new GapsLedger(state)
  let seen: { readonly targets: unknown; readonly readiness: unknown } | undefined
  let saving: Promise<void> | undefined
  let isFailing = false
  const save = (): Promise<void> => {
    saving ??= writeLedger(path, state)
      .then(
        () => {
          if (isFailing) log.info({ path }, 'the ledger of gaps is kept again')
          isFailing = false
        },
        (error: Error) => {
          if (!isFailing) log.error({ path }, `the ledger of gaps can't be kept over a restart: ${error.message}`)
          isFailing = true
        },
      )
      .catch((error: unknown) => bug(error, 'gaps'))
      .finally(() => {
        saving = undefined
      })
    return saving
  }
  const timer = setInterval(() => void save(), saveMs)
  timer.unref()
  metrics.read('hubward_readiness_seconds_total', () =>
    [...ledger.sinceStart].flatMap(([key, [amberMs, redMs]]) => {
      const [site = '', dimension = ''] = key.split('\n')
      return [
        [[site, dimension, 'amber'], amberMs / 1_000] as const,
        [[site, dimension, 'red'], redMs / 1_000] as const,
      ]
    }),
  )
  return {
    changed: ({ data }, change) => {
      const { targets, readiness } = data
      if (seen?.targets !== targets || seen.readiness !== readiness) {
        seen = { targets, readiness }
        ledger.see(targets, readiness, data.at)
      } else if (change.kind === 'time-passed') ledger.pass(data.at)
    },
    decided: (facts, decision, key, now) => {
      if (decision.action !== 'delay' && decision.action !== 'deny') return
      const known = current().programs.classes.get(decision.class)
      const classHours = known?.doc?.usualHours
      ledger.turnAway(
        {
          decision,
          needs: facts.needs,
          isKnownClass: known !== undefined,
          ...(classHours === undefined ? {} : { classHours }),
          ...(key === undefined ? {} : { key }),
        },
        now,
      )
    },
    report: async (from, to) => {
      ledger.pass(clock.now())
      const sums = new GapsSums(from, to)
      let entries = 0
      for (const [number, hour] of state.hours) {
        sums.add(number, hour)
        entries += hour.states.size + hour.work.size
        if (entries < ENTRIES_AT_ONCE) continue
        entries = 0
        await new Promise((resolve) => setImmediate(resolve))
      }
      return sums.report()
    },
    save,
    close: async () => {
      clearInterval(timer)
      await saving
      await save()
    },
  }
}
