import { spawn } from 'node:child_process'
import { createWriteStream, globSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

/*
 * Runs every test file under tap and says in few lines how it went: files that start servers one after another, the
 * rest two at a time. A file without an assertion, a skipped case, and a run without files are failures.
 */

const ROOT = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)

interface Suite {
  readonly name: string
  readonly jobs: number
  readonly files: readonly string[]
}

const files = (pattern: string): string[] =>
  globSync(pattern, { cwd: ROOT })
    .sort()
    .filter((file) => wanted.length === 0 || wanted.some((one) => file.includes(one)))
const suites: readonly Suite[] = [
  { name: 'tidy', jobs: 2, files: files('test/tidy/*.test.ts') },
  { name: 'unit', jobs: 2, files: files('test/unit/*.test.ts') },
  // Each of these starts an Envoy or another server: on two cores side by side they only wait for one another.
  { name: 'contract', jobs: 1, files: files('test/contract/*.test.ts') },
  { name: 'e2e', jobs: 1, files: files('test/e2e/*.test.ts') },
]

/** What one file's run came to. */
interface Result {
  passed: number
  failed: number
  readonly complaints: string[]
}

// Half of what a short-lived process takes is stripping types and compiling what the one before it had compiled.
const NODE_COMPILE_CACHE = join(ROOT, '.toolchain', 'compile-cache')
const environment = { ...process.env, NODE_COMPILE_CACHE, FORCE_COLOR: '0', NO_COLOR: '1' }

const runSuite = async (suite: Suite): Promise<Result> => {
  mkdirSync(join(ROOT, 'report'), { recursive: true })
  const report = join('report', `${suite.name}.tap`)
  const log = createWriteStream(join(ROOT, report))
  const result: Result = { passed: 0, failed: 0, complaints: [] }
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs'),
      '--reporter=tap',
      `--jobs=${suite.jobs}`,
      ...suite.files,
    ],
    { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let rest = ''
  let inFailure = 0
  const seen = new Set<string>()
  const line = (text: string): void => {
    const test = /^( *)(not ok|ok) \d+(?: - (.*?))?( #.*)?$/.exec(text)
    if (test === null) {
      // The diagnosis under a failed assertion, cut short: the whole of it is in the report.
      if (inFailure > 0) {
        console.log(text)
        inFailure -= 1
      }
      return
    }
    const [, indent = '', ok, name = '', directive = ''] = test
    inFailure = 0
    if (indent === '') {
      seen.add(name)
      if (/skip|todo/i.test(directive)) result.complaints.push(`${name}: not run:${directive}`)
      if (ok === 'not ok') result.complaints.push(`${name}: failed; see ${report}`)
      return
    }
    if (/# (skip|todo)/i.test(directive)) {
      result.complaints.push(`${name}: not run:${directive}`)
      return
    }
    // The closing line of a subtest stands for its assertions, which were counted already; only real ones have no time.
    if (/# time=/.test(directive)) return
    if (ok === 'ok') result.passed += 1
    else {
      result.failed += 1
      inFailure = 24
      console.log(text)
    }
  }
  child.stdout.on('data', (part: Buffer) => {
    log.write(part)
    const lines = (rest + part.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const one of lines) line(one)
  })
  child.stderr.on('data', (part: Buffer) => log.write(part))
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1)))
  log.end()
  for (const file of suite.files) if (!seen.has(file)) result.complaints.push(`${file}: did not run; see ${report}`)
  if (code !== 0 && result.failed === 0 && result.complaints.length === 0)
    result.complaints.push(`tap ended with ${code}; see ${report}`)
  if (result.passed + result.failed === 0) result.complaints.push(`${suite.name}: no assertion at all`)
  return result
}

let passed = 0
let failed = 0
const rows: string[] = []
for (const suite of suites) {
  if (suite.files.length === 0) {
    if (wanted.length === 0) {
      console.log(`${suite.name}: no test files`)
      failed += 1
    }
    continue
  }
  const start = performance.now()
  const result = await runSuite(suite)
  passed += result.passed
  // What could not be seen passing counts as failed, once each.
  failed += Math.max(result.failed, result.complaints.length)
  for (const complaint of result.complaints) console.log(complaint)
  rows.push(
    `${suite.name.padEnd(10)} ${String(suite.files.length).padStart(3)} files ${String(result.passed).padStart(7)} passed ${String(result.failed).padStart(4)} failed ${((performance.now() - start) / 1000).toFixed(0).padStart(5)} s`,
  )
}
if (rows.length === 0) {
  console.log(`no test file matches ${wanted.join(' ')}`)
  failed += 1
}
for (const row of rows) console.log(row)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
