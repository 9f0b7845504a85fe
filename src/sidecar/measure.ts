import { join } from 'node:path'
import type { MeasureView } from '../admin/measure-handlers.ts'
import type { Clock } from '../clock.ts'
import { isStale } from '../engine/columns.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { Log } from '../log.ts'
import { BURN_SIGNALS } from '../measure/burn.ts'
import { Measure, type MeasureParts, TOLD_EVERY_MS } from '../measure/measure.ts'
import { PASSIVE_SIGNALS, PASSIVE_SOURCE } from '../measure/passive.ts'
import { readMeasureState, writeMeasureState } from '../measure/state-file.ts'
import type { Metrics } from '../metrics.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { EpochMs, TargetName } from '../model/names.ts'
import type { AccessEntry } from '../model/outcome.ts'
import { problemText } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import type { SourceStatus } from '../model/source.ts'
import type { Asking } from './judge.ts'

/** What measuring is opened with. */
export interface OpenMeasureParts {
  readonly stateDir: string
  readonly pending: number
  readonly cellsMax: number
  readonly bytesMax: number
  readonly clock: Clock
  readonly metrics: Metrics
  readonly log: Log
  readonly current: () => EngineSnapshot
  /** Takes samples: the feeds' inbox. */
  readonly offer: (samples: readonly Sample[]) => void
  readonly arms: MeasureParts['arms']
  readonly bug: (error: unknown, where: string) => void
  /** How often it is written; a crash loses no more than that. */
  readonly saveMs?: number
}

/** What came of requests, wired to the snapshot. */
export interface OpenMeasure {
  /** To be called for every decision that stands. */
  readonly decided: (facts: Facts, decision: Decision, asking: Asking) => void
  /** To be called with what Envoy's access log says. */
  readonly accessLog: (entries: readonly AccessEntry[]) => void
  /** To be called once a second. */
  readonly pass: (now: EpochMs) => void
  /** Whether a decision is kept, by its id. */
  readonly isKnown: (decision: string) => boolean
  readonly view: MeasureView
  /** The access log among the sources. */
  readonly status: () => SourceStatus
  readonly close: () => Promise<void>
}

const SAVE_MS = 60_000
const WORK_MS = 100
/** A number that splits a time may be as old as this. */
const SPLIT_AGE_MS = 60_000

/** Opens measuring with what was kept in the state folder. */
export function openMeasure(parts: OpenMeasureParts): OpenMeasure {
  const { stateDir, clock, metrics, log, current, offer, bug, saveMs = SAVE_MS } = parts
  const path = join(stateDir, 'measurements.json')
  const look = lookAt(current, clock)
  const measure = new Measure({
    ...{ now: clock.now(), metrics, pending: parts.pending, cellsMax: parts.cellsMax, bytesMax: parts.bytesMax },
    known: look.known,
    gpuOf: (target) => look.targetNamed(target)?.gpu,
    passive: {
      targets: () => current().data.targets,
      isAsked: (signal) => look.asked().has(signal),
      isToldByOthers: look.isToldByOthers,
    },
    burn: {
      sloOf: look.known.sloOf,
      classes: () =>
        [...current().programs.classes].flatMap(([name, { doc }]) => (doc?.slo === undefined ? [] : [name])),
      sites: () => current().data.sites,
      isAsked: (signal) => look.asked().has(signal),
    },
    arms: parts.arms,
  })
  const { state, problem } = readMeasureState(path)
  if (problem !== undefined) log.error(problemText(problem))
  if (state !== undefined) measure.restore(state)
  let saving: Promise<void> | undefined
  let isFailing = false
  const save = (): Promise<void> => {
    saving ??= writeMeasureState(path, measure.state())
      .then(
        () => {
          if (isFailing) log.info({ path }, 'burn rates and reported outcomes are kept again')
          isFailing = false
        },
        (error: Error) => {
          if (!isFailing) log.error({ path }, `burn rates and reported outcomes can't be kept: ${error.message}`)
          isFailing = true
        },
      )
      .catch((error: unknown) => bug(error, 'measure'))
      .finally(() => {
        saving = undefined
      })
    return saving
  }
  const timer = setInterval(() => void save(), saveMs)
  timer.unref()
  const working = setInterval(() => measure.work(), WORK_MS)
  working.unref()
  return {
    // What is asked over HTTP goes where its asker sends it, and no log of this Envoy tells of it.
    decided: (facts, decision, { heldMs, reserve }) => measure.decided(facts, decision, heldMs, reserve === 'declared'),
    accessLog: (entries) => measure.accessLog(entries, clock.now()),
    isKnown: (decision) => measure.isKnown(decision),
    pass: (now) => {
      const samples = measure.pass(now)
      if (samples.length > 0) offer(samples)
    },
    view: {
      ask: (asked) => measure.ask(asked, clock.now()),
      report: (all) => measure.report(all),
      reports: () => measure.reports(),
    },
    status: () => ({
      ...{
        name: PASSIVE_SOURCE,
        kind: 'access-log',
        where: 'the access log of Envoy, by gRPC',
        version: '',
        nonce: '',
      },
      ...{ intervalMs: TOLD_EVERY_MS, lastAcceptedAt: measure.heardAt, lastRefusedAt: null, refusal: [] },
      ...{ failuresInARow: 0, delivers: [...PASSIVE_SIGNALS, ...BURN_SIGNALS], covers: [] },
    }),
    close: async () => {
      clearInterval(timer)
      clearInterval(working)
      await saving
      await save()
    },
  }
}

