import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { readJournal } from '../../src/journal/read.ts'
import { hubwardFolder, socketIn, startHubward } from './hubward-process.ts'
import { type Answer, type Asking, ask, startEnvoy, until } from './running-envoy.ts'

const site = (name: string, port: number, gpu: string) => `
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ${name}, owner: dc-ops@example.com }
spec:
  jurisdictions: [EU]
  pools: [{ name: p, gpu: ${gpu}, cluster: ${name}, endpoints: ["127.0.0.1:${port}"] }]
`
const workload = (name: string, down: string) => `
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: ${name}, owner: platform-ml@example.com }
spec: { flexibility: delayable, whenHubwardIsDown: ${down}, session: { life: 30d } }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: ${name}, version: 1, owner: platform-ml@example.com }
spec: { class: ${name}, ladder: [[ams, fra]], session: sticky, otherwise: [{ action: delay, retryAfter: 2m }] }
`
const facts = `
apiVersion: hubward.dev/v1alpha1
kind: ResidencyClass
metadata: { name: eu, owner: privacy@example.com }
spec: { allows: [EU], default: { sites: [fra, ams] } }
---
apiVersion: hubward.dev/v1alpha1
kind: FactSources
metadata: { name: gateway, owner: platform-routing@example.com }
spec:
  facts:
    class:
      - { from: path, prefix: /v1/fine_tuning, value: fine-tuning }
      - { from: path, prefix: /v1/batches, value: batch-inference }
      - { from: path, prefix: /v1/files, value: batch-inference }
      - { from: header, name: x-workload-class, trusted: true, allow: [training, fine-tuning] }
      - { from: body, name: workload_class, trusted: true, allow: [training, fine-tuning] }
      - { from: path, prefix: /v1/jobs, value: batch-inference }
      - { from: value, value: chat }
    needs: [{ from: header, name: x-hubward-needs }, { from: body, name: needs }]
    sessionKey: [{ from: header, name: x-job-id }]
  jobs: [{ prefix: /v1/fine_tuning/jobs }, { prefix: /v1/batches }, { prefix: /v1/files }, { prefix: /v1/jobs }]
`

/** Sends of work and questions about it, and what each is to be called by. */
const SENT: readonly [path: string, headers: Record<string, string>, body: string, workload: string][] = [
  ['/v1/fine_tuning/jobs', {}, '{"model":"m"}', 'fine-tuning'],
  ['/v1/batches', {}, '{"input_file_id":"f-1"}', 'batch-inference'],
  ['/v1/files', { 'content-type': 'multipart/form-data; boundary=x' }, '--x--', 'batch-inference'],
  ['/v1/jobs', {}, '{}', 'batch-inference'],
  ['/v1/jobs', { 'x-workload-class': 'training' }, '{}', 'training'],
  ['/v1/jobs', {}, '{"workload_class":"training"}', 'training'],
]
const PATHS = [
  ...new Set(SENT.map(([path]) => path)),
  '/v1/batches/b-1',
  '/v1/fine_tuning/jobs/f-1/cancel',
  '/v1/files/f-1/content',
]

/** A site that says which it is, and by which policy it was reached. */
const siteServer = (t: Test, name: string): Promise<number> => {
  const server = http.createServer((request, response) => {
    request.resume()
    response.setHeader('served-by', name)
    response.setHeader('by-policy', String(request.headers['x-hubward-policy'] ?? 'none'))
    response.setHeader('told-moved-from', String(request.headers['x-hubward-moved-from'] ?? 'none'))
    request.on('end', () => response.end(name))
  })
  t.teardown(() => server.close())
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))
}

