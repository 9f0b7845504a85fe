import { durationText } from '../documents/duration.ts'
import { percent } from '../engine/rollout.ts'
import { isEnded, metricRow, type Rollout, type RolloutState, type SiteLimit } from '../model/rollout.ts'

/** A rollout's release notes, in Markdown: what changes for whom, how it is judged and taken back, and what came of it. */
export function releaseNotes(rollout: Rollout, state: RolloutState | undefined, report: string | null): string {
  const { metadata, flag, class: className, policy, variants, unit, stages } = rollout
  const what = policy === undefined ? `the variant \`${variants.treatment}\`` : `policy \`${policy}\``
  const parts = [
    `# ${metadata.name}`,
    `${what} for \`${className}\`, by the flag \`${flag}\`. Owner: ${metadata.owner ?? 'nobody is named'}.`,
    '## How it stands',
    state === undefined ? 'It has not begun.' : standing(rollout, state),
    ...(report === null ? [] : [`${report}.`]),
    '## Stages',
    list(
      stages.map((stage) => {
        const whom = stage.cohort === undefined ? '' : ` of the cohort ${stage.cohort}`
        const tenants = stage.tenantsBp < 10_000 ? `, of ${percent(stage.tenantsBp)} of tenants` : ''
        return `**${stage.name}**: ${percent(stage.shareBp)}${whom}${tenants}, for ${durationText(stage.bakeMs)} at least`
      }),
    ),
    '## Success',
    list(
      rollout.success.map(({ metric, improveBy, worseByAtMost }) => {
        const name = metricRow(metric, rollout).unit
        const inUnit = (value: number): string => `${value}${name === '' || name === 'ratio' ? '' : ` ${name}`}`
        return `\`${metric}\`: ${[
          ...(improveBy === undefined ? [] : [improveBy === 0 ? 'better' : `better by ${inUnit(improveBy)} at least`]),
          ...(worseByAtMost === undefined ? [] : [`worse by ${inUnit(worseByAtMost)} at most`]),
        ].join(', ')}`
      }),
    ),
    ...(rollout.business === undefined
      ? []
      : ['## Business', list(rollout.business.map(({ outcome, improve }) => `\`${outcome}\`: ${improve} is better`))]),
    '## Guardrails',
    `Rolled back by itself with a chance of error of ${Number((rollout.alpha * 100).toPrecision(3))} % over all of it; a stage passes after ${rollout.unitsMin} ${unit === 'job' ? 'jobs' : 'requests'} of each arm.`,
    list([
      ...rollout.guardrails.map(({ event, ratioMax }) => `${event}: ${ratioMax} times as frequent at most`),
      ...rollout.siteLimits.map((limit) => `${limitText(limit)}: ${limit.action}`),
      ...(rollout.narrowWhen === undefined ? [] : [`${limitText(rollout.narrowWhen)}: narrow`]),
    ]),
    ...(rollout.freezeWindows.length === 0
      ? []
      : [
          '## No stage begins',
          list(rollout.freezeWindows.map(({ from, to, reason }) => `${day(from)} to ${day(to)}: ${reason}`)),
        ]),
    '## Rollback',
    `${rollout.rollback.plan}\n\nOwner: ${rollout.rollback.owner}. Escalation: ${rollout.escalation.join(', then ')}. Dashboard: <${rollout.dashboard}>`,
  ]
  return `${parts.join('\n\n')}\n`
}

const list = (items: readonly string[]): string => items.map((item) => `- ${item}`).join('\n')

const day = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`

const limitText = ({ site, signal, max, min }: Omit<SiteLimit, 'action'>): string =>
  `${site ?? 'its sites'} ${signal} ${max === undefined ? `below ${min}` : `above ${max}`}`

function standing(rollout: Rollout, state: RolloutState): string {
  const stage = rollout.stages[state.stage]?.name ?? String(state.stage)
  const order =
    state.order === undefined
      ? ''
      : ` Last word: ${state.order.order} by ${state.order.author} (${state.order.reason}).`
  const since = `Begun ${day(state.startedAt)}.`
  const how = isEnded(state.status)
    ? `Ended as ${state.status} in stage ${stage}`
    : `${state.status} in stage ${stage}, ${percent(state.shareBp)}`
  return `${how}: ${state.says}. ${since}${order}`.replaceAll('..', '.')
}