/** What is read of the snapshot. */
const lookAt = (current: () => EngineSnapshot, clock: Clock) => {
  let seen: { readonly targets: unknown; readonly byCluster: ReadonlyMap<string, TargetName> } | undefined
  let gates: { readonly specs: unknown; readonly signals: ReadonlySet<string> } | undefined
  const targetNamed = (target: TargetName) => {
    const { programs } = current()
    const index = programs.indexOf.get(target)
    return index === undefined ? undefined : programs.targets[index]
  }
  const known: MeasureParts['known'] = {
    targetOf: (cluster) => {
      const { targets } = current().programs
      if (seen?.targets !== targets)
        seen = { targets, byCluster: new Map(targets.map((target) => [target.cluster, target.name])) }
      return seen.byCluster.get(cluster)
    },
    isClass: (className) => current().programs.classes.has(className),
    sloOf: (className) => current().programs.classes.get(className)?.doc?.slo,
    artifactOf: (target, model) => {
      const models = targetNamed(target)?.models
      if (models === undefined) return undefined
      const distinct = new Set(models.values())
      const served = model === undefined ? (distinct.size === 1 ? [...distinct][0] : undefined) : models.get(model)
      return served === undefined ? undefined : artifactName(served)
    },
    signalAt: (target, signal) => {
      const { data, programs } = current()
      const index = programs.indexOf.get(target)
      const column = data.columns[signal]
      if (index === undefined || isStale(column, index, SPLIT_AGE_MS, clock.now())) return undefined
      return column!.value[index]
    },
  }
  return {
    known,
    targetNamed,
    /** Signals that some gate looks at. */
    asked: (): ReadonlySet<string> => {
      const { gateSpecs } = current().programs
      if (gates?.specs !== gateSpecs)
        gates = { specs: gateSpecs, signals: new Set([...gateSpecs.values()].map(({ signal }) => signal)) }
      return gates.signals
    },
    isToldByOthers: (signal: string, target: TargetName): boolean => {
      const { data, programs } = current()
      const index = programs.indexOf.get(target)
      const column = data.columns[signal]
      if (index === undefined || column === undefined || column.source[index] === PASSIVE_SOURCE) return false
      return !isStale(column, index, signalOf(signal)?.staleAfterMs ?? 0, clock.now())
    },
  }
}

const artifactName = ({ name, revision }: { readonly name: string; readonly revision?: string }): string =>
  revision === undefined ? name : `${name}@${revision}`