/** Jobs through a real Envoy: sent, asked about, and refused while hubward is hung or dead. */
export async function jobRoutes(t: Test, folder: string): Promise<void> {
  const [ams, fra] = await Promise.all(['ams', 'fra'].map((name) => siteServer(t, name)))
  const documents = [
    site('ams', ams!, 'H100'),
    site('fra', fra!, 'B200'),
    workload('batch-inference', 'refuse'),
    workload('fine-tuning', 'refuse'),
    workload('training', 'refuse'),
    workload('chat', 'default'),
    facts,
  ].join('---')
  const { set, problems } = readDocuments([{ path: 'all.yaml', text: documents }])
  if (set === null) throw new Error(`the documents of this test are bad: ${JSON.stringify(problems)}`)
  const envoy = await startEnvoy(
    envoyConfig(set, {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: socketIn(folder) },
      accessLog: undefined,
      healthPath: undefined,
      residency: { by: 'listener', class: 'eu' },
      bodyPaths: ['/v1/jobs'],
    }),
  )
  t.teardown(() => envoy.stop())
  const files = hubwardFolder(folder, documents)
  const hubward = startHubward(files)
  t.teardown(() => hubward.stop())
  const port = await envoy.port()
  const send = (path: string, asking: Asking = {}): Promise<Answer> =>
    ask(port, path, { method: 'POST', body: '{}', ...asking })
  const drain = (site: string) => ({
    ...{ id: `drain-${site}`, kind: 'drain', scope: { site }, reason: 'valve', author: 'oncall@example.com' },
    ...{ created: Date.now(), expires: Date.now() + 3_600_000 },
  })
  await until(
    'a decision',
    async () => (await send('/v1/chat/completions')).headers['x-hubward-decision'] !== undefined,
  )

  await t.test('the class of a job is told by its path, a header or its body', async (t) => {
    for (const [path, headers, body, workload] of SENT) {
      const answer = await send(path, { headers: { 'content-length': body.length, ...headers }, body })
      t.match(
        answer,
        { status: 200, headers: { 'by-policy': `${workload}@1` } },
        `${path} ${JSON.stringify(headers)} ${body}`,
      )
    }
    t.match(await send('/v1/chat/completions', { body: '{"workload_class":"training"}' }), {
      headers: { 'by-policy': 'chat@1' },
    })
  })

  await t.test("a job's needs tighten in header and body alike, and what cannot be read is refused", async (t) => {
    const of = (needs: string, body = '{}') =>
      send('/v1/jobs', { headers: { 'x-hubward-needs': needs, 'content-length': body.length }, body })
    for (let count = 0; count < 6; count++) t.equal((await of('gpu=B200')).body, 'fra')
    for (let count = 0; count < 6; count++) t.equal((await of('', '{"needs":{"gpu":"H100"}}')).body, 'ams')
    t.match(await of('gpu=H100', '{"needs":"gpu=B200"}'), { status: 403 })
    const much = await of('', '{"needs":{"mw":2}}')
    t.match(much, { status: 503, headers: { 'retry-after': '120' }, body: /job\.need power\.headroom_mw missing/ })
    t.match(await of('mw=2, no-delay'), { status: 503, headers: { 'x-hubward-reason': 'may-not-delay' } })
    t.match(await of('lots of power'), { status: 400, headers: { 'x-hubward-reason': 'bad-request' } })
    t.match(await of('', '{"needs":{"power":"lots"}}'), { status: 400 })
    t.match(await of('', '{"needs":'), { status: 400 })
  })

  await t.test(
    'who asks about a job reaches the site that has it, and without a word of where nobody guesses',
    async (t) => {
      const served = new Set<unknown>()
      for (let count = 0; count < 12; count++) {
        const mine = { 'x-job-id': `run-${count}` }
        const sent = await send('/v1/jobs', { headers: { ...mine, 'x-workload-class': 'training' } })
        const token = { ...mine, 'x-hubward-session': String(sent.headers['x-hubward-session']) }
        served.add(sent.body)
        for (const [method, path] of [
          ['GET', '/v1/jobs/j-1'],
          ['POST', '/v1/jobs/j-1/cancel'],
          ['GET', '/v1/jobs/j-1/events?after=e'],
        ] as const)
          t.match(await send(path, { method, headers: token }), {
            status: 200,
            body: sent.body,
            headers: { 'x-hubward-reason': 'follow-up', 'by-policy': 'training@1' },
          })
        const lost = await send('/v1/jobs/j-1', { method: 'GET', headers: mine })
        t.match(lost, { status: 409, headers: { 'x-hubward-reason': 'job-unplaced' }, body: /x-hubward-session/ })
      }
      t.equal(served.size, 2, 'both sites had some')
    },
  )

  await t.test(
    'a drained site still answers for its jobs, and new work of the same session says where it was before',
    async (t) => {
      const mine = { 'x-job-id': 'run-drained' }
      const sent = await send('/v1/files', { headers: mine })
      const token = { ...mine, 'x-hubward-session': String(sent.headers['x-hubward-session']) }
      t.equal((await send('/v1/batches', { headers: token })).body, sent.body, 'the batch runs where its file is')
      files.writeOverrides({ overrides: [drain(sent.body)], maintenance: [] })
      const moved = await until('the drain', async () => {
        const one = await send('/v1/batches', { headers: token })
        return one.body !== sent.body && one
      })
      t.match(moved.headers, { 'x-hubward-moved-from': `${sent.body}/p`, 'told-moved-from': `${sent.body}/p` })
      t.match(await send('/v1/files/f-1', { method: 'GET', headers: token }), { status: 200, body: sent.body })
      t.equal(
        (await send('/v1/batches', { headers: { ...token, 'x-hubward-moved-from': 'lies' } })).headers[
          'told-moved-from'
        ],
        `${sent.body}/p`,
      )
      t.equal(
        (await send('/v1/chat/completions', { headers: { 'x-hubward-moved-from': 'lies' } })).headers[
          'told-moved-from'
        ],
        'none',
      )
      const told = await until('the event', async () => {
        for await (const line of readJournal(join(folder, 'state', 'journal'), { streams: ['changes'] }))
          if (line.kind === 'session-moved') return line
        return false
      })
      t.match(told, { class: 'batch-inference', from: `${sent.body}/p`, to: `${moved.body}/p`, count: Number })
    },
  )

  const closed = async (t: Test) => {
    for (const path of PATHS) {
      const answer = await send(path)
      t.match(answer, { status: 503, headers: { 'retry-after': '30', 'x-hubward-reason': 'hubward-down' } }, path)
    }
    t.match(
      await send('/v1/jobs', { headers: { 'x-workload-class': 'training' }, body: '{"workload_class":"training"}' }),
      {
        status: 503,
        headers: { 'retry-after': '30' },
      },
    )
    t.match(await send('/v1/jobs/j-1', { method: 'GET', headers: { 'x-job-id': 'run-1' } }), { status: 503 })
    t.match(await send('/v1/chat/completions'), { status: 200 }, 'chat goes on')
  }
  await t.test(
    'while hubward hangs every job route is refused with a time to come back, and chat goes on',
    async (t) => {
      hubward.process.kill('SIGSTOP')
      await closed(t)
      hubward.process.kill('SIGCONT')
    },
  )
  await t.test(
    'while hubward is dead every job route is refused with a time to come back, and chat goes on',
    async (t) => {
      await hubward.stop()
      await closed(t)
    },
  )
}
