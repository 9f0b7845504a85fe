import type { Policy } from '../model/documents.ts'
import { targetName } from '../model/names.ts'
import { checkEntry } from './check-entry.ts'
import { allCandidates, type Candidate, candidatesOf, serves } from './names.ts'
import { knownNames } from './suggest.ts'
import type { Report, View } from './view.ts'

/** Ladders and degraded mode: known and distinct targets that have what the policy asks for. */
export function checkLadders(view: View): void {
  for (const policy of view.own.policies) {
    const report = view.about(policy)
    checkEntries(view, policy, report)
    checkAttributes(view, policy, report)
    checkDegraded(view, policy, report)
    checkRevisions(view, policy, report)
  }
}

/** The pools on a policy's ladder; all pools where it names none. */
export const ladderCandidates = (view: View, policy: Policy): Candidate[] =>
  'tiers' in policy.ladder
    ? policy.ladder.tiers.flat().flatMap((entry) => candidatesOf(view, entry))
    : allCandidates(view)

function checkEntries(view: View, policy: Policy, report: Report): void {
  if (!('tiers' in policy.ladder)) return
  const seen = new Map<string, string>()
  for (const [tier, entries] of policy.ladder.tiers.entries()) {
    for (const [index, entry] of entries.entries()) {
      const path = ['spec', 'ladder', tier, index]
      checkEntry(view, entry, path, report)
      const targets = candidatesOf(view, entry).map(({ site, pool }) => targetName(site.metadata.name, pool.name))
      const twice = targets.find((target) => seen.has(target))
      for (const target of targets.length > 0 ? targets : [entry]) seen.set(target, seen.get(target) ?? entry)
      if (twice === undefined) continue
      const message = `${twice} is on the ladder already, as ${seen.get(twice)}`
      report(path, { code: 'policy/ladder-twice', message, remedy: 'leave it out here' })
    }
  }
}

function checkAttributes(view: View, policy: Policy, report: Report): void {
  const candidates = ladderCandidates(view, policy)
  if (candidates.length === 0) return
  for (const attribute of ['gpu', 'cooling'] as const) {
    const wanted = policy.require[attribute]
    const known = new Set(allCandidates(view).flatMap(({ pool }) => pool[attribute] ?? []))
    for (const word of wanted ?? []) {
      if (known.has(word)) continue
      const message = `no pool has ${attribute} "${word}"; ${knownNames(known)}`
      const path = ['spec', 'require', 'attributes', attribute]
      const remedy = 'correct the word, or say it of a pool'
      report(path, { code: 'policy/unknown-attribute', message, remedy, severity: 'warning' })
    }
  }
  const { gpu, cooling } = policy.require
  const fits = ({ pool }: Candidate): boolean =>
    (gpu === undefined || (pool.gpu !== undefined && gpu.includes(pool.gpu))) &&
    (cooling === undefined || (pool.cooling !== undefined && cooling.includes(pool.cooling)))
  if (candidates.some(fits)) return
  const message = 'no target of the ladder has the attributes that the policy requires, so `otherwise` is always done'
  const remedy = 'put a fitting site on the ladder, or ask for less'
  const path = ['spec', 'require', 'attributes']
  report(path, { code: 'policy/nothing-eligible', message, remedy, severity: 'warning' })
}

function checkDegraded(view: View, policy: Policy, report: Report): void {
  const step = policy.otherwise.findIndex(({ action }) => action === 'degrade')
  const { degraded } = policy
  if (degraded === undefined) {
    if (step < 0) return
    const message = 'degrade is to be done, and the policy has no `degraded` that says where'
    const remedy = 'write degraded: { site: …, model: … }, or leave the action out'
    report(['spec', 'otherwise', step], { code: 'policy/degraded', message, remedy })
    return
  }
  if (step < 0) {
    const message = '`degraded` says where, and no action of `otherwise` does it'
    const remedy = 'put { action: degrade } into otherwise'
    report(['spec', 'degraded'], { code: 'policy/degraded', message, remedy, severity: 'warning', want: 'key' })
  }
  checkEntry(view, degraded.site, ['spec', 'degraded', 'site'], report)
  const candidates = candidatesOf(view, degraded.site)
  if (candidates.length === 0) return
  const able = candidates.filter(({ pool }) => serves(pool, degraded.model))
  if (able.length === 0) {
    const known = candidates.flatMap(({ pool }) => pool.models.map(({ name }) => name))
    const message = `${degraded.site} does not serve "${degraded.model}"; ${knownNames(new Set(known))}`
    const remedy = 'add the model to the site, or name one that it serves'
    report(['spec', 'degraded', 'model'], { code: 'policy/unknown-model', message, remedy })
    return
  }
  const answersToAlias = able.some(({ pool }) => pool.models.some(({ aliases }) => (aliases ?? []).length > 0))
  if (degraded.rewriteBody || answersToAlias) return
  const message = `${degraded.site} answers to no alias, so it would refuse the model that the request names`
  const remedy = 'list the names it answers to under aliases, or write rewriteBody: true'
  report(['spec', 'degraded'], { code: 'policy/degraded-alias', message, remedy, severity: 'warning' })
}

/** The same model name with other weights behind it gives other answers, and nobody would know why. */
function checkRevisions(view: View, policy: Policy, report: Report): void {
  const seen = new Map<string, { revision: string; at: string }>()
  const told = new Set<string>()
  for (const { site, pool } of ladderCandidates(view, policy)) {
    for (const { name, revision } of pool.models) {
      if (revision === undefined || told.has(name)) continue
      const target = targetName(site.metadata.name, pool.name)
      const first = seen.get(name)
      if (first === undefined) seen.set(name, { revision, at: target })
      else if (first.revision !== revision) {
        told.add(name)
        const message = `${name} is revision ${first.revision} at ${first.at} and ${revision} at ${target}`
        const remedy = 'bring them to one revision, or give the other one a name of its own'
        const path = 'tiers' in policy.ladder ? ['spec', 'ladder'] : ['spec']
        report(path, { code: 'model/revision-differs', message, remedy, severity: 'warning' })
      }
    }
  }
}
