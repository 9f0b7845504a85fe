import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { manualClock } from '../../src/clock.ts'
import { type Journal, type JournalOptions, openJournal } from '../../src/journal/journal.ts'
import type { JournalLine } from '../../src/journal/lines.ts'
import { type JournalFilter, readJournal } from '../../src/journal/read.ts'
import { isJobClass } from '../../src/journal/sampling.ts'
import { shareOf } from '../../src/math/choice.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Event } from '../../src/model/event.ts'
import type { Reason } from '../../src/model/reason.ts'
import type { DecisionRecord } from '../../src/model/record.ts'
import { childEnvironment, until } from '../helpers/running-envoy.ts'
import { T0, workload } from '../helpers/world.ts'

const decision = (id: string, reason: Reason = 'first-choice', name = 'chat'): Decision => ({
  id,
  at: T0,
  class: name,
  reason,
  because: [],
  ladder: [['ams']],
  next: [],
  policy: 'p@1',
  policyHash: 'h',
  revision: 1,
  layers: [],
  override: null,
  arm: null,
  session: 'none',
  stale: [],
  insufficient: [],
  action: 'route',
  target: 'ams/default',
  cluster: 'ams',
})

const record = (made: Decision, sampledBy: DecisionRecord['sampledBy']): DecisionRecord => ({
  kind: 'decision',
  decision: made,
  facts: { requestId: made.id, seed: '0', class: made.class, session: { verdict: 'none' }, extra: {} },
  now: T0,
  engineVersion: 'test',
  snapshotHash: 'sha256:0',
  sourceVersions: {},
  tally: {},
  inputs: [],
  replayable: true,
  sampledBy,
})

const healthChanged = (target: string, at = T0): Event => ({
  kind: 'health-changed',
  at,
  target,
  from: 'ready',
  to: 'down',
  cause: 'refused',
})

const setUp = (test: Test, over: Partial<JournalOptions<Decision>> = {}) => {
  const dir = mkdtempSync(join(tmpdir(), 'hubward-journal-'))
  test.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const clock = manualClock(T0)
  const journal = openJournal<Decision>({
    dir,
    movedPerSecond: 1_000_000,
    share: 0,
    fileBytesMax: 1_048_576,
    filesMax: { changes: 100, decisions: 10 },
    fsync: 'never',
    clock,
    instance: 'here',
    version: '1',
    isJob: (name) => isJobClass(name, undefined),
    chance: (id) => shareOf(id, 'journal'),
    record,
    ...over,
  })
  return { dir, clock, journal }
}

const send = (journal: Journal<Decision>, made: Decision) => {
  const by = journal.wants(made, made.id)
  if (by !== undefined) journal.keep(made, by)
}

const lines = async (dir: string, filter: JournalFilter = {}) => {
  const found: JournalLine[] = []
  for await (const line of readJournal(dir, filter)) found.push(line)
  return found
}
const decisions = (found: readonly JournalLine[]) => found.filter((line) => line.kind === 'decision')
const leftOut = (found: readonly JournalLine[]) =>
  found.flatMap((line) => (line.kind === 'sampled-out' ? line.counts : [])).reduce((sum, one) => sum + one.count, 0)

t.test(
  'every decision is either written or counted, and the counts say of what class, action and reason',
  async (t) => {
    const { dir, journal } = setUp(t, { share: 0.1 })
    for (let i = 0; i < 2_000; i++) send(journal, decision(`usual-${i}`))
    for (let i = 0; i < 20; i++) send(journal, decision(`moved-${i}`, 'fallback'))
    for (let i = 0; i < 30; i++) send(journal, decision(`job-${i}`, 'first-choice', 'training'))
    await journal.close()

    const found = await lines(dir)
    const by = (why: string) => decisions(found).filter((line) => line.sampledBy === why).length
    t.equal(by('job'), 30, 'all of the jobs')
    t.equal(by('not-first-choice'), 20, 'all that were moved')
    t.ok(by('share') > 150 && by('share') < 250, `about a tenth of the rest: ${by('share')}`)
    t.equal(decisions(found).length + leftOut(found), 2_050)
    t.match(found, [{ kind: 'started', instance: 'here' }])
    t.same(
      found.flatMap((line) => (line.kind === 'sampled-out' ? line.counts : [])),
      [{ class: 'chat', action: 'route', reason: 'first-choice', count: 2_000 - by('share') }],
    )
  },
)

