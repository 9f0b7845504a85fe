import { policyRef } from '../model/documents.ts'
import type { Rollout } from '../model/rollout.ts'
import { checkEntry } from './check-entry.ts'
import type { FieldPath } from './place.ts'
import { didYouMean, knownNames } from './suggest.ts'
import { isBroken, type Report, type View } from './view.ts'

/** Rollouts: known names, stages that only grow, a control to compare with, and whom the policies let be experimented on. */
export function checkRollouts(view: View): void {
  for (const rollout of view.own.rollouts) {
    const report = view.about(rollout)
    if (checkClass(view, rollout, report)) {
      checkPolicy(view, rollout, report)
      checkCohorts(view, rollout, report)
    }
    checkStages(rollout, report)
    checkLimits(view, rollout, report)
    checkWindows(rollout, report)
    checkTwice(view, rollout, report)
  }
}

function checkClass(view: View, rollout: Rollout, report: Report): boolean {
  const known = view.all.classes.map(({ metadata }) => metadata.name)
  if (known.includes(rollout.class)) return true
  if (isBroken(view, 'WorkloadClass', rollout.class)) return false
  const message = `no class is called "${rollout.class}"; ${knownNames(known)}${didYouMean(rollout.class, known)}`
  report(['spec', 'class'], {
    code: 'rollout/unknown-class',
    message,
    remedy: 'add a WorkloadClass document, or correct the name',
  })
  return false
}

function checkPolicy(view: View, { policy, class: className }: Rollout, report: Report): void {
  if (policy === undefined) return
  const path = ['spec', 'policy']
  const code = 'rollout/policy'
  const named = view.all.policies.find((one) => policyRef(one) === policy)
  if (named === undefined) {
    if (isBroken(view, 'Policy', policy.split('@')[0]!)) return
    const refs = view.all.policies.filter((one) => one.class === className).map(policyRef)
    const message = `no policy is called "${policy}"; ${knownNames(refs)}${didYouMean(policy, refs)}`
    report(path, { code, message, remedy: 'add the policy, or correct its name and version' })
  } else if (named.class !== className) {
    const message = `${policy} is a policy of ${named.class}, and the rollout of ${className}`
    report(path, { code, message, remedy: `name a policy of ${className}` })
  } else if (!view.all.policies.some((one) => one.class === className && policyRef(one) !== policy)) {
    const message = `${policy} is the only policy of ${className}: without it the control is what Envoy does by itself`
    const remedy = `keep the version before it in the documents, so that the control has a policy`
    report(path, { code, message, remedy, severity: 'warning' })
  }
}

/** Nobody is experimented on whom a policy of the class does not name. */
function checkCohorts(view: View, rollout: Rollout, report: Report): void {
  const known = view.all.cohorts.map(({ metadata }) => metadata.name)
  const policies = view.all.policies.filter((one) => one.class === rollout.class)
  const allowed = new Set(policies.flatMap(({ experiments }) => experiments?.cohorts ?? []))
  for (const [index, { cohort }] of rollout.stages.entries()) {
    const path: FieldPath = ['spec', 'stages', index, 'cohort']
    if (cohort !== undefined && !known.includes(cohort) && !isBroken(view, 'Cohort', cohort)) {
      const message = `no cohort is called "${cohort}"; ${knownNames(known)}${didYouMean(cohort, known)}`
      report(path, { code: 'policy/unknown-cohort', message, remedy: 'add a Cohort document, or correct the name' })
      continue
    }
    if (cohort === undefined ? allowed.size > 0 : allowed.has(cohort) || allowed.has('*')) continue
    if (policies.length === 0) continue
    const whom = cohort === undefined ? 'anybody' : `"${cohort}"`
    const message = `no policy of ${rollout.class} lets ${whom} be experimented on`
    const remedy = `write experiments: { cohorts: [${cohort ?? '"*"'}] } in a policy of ${rollout.class}, or show the stage to others`
    report(cohort === undefined ? ['spec', 'stages', index] : path, {
      code: 'rollout/cohort-not-allowed',
      message,
      remedy,
    })
  }
}

function checkStages({ stages }: Rollout, report: Report): void {
  const code = 'rollout/stages'
  for (const [index, stage] of stages.entries()) {
    const path = ['spec', 'stages', index]
    if (stages.findIndex(({ name }) => name === stage.name) < index) {
      const message = `two stages are called "${stage.name}"`
      report([...path, 'name'], { code, message, remedy: 'rename one of them' })
    }
    if (stage.shareBp >= 10_000 && (index < stages.length - 1 || stages.length === 1)) {
      const message = `the stage ${stage.name} leaves no control, so nothing is compared while it lasts`
      const remedy =
        index < stages.length - 1
          ? 'write a smaller sharePct; only the last stage may be 100'
          : 'put a stage with a smaller share before it'
      report([...path, 'sharePct'], { code: 'rollout/no-control', message, remedy })
    }
    const before = stages[index - 1]
    // What is shown to a cohort and what to everybody are shares of different things.
    if (before === undefined || before.cohort !== stage.cohort) continue
    const grows = stage.shareBp > before.shareBp || stage.tenantsBp > before.tenantsBp
    if (grows && stage.shareBp >= before.shareBp && stage.tenantsBp >= before.tenantsBp) continue
    const message = `the stage ${stage.name} shows the treatment to no more than ${before.name} before it`
    report([...path, 'sharePct'], {
      code,
      message,
      remedy: 'write shares that grow from stage to stage, or leave the stage out',
    })
  }
}

function checkLimits(view: View, { siteLimits, narrowWhen }: Rollout, report: Report): void {
  for (const [index, { site }] of siteLimits.entries())
    if (site !== undefined)
      checkEntry(view, site, ['spec', 'siteLimits', index, 'site'], report, 'rollout/unknown-site')
  if (narrowWhen?.site !== undefined)
    checkEntry(view, narrowWhen.site, ['spec', 'narrowWhen', 'site'], report, 'rollout/unknown-site')
}

function checkWindows({ freezeWindows }: Rollout, report: Report): void {
  for (const [index, { from, to }] of freezeWindows.entries()) {
    if (from < to) continue
    const message = 'the window ends before it begins'
    report(['spec', 'freezeWindows', index, 'to'], {
      code: 'rollout/window',
      message,
      remedy: 'correct one of the times',
    })
  }
}

function checkTwice(view: View, rollout: Rollout, report: Report): void {
  for (const other of view.all.rollouts) {
    if (other === rollout || other.metadata.name === rollout.metadata.name) continue
    const { name } = other.metadata
    if (other.flag === rollout.flag) {
      const message = `${name} drives the flag ${rollout.flag} already`
      report(['spec', 'flag'], { code: 'rollout/flag-twice', message, remedy: 'give each rollout a flag of its own' })
    } else if (other.class === rollout.class && view.own.rollouts.indexOf(other) < view.own.rollouts.indexOf(rollout)) {
      const message = `${name} is a rollout of ${rollout.class} too: whom both would take in, only the flag that is first by name does`
      const remedy = 'run them one after another, or show them to different cohorts'
      report(['spec', 'class'], { code: 'rollout/class-twice', message, remedy, severity: 'warning' })
    }
  }
}
