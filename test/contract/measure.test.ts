import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { measurementCsv, measurementLines } from '../../src/cli/measurement-lines.ts'
import { lineOf, measuredSidecar } from '../helpers/measure-sidecar.ts'
import { childEnvironment, until } from '../helpers/running-envoy.ts'

const run = promisify(execFile)
const HUBWARD = join(import.meta.dirname, '..', '..', 'src', 'cli', 'hubward.ts')

t.test('a running hubward', async (t) => {
  const hubward = await measuredSidecar(t)
  const { ask, decide, log } = hubward
  const cli = (...words: string[]) =>
    run(process.execPath, [HUBWARD, 'measurements', '--admin', hubward.url(), ...words], { env: childEnvironment() })
  const measured = async (query: string) => (await ask(`/v1/measurements?${query}`)).json

  await t.test('measures what Envoy tells of the requests that it decided', async (t) => {
    const chat = await decide(200, { region: 'EMEA', tier: 'premium' })
    const other = await decide(20, { region: 'AMER' })
    await log(
      chat.slice(0, 120).map((id) => lineOf(id, { tokens: 70 })),
      [...chat.slice(120), ...other].map((id) => lineOf(id, { cluster: 'fra-h100', bodyMs: 250 })),
      [lineOf('none-of-ours'), lineOf(chat[0]!)],
    )
    const { by, rows } = await until('all of it to be measured', async () => {
      const answer = await measured('by=site,region&class=interactive-inference&window=1m')
      return answer.rows.reduce((sum: number, row: { requests: number }) => sum + row.requests, 0) === 220 && answer
    })
    t.same(by, ['site', 'region'])
    const [first] = rows
    t.match(first, {
      by: { site: 'ams', region: 'EMEA' },
      requests: 120,
      verdicts: { ok: 120 },
      errorRatio: 0,
      sloRatio: 1,
      tokens: { completion: 8_400, perStreamS: 100 },
      times: { ttft: { count: 120, p95: null, insufficient: ['p95', 'p99'] } },
    })
    t.ok(Math.abs(first.times.ttft.p50 - 200) <= 2.1, 'the first byte of the body, not of the headers')
    t.equal(rows.find((row: { by: object }) => JSON.stringify(row.by).includes('AMER')).fallbackRatio, 1)
    t.match((await ask('/metrics')).text, /hubward_access_log_entries_total\{result="unknown"\} 1\n/)
    t.match((await ask('/metrics')).text, /hubward_access_log_entries_total\{result="again"\} 1\n/)
    const sources = (await ask('/sources')).json.sources
    t.match(sources.at(-1), { name: 'envoy-access-log', kind: 'access-log', lastAcceptedAt: Number })
  })

  await t.test('shows them in a terminal and for spreadsheets', async (t) => {
    const [{ stdout: page }, wrong] = await Promise.all([
      cli('--by', 'site,tier', '--where', 'region=EMEA'),
      cli('--by', 'colour').catch((error: unknown) => error),
    ])
    t.match(page, /SITE +TIER +REQUESTS/)
    t.match(page, /ams +premium +120 +0 %/)
    t.match(page, /too few events/)
    t.match(wrong, { code: 2, stderr: /colour is nothing to measure by: there are site, pool/ })
    const answer = await measured('by=site,region')
    const lines = measurementCsv({ ...answer, rows: [{ ...answer.rows[0], by: { site: '=1+1', region: 'a,b' } }] })
    t.match(lines[0], /^site,region,requests,ok,error,timeout,refused,left,error_ratio,/)
    t.match(lines[1], /^'=1\+1,"a,b",120,120,0,0,0,0,0,/, 'a label is no formula')
    t.equal(lines[0]!.split(',').length, lines[1]!.replace('"a,b"', 'ab').split(',').length)
    t.match(measurementLines({ ...answer, rows: [], left: 0 }), [/T/, /no request/])
  })

  await t.test('refuses questions that make no sense', async (t) => {
    for (const query of [
      'by=colour',
      'by=site,pool,class,arm',
      'window=soon',
      'window=0s',
      'colour=red',
      'from=now',
      'from=5&to=4',
    ]) {
      const { status, json } = await ask(`/v1/measurements?${query}`)
      t.equal(status, 400, query)
      t.ok(json.detail.length > 10, json.detail)
    }
    t.equal((await ask('/v1/measurements?by=site&class=a&class=b')).status, 400)
    t.same((await measured('by=site&site=nowhere')).rows, [])
  })

  await t.test('takes outcomes of the business, a list as a whole or not at all', async (t) => {
    const [id] = await decide(1)
    const day = { name: 'tickets', rollout: 'nearer', arm: 'control', day: '2026-11-01', count: 10, sum: 4 }
    t.match((await ask('/v1/outcomes', [{ name: 'turns', decision: id, value: 3 }, day])).json, {
      ...{ counted: 1, 'no-arm': 1, again: 0, unknown: 0 },
    })
    t.match((await ask('/v1/outcomes', { ...day, sum: 5 })).json, { replaced: 1 })
    const wrong: [unknown, string][] = [
      ['nothing', ''],
      [[{ name: 'turns', decision: id }], '/0/value'],
      [[day, { name: 'a name', decision: id, value: 1 }], '/1/name'],
      [[{ ...day, arm: 'both' }], '/0/arm'],
      [[{ ...day, day: '2026-02-30' }], '/0/day'],
      [[{ ...day, day: '2999-01-01' }], '/0/day'],
      [[{ ...day, count: 1.5 }], '/0/count'],
      [[{ ...day, sum: 11 }], '/0/sumOfSquares'],
      [[{ ...day, sum: 40, sumOfSquares: 100 }], '/0/sumOfSquares'],
      [[{ ...day, colour: 'red' }], '/0/colour'],
      [[{ name: 'turns', decision: id, value: 1e300 }], '/0/value'],
      [Array.from({ length: 1_001 }, () => day), ''],
    ]
    for (const [body, pointer] of wrong) {
      const { status, json } = await ask('/v1/outcomes', body)
      t.equal(status, 400, pointer)
      t.equal(json.problems[0].pointer, pointer)
      t.ok(json.problems[0].remedy.length > 5)
    }
    const many = Array.from({ length: 65 }, (_, n) => ({ ...day, name: `n${n}` }))
    t.match((await ask('/v1/outcomes', many)).json.problems, [{ pointer: /^\/6\d\/name$/, message: /64 names/ }])
    t.match((await ask('/v1/outcomes')).json.outcomes, [{ rollout: 'nearer', arm: 'control', n: 10, sum: 5 }])
  })

  await t.test('leaves a site that breaks what the class promises, and keeps what it has counted', async (t) => {
    const ids = await decide(200)
    await log(ids.map((id) => lineOf(id, { status: 500, ms: 3, bodyMs: 1 })))
    const away = await until('Amsterdam to be left', async () => {
      const { json } = await ask('/v1/decide', {
        facts: { class: 'interactive-inference', residency: ['EU'] },
        dryRun: true,
      })
      return json.target === 'fra/h100' && json
    })
    t.match(away.because[0], { target: 'ams/h100', constraint: 'slo.burn_1h_ratio@interactive-inference', limit: 14.4 })
    const { json: snapshot } = await ask('/snapshot')
    t.match(snapshot.targets[0].signals['errors.passive_ratio'], { source: 'envoy-access-log' })
    await hubward.restart()
    t.match((await ask('/v1/outcomes')).json.outcomes, [{ name: 'tickets', n: 10, sum: 5 }])
    await log([lineOf('none')])
    await until('burn rates of before the restart', async () =>
      /hubward_slo_burn_ratio\{class="interactive-inference",site="ams",signal="slo.burn_3d_ratio"\} (?!0\n)/.test(
        (await ask('/metrics')).text,
      ),
    )
    t.match((await ask('/metrics')).text, /hubward_internal_errors_total 0|^(?!.*hubward_internal_errors_total\{)/s)
  })
})
