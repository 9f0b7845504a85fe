import type { Command } from 'commander'
import { armText, becauseText, forecastText, layerText } from '../../engine/explain.ts'
import type { Decision } from '../../model/decision.ts'
import { REASONS } from '../../model/reason.ts'
import { answerOf, type QuestionFlags, withQuestionFlags } from '../asked.ts'
import { EXIT_CODES, exitCodeOf } from '../exit-codes.ts'
import { complain, paint, say, table } from '../output.ts'

/** `hubward decide`: where one request would go, with an exit code for deploy gates. */
export function decideCommand(program: Command): void {
  const command = withQuestionFlags(program.command('decide'))
    .summary('say where a request would go')
    .description(
      'Decides one request on documents in folders, by the rules that `hubward serve` goes by. Every site is up and every signal that a policy asks for is good, unless you say otherwise.',
    )
    .addHelpText(
      'after',
      `
Examples:
  hubward decide -d envoy/examples/documents --class interactive-inference --residency EU --sample ams.queue.depth=41
  hubward decide -d policies --class training --residency EU --sample ams.power.headroom_mw=0.5 --json && kubectl apply -f job.yaml`,
    )
  command.action((flags: QuestionFlags) => {
    if ((flags.documents ?? []).length === 0)
      command.error('error: name a folder with --documents', { exitCode: EXIT_CODES.usage.code })
    const answered = answerOf(flags)
    if ('badDocuments' in answered) process.exitCode = EXIT_CODES.problems.code
    else if ('wrong' in answered) {
      for (const line of answered.wrong) complain(`error: ${line}`)
      process.exitCode = EXIT_CODES.usage.code
    } else {
      const { decision } = answered.explanation
      if (flags.json) say(JSON.stringify(decision, null, 2))
      else for (const line of decisionLines(decision)) say(line)
      process.exitCode = exitCodeOf(decision.action)
    }
  })
}

/** A decision in a few lines. */
export function decisionLines(decision: Decision): string[] {
  const style = { route: 'green', degrade: 'yellow', queue: 'yellow', delay: 'yellow', deny: 'red' } as const
  const where =
    decision.action === 'route' || decision.action === 'degrade'
      ? decision.target === undefined
        ? "where Envoy's own routes send it"
        : `${decision.target} by cluster ${decision.cluster}${decision.action === 'degrade' ? `, model ${decision.model}` : ''}`
      : decision.action === 'queue'
        ? `for at most ${decision.holdMsMax} ms`
        : `${decision.status}${decision.retryAfterMs === undefined ? '' : `, retry after ${Math.ceil(decision.retryAfterMs / 1_000)} s`}`
  return [
    `${paint(style[decision.action], decision.action)} ${where}`,
    ...table([
      ['reason', `${decision.reason}: ${REASONS[decision.reason]}`],
      ['policy', decision.policy ?? 'none'],
      ...decision.layers.map((trace) => ['layer', layerText(trace)]),
      ...(decision.arm === null ? [] : [['arm', armText(decision)]]),
      ...(decision.forced === true && decision.arm === null ? [['forced', 'a cohort, by a tester']] : []),
      ['next', decision.next.join(', ') || 'nothing'],
      ...decision.because.map((because) => ['because', `${because.target} ${becauseText(because)}`]),
      ...decision.insufficient.map((name) => ['taken as met', `${name}: too few events`]),
      ...decision.stale.map((name) => ['stale', name]),
      ...(decision.override === null ? [] : [['override', decision.override]]),
      ...(decision.forecast === undefined ? [] : [['forecast', forecastText(decision.forecast, decision.at)]]),
      ...(decision.suggest === undefined ? [] : [['could have', `${decision.suggest.gpus} accelerators now`]]),
    ]),
  ]
}
