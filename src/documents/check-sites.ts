import type { Site } from '../model/documents.ts'
import { checkEntry } from './check-entry.ts'
import { siteNamed } from './names.ts'
import { didYouMean, knownNames } from './suggest.ts'
import type { View } from './view.ts'

/** Two pools behind one cluster, pools without models, and sites that nothing reaches. */
export function checkSites(view: View): void {
  const owners = new Map<string, string>()
  for (const site of view.all.sites) {
    for (const [index, pool] of site.pools.entries()) {
      const target = `${site.metadata.name}/${pool.name}`
      const other = owners.get(pool.cluster)
      owners.set(pool.cluster, other ?? target)
      if (!view.own.sites.includes(site)) continue
      const base = view.about(site)
      const path = ['spec', 'pools', index]
      if (other !== undefined) {
        const message = `the cluster "${pool.cluster}" is ${other}'s already; Envoy could not tell the two apart`
        base([...path, 'cluster'], {
          code: 'site/cluster-shared',
          message,
          remedy: 'give each pool a cluster of its own',
        })
      }
      if (pool.models.length === 0) {
        const message = `${target} serves no model, so it takes no request that names one`
        base(path, { code: 'site/no-models', message, remedy: 'list its models', severity: 'warning' })
      }
    }
  }
  for (const site of view.own.sites) checkGameDay(view, site)
  checkUnused(view)
  checkHoldings(view)
}

/** Nothing has been practised tomorrow. What is held may be fresh only from a day to come, though: a copy on its way. */
function checkGameDay(view: View, site: Site): void {
  const { now } = view.context
  const at = site.operations?.lastGameDay
  if (now === undefined || at === undefined || at <= now) return
  const message = 'the last game day is still to come'
  const path = ['spec', 'operations', 'lastGameDay']
  view.about(site)(path, { code: 'site/day-to-come', message, remedy: 'correct the day', severity: 'warning' })
}

/** What a class needs near has to be somewhere. */
function checkHoldings(view: View): void {
  const held = new Set(view.all.sites.flatMap(({ holds }) => (holds ?? []).map(({ name }) => name)))
  for (const workload of view.own.classes) {
    for (const [index, name] of (workload.near ?? []).entries()) {
      if (held.has(name)) continue
      const message = `no site holds "${name}"; ${knownNames(held)}${didYouMean(name, held)}`
      const remedy = 'say it under holds of a Site, or correct the name'
      const path = ['spec', 'near', index]
      view.about(workload)(path, { code: 'class/held-nowhere', message, remedy, severity: 'warning' })
    }
  }
}

function checkUnused(view: View): void {
  const { policies, residencies } = view.all
  if (policies.length === 0 || policies.some(({ ladder }) => !('tiers' in ladder))) return
  const entries = policies.flatMap(({ ladder, degraded }) => [
    ...('tiers' in ladder ? ladder.tiers.flat() : []),
    ...(degraded ? [degraded.site] : []),
  ])
  const used = new Set(entries.map((entry) => entry.split('/')[0]))
  for (const residency of residencies) for (const site of residency.default?.sites ?? []) used.add(site)
  for (const site of view.own.sites.filter(({ metadata }) => !used.has(metadata.name))) {
    const message = `no policy and no residency default reaches ${site.metadata.name}`
    const remedy = 'put it on a ladder, or take the document away'
    view.about(site)(['metadata', 'name'], { code: 'site/unused', message, remedy, severity: 'warning' })
  }
}

/** Defaults of residency classes: known sites, each of whose jurisdictions the class allows. */
export function checkResidencies(view: View): void {
  for (const residency of view.own.residencies) {
    const report = view.about(residency)
    for (const [index, name] of (residency.default?.sites ?? []).entries()) {
      const path = ['spec', 'default', 'sites', index]
      checkEntry(view, name, path, report, 'residency/unknown-site')
      const site = siteNamed(view, name)
      if (site === undefined || site.jurisdictions.some((place) => residency.allows.includes(place))) continue
      const message =
        `${name} lies in ${site.jurisdictions.join(', ')}, and the class allows ${residency.allows.join(', ')}: ` +
        'without hubward its requests would leave their jurisdiction'
      const remedy = 'take the site out of the default, or correct its jurisdictions'
      report(path, { code: 'residency/default-outside', message, remedy })
    }
  }
  const known = view.all.residencies.map(({ metadata }) => metadata.name)
  for (const sources of view.own.factSources) {
    for (const [tenant, name] of Object.entries(sources.tenantResidency)) {
      if (known.includes(name) || view.broken.has(`ResidencyClass/${name}`)) continue
      const message = `no residency class is called "${name}"; known: ${known.join(', ') || 'none'}`
      const path = ['spec', 'tenantResidency', tenant]
      view.about(sources)(path, {
        code: 'residency/unknown-class',
        message,
        remedy: 'add the class, or correct the name',
      })
    }
  }
}
