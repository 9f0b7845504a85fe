import { readFileSync } from 'node:fs'
import t from 'tap'
import { type Decided, rolloutProcess } from '../helpers/rollout-process.ts'
import { until } from '../helpers/running-envoy.ts'

const SESSIONS = Array.from({ length: 500 }, (_, at) => `session-${at}`)
const STAYS = '  stages: [{ name: half, sharePct: 40, bake: 10d }, { name: more, sharePct: 80, bake: 10d }]'
const GOES = '  stages: [{ name: half, sharePct: 50, bake: 100ms }, { name: all, sharePct: 100, bake: 100ms }]'
const armsOf = (decisions: readonly Decided[]) => new Map(decisions.map((one, at) => [SESSIONS[at]!, one.arm]))

t.test('a rollout of a running hubward, by hand', async (t) => {
  const hubward = await rolloutProcess(t, STAYS)
  await until('the rollout to begin', async () => (await hubward.state())?.stage === 0)
  const before = await hubward.decide(SESSIONS)
  const first = armsOf(before)

  t.test('gives each session an arm, and each arm its version', async (t) => {
    const treated = before.filter(({ arm }) => arm === 'treatment')
    t.ok(Math.abs(treated.length - 200) < 60, `${treated.length} of 500 at 40 %`)
    t.strictSame(new Set(treated.map(({ policy, cluster }) => `${policy} ${cluster}`)), new Set(['chat@2 fra-h100']))
    const rest = before.filter(({ arm }) => arm === 'control')
    t.equal(rest.length + treated.length, 500)
    t.strictSame(new Set(rest.map(({ policy, cluster }) => `${policy} ${cluster}`)), new Set(['chat@1 ams-h100']))
    t.strictSame(armsOf(await hubward.decide(SESSIONS)), first, 'the same one each time')
  })
  t.test('tells what an order lacks, and takes none that nobody gives a reason for', async (t) => {
    const answer = await hubward.ask('/v1/rollouts/frankfurt-first/order', { order: 'jump', author: '' })
    t.equal(answer.status, 400)
    t.strictSame(answer.json.problems.map(({ pointer }: { pointer: string }) => pointer).sort(), [
      '/author',
      '/order',
      '/reason',
    ])
    t.equal((await hubward.ask('/v1/rollouts/none/order', { order: 'hold', author: 'a', reason: 'b' })).status, 404)
    t.equal((await hubward.ask('/v1/rollouts/none')).status, 404)
    t.equal((await hubward.state()).stage, 0)
  })
  t.test('is promoted by hand, and nobody leaves the treatment', async (t) => {
    const { out, code } = await hubward.cli(
      'promote',
      'frankfurt-first',
      '--reason',
      'looks well',
      '--author',
      'ops@example.com',
    )
    t.equal(code, 0)
    t.match(out, /stage more, 80 %/)
    const second = armsOf(await hubward.decide(SESSIONS))
    for (const [session, arm] of first) if (arm === 'treatment') t.equal(second.get(session), 'treatment')
    t.ok([...second.values()].filter((arm) => arm === 'treatment').length > 340)
  })
  t.test('is listed and shown, with its release notes from the documents alone', async (t) => {
    const page = await (await fetch(`${hubward.url()}/metrics`)).text()
    t.match(page, /hubward_rollout_share_ratio\{rollout="frankfurt-first",status="running",stage="more"\} 0\.8/)
    t.match((await hubward.cli('list')).out, /frankfurt-first\s+running\s+more\s+80 %\s+all/)
    const status = (await hubward.cli('status', 'frankfurt-first')).out
    t.match(status, /last word: promote by ops@example\.com/)
    t.match(status, /E OF HARM/)
    const offline = await hubward.cli('notes', 'frankfurt-first', '--documents', `${hubward.folder}/documents`)
    t.match(offline.out, /# frankfurt-first[\s\S]*It has not begun\.[\s\S]*## Rollback\n\nswitch the flag off/)
  })
  t.test('goes on where it was after it was killed, with what was measured', async (t) => {
    const decisions = await hubward.decide(SESSIONS)
    await hubward.ended(decisions, () => ({ ms: 100 }))
    await until('the arms to be measured', async () => (await hubward.state()).totals.treatment.units > 300)
    const written = () => hubward.ask('/v1/rollouts/frankfurt-first').then(({ json }) => json.state)
    const known = await written()
    await until('it to be kept', () => {
      const file = JSON.parse(readFileSync(`${hubward.folder}/state/rollouts.json`, 'utf8'))
      return file.rollouts[0].totals.treatment.units === known.totals.treatment.units
    })
    await hubward.kill()
    await hubward.start()
    const after = await until('the flag to be there', async () => {
      const state = await hubward.state()
      return state.status === 'running' && state
    })
    t.match(after, { stage: 1, shareBp: 8_000, startedAt: known.startedAt, order: { author: 'ops@example.com' } })
    t.strictSame(after.totals, known.totals)
    t.strictSame(after.tests['harm error'], known.tests['harm error'])
    t.strictSame(armsOf(await hubward.decide(SESSIONS)), armsOf(decisions))
  })
  t.test('is aborted, and everybody is back where they were', async (t) => {
    const order = { order: 'abort', reason: 'not today', author: 'ops@example.com' }
    t.match(await hubward.ask('/v1/rollouts/frankfurt-first/order', order), {
      status: 200,
      json: { state: { shareBp: 0 } },
    })
    const after = await hubward.decide(SESSIONS)
    t.ok(after.every(({ arm, policy }) => arm === null && policy === 'chat@1'))
    t.match(await hubward.cli('resume', 'frankfurt-first', '-r', 'after all'), {
      code: 1,
      err: /it has ended \(aborted\)/,
    })
  })
  t.test('leaves every turn in the journal, with who and why', async (t) => {
    const turns = await until('the journal to be written', () => {
      const lines = hubward.journal().filter(({ kind }) => kind === 'rollout-changed')
      return lines.some(({ to }) => to === 'aborted') && lines
    })
    const told = turns.map(({ from, to, by, stage }: Record<string, string>) => `${from} ${to} ${by} ${stage}`)
    t.ok(told.includes('new running judge half'))
    t.ok(told.includes('running running ops@example.com more'))
    t.match(
      turns.find(({ to }) => to === 'aborted'),
      { by: 'ops@example.com', cause: /not today/, numbers: { 'units control': Number } },
    )
  })
})

t.test('a rollout by itself', async (t) => {
  const hubward = await rolloutProcess(t, GOES, false)
  await until('the rollout to begin', async () => (await hubward.state())?.stage === 0)
  t.test('whose treatment fails is rolled back, and the next request goes where it went before', async (t) => {
    const decisions = await hubward.decide(SESSIONS.slice(0, 100))
    await hubward.ended(decisions, ({ arm }) => ({ status: arm === 'treatment' ? 500 : 200 }))
    const state = await until('the rollback', async () => {
      const one = await hubward.state()
      return one.status === 'rolled-back' && one
    })
    t.match(state.says, /^rolled back: error: \d+ of \d+ in the treatment, 0 of \d+ in the control/)
    t.ok((await hubward.decide(SESSIONS)).every(({ arm, policy }) => arm === null && policy === 'chat@1'))
    t.match((await hubward.ask('/v1/rollouts/frankfurt-first')).json.report, /raised error rate by 100 points \[/)
  })
})

t.test('a rollout that wins is finished by itself, and its version is the default', async (t) => {
  const hubward = await rolloutProcess(t, GOES, false)
  await until('the rollout to begin', async () => (await hubward.state())?.stage === 0)
  for (let round = 0; round < 2; round++) {
    const decisions = await hubward.decide(SESSIONS.map((session) => `${session}-${round}`))
    await hubward.ended(decisions, ({ arm }) => ({ ms: arm === 'treatment' ? 100 : 300 }))
    if (round === 0) await until('all to be in the treatment', async () => (await hubward.state()).stage === 1)
  }
  const state = await until('its end', async () => {
    const one = await hubward.state()
    return one.status === 'finished' && one
  })
  t.match(
    state.says,
    /^Frankfurt-first cut response\.p50_ms by 200 ms \[\d+, \d+\] for 100 % of interactive-inference requests/,
  )
  const after = await hubward.decide(SESSIONS)
  t.ok(after.every(({ arm, policy, cluster }) => arm === null && policy === 'chat@2' && cluster === 'fra-h100'))
})
