import type { Metadata } from '../model/metadata.ts'
import type { BadEvent, Guardrail, Rollout, SiteLimit, Stage } from '../model/rollout.ts'
import { bounded } from './normalise-action.ts'
import { instantAt } from './normalise-plant.ts'
import { normaliseMetadata } from './normalise-site.ts'
import type { Report } from './view.ts'

interface WrittenRollout {
  readonly flag: string
  readonly class: string
  readonly policy?: string
  readonly variants?: { readonly control?: string; readonly treatment?: string }
  readonly unit?: Rollout['unit']
  readonly stages: readonly {
    readonly name: string
    readonly cohort?: string
    readonly sharePct?: number
    readonly tenantsPct?: number
    readonly bake: string
  }[]
  readonly success: Rollout['success']
  readonly guardrails?: readonly {
    readonly event: BadEvent
    readonly ratioMax?: number
    readonly differenceMax?: number
  }[]
  readonly siteLimits?: readonly (Omit<SiteLimit, 'action'> & { readonly action?: SiteLimit['action'] })[]
  readonly narrowWhen?: NonNullable<Rollout['narrowWhen']>
  readonly business?: NonNullable<Rollout['business']>
  readonly freezeWindows?: readonly { readonly from: string; readonly to: string; readonly reason: string }[]
  readonly alpha?: number
  readonly unitsMin?: number
  readonly endAfter?: string
  readonly promotion?: Rollout['promotion']
  readonly differingArtifacts?: boolean
  readonly rollback: Rollout['rollback']
  readonly escalation: readonly string[]
  readonly dashboard: string
}

/** What each guardrail allows where the document does not say: half as much again, or half a point. */
const RATIO_MAX = 1.5
const DIFFERENCE_MAX = 0.005
/** The chance of a false rollback, and the fewest units, where the document does not say. */
const ALPHA = 0.05
const UNITS_MIN = { request: 100, job: 20 } as const
/** What a stage with a cohort shows it to where it does not say: half, so that there is a control. */
const COHORT_SHARE_PCT = 50

/** A rollout with its defaults filled in. Refusing work counts against an arm whether the document says so or not. */
export function normaliseRollout(document: { metadata: Metadata; spec: unknown }, report: Report): Rollout {
  const spec = document.spec as WrittenRollout
  const { flag, policy, narrowWhen, business, endAfter, rollback, escalation, dashboard } = spec
  const unit = spec.unit ?? 'request'
  return {
    metadata: normaliseMetadata(document.metadata),
    flag,
    class: spec.class,
    ...(policy === undefined ? {} : { policy }),
    variants: { control: spec.variants?.control ?? 'control', treatment: spec.variants?.treatment ?? 'treatment' },
    unit,
    stages: spec.stages.map((stage, index): Stage => {
      const sharePct = stage.sharePct ?? (stage.cohort === undefined ? undefined : COHORT_SHARE_PCT)
      if (sharePct === undefined) {
        const message = `the stage ${stage.name} does not say which share it shows the treatment to`
        report(['spec', 'stages', index], { code: 'rollout/stages', message, remedy: 'write sharePct: 10' })
      }
      return {
        name: stage.name,
        ...(stage.cohort === undefined ? {} : { cohort: stage.cohort }),
        tenantsBp: Math.round((stage.tenantsPct ?? 100) * 100),
        shareBp: Math.round((sharePct ?? 0) * 100),
        bakeMs: bounded(stage.bake, 'bake', ['spec', 'stages', index, 'bake'], report),
      }
    }),
    success: spec.success,
    guardrails: guardrailsOf(spec.guardrails ?? [], unit),
    siteLimits: (spec.siteLimits ?? []).map((limit) => ({ ...limit, action: limit.action ?? 'hold' })),
    ...(narrowWhen === undefined ? {} : { narrowWhen }),
    ...(business === undefined ? {} : { business }),
    freezeWindows: (spec.freezeWindows ?? []).map(({ from, to, reason }, index) => ({
      from: instantAt(from, ['spec', 'freezeWindows', index, 'from'], report),
      to: instantAt(to, ['spec', 'freezeWindows', index, 'to'], report),
      reason,
    })),
    alpha: spec.alpha ?? ALPHA,
    unitsMin: spec.unitsMin ?? UNITS_MIN[unit],
    ...(endAfter === undefined ? {} : { endAfterMs: bounded(endAfter, 'endAfter', ['spec', 'endAfter'], report) }),
    promotion: spec.promotion ?? 'judge',
    differingArtifacts: spec.differingArtifacts ?? false,
    rollback,
    escalation,
    dashboard,
  }
}

function guardrailsOf(written: NonNullable<WrittenRollout['guardrails']>, unit: Rollout['unit']): Guardrail[] {
  const always: readonly BadEvent[] = [
    'error',
    'timeout',
    'refused',
    ...(unit === 'job' ? (['job-failed'] as const) : []),
  ]
  const named = new Set(written.map(({ event }) => event))
  return [...written, ...always.filter((event) => !named.has(event)).map((event) => ({ event }))].map(
    ({ event, ratioMax, differenceMax }: NonNullable<WrittenRollout['guardrails']>[number]): Guardrail => {
      // Of events by quantile there are always enough for a ratio.
      const byDefault = event.startsWith('slower') ? undefined : DIFFERENCE_MAX
      const most = differenceMax ?? byDefault
      return { event, ratioMax: ratioMax ?? RATIO_MAX, ...(most === undefined ? {} : { differenceMax: most }) }
    },
  )
}
