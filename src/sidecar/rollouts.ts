import { join } from 'node:path'
import type { RolloutsView, RolloutView } from '../admin/rollout-handlers.ts'
import { orderProblem } from '../engine/rollout-orders.ts'
import { finalReport } from '../engine/rollout-report.ts'
import type { Log } from '../log.ts'
import { type Arms, createArms, type Followed } from '../measure/arms.ts'
import type { Metrics } from '../metrics.ts'
import type { EpochMs } from '../model/names.ts'
import type { RolloutState } from '../model/rollout.ts'
import type { Store } from '../store.ts'
import { readRollouts, writeRollouts } from './rollouts-file.ts'

/** What rollouts are made of. */
export interface RolloutsParts {
  readonly stateDir: string
  readonly store: Pick<Store, 'current' | 'apply' | 'subscribe'>
  readonly clock: { readonly now: () => EpochMs }
  readonly metrics: Metrics
  readonly log: Log
}

/** The rollouts of a running hubward: what is measured of them goes to the judge, and all of it is kept over restarts. */
export interface OpenRollouts {
  /** Takes in what came of requests. */
  readonly arms: Arms
  /** Takes in what was kept; before documents and flags, so that nothing begins anew that goes on. */
  readonly restore: () => void
  /** To be called once a second: what was measured since goes to the judge. */
  readonly tick: (now: EpochMs) => void
  readonly view: RolloutsView
  /** Fulfilled when all is on disk, or can't be. */
  readonly close: () => Promise<void>
}

/** While nothing turns, what is measured is written so often; a crash loses no more than that. */
const SAVE_EVERY_MS = 2_000

/** Opens the rollouts with their file in the state folder. */
export function openRollouts({ stateDir, store, clock, metrics, log }: RolloutsParts): OpenRollouts {
  const path = join(stateDir, 'rollouts.json')
  const arms = createArms()
  let followed: { readonly rollouts: unknown; readonly documents: unknown } | undefined
  let written: { readonly rollouts: unknown; readonly retained: unknown; readonly turned: string } | undefined
  let writtenAt = 0
  let isMeasured = false
  let writing: Promise<void> | undefined
  let isFailing = false

  const follow = (): void => {
    const { data, programs } = store.current
    if (followed?.rollouts === data.rollouts && followed.documents === programs.rollouts) return
    followed = { rollouts: data.rollouts, documents: programs.rollouts }
    arms.follow(
      Object.values(data.rollouts).flatMap((state): Followed[] => {
        const rollout = programs.rollouts.get(state.name)
        return rollout === undefined ? [] : [{ rollout, state }]
      }),
    )
  }
  const write = (): void => {
    if (writing !== undefined) return
    const { rollouts, retained } = store.current.data
    written = { rollouts, retained, turned: turnsOf(rollouts) }
    writtenAt = clock.now()
    isMeasured = false
    writing = writeRollouts(path, { rollouts: Object.values(rollouts), retained, arms: arms.save() })
      .then(
        () => {
          if (isFailing) log.info({ path }, 'rollouts are kept over a restart again')
          isFailing = false
        },
        (error: Error) => {
          if (!isFailing)
            log.error({ path, detail: error.message }, "rollouts can't be kept over a restart: see who may write there")
          isFailing = true
          written = undefined
        },
      )
      .finally(() => {
        writing = undefined
      })
  }
  const isDue = (): boolean => {
    const { rollouts, retained } = store.current.data
    if (written === undefined) return Object.keys(rollouts).length + retained.length > 0
    if (written.rollouts === rollouts && written.retained === retained && !isMeasured) return false
    // A turn must not be forgotten: a crash would begin a stage anew that had been taken back.
    return written.turned !== turnsOf(rollouts) || clock.now() - writtenAt >= SAVE_EVERY_MS
  }
  store.subscribe(() => {
    follow()
    if (isDue()) write()
  })

  const stageOf = ({ name, stage }: RolloutState): string =>
    store.current.programs.rollouts.get(name)?.stages[stage]?.name ?? String(stage)
  const shown = (state: RolloutState): RolloutView => {
    const document = store.current.programs.rollouts.get(state.name) ?? null
    return {
      state,
      stage: stageOf(state),
      document,
      report: document === null ? null : finalReport(document, state),
    }
  }
  metrics.read('hubward_rollout_share_ratio', () =>
    Object.values(store.current.data.rollouts).map((state) => {
      const { name, status, shareBp } = state
      return [[name, status, stageOf(state)], shareBp / 10_000]
    }),
  )
  return {
    arms,
    restore: () => {
      const memory = readRollouts(path, (what) =>
        log.error(
          { path },
          `what was kept of rollouts ${what}: they begin again; the old file is kept as ${path}.damaged`,
        ),
      )
      arms.restore(memory.arms)
      if (memory.rollouts.length + memory.retained.length === 0) return
      const { rollouts, retained } = memory
      store.apply({ kind: 'rollouts-restored', at: clock.now(), rollouts, retained })
      log.info({ path, rollouts: rollouts.length, retained: retained.length }, 'rollouts of before go on')
    },
    tick: (now) => {
      const readings = arms.read(now)
      if (readings.length === 0) return
      isMeasured = true
      store.apply({ kind: 'arms-measured', at: now, readings })
    },
    view: {
      all: () => Object.values(store.current.data.rollouts).map(shown),
      get: (name) => {
        const { rollouts } = store.current.data
        return Object.hasOwn(rollouts, name) ? shown(rollouts[name]!) : undefined
      },
      order: (name, order) => {
        const hindrance = orderProblem(store.current, name, order, clock.now())
        if (hindrance === undefined) store.apply({ kind: 'rollout-ordered', at: clock.now(), rollout: name, order })
        return hindrance
      },
    },
    close: async () => {
      await writing
      const { rollouts, retained } = store.current.data
      if (written !== undefined || Object.keys(rollouts).length + retained.length > 0) write()
      await writing
    },
  }
}

const turnsOf = (rollouts: Readonly<Record<string, RolloutState>>): string =>
  Object.values(rollouts)
    .map(({ name, hash, status, stage, shareBp }) => `${name} ${hash} ${status} ${stage} ${shareBp}`)
    .join()
