import type { ResidencyClass, Slo, WorkloadClass } from '../model/documents.ts'
import type { Metadata } from '../model/metadata.ts'
import { bounded, normaliseAction, type WrittenAction } from './normalise-action.ts'
import { normaliseMetadata } from './normalise-site.ts'
import type { Report } from './view.ts'

interface Envelope {
  readonly metadata: Metadata
  readonly spec: unknown
}

/** A residency class as it was written. */
export function normaliseResidencyClass(document: Envelope): ResidencyClass {
  const spec = document.spec as Omit<ResidencyClass, 'metadata'>
  return {
    metadata: normaliseMetadata(document.metadata),
    allows: spec.allows,
    ...(spec.default === undefined ? {} : { default: { sites: spec.default.sites } }),
  }
}

interface WrittenClass {
  readonly critical?: boolean
  readonly flexibility?: WorkloadClass['flexibility']
  readonly whenHubwardIsDown: WorkloadClass['whenHubwardIsDown']
  readonly freshness?: Readonly<Record<string, string>>
  readonly whenStale?: Omit<WrittenAction, 'action'> & {
    readonly action: 'lowest-risk' | WrittenAction['action']
    readonly alert?: boolean
  }
  readonly panic?: WorkloadClass['panic']
  readonly delayTolerance?: string
  readonly reservationLife?: string
  readonly usualHours?: number
  readonly near?: readonly string[]
  readonly session?: { readonly life?: string }
  readonly slo?: WrittenSlo
}

interface WrittenSlo {
  readonly objectivePct: number
  readonly ttft?: string
  readonly response?: string
  readonly window?: string
  readonly locality?: { readonly objectivePct: number; readonly budget: string }
}

/** The window of an error budget where its class does not say: 30 days, as burn rates are usually given. */
const SLO_WINDOW_MS = 30 * 86_400_000

/** How long a session lives where its class does not say. */
export const SESSION_LIFE_MS = 1_800_000

/** A workload class with its defaults filled in. */
export function normaliseWorkloadClass(document: Envelope, report: Report): WorkloadClass {
  const spec = document.spec as WrittenClass
  const limits = Object.entries(spec.freshness ?? {}).map(
    ([signal, text]) => [signal, bounded(text, 'freshness', ['spec', 'freshness', signal], report)] as const,
  )
  const byDefault = limits.find(([signal]) => signal === 'default')?.[1]
  const life = spec.session?.life
  const tolerance = spec.delayTolerance
  const held = spec.reservationLife
  return {
    metadata: normaliseMetadata(document.metadata),
    critical: spec.critical ?? false,
    flexibility: spec.flexibility ?? 'inflexible',
    whenHubwardIsDown: spec.whenHubwardIsDown,
    freshness: Object.fromEntries(limits.filter(([signal]) => signal !== 'default')),
    ...(byDefault === undefined ? {} : { freshnessDefaultMs: byDefault }),
    whenStale: normaliseWhenStale(spec.whenStale, spec.whenHubwardIsDown, report),
    panic: spec.panic ?? 'last-good',
    ...(tolerance === undefined
      ? {}
      : { delayToleranceMs: bounded(tolerance, 'delayTolerance', ['spec', 'delayTolerance'], report) }),
    ...(held === undefined
      ? {}
      : { reservationLifeMs: bounded(held, 'reservationLife', ['spec', 'reservationLife'], report) }),
    ...(spec.usualHours === undefined ? {} : { usualHours: spec.usualHours }),
    ...(spec.near === undefined ? {} : { near: spec.near }),
    ...(spec.slo === undefined ? {} : { slo: normaliseSlo(spec.slo, report) }),
    session: {
      lifeMs: life === undefined ? SESSION_LIFE_MS : bounded(life, 'life', ['spec', 'session', 'life'], report),
    },
  }
}

function normaliseWhenStale(
  written: WrittenClass['whenStale'],
  whenDown: WorkloadClass['whenHubwardIsDown'],
  report: Report,
): WorkloadClass['whenStale'] {
  // What must not be sent blind while hubward is down must not be sent blind by it either.
  if (written === undefined && whenDown === 'refuse') return { action: 'delay', alert: true, spec: { action: 'delay' } }
  const alert = written?.alert ?? false
  if (written === undefined || written.action === 'lowest-risk') return { action: 'lowest-risk', alert }
  const spec = normaliseAction(written as WrittenAction, ['spec', 'whenStale'], report)
  return { action: written.action, alert, spec }
}

function normaliseSlo(written: WrittenSlo, report: Report): Slo {
  const path = ['spec', 'slo']
  const { objectivePct, ttft, response, window, locality } = written
  const ttftMs = ttft === undefined ? undefined : bounded(ttft, 'ttft', [...path, 'ttft'], report)
  const responseMs = response === undefined ? undefined : bounded(response, 'response', [...path, 'response'], report)
  if (ttftMs !== undefined && responseMs !== undefined && ttftMs > responseMs) {
    const message = `the whole answer (${response}) cannot be there before its first token (${ttft})`
    report([...path, 'response'], { code: 'class/slo', message, remedy: 'write a response above ttft' })
  }
  return {
    objectivePct,
    ...(ttftMs === undefined ? {} : { ttftMs }),
    ...(responseMs === undefined ? {} : { responseMs }),
    windowMs: window === undefined ? SLO_WINDOW_MS : bounded(window, 'window', [...path, 'window'], report),
    ...(locality === undefined
      ? {}
      : {
          locality: {
            objectivePct: locality.objectivePct,
            budgetMs: bounded(locality.budget, 'budget', [...path, 'locality', 'budget'], report),
          },
        }),
  }
}
