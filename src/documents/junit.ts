import type { CaseResult } from './cases.ts'

/** JUnit's XML, as CI systems read it: one suite for each PolicyTest, one case for each case. */
export function junitXml(results: readonly CaseResult[]): string {
  const suites = [...Map.groupBy(results, ({ test }) => test)].map(([name, cases]) => suiteXml(name, cases))
  const failed = results.filter(({ ok }) => !ok).length
  const counts = `tests="${results.length}" failures="${failed}" errors="0"`
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="hubward" ${counts}>\n${suites.join('')}</testsuites>\n`
}

function suiteXml(name: string, cases: readonly CaseResult[]): string {
  const failed = cases.filter(({ ok }) => !ok).length
  const lines = cases.map((one) => caseXml(name, one)).join('')
  const counts = `tests="${cases.length}" failures="${failed}" errors="0" skipped="0"`
  return `  <testsuite name="${escaped(name)}" ${counts}>\n${lines}  </testsuite>\n`
}

function caseXml(suite: string, { title, ok, failures }: CaseResult): string {
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(title)}"`
  if (ok) return `${head}/>\n`
  const first = escaped(failures[0] ?? 'failed')
  return `${head}>\n      <failure message="${first}">${escaped(failures.join('\n'))}</failure>\n    </testcase>\n`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Text as XML 1.0 may hold it: marked-up characters as entities, control characters left out. */
const escaped = (text: string): string =>
  [...text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)]
    .filter((character) => character >= ' ' || character === '\n' || character === '\t')
    .join('')
