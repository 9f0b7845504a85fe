import { parseInstant } from '../math/instant.ts'
import type { CoolantLoop, Derating, Pool, Site } from '../model/documents.ts'
import type { EpochMs } from '../model/names.ts'
import type { FieldPath } from './place.ts'
import { knownNames } from './suggest.ts'
import type { Report } from './view.ts'

/** What a written site says of its plant, its people and what it holds. */
export interface WrittenPlant {
  readonly loops?: readonly CoolantLoop[]
  readonly derating?: Derating
  readonly operations?: { readonly owner?: string; readonly runbook?: string; readonly lastGameDay?: string }
  readonly holds?: readonly { readonly name: string; readonly freshSince?: string }[]
  readonly network?: NonNullable<Site['network']>
}

/** Epoch milliseconds of a written time or day; reported and 0 where there is no such. */
export function instantAt(text: string, path: FieldPath, report: Report): EpochMs {
  const at = parseInstant(text)
  if (at !== undefined) return at
  report(path, { code: 'schema/bad-value', message: `there is no time ${text}`, remedy: 'correct the day or the hour' })
  return 0
}

/** The parts of a site that are about its plant, its people and what it holds, each only where it is written. */
export function normalisePlant(
  spec: WrittenPlant,
  pools: readonly Pool[],
  owner: string | undefined,
  report: Report,
): Pick<Site, 'loops' | 'derating' | 'operations' | 'holds' | 'network'> {
  checkLoops(spec.loops ?? [], pools, report)
  const { loops, derating, operations, holds, network } = spec
  return {
    ...(loops === undefined ? {} : { loops }),
    ...(derating === undefined ? {} : { derating }),
    ...(operations === undefined ? {} : { operations: normaliseOperations(operations, owner, report) }),
    ...(holds === undefined ? {} : { holds: normaliseHolds(holds, report) }),
    ...(network === undefined ? {} : { network }),
  }
}

function normaliseOperations(
  { owner: own, runbook, lastGameDay }: NonNullable<WrittenPlant['operations']>,
  documentOwner: string | undefined,
  report: Report,
): NonNullable<Site['operations']> {
  const owner = own ?? documentOwner
  return {
    ...(owner === undefined ? {} : { owner }),
    ...(runbook === undefined ? {} : { runbook }),
    ...(lastGameDay === undefined
      ? {}
      : { lastGameDay: instantAt(lastGameDay, ['spec', 'operations', 'lastGameDay'], report) }),
  }
}

function normaliseHolds(written: NonNullable<WrittenPlant['holds']>, report: Report): NonNullable<Site['holds']> {
  const seen = new Set<string>()
  return written.map(({ name, freshSince }, index) => {
    const path = ['spec', 'holds', index]
    if (seen.has(name)) {
      const message = `the site says twice that it holds "${name}"`
      report([...path, 'name'], { code: 'site/duplicate-holding', message, remedy: 'keep one of them' })
    }
    seen.add(name)
    return freshSince === undefined
      ? { name }
      : { name, freshSince: instantAt(freshSince, [...path, 'freshSince'], report) }
  })
}

function checkLoops(loops: readonly CoolantLoop[], pools: readonly Pool[], report: Report): void {
  const seen = new Set<string>()
  const cooled = new Set<string>()
  for (const [index, loop] of loops.entries()) {
    const path = ['spec', 'loops', index]
    if (seen.has(loop.name)) {
      const message = `two coolant loops of the site are called "${loop.name}"`
      report([...path, 'name'], { code: 'site/duplicate-loop', message, remedy: 'rename one of them' })
    }
    seen.add(loop.name)
    for (const name of loop.pools ?? pools.map((pool) => pool.name)) cooled.add(name)
    for (const [at, pool] of (loop.pools ?? []).entries()) {
      if (pools.some(({ name }) => name === pool)) continue
      const message = `the site has no pool "${pool}"; ${knownNames(pools.map(({ name }) => name))}`
      report([...path, 'pools', at], { code: 'site/unknown-pool', message, remedy: 'correct the name' })
    }
    checkLoopLimits(loop, path, report)
  }
  if (loops.length === 0) return
  for (const { name } of pools.filter((pool) => pool.cooling === 'liquid' && !cooled.has(pool.name))) {
    const message = `the pool ${name} is liquid-cooled and on none of the site's loops, so no loop's margin counts for it`
    const remedy = 'name it under the pools of its loop'
    report(['spec', 'loops'], { code: 'site/pool-without-loop', message, remedy, severity: 'warning', want: 'key' })
  }
}

function checkLoopLimits(loop: CoolantLoop, path: FieldPath, report: Report): void {
  const { designSupplyC: design, supplyLimitC: limit, minFlowLpm: least, ratedFlowLpm: rated } = loop
  const code = 'site/loop-limits'
  if (design !== undefined && limit !== undefined && design >= limit) {
    const message = `the loop ${loop.name} was designed for ${design} °C, and its limit is ${limit} °C: nothing lies between`
    report([...path, 'designSupplyC'], { code, message, remedy: 'write a design temperature below the limit' })
  }
  if (least !== undefined && rated !== undefined && least >= rated) {
    const message = `the loop ${loop.name} needs ${least} l/min and is rated for ${rated} l/min: nothing lies between`
    report([...path, 'minFlowLpm'], { code, message, remedy: 'write a least flow below the rated one' })
  }
  const alone = [
    ['designSupplyC', design, 'supplyLimitC', limit],
    ['minFlowLpm', least, 'ratedFlowLpm', rated],
  ] as const
  for (const [field, value, other, partner] of alone) {
    if (value === undefined || partner !== undefined) continue
    const message = `${field} says nothing without ${other}: no margin can be worked out of it`
    report([...path, field], { code, message, remedy: `write ${other} as well`, severity: 'warning', want: 'key' })
  }
}
