import type { Site } from '../model/documents.ts'
import type { SourceStatus } from '../model/source.ts'
import { isDelivered } from './delivered.ts'
import type { View } from './view.ts'

/** What has to be known of every site that takes work, and the signals any of which tells it. */
export const MINIMUM = [
  {
    what: 'power headroom',
    signals: ['power.headroom_pct', 'power.headroom_mw'],
    needs: 'power.draw_mw and power.budgetMw in the document',
    accelerators: true,
  },
  {
    what: 'cooling margin',
    signals: ['cooling.margin_c', 'cooling.margin_pct'],
    needs: 'cooling.supply_c and loops with a supplyLimitC in the document',
    accelerators: true,
  },
  {
    what: 'latency to major origins',
    signals: ['client.rtt_p95_ms', 'network.rtt_p95_ms'],
    needs: 'client.rtt_p95_ms, or a probe from this gateway',
    accelerators: false,
  },
  { what: 'GPU health', signals: ['gpu.healthy_ratio'], needs: 'gpu.healthy_ratio', accelerators: true },
  { what: 'queue', signals: ['queue.depth'], needs: 'queue.depth', accelerators: false },
] as const

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
    const remedy = `have ${lacks.map(({ needs }) => needs).join('; ')} delivered`
    view.about(site)(['metadata', 'name'], { code: 'site/lacks-minimum', message, remedy, severity: 'warning' })
  }
}

const lacksOf = (site: Site, feeds: readonly SourceStatus[]) =>
  MINIMUM.filter(
    ({ signals, accelerators }) =>
      (!accelerators || site.pools.some(({ gpu }) => gpu !== undefined)) &&
      !signals.some((signal) => isDelivered(feeds, signal, site)),
  )
