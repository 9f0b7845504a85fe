import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { childEnvironment } from '../helpers/running-envoy.ts'

const ROOT = join(import.meta.dirname, '../..')
const EXAMPLES = 'envoy/examples/documents'
const folder = mkdtempSync(join(tmpdir(), 'hubward-cli-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const hubward = (args: readonly string[], input = '') => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['src/cli/hubward.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    input,
    env: childEnvironment(),
  })
  return { status, stdout, stderr }
}
const decide = (...args: string[]) => hubward(['decide', '-d', EXAMPLES, ...args])
const chat = ['--class', 'interactive-inference', '--residency', 'EU', '--region', 'EMEA']

t.test('decide: the action is the exit code, and the reason is told', async (t) => {
  const first = decide(...chat)
  t.equal(first.status, 0)
  t.match(first.stdout, /^route ams\/h100 by cluster ams-h100\nreason +first-choice/)
  const full = decide(...chat, '--sample', 'ams.queue.depth=41')
  t.match(full.stdout, /route fra\/h100[\s\S]*because +ams\/h100 queue.depth 41 requests, wanted <= 40 requests/)
  t.equal(decide(...chat, '--down', 'ams', '--drained', 'fra').status, 10, 'degrade')
  t.equal(
    decide(
      ...['--class', 'training', '--residency', 'EU'],
      ...['campus-gro', 'cloud-dub', 'ams', 'fra', 'lon'].flatMap((site) => [
        '--sample',
        `${site}.power.headroom_mw=0`,
      ]),
    ).status,
    12,
    'delay',
  )
  t.equal(decide(...chat.slice(0, 2), '--residency', 'XX').status, 13, 'deny')
})

t.test(
  'decide --json is the decision itself; facts and samples come from files and the standard input too',
  async (t) => {
    const decision = JSON.parse(decide(...chat, '--json', '--sample', 'ams/h100.queue.depth=41').stdout)
    t.match(decision, {
      action: 'route',
      target: 'fra/h100',
      cluster: 'fra-h100',
      because: [{ constraint: 'queue.depth', measured: 41, op: '<=' }],
    })
    writeFileSync(join(folder, 'samples.json'), JSON.stringify({ ams: { 'queue.depth': 41 } }))
    const piped = hubward(
      ['decide', '-d', EXAMPLES, '--facts', '-', '--samples', join(folder, 'samples.json'), '--json'],
      JSON.stringify({ class: 'interactive-inference', residency: ['EU'], region: 'EMEA' }),
    )
    t.same(JSON.parse(piped.stdout).target, 'fra/h100')
  },
)

t.test('decide: bad input is named with its remedy, and is no decision', async (t) => {
  t.match(decide('--class', 'interactive-inferense', '--residency', 'EU'), {
    status: 2,
    stderr: /no document names a class "interactive-inferense"; did you mean "interactive-inference"/,
  })
  t.match(decide('--residency', 'EU'), { status: 2, stderr: /--class is missing: name the workload class/ })
  t.match(decide(...chat, '--sample', 'ams=3'), { status: 2, stderr: /write place.signal=number/ })
  t.match(decide(...chat, '--needs', 'lots of power'), { status: 2, stderr: /"lots of power" is not understood/ })
  t.match(decide(...chat, '--facts', join(folder, 'nowhere.json')), { status: 2, stderr: /ENOENT/ })
  t.match(decide(...chat, '--sample', 'ams.queue.dept=3').stderr, /queue\.dept/)
  t.match(hubward(['decide', ...chat]), { status: 2, stderr: /--documents/ })
  writeFileSync(
    join(folder, 'bad.yaml'),
    'apiVersion: hubward.dev/v1alpha1\nkind: Site\nmetadata: { name: ams }\nspec: { jurisdictons: [NL] }\n',
  )
  t.match(hubward(['decide', '-d', folder, ...chat]), {
    status: 3,
    stderr: /bad.yaml:4:9 +schema\/unknown-field.*jurisdictons/,
  })
})

