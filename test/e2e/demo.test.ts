import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ToldChapter } from '../../src/simulator/demo/story.ts'
import { ask, childEnvironment, envoyBinary, until } from '../helpers/running-envoy.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'simulator', 'demo', 'main.js')
const folder = mkdtempSync(join(tmpdir(), 'hubward-demo-test-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A demo of a test, with a temporary folder of its own, so that what it leaves behind can be seen. */
interface Demo {
  readonly process: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly code: Promise<number | null>
  /** The processes that it started, by the name that each was given. */
  readonly children: () => Record<string, number>
  readonly left: () => string[]
  readonly report: () => { ok: boolean; chapters: ToldChapter[] }
}

let demos = 0
const startDemo = (t: Test, ...args: string[]): Demo => {
  const temporary = mkdtempSync(join(folder, `${++demos}-`))
  const report = join(folder, `report-${demos}.json`)
  const child = spawn(process.execPath, [MAIN, '--report', report, '--envoy', envoyBinary(), ...args], {
    env: { ...childEnvironment(), TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (part) => {
    out += part
  })
  child.stderr.on('data', (part) => {
    err += part
  })
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  t.teardown(async () => {
    child.kill('SIGTERM')
    await code
  })
  return {
    process: child,
    out: () => out,
    err: () => err,
    code,
    children: () => childrenOf(child.pid!),
    left: () => readdirSync(temporary),
    report: () => JSON.parse(readFileSync(report, 'utf8')),
  }
}

/** The running children of a process: sites by their names, the rest by their command. */
const childrenOf = (parent: number): Record<string, number> => {
  const found: Record<string, number> = {}
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      if (Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2]) !== parent) continue
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      const name = words.includes('--name')
        ? words[words.indexOf('--name') + 1]!
        : words.includes('serve')
          ? 'hubward'
          : 'envoy'
      found[name] = Number(pid)
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
}
const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`)
const says = (demo: Demo, text: string) =>
  until(
    `the demo to say "${text}"`,
    () => {
      if (demo.process.exitCode !== null) throw new Error(`it ended: ${demo.out()}${demo.err()}`)
      return demo.out().includes(text)
    },
    90_000,
  )

t.test('played once, the demo ends with 0, a table, and a report in which every row agrees', async (t) => {
  const demo = startDemo(t, '--once', '--chapters', 'first,killed,rollback,flags')
  t.equal(await demo.code, 0, demo.out() + demo.err())
  const { ok, chapters } = demo.report()
  t.equal(ok, true)
  t.strictSame(
    chapters.map(({ title }) => title),
    [
      'Amsterdam first',
      'hubward is killed: chat goes on inside its residency, jobs are refused',
      'A bad version is rolled back by itself, in seconds',
      'Flags of the two emergency layers: switched on in a file, and off again',
      'What it took',
    ],
  )
  const rows = chapters.flatMap((chapter) => chapter.rows)
  t.ok(rows.length > 30)
  t.match(demo.out(), /errors +0 +[1-9]/, 'both arms of the rollout are told')
  t.ok(rows.every((row) => (row.ok || row.shown === true) && row.seen !== ''))
  t.strictSame(
    rows.filter((row) => row.shown).map((row) => row.what),
    ['resident memory of hubward'],
    'nothing but a measurement goes unjudged',
  )
  t.match(demo.out(), /^The demo of hubward.*\nIts timers are short on purpose/)
  t.match(demo.out(), new RegExp(`\nAll ${rows.length} as expected\\.\n`))
  t.notOk(demo.out().includes(String.fromCharCode(27)), 'no colours without a terminal')
  t.strictSame(demo.left(), [], 'the temporary folder is gone')
})

t.test('something that differs is told: exit code 1, NO in the table, and the last lines of the logs', async (t) => {
  const demo = startDemo(t, '--once', '--chapters', 'residency')
  await says(demo, 'hubward decides')
  process.kill(demo.children().hubward!, 'SIGKILL')
  t.equal(await demo.code, 1, demo.out() + demo.err())
  const { ok, chapters } = demo.report()
  t.equal(ok, false)
  t.match(
    chapters[0]?.rows.filter((row) => row.what === 'chat bound to where no site is'),
    [{ ok: false, seen: '8x 503 hubward-down' }],
  )
  t.match(demo.out(), /not as expected\.\n/)
  t.match(demo.err(), /The last lines of hubward:\n/)
  t.strictSame(demo.left(), [])
})

t.test('without --once it stays up to be explored, and Ctrl-C ends all of it', async (t) => {
  const demo = startDemo(t, '--chapters', 'first')
  await says(demo, 'tells what else a site can be told')
  const children = demo.children()
  t.strictSame(Object.keys(children).sort(), ['ams', 'dxb', 'edge-ams', 'envoy', 'fra', 'hubward', 'lon'])
  const hubward = Number(/hubward +http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(demo.out())?.[1])
  for (const path of ['/metrics', '/snapshot', '/sources', '/overrides', '/v1/flags', '/v1/rollouts'])
    t.equal((await ask(hubward, path)).status, 200)
  const [, address = '', host = '', model = '', body = ''] =
    /curl -i http:\/\/127\.0\.0\.1:(\d+)\/v1\/chat\/completions -H 'host: (\S+)' -H 'x-model: (\S+)' .* -d '(.*)'/.exec(
      demo.out(),
    ) ?? []
  const headers = { host, 'x-model': model, 'content-type': 'application/json' }
  const answer = await ask(Number(address), '/v1/chat/completions', { headers, body })
  t.match(answer, { status: 200, headers: { 'x-hubward-site': 'ams', 'x-hubward-reason': 'first-choice' } })
  // A terminal tells the whole group, and bootstrap.mjs passes it on once more.
  demo.process.kill('SIGINT')
  demo.process.kill('SIGINT')
  t.equal(await demo.code, 0)
  t.ok(Object.values(children).every(isGone))
  t.strictSame(demo.left(), [])
})

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  t.test(`${signal} while it starts leaves nothing behind`, async (t) => {
    const demo = startDemo(t, '--once')
    await says(demo, 'five sites listen')
    const children = demo.children()
    t.ok(Object.keys(children).length >= 5)
    demo.process.kill(signal)
    t.equal(await demo.code, code)
    t.ok(Object.values(children).every(isGone))
    t.strictSame(demo.left(), [])
  })
}

t.test('an Envoy that does not start is told, and nothing stays', async (t) => {
  const demo = startDemo(t, '--once', '--envoy', '/nowhere/envoy')
  t.equal(await demo.code, 1)
  t.match(demo.err(), /envoy does not start: .*ENOENT/)
  t.match(demo.report(), { ok: false, trouble: /ENOENT/ })
  t.strictSame(demo.left(), [])
})

t.test('an option or a chapter that does not exist is told before anything starts', async (t) => {
  for (const [option, told] of [
    [['--chapters', 'first,nonsense'], /there is no chapter "nonsense"/],
    [['--fast'], /--fast/],
  ] as const) {
    const demo = startDemo(t, ...option)
    t.equal(await demo.code, 2)
    t.match(demo.err(), told)
    t.match(demo.err(), /--chapters A,B +play only these: first, queue/)
    t.strictSame(demo.left(), [])
  }
})
