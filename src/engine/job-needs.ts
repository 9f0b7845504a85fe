import type { JobNeeds } from '../model/facts.ts'

/** One limit that a job sets by what it needs. */
export interface NeedLimit {
  readonly signal: string
  readonly min?: number
  readonly max?: number
  /** It follows from something else that the job declares, and is asked only where the signal is measured. */
  readonly isImplied?: true
}

const NONE: readonly NeedLimit[] = []
const known = new WeakMap<JobNeeds, readonly NeedLimit[]>()

/**
 * The limits that a job's needs set: those on signals, and as much headroom as it will draw, as much cooling as it makes
 * heat (what it draws, where it does not say), as many free accelerators as it wants. Of two on one signal the harder.
 */
export const needLimits = (needs: JobNeeds | undefined): readonly NeedLimit[] => {
  if (needs === undefined) return NONE
  let limits = known.get(needs)
  if (limits === undefined) {
    const { mw, coolingKw, gpus } = needs
    const all = new Map<string, NeedLimit>()
    const add = (limit: NeedLimit): void => {
      const before = all.get(limit.signal)
      const min = Math.max(before?.min ?? Number.NEGATIVE_INFINITY, limit.min ?? Number.NEGATIVE_INFINITY)
      all.set(limit.signal, min === Number.NEGATIVE_INFINITY ? { ...before, ...limit } : { ...before, ...limit, min })
    }
    for (const [signal, limit] of Object.entries(needs.signals ?? {})) add({ signal, ...limit })
    if (mw !== undefined && mw > 0) add({ signal: 'power.headroom_mw', min: mw })
    if (gpus !== undefined && gpus > 0) add({ signal: 'gpu.free', min: gpus })
    if (coolingKw !== undefined && coolingKw > 0) add({ signal: 'cooling.headroom_kw', min: coolingKw })
    else if (coolingKw === undefined && mw !== undefined && mw > 0 && !all.has('cooling.headroom_kw'))
      add({ signal: 'cooling.headroom_kw', min: mw * 1_000, isImplied: true })
    limits = [...all.values()]
    known.set(needs, limits)
  }
  return limits
}

/**
 * What an admitted job holds: what it declares to draw, else the headroom that it asks for, since it asks for what it is
 * going to use. Heat is what it draws, in kW, where nothing is said of it.
 */
export const claimOf = (
  needs: JobNeeds | undefined,
): { readonly mw: number; readonly coolingKw: number; readonly gpus: number } => {
  const least = (signal: string): number => Math.max(0, needs?.signals?.[signal]?.min ?? 0)
  const mw = needs?.mw ?? least('power.headroom_mw')
  const heat = least('cooling.headroom_kw')
  return { mw, coolingKw: needs?.coolingKw ?? (heat > 0 ? heat : mw * 1_000), gpus: needs?.gpus ?? least('gpu.free') }
}