t.test('while all traffic is moved the first of each second are written, and refusals whatever comes', async (t) => {
  const { dir, journal } = setUp(t, { share: 0, movedPerSecond: 10 })
  const at = (id: string, ms: number, of: Partial<Decision> = {}): Decision =>
    ({ ...decision(id, 'fallback'), at: ms, ...of }) as Decision
  for (let i = 0; i < 100; i++) send(journal, at(`first-${i}`, 1_000 + i))
  for (let i = 0; i < 100; i++) send(journal, at(`other-${i}`, 1_200 + i, { class: 'embeddings' }))
  for (let i = 0; i < 5; i++) send(journal, at(`next-${i}`, 2_000 + i))
  for (let i = 0; i < 100; i++)
    send(journal, at(`deny-${i}`, 2_100 + i, { action: 'deny', status: 503, reason: 'no-capacity' } as never))
  for (let i = 0; i < 3_000; i++) send(journal, at(`any-${i}`, 3_000, { class: `class-${i}` }))
  await journal.close()
  const found = await lines(dir)
  const of = (name: string) =>
    decisions(found).filter((line) => line.kind === 'decision' && line.decision.id.startsWith(name)).length
  t.same([of('first'), of('other'), of('next'), of('deny')], [10, 10, 5, 100])
  t.equal(of('any'), 1_000, 'classes beyond any number are not told apart')
  t.equal(decisions(found).length + leftOut(found), 3_305, 'and what was left out is counted')
})

t.test('records are gathered, and built many at a time', async (t) => {
  const TURNS = 400
  let turn = 0
  const builtIn = new Set<number>()
  const { journal } = setUp(t, {
    record: (made, sampledBy) => {
      builtIn.add(turn)
      return record(made, sampledBy)
    },
  })
  for (; turn < TURNS; turn++) {
    send(journal, decision(`moved-${turn}`, 'fallback'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await journal.close()
  t.equal(journal.stats().decisions.written, TURNS)
  // One by one it would be a turn each.
  t.ok(builtIn.size <= TURNS / 2, `${TURNS} records were built in ${builtIn.size} turns of the event loop`)
})

t.test('the share is a function of the request id, so another run keeps the same requests', async (t) => {
  const kept = async () => {
    const { dir, journal } = setUp(t, { share: 0.2 })
    for (let i = 0; i < 200; i++) send(journal, decision(`r${i}`))
    await journal.close()
    return decisions(await lines(dir)).map((line) => line.decision.id)
  }
  t.same(await kept(), await kept())
})

t.test('a class is a job by its name, or by what its document says it bears', async (t) => {
  t.equal(isJobClass('fine-tuning', undefined), true)
  t.equal(isJobClass('chat', workload('chat')), false)
  t.equal(isJobClass('summaries', workload('summaries', { flexibility: 'delayable' })), true)
  t.equal(isJobClass('agents', workload('agents', { whenHubwardIsDown: 'refuse' })), true)
})

t.test('a line that was torn by a crash is passed over, and the next one is not glued to it', async (t) => {
  const first = setUp(t)
  first.journal.event(healthChanged('ams/default'))
  await first.journal.close()
  appendFileSync(join(first.dir, 'changes-00000001.jsonl'), '{"kind":"health-chan')
  const second = setUp(t, { dir: first.dir })
  second.journal.event(healthChanged('fra/default'))
  await second.journal.close()

  const torn: string[] = []
  const found = await lines(first.dir, { onTorn: (_file, text) => torn.push(text) })
  t.same(torn, ['{"kind":"health-chan'])
  t.same(
    found.flatMap((line) => (line.kind === 'health-changed' ? [line.target] : [])),
    ['ams/default', 'fra/default'],
  )
  t.same(
    found.filter(({ kind }) => kind === 'started' || kind === 'stopped').map(({ kind }) => kind),
    ['started', 'stopped', 'started', 'stopped'],
  )
})

t.test('files are replaced by size and the oldest go, and a flood of decisions pushes out no change', async (t) => {
  const { dir, journal } = setUp(t, { fileBytesMax: 5_000, filesMax: { changes: 100, decisions: 3 } })
  journal.event(healthChanged('ams/default'))
  for (let i = 0; i < 100; i++) {
    send(journal, decision(`d${i}`, 'fallback'))
    await journal.flush()
  }
  await journal.close()
  const names = readdirSync(dir).filter((name) => name.startsWith('decisions-'))
  t.equal(names.length, 3)
  t.notOk(names.includes('decisions-00000001.jsonl'))
  const found = await lines(dir)
  t.equal(decisions(found).at(-1)?.decision.id, 'd99')
  t.ok(found.some(({ kind }) => kind === 'health-changed'))
})

t.test('a folder that cannot be had loses nothing until the bound, counts beyond it, and catches up', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'hubward-journal-'))
  t.teardown(() => rmSync(place, { recursive: true, force: true }))
  const dir = join(place, 'journal')
  writeFileSync(dir, 'a file where the folder should be')
  const states: string[] = []
  let calls = 0
  const { journal } = setUp(t, {
    dir,
    clock: { now: () => T0 + calls++ },
    reportMs: 1,
    waitingBytesMax: 40_000,
    retryMs: [5, 5],
    onState: (stream, failing) => states.push(`${stream} ${failing ? 'fails' : 'works'}`),
  })
  for (let i = 0; i < 500; i++) send(journal, decision(`d${i}`, 'fallback'))
  await journal.flush()
  const { decisions: stats } = journal.stats()
  t.equal(stats.failing, true)
  t.equal(stats.written, 0)
  t.ok(stats.dropped > 300 && stats.waitingBytes <= 40_000)
  t.equal(states.filter((state) => state === 'decisions fails').length, 1, 'said once')

  rmSync(dir)
  const before = calls
  await until('several reports, of which one is enough', async () => {
    await journal.flush()
    return calls > before + 5 && !journal.stats().decisions.failing
  })
  await journal.close()
  const found = await lines(dir)
  const dropped = found.flatMap((line) => (line.kind === 'dropped' ? [line.count] : [])).reduce((a, b) => a + b, 0)
  t.equal(dropped, stats.dropped)
  t.equal(decisions(found).length + dropped, 500, 'each is written or counted')
  t.ok(states.includes('decisions works'))
})

