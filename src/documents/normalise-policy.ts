import type { ActionSpec } from '../model/action.ts'
import {
  type Band,
  type KeepRoom,
  type Policy,
  type RankEntry,
  TIMERS_DEFAULT,
  type Timers,
} from '../model/documents.ts'
import { contentHash } from './hash.ts'
import { bounded, normaliseAction, type WrittenAction } from './normalise-action.ts'
import { normaliseMetadata } from './normalise-site.ts'
import { threshold, type WrittenThreshold } from './normalise-threshold.ts'
import type { Report } from './view.ts'

interface WrittenPolicy {
  readonly class: string
  readonly when?: string
  readonly priority?: number
  readonly residency?: Policy['residency']
  readonly require?: {
    readonly attributes?: { readonly gpu?: string | readonly string[]; readonly cooling?: string | readonly string[] }
    readonly signals?: Readonly<Record<string, WrittenThreshold>>
    readonly readiness?: 'green' | 'amber'
  }
  readonly bands?: Readonly<Record<string, readonly WrittenBand[]>>
  readonly rank?: readonly RankEntry[]
  readonly ladder?: readonly (readonly string[])[] | { readonly nearest: number }
  readonly keepRoom?: readonly KeepRoom[]
  readonly session?: Policy['session']
  readonly timers?: { readonly [name in 'stableFor' | 'dwell' | 'failBack' | 'cooldown']?: string }
  readonly degraded?: { readonly site: string; readonly model: string; readonly rewriteBody?: boolean }
  readonly otherwise?: readonly WrittenAction[]
  readonly experiments?: NonNullable<Policy['experiments']>
  readonly tenantOverrides?: NonNullable<Policy['tenantOverrides']>
}

type WrittenBand = WrittenAction & {
  readonly max?: number
  readonly min?: number
  readonly resume?: number
  readonly estimated?: boolean
}

/** A policy with its defaults filled in and its hash. */
export function normalisePolicy(document: { metadata: Policy['metadata']; spec: unknown }, report: Report): Policy {
  const spec = document.spec as WrittenPolicy
  const { version, reviewBy } = document.metadata
  const content = normaliseSpec(spec, report)
  const metadata = { ...normaliseMetadata(document.metadata), version, ...(reviewBy === undefined ? {} : { reviewBy }) }
  // Owner, labels and the date of review are left out: to prolong a review does not make another policy.
  return { metadata, ...content, hash: contentHash({ name: metadata.name, version, ...content }) }
}

function normaliseSpec(spec: WrittenPolicy, report: Report): Omit<Policy, 'metadata' | 'hash'> {
  const { gpu, cooling } = spec.require?.attributes ?? {}
  return {
    class: spec.class,
    ...(spec.when === undefined ? {} : { when: spec.when }),
    priority: spec.priority ?? 0,
    residency: spec.residency ?? 'required',
    require: {
      ...(gpu === undefined ? {} : { gpu: [gpu].flat() }),
      ...(cooling === undefined ? {} : { cooling: [cooling].flat() }),
      signals: Object.entries(spec.require?.signals ?? {}).flatMap(([signal, written]) => {
        const limit = threshold(signal, written, ['spec', 'require', 'signals', signal], report)
        return limit === undefined ? [] : [{ signal, threshold: limit }]
      }),
      ...(spec.require?.readiness === undefined ? {} : { readiness: spec.require.readiness }),
    },
    ...(spec.keepRoom === undefined ? {} : { keepRoom: spec.keepRoom }),
    bands: Object.entries(spec.bands ?? {}).map(([signal, steps]) => ({
      signal,
      steps: steps.flatMap((step, index) => normaliseBand(signal, step, index, report)),
    })),
    rank: spec.rank ?? [],
    ladder: normaliseLadder(spec.ladder),
    session: spec.session ?? 'none',
    timers: normaliseTimers(spec.timers ?? {}, report),
    ...(spec.degraded === undefined
      ? {}
      : { degraded: { ...spec.degraded, rewriteBody: spec.degraded.rewriteBody ?? false } }),
    otherwise: normaliseOtherwise(spec, report),
    ...(spec.experiments === undefined ? {} : { experiments: { cohorts: spec.experiments.cohorts } }),
    ...(spec.tenantOverrides === undefined ? {} : { tenantOverrides: spec.tenantOverrides }),
  }
}

function normaliseBand(signal: string, step: WrittenBand, index: number, report: Report): Band[] {
  const path = ['spec', 'bands', signal, index]
  const action = normaliseAction(step, path, report)
  const { max, min, resume, estimated } = step
  if (max === undefined && min === undefined) {
    if (resume === undefined) return [{ action }]
    const message = 'resume stands here without min or max'
    report([...path, 'resume'], { code: 'schema/missing-field', message, remedy: 'write the bound it belongs to' })
    return []
  }
  if (max !== undefined && min !== undefined) {
    const message = 'a step has one bound, min or max, and this has both'
    report(path, { code: 'schema/bad-value', message, remedy: 'leave one of them out' })
    return []
  }
  const written = {
    ...(max === undefined ? { min: min! } : { max }),
    ...(resume === undefined ? {} : { resume }),
    ...(estimated === undefined ? {} : { estimated }),
  }
  const limit = threshold(signal, written, path, report)
  return limit === undefined ? [] : [{ threshold: limit, action }]
}

function normaliseLadder(ladder: WrittenPolicy['ladder']): Policy['ladder'] {
  if (ladder === undefined) return { all: true }
  return 'nearest' in ladder ? { nearest: ladder.nearest } : { tiers: ladder }
}

function normaliseTimers(written: NonNullable<WrittenPolicy['timers']>, report: Report): Timers {
  const ms = (field: keyof typeof written, otherwise: number): number => {
    const text = written[field]
    return text === undefined ? otherwise : bounded(text, field, ['spec', 'timers', field], report)
  }
  return {
    stableForMs: ms('stableFor', TIMERS_DEFAULT.stableForMs),
    dwellMs: ms('dwell', TIMERS_DEFAULT.dwellMs),
    failBackMs: ms('failBack', TIMERS_DEFAULT.failBackMs),
    cooldownMs: ms('cooldown', TIMERS_DEFAULT.cooldownMs),
  }
}

function normaliseOtherwise(spec: WrittenPolicy, report: Report): ActionSpec[] {
  if (spec.otherwise === undefined)
    return [...(spec.degraded ? [{ action: 'degrade' } as const] : []), { action: 'deny' }]
  return spec.otherwise.map((written, index) => normaliseAction(written, ['spec', 'otherwise', index], report))
}
