import type { Site } from '../model/documents.ts'
import type { SourceStatus } from '../model/source.ts'
import { isDelivered } from './delivered.ts'
import type { View } from './view.ts'

interface Known {
  readonly what: string
  /** Any of these tells it. */
  readonly signals: readonly string[]
  /** Only of sites with accelerators. */
  readonly accelerators: boolean
  /** How it comes to be known at a site. */
  readonly remedy: (site: Site) => string
}

const hasLimit = (site: Site): boolean => (site.loops ?? []).some(({ supplyLimitC }) => supplyLimitC !== undefined)

/** What has to be known of every site that takes work. */
const MINIMUM: readonly Known[] = [
  {
    what: 'power headroom',
    signals: ['power.headroom_pct', 'power.headroom_mw'],
    accelerators: true,
    remedy: ({ powerBudgetMw }) =>
      powerBudgetMw === undefined ? 'declare power.budgetMw and meter power.draw_mw' : 'meter power.draw_mw',
  },
  {
    what: 'cooling margin',
    signals: ['cooling.margin_c', 'cooling.margin_pct'],
    accelerators: true,
    remedy: (site) =>
      hasLimit(site)
        ? 'meter cooling.supply_c of its loops'
        : 'have cooling.margin_c delivered, or declare loops with a supplyLimitC and meter cooling.supply_c',
  },
  {
    what: 'latency to major origins',
    signals: ['client.rtt_p95_ms', 'network.rtt_p95_ms'],
    accelerators: false,
    remedy: () => 'have client.rtt_p95_ms delivered, or probe it from this gateway',
  },
  {
    what: 'GPU health',
    signals: ['gpu.healthy_ratio'],
    accelerators: true,
    remedy: () => 'have gpu.healthy_ratio delivered (a DCGM exporter tells it)',
  },
  {
    what: 'queue',
    signals: ['queue.depth'],
    accelerators: false,
    remedy: () => 'read the metrics of its model servers',
  },
]

/**
 * Names what each site still lacks of the minimum telemetry, and who is to see to it. Sites without accelerators are
 * asked for distance and queue only. Warnings: without these numbers work is placed all the same, but blindly.
 */
export function checkMinimum(view: View, feeds: readonly SourceStatus[]): void {
  for (const site of view.own.sites) {
    const lacks = lacksOf(site, feeds)
    if (lacks.length === 0) continue
    const owner = site.operations?.owner ?? site.metadata.owner
    const message =
      `no feed tells of ${site.metadata.name}: ${lacks.map(({ what }) => what).join(', ')}` +
      (owner === undefined ? '; nobody is named as its owner' : `; ${owner} answers for it`)
    const remedy = lacks.map((one) => one.remedy(site)).join('; ')
    view.about(site)(['metadata', 'name'], { code: 'site/lacks-minimum', message, remedy, severity: 'warning' })
  }
}

const lacksOf = (site: Site, feeds: readonly SourceStatus[]) =>
  MINIMUM.filter(
    ({ signals, accelerators }) =>
      (!accelerators || site.pools.some(({ gpu }) => gpu !== undefined)) &&
      !signals.some((signal) => isDelivered(feeds, signal, site)),
  )
