import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { becauseText, type Explanation, inWords } from '../../engine/explain.ts'
import type { DecisionRecord } from '../../model/record.ts'
import { answerOf, type QuestionFlags, withQuestionFlags } from '../asked.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { complain, paint, say } from '../output.ts'

interface Flags extends QuestionFlags {
  readonly record?: string
}

/** `hubward explain`: a decision told in words, with what would have changed it. */
export function explainCommand(program: Command): void {
  const command = withQuestionFlags(
    program.command('explain').argument('[id]', 'with --record: the id of the decision, as x-hubward-decision has it'),
  )
    .summary('tell a decision in words')
    .description(
      'Tells why a request would go where it goes: every candidate with all that stands in its way, and what would have changed the decision. With --record it tells a decision that was made, from the journal.',
    )
    .option('--record <file>', 'a file of the journal with decisions; - reads the standard input')
    .addHelpText(
      'after',
      `
Examples:
  hubward explain -d envoy/examples/documents --class interactive-inference --residency EU --sample ams.queue.depth=41
  hubward explain --record /var/lib/hubward/journal/decisions-000001.jsonl mh3k2x1a-00f067aa0ba902b7`,
    )
  command.action((id: string | undefined, flags: Flags) => {
    process.exitCode =
      flags.record === undefined ? ofQuestion(command, flags) : ofRecord(flags.record, id, flags.json === true)
  })
}

function ofQuestion(command: Command, flags: Flags): number {
  if ((flags.documents ?? []).length === 0)
    command.error('error: name a folder with --documents, or a journal with --record', {
      exitCode: EXIT_CODES.usage.code,
    })
  const answered = answerOf(flags)
  if ('badDocuments' in answered) return EXIT_CODES.problems.code
  if ('wrong' in answered) {
    for (const line of answered.wrong) complain(`error: ${line}`)
    return EXIT_CODES.usage.code
  }
  if (flags.json) say(JSON.stringify(answered.explanation, null, 2))
  else for (const line of explanationLines(answered.explanation)) say(line)
  return EXIT_CODES.ok.code
}

function explanationLines({ text, policies, candidates }: Explanation): string[] {
  return [
    ...text,
    '',
    paint('bold', 'Policies'),
    ...policies.map((line) => `  ${line}`),
    paint('bold', 'Candidates'),
    ...candidates.flatMap(({ target, tier, because }) => [
      `  ${target}, ${tier === 0 ? 'with the smaller model' : `tier ${tier}`}: ${because.length === 0 ? paint('green', 'nothing stands in its way') : ''}`.trimEnd(),
      ...because.map((one) => `    ${becauseText(one)}`),
    ]),
  ]
}

function ofRecord(file: string, id: string | undefined, json: boolean): number {
  let lines: string[]
  try {
    lines = readFileSync(file === '-' ? 0 : file, 'utf8').split('\n')
  } catch (error) {
    complain(`error: ${(error as Error).message}`)
    return EXIT_CODES.failure.code
  }
  const records = lines
    .flatMap((line) => recordIn(line))
    .filter((record) => id === undefined || record.decision.id === id)
  if (records.length === 0) {
    complain(
      `error: ${file} has ${id === undefined ? 'no decision' : `no decision ${id}; most first choices, and moved requests beyond some a second, are only counted: journal.share, journal.movedPerSecond`}`,
    )
    return EXIT_CODES.failure.code
  }
  for (const record of records) {
    if (json) say(JSON.stringify(record))
    else {
      say(paint('bold', `${new Date(record.now).toISOString()} ${record.decision.id}`))
      for (const line of inWords(record.decision)) say(line)
      for (const input of record.inputs)
        say(
          `  it read ${input.target} ${input.signal} ${input.value ?? 'never measured'}, ${input.failed ? 'kept out' : 'let in'}${input.share < 1 ? `, ramp at ${Math.round(input.share * 100)} %` : ''}`,
        )
    }
  }
  return EXIT_CODES.ok.code
}

// The last line of a file that is being written may be torn.
const recordIn = (line: string): DecisionRecord[] => {
  try {
    const value = JSON.parse(line) as Partial<DecisionRecord>
    return value.kind === 'decision' ? [value as DecisionRecord] : []
  } catch {
    return []
  }
}