t.test(
  'a full disk fails nothing but the journal, and no line is written twice or in half when there is room',
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'hubward-journal-'))
    t.teardown(() => rmSync(dir, { recursive: true, force: true }))
    symlinkSync('/dev/full', join(dir, 'decisions-00000001.jsonl'))
    const details: string[] = []
    const { journal } = setUp(t, { dir, retryMs: [5, 5], onState: (_stream, _failing, detail) => details.push(detail) })
    for (let i = 0; i < 50; i++) send(journal, decision(`d${i}`, 'fallback'))
    await journal.flush()
    t.match(details, [/ENOSPC/])
    rmSync(join(dir, 'decisions-00000001.jsonl'))
    await journal.flush()
    await journal.close()
    t.same(
      decisions(await lines(dir)).map((line) => line.decision.id),
      Array.from({ length: 50 }, (_, i) => `d${i}`),
    )
  },
)

t.test('a disk that takes half a line keeps none of it', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'hubward-journal-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  // A limit of 8 KiB on files, whose signal is ignored, ends a write in the middle as a disk does that fills up.
  const script = `
    import { LineFile } from ${JSON.stringify(new URL('../../src/journal/line-file.ts', import.meta.url).href)}
    const file = new LineFile({ dir: ${JSON.stringify(dir)}, stream: 'changes', fileBytesMax: 1e6, filesMax: 9,
      fsync: false, waitingBytesMax: 1e6, onState: () => {}, retryMs: [1e6, 1e6] })
    for (let i = 0; i < 20; i++) { file.append(JSON.stringify({ kind: 'x', at: i, text: 'y'.repeat(900) })); await file.flush() }
    console.log(JSON.stringify(file.stats()))
    process.exit()`
  // The runner would have the child write a file of its own, larger than that.
  const shell = `unset NODE_OPTIONS; trap '' XFSZ; ulimit -f 8; exec "$0" --input-type=module-typescript -e "$1"`
  const { stdout, stderr } = spawnSync('bash', ['-c', shell, process.execPath, script], {
    encoding: 'utf8',
    env: childEnvironment(),
  })
  t.equal(stderr, '')
  const stats = JSON.parse(stdout)
  t.match(stats, { failing: true })
  t.ok(stats.written > 0 && stats.written < 20)
  const text = readFileSync(join(dir, 'changes-00000001.jsonl'), 'utf8')
  t.ok(text.endsWith('}\n'))
  t.equal(text.trim().split('\n').length, stats.written)
})

t.test('a file that somebody moves away is begun anew', async (t) => {
  const { dir, journal } = setUp(t)
  send(journal, decision('before', 'fallback'))
  await journal.flush()
  rmSync(join(dir, 'decisions-00000001.jsonl'))
  send(journal, decision('after', 'fallback'))
  await journal.close()
  t.same(
    decisions(await lines(dir)).map((line) => line.decision.id),
    ['after'],
  )
})

t.test('a record that cannot be built is counted and keeps nothing from the others', async (t) => {
  const errors: unknown[] = []
  const { dir, journal } = setUp(t, {
    record: (made, by) => {
      if (made.id === 'bad') throw new Error('no')
      return record(made, by)
    },
    onError: (error) => errors.push(error),
  })
  for (const id of ['a', 'bad', 'b']) send(journal, decision(id, 'fallback'))
  await journal.close()
  t.equal(errors.length, 1)
  t.equal(journal.stats().decisions.dropped, 1)
  t.same(
    decisions(await lines(dir)).map((line) => line.decision.id),
    ['a', 'b'],
  )
})

t.test('the reader gives both streams in order of time, and only what is asked for', async (t) => {
  const { dir, journal } = setUp(t)
  journal.event(healthChanged('ams/default', T0 - 1_000))
  send(journal, decision('d', 'fallback'))
  journal.event(healthChanged('fra/default', T0 + 1_000))
  await journal.close()
  const kinds = async (filter: JournalFilter) => (await lines(dir, filter)).map(({ kind }) => kind)
  t.same(await kinds({ kinds: ['health-changed', 'decision'] }), ['health-changed', 'decision', 'health-changed'])
  t.same(await kinds({ streams: ['decisions'] }), ['decision'])
  t.same(await kinds({ kinds: ['health-changed'], from: T0 }), ['health-changed'])
  t.same(await kinds({ kinds: ['health-changed'], to: T0 }), ['health-changed'])
  t.same(await kinds({ where: (line) => line.kind === 'decision' && line.decision.id === 'd' }), ['decision'])
  t.same(await lines(join(dir, 'nowhere')), [])
})
