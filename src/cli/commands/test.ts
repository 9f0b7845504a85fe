import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type CaseResult, runCases } from '../../documents/cases.ts'
import { junitXml } from '../../documents/junit.ts'
import { becauseText } from '../../engine/explain.ts'
import { documentsOf } from '../asked.ts'
import { CASE_ENGINE } from '../case-engine.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { complain, paint, say } from '../output.ts'

interface Flags {
  readonly junit?: string
  readonly filter?: string
  readonly json?: true
}

/** `hubward test`: runs the PolicyTest documents of folders. */
export function testCommand(program: Command): void {
  program
    .command('test')
    .summary('run policy tests')
    .description(
      'Runs the PolicyTest documents of folders on the documents beside them, by the rules that `hubward serve` goes by. docs/reference/policy-test.md has the words of a case.',
    )
    .argument('<folders...>', 'folders of documents')
    .option('--junit <file>', 'also write the results as JUnit XML')
    .option('--filter <text>', 'only cases whose "test: title" contains this')
    .option('--json', 'write the results as JSON')
    .addHelpText('after', '\nExample:\n  hubward test envoy/examples/documents --junit report/policies.xml')
    .action((folders: string[], flags: Flags) => {
      process.exitCode = run(folders, flags)
    })
}

function run(folders: readonly string[], flags: Flags): number {
  const set = documentsOf(folders)
  if (set === undefined) return EXIT_CODES.problems.code
  const results = runCases(set, CASE_ENGINE, (name) => flags.filter === undefined || name.includes(flags.filter))
  if (flags.junit !== undefined) writeFileSync(flags.junit, junitXml(results))
  if (results.length === 0) {
    complain(
      `error: ${flags.filter === undefined ? `there is no PolicyTest in ${folders.join(', ')}; write one, see docs/reference/policy-test.md` : `no case matches "${flags.filter}"`}`,
    )
    return EXIT_CODES.problems.code
  }
  const failed = results.filter(({ ok }) => !ok).length
  if (flags.json) say(JSON.stringify(results, null, 2))
  else {
    for (const result of results) for (const line of resultLines(result)) say(line)
    say(`${results.length - failed} passed, ${failed} failed`)
  }
  return failed === 0 ? EXIT_CODES.ok.code : EXIT_CODES.problems.code
}

function resultLines({ ok, test, title, failures, decisions }: CaseResult): string[] {
  if (ok) return [`${paint('green', 'ok')}      ${test}: ${title}`]
  const last = decisions.at(-1)
  return [
    `${paint('red', 'not ok')}  ${test}: ${title}`,
    ...failures.map((failure) => `        ${failure}`),
    ...(last?.because ?? []).map((because) => `        ${because.target} ${becauseText(because)}`),
  ]
}