t.test('explain: every candidate with all that stands in its way, and what would have changed it', async (t) => {
  const told = hubward([
    'explain',
    '-d',
    EXAMPLES,
    ...chat,
    '--sample',
    'ams.queue.depth=41',
    '--sample',
    'ams.ttft.p95_ms=9000',
  ])
  t.equal(told.status, 0)
  t.match(told.stdout, /The interactive-inference request goes to fra\/h100/)
  t.match(told.stdout, /ams\/h100, tier 1:\n +queue.depth 41[^\n]*\n +ttft.p95_ms 9000/)
  t.match(
    hubward(['explain', '-d', EXAMPLES, ...chat, '--sample', 'ams.queue.depth=41']).stdout,
    /ams\/h100 would have been a candidate with queue.depth <= 40 \(it was 41\)/,
  )
  t.match(JSON.parse(hubward(['explain', '-d', EXAMPLES, ...chat, '--json']).stdout), {
    decision: { target: 'ams/h100' },
    candidates: [{ target: 'ams/h100', because: [] }],
  })
})

t.test('explain --record tells a decision out of the journal, a torn last line or not', async (t) => {
  const decision = JSON.parse(decide(...chat, '--json', '--sample', 'ams.queue.depth=41').stdout)
  const record = {
    kind: 'decision',
    decision: { ...decision, id: 'd-1' },
    facts: {},
    now: 1_800_000_000_000,
    inputs: [{ target: 'ams/h100', signal: 'queue.depth', value: 41, at: 0, failed: true, share: 1 }],
  }
  const file = join(folder, 'decisions.jsonl')
  writeFileSync(file, `${JSON.stringify({ kind: 'sampled-out' })}\n${JSON.stringify(record)}\n{"kind":"deci`)
  const told = hubward(['explain', '--record', file, 'd-1'])
  t.match(
    told.stdout,
    /d-1\nThe interactive-inference request goes to fra\/h100[\s\S]*it read ams\/h100 queue.depth 41, kept out/,
  )
  t.match(hubward(['explain', '--record', file, 'd-2']), { status: 1, stderr: /has no decision d-2/ })
})

t.test('test: the cases of the examples pass, and a case that fails says what was seen', async (t) => {
  const junit = join(folder, 'cases.xml')
  const passed = hubward(['test', EXAMPLES, '--junit', junit])
  t.equal(passed.status, 0)
  t.match(passed.stdout, /\d+ passed, 0 failed\n$/)
  t.match(readFileSync(junit, 'utf8'), /<testsuites name="hubward" tests="\d+" failures="0"/)
  const own = mkdtempSync(join(folder, 'own'))
  writeFileSync(
    join(own, 'all.yaml'),
    `apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ams, owner: ops@example.com }
spec: { jurisdictions: [NL], cluster: ams, models: [{ name: m }] }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: chat, owner: ops@example.com }
spec: { flexibility: inflexible, whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: p, version: 1, owner: ops@example.com }
spec: { class: chat, ladder: [[ams]], residency: unrestricted, otherwise: [{ action: deny }] }
---
apiVersion: hubward.dev/v1alpha1
kind: PolicyTest
metadata: { name: cases }
spec:
  cases:
    - title: nothing is where it should be
      given: { sites: { ams: { drained: true } } }
      when: { class: chat }
      then: { action: route }
`,
  )
  const failed = hubward(['test', own])
  t.equal(failed.status, 3, failed.stderr)
  t.match(failed.stdout, /not ok +cases: nothing is where it should be\n +.*deny[\s\S]*ams\/default drain/)
  t.match(hubward(['test', own, '--filter', 'nobody']), { status: 3, stderr: /no case matches/ })
})

t.test('decide tells when a delay is expected to end, and what it waits for where nobody can tell', async (t) => {
  const short = ['campus-gro', 'cloud-dub', 'ams', 'fra', 'lon'].flatMap((site) => [
    '--sample',
    `${site}.power.headroom_mw=0`,
  ])
  const told = decide('--class', 'training', '--residency', 'EU', ...short)
  t.match(told, { status: 12, stdout: /forecast +When it will fit can't be foretold: it waits for \S+ at \S+\./ })
})
