import { parseInstant } from '../math/instant.ts'
import type { Policy } from '../model/documents.ts'
import { policyRef } from '../model/documents.ts'
import { signalOf } from '../model/signal.ts'
import { checkWhen } from './check-condition.ts'
import { checkEntry } from './check-entry.ts'
import { ladderCandidates } from './check-ladder.ts'
import { candidatesOf } from './names.ts'
import type { FieldPath } from './place.ts'
import { didYouMean, knownNames } from './suggest.ts'
import { isBroken, type Report, type View } from './view.ts'

/** What each policy says by itself: its class, condition, bands, ranking, dates and version. */
export function checkPolicies(view: View): void {
  for (const policy of view.own.policies) {
    const report = view.about(policy)
    checkClass(view, policy, report)
    if (policy.when !== undefined) checkWhen(view, policy.when, 'policy', report)
    checkBands(policy, report)
    checkRank(policy, report)
    checkReview(view, policy, report)
    checkVersion(view, policy, report)
    checkKeepRoom(view, policy, report)
    checkLinks(policy, report)
  }
}

/**
 * A signal of a link has a value for each of its ends, and a limit on it would compare nothing. The way of one request is
 * worked out of them: it may be limited from above, and be ranked by.
 */
function checkLinks(policy: Policy, report: Report): void {
  const isLink = (signal: string): boolean => signalOf(signal)?.scope === 'link'
  const isWay = (signal: string): boolean => signalOf(signal)?.perRequest === true
  const wrong = (signal: string, path: FieldPath): void => {
    const message = isWay(signal)
      ? `${signal} is worked out for each request, so it can only be limited from above (max) and ranked by`
      : `${signal} has one value for each end of a link, and none of its own`
    const remedy = isWay(signal)
      ? `write ${signal}: { max: … } under require.signals`
      : 'require or rank path.cost_ms: the way of each request, from its client and to what it needs near'
    report(path, { code: 'policy/link-signal', message, remedy, want: path[1] === 'rank' ? 'value' : 'key' })
  }
  for (const { signal, threshold } of policy.require.signals)
    if (isLink(signal) && !(isWay(signal) && threshold.op === 'max'))
      wrong(signal, ['spec', 'require', 'signals', signal])
  for (const { signal } of policy.bands) if (isLink(signal)) wrong(signal, ['spec', 'bands', signal])
  for (const [index, { signal }] of policy.rank.entries())
    if (isLink(signal) && !isWay(signal)) wrong(signal, ['spec', 'rank', index, 'signal'])
}

/** Room is kept at known sites, where requests of the policy go, and not more of it than there is. */
function checkKeepRoom(view: View, policy: Policy, report: Report): void {
  const kept = new Map<string, number>()
  for (const [index, { site, pct }] of (policy.keepRoom ?? []).entries()) {
    const path = ['spec', 'keepRoom', index]
    checkEntry(view, site, [...path, 'site'], report)
    const sum = (kept.get(site) ?? 0) + pct
    kept.set(site, sum)
    const code = 'policy/keep-room'
    if (sum > 100) {
      const message = `${sum} % of ${site} are kept, which is more than there is`
      report([...path, 'pct'], { code, message, remedy: 'keep at most 100 % of a site in one policy' })
    }
    const onLadder = ladderCandidates(view, policy)
    const isOn = candidatesOf(view, site).some(({ pool }) => onLadder.some((one) => one.pool === pool))
    if (isOn || candidatesOf(view, site).length === 0) continue
    const message = `no request of the policy goes to ${site}, so nothing is kept there`
    report([...path, 'site'], { code, message, remedy: 'put it on the ladder, or leave it out', severity: 'warning' })
  }
}

function checkClass(view: View, policy: Policy, report: Report): void {
  const known = view.all.classes.map(({ metadata }) => metadata.name)
  if (known.includes(policy.class) || isBroken(view, 'WorkloadClass', policy.class)) return
  const message = `no class is called "${policy.class}"; ${knownNames(known)}${didYouMean(policy.class, known)}`
  const remedy = 'add a WorkloadClass document, or correct the name'
  report(['spec', 'class'], { code: 'policy/unknown-class', message, remedy })
}

function checkBands(policy: Policy, report: Report): void {
  for (const { signal, steps } of policy.bands) {
    let before: { op: 'max' | 'min'; limit: number } | undefined
    for (const [index, { threshold }] of steps.entries()) {
      const path = ['spec', 'bands', signal, index]
      if (threshold === undefined && index < steps.length - 1) {
        const message = 'a step without a bound always holds, so those after it never do'
        report(path, { code: 'policy/bands-order', message, remedy: 'put it last' })
      }
      if (threshold !== undefined && before !== undefined) {
        const sameSide = threshold.op === before.op
        const onward = threshold.op === 'min' ? threshold.limit < before.limit : threshold.limit > before.limit
        if (!sameSide || !onward) {
          const message = sameSide
            ? `${threshold.op} ${threshold.limit} comes after ${before.op} ${before.limit} and can never hold`
            : `the steps of a band all have min, or all have max`
          const remedy = threshold.op === 'min' ? 'write the largest min first' : 'write the smallest max first'
          report(path, { code: 'policy/bands-order', message, remedy })
        }
      }
      before = threshold ?? before
    }
  }
}

function checkRank(policy: Policy, report: Report): void {
  for (const [index, entry] of policy.rank.entries()) {
    const path = ['spec', 'rank', index]
    if (entry.within !== undefined && entry.withinPct !== undefined) {
      const message = 'a tolerance is either within or withinPct, and this has both'
      report(path, { code: 'policy/rank-tolerance', message, remedy: 'leave one of them out' })
    }
    const worse = signalOf(entry.signal)?.worseWhen
    if (worse !== entry.prefer) continue
    const message = `${entry.signal} is worse when it is ${worse}, and this prefers it ${entry.prefer}`
    const remedy = `write prefer: ${worse === 'higher' ? 'lower' : 'higher'}, unless you mean it`
    report([...path, 'prefer'], { code: 'policy/prefers-worse', message, remedy, severity: 'warning' })
  }
}

function checkReview(view: View, policy: Policy, report: Report): void {
  const { reviewBy } = policy.metadata
  if (reviewBy === undefined) return
  const path = ['metadata', 'reviewBy']
  const due = parseInstant(reviewBy)
  if (due === undefined) {
    report(path, { code: 'schema/bad-value', message: `there is no day ${reviewBy}`, remedy: 'correct the date' })
  } else if (view.context.now !== undefined && due < view.context.now) {
    const message = `the policy was to be reviewed by ${reviewBy}`
    report(path, { code: 'policy/review-due', message, remedy: 'review it and set a new date', severity: 'warning' })
  }
}

function checkVersion(view: View, policy: Policy, report: Report): void {
  const ref = policyRef(policy)
  const before = view.context.previous?.policies.find((other) => policyRef(other) === ref)
  if (before === undefined || before.hash === policy.hash) return
  const newest = Math.max(...view.own.policies.filter(sameName(policy)).map(({ metadata }) => metadata.version))
  const message = `${ref} is in force with other content (${before.hash.slice(0, 15)}…, here ${policy.hash.slice(0, 15)}…)`
  const remedy = `write version: ${newest + 1}`
  report(['metadata', 'version'], { code: 'policy/version-reused', message, remedy })
}

const sameName = (policy: Policy) => (other: Policy) => other.metadata.name === policy.metadata.name
