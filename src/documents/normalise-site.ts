import type { CoolantLoop, Derating, MaintenanceWindow, Model, Pool, Site } from '../model/documents.ts'
import type { Metadata } from '../model/metadata.ts'
import { instantAt, normalisePlant } from './normalise-plant.ts'
import type { FieldPath } from './place.ts'
import { knownNames } from './suggest.ts'
import type { Report } from './view.ts'

interface WrittenPool {
  readonly name?: string
  readonly cluster?: string
  readonly endpoints?: readonly string[]
  readonly gpu?: string
  readonly cooling?: string
  readonly models?: readonly Model[]
  readonly gpus?: number
  readonly capacity?: number
}

interface WrittenSite extends WrittenPool {
  readonly role?: Site['role']
  readonly place?: NonNullable<Site['place']>
  readonly jurisdictions: readonly string[]
  readonly power?: { readonly budgetMw?: number }
  readonly loops?: readonly CoolantLoop[]
  readonly derating?: Derating
  readonly operations?: { readonly owner?: string; readonly runbook?: string; readonly lastGameDay?: string }
  readonly holds?: readonly { readonly name: string; readonly freshSince?: string }[]
  readonly network?: NonNullable<Site['network']>
  readonly pools?: readonly (WrittenPool & { readonly name: string })[]
  readonly maintenance?: readonly {
    readonly from: string
    readonly to: string
    readonly pools?: readonly string[]
    readonly loops?: readonly string[]
    readonly reason?: string
  }[]
}

/** What a document of any kind says of itself; the description is for readers of the file only. */
export function normaliseMetadata({ name, owner, labels }: Metadata): Metadata {
  return { name, ...(owner === undefined ? {} : { owner }), ...(labels === undefined ? {} : { labels }) }
}

/** A site with its pools, of which there is always one. */
export function normaliseSite(document: { metadata: Metadata; spec: unknown }, report: Report): Site {
  const spec = document.spec as WrittenSite
  const name = document.metadata.name
  const pools = spec.pools
    ? spec.pools.map((pool, index) =>
        normalisePool(pool, pool.name, `${name}-${pool.name}`, ['spec', 'pools', index], report),
      )
    : [normalisePool(spec, 'default', name, ['spec'], report)]
  checkPoolFields(spec, report)
  return {
    metadata: normaliseMetadata(document.metadata),
    role: spec.role ?? 'hub',
    ...(spec.place === undefined ? {} : { place: spec.place }),
    jurisdictions: spec.jurisdictions,
    ...(spec.power?.budgetMw === undefined ? {} : { powerBudgetMw: spec.power.budgetMw }),
    pools,
    maintenance: normaliseMaintenance(spec, pools, report),
    ...normalisePlant(spec, pools, document.metadata.owner, report),
  }
}

function normalisePool(pool: WrittenPool, name: string, cluster: string, path: FieldPath, report: Report): Pool {
  const models = pool.models ?? []
  const seen = new Set<string>()
  for (const [index, model] of models.entries()) {
    for (const word of [model.name, ...(model.aliases ?? [])]) {
      if (seen.has(word)) {
        const message = `the pool lists a model "${word}" twice`
        report([...path, 'models', index], { code: 'site/duplicate-model', message, remedy: 'keep one of them' })
      }
      seen.add(word)
    }
  }
  return {
    name,
    cluster: pool.cluster ?? cluster,
    ...(pool.endpoints === undefined ? {} : { endpoints: pool.endpoints }),
    ...(pool.gpu === undefined ? {} : { gpu: pool.gpu }),
    ...(pool.cooling === undefined ? {} : { cooling: pool.cooling }),
    models,
    ...(pool.gpus === undefined ? {} : { gpus: pool.gpus }),
    capacity: pool.capacity ?? 1,
  }
}

const POOL_FIELDS = ['cluster', 'endpoints', 'gpu', 'cooling', 'models', 'gpus', 'capacity'] as const

function checkPoolFields(spec: WrittenSite, report: Report): void {
  if (spec.pools === undefined) return
  for (const field of POOL_FIELDS.filter((name) => spec[name] !== undefined)) {
    const message = `${field} stands beside pools; with pools, each pool has its own`
    const remedy = `move ${field} into a pool, or leave out pools`
    report(['spec', field], { code: 'site/cluster-beside-pools', message, remedy, want: 'key' })
  }
  const seen = new Set<string>()
  for (const [index, { name }] of spec.pools.entries()) {
    if (seen.has(name)) {
      const message = `two pools of the site are called "${name}"`
      report(['spec', 'pools', index, 'name'], { code: 'site/duplicate-pool', message, remedy: 'rename one of them' })
    }
    seen.add(name)
  }
}

function normaliseMaintenance(spec: WrittenSite, pools: readonly Pool[], report: Report): MaintenanceWindow[] {
  return (spec.maintenance ?? []).map((window, index) => {
    const path = ['spec', 'maintenance', index]
    const instant = (field: 'from' | 'to') => instantAt(window[field], [...path, field], report)
    const [from, to] = [instant('from'), instant('to')]
    if (from !== 0 && to !== 0 && to <= from) {
      const message = `the window ends at ${window.to}, before it begins at ${window.from}`
      report([...path, 'to'], { code: 'maintenance/reversed', message, remedy: 'swap from and to' })
    }
    for (const [at, pool] of (window.pools ?? []).entries()) {
      if (pools.some(({ name }) => name === pool)) continue
      const message = `the site has no pool "${pool}"; ${knownNames(pools.map(({ name }) => name))}`
      report([...path, 'pools', at], { code: 'site/unknown-pool', message, remedy: 'correct the name' })
    }
    const known = (spec.loops ?? []).map(({ name }) => name)
    for (const [at, loop] of (window.loops ?? []).entries()) {
      if (known.includes(loop)) continue
      const message = `the site has no coolant loop "${loop}"; ${knownNames(known)}`
      report([...path, 'loops', at], {
        code: 'site/unknown-loop',
        message,
        remedy: 'add the loop, or correct the name',
      })
    }
    const { pools: named, loops, reason } = window
    return {
      from,
      to,
      ...(named === undefined ? {} : { pools: named }),
      ...(loops === undefined ? {} : { loops }),
      ...(reason === undefined ? {} : { reason }),
    }
  })
}
