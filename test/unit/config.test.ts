import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import t, { type Test } from 'tap'
import { CONFIG_LEAVES, CONFIG_SCHEMA_WHOLE } from '../../src/config/schema.ts'
import { readConfig } from '../../src/config.ts'
import { problemText } from '../../src/model/problem.ts'

const DOCUMENTS = 'documents: [{ name: policies, dir: documents }]\n'

const read = (test: Test, text: string, more: Parameters<typeof readConfig>[0] = {}) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-config-'))
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'hubward.yaml')
  writeFileSync(file, text ?? '')
  const { config, problems } = readConfig({ file, ...more })
  const told = problems.map((problem) => problemText(problem).replaceAll(file, 'hubward.yaml'))
  return { config, told, problems, folder }
}

t.test('a folder of documents is all that has to be said, and everything else has a default', async (t) => {
  const { config, told, folder } = read(t, `${DOCUMENTS}stateDir: state\n`)
  t.same(told, [])
  t.match(config, {
    stateDir: join(folder, 'state'),
    listeners: [{ unix: '/run/hubward/envoy.sock' }],
    documents: [{ name: 'policies', dir: join(folder, 'documents'), pollMs: 2_000 }],
    overrides: { name: 'overrides', file: join(folder, 'state/overrides.json') },
    journal: { dir: join(folder, 'state/journal'), share: 0.01, fsync: 'changes', filesMax: { decisions: 20 } },
    admin: { host: '127.0.0.1', port: 9470 },
    logLevel: 'info',
    sidecars: 1,
    processes: 1,
    hops: false,
    transport: 'own',
    drainMs: 30_000,
  })
})

t.test('every problem is told at once, with its place and what to do', async (t) => {
  const { config, told } = read(
    t,
    [
      'documents: []',
      'stateDirr: x',
      'listeners:',
      '  - { socket: /run/a.sock, mode: "0999" }',
      'journal: { share: 2 }',
      'drain: soon',
      'log: { level: loud }',
      '',
    ].join('\n'),
  )
  t.equal(config, null)
  t.match(told.join('\n'), /hubward\.yaml:1:12 {2}schema\/bad-value {2}"documents"/)
  t.match(told.join('\n'), /hubward\.yaml:2:1 {2}schema\/unknown-field .*"stateDirr".*did you mean "stateDir"/)
  t.match(told.join('\n'), /hubward\.yaml:4:\d+ {2}schema\/bad-value {2}"mode".*octal/)
  t.match(told.join('\n'), /hubward\.yaml:5:19 {2}schema\/bad-value {2}"share" is 2; it has to be at most 1/)
  t.match(told.join('\n'), /hubward\.yaml:6:8 {2}schema\/bad-value {2}"drain" is "soon".*such as 30s/)
  t.match(told.join('\n'), /hubward\.yaml:7:\d+ {2}schema\/bad-value {2}"level" is "loud"/)
})

t.test('what no field can tell by itself is told too', async (t) => {
  const cases = [
    ['listeners: [{ socket: /a.sock, address: "127.0.0.1:1" }]', 'config/listener'],
    ['listeners: [{ mode: "0660" }]', 'config/listener'],
    ['listeners: [{ address: "127.0.0.1:1", mode: "0660" }]', 'config/listener'],
    ['listeners: [{ address: "127.0.0.1:99999" }]', 'config/listener'],
    ['overrides: { name: policies }', 'config/duplicate-name'],
    ['admin: { address: "0.0.0.0:9470" }', 'config/admin-exposed'],
    ['admin: { address: "[::]:9470" }', 'config/admin-exposed'],
    ['admin: { address: "hub.example.com:9470" }', 'config/admin-exposed'],
    ['hops: true', 'config/hops-without-keys'],
  ]
  for (const [text, code] of cases) {
    const { config, problems } = read(t, `${DOCUMENTS}${text}\n`)
    t.equal(config, null, text ?? '')
    t.same(
      problems.map((problem) => [problem.code, problem.line]),
      [[code, 2]],
      text ?? '',
    )
  }
})

t.test('the admin address is open to others only with tokens, and in the clear only with a warning', async (t) => {
  const open = read(t, `${DOCUMENTS}admin: { address: "0.0.0.0:9470", tokensFile: tokens }\n`)
  t.match(open.problems, [{ code: 'config/admin-plain', severity: 'warning' }])
  t.match(open.config, { admin: { host: '0.0.0.0', tokensFile: join(open.folder, 'tokens') } })
  const tls = '{ certFile: a, keyFile: b }'
  t.same(read(t, `${DOCUMENTS}admin: { address: "0.0.0.0:1", tokensFile: t, tls: ${tls} }\n`).problems, [])
})

t.test('the environment comes before the file, and the command line before both', async (t) => {
  const environment = { HUBWARD_JOURNAL_SHARE: '0.5', HUBWARD_ADMIN_ADDRESS: '[::1]:1', HUBWARD_HOPS: 'false' }
  const settings = ['journal.share=0.25']
  const { config, told } = read(t, `${DOCUMENTS}journal: { share: 0.1 }\n`, { environment, settings })
  t.same(told, [])
  t.match(config, { journal: { share: 0.25 }, admin: { host: '::1', port: 1 } })
})

t.test('a variable that is no field is let be, and one with a bad value is told by its name', async (t) => {
  t.same(read(t, DOCUMENTS, { environment: { HUBWARD_PORT: 'tcp://10.0.0.1:80', HUBWARD_ENVOY: '/x' } }).told, [])
  const environment = { HUBWARD_SIDECARS: 'many', HUBWARD_LOG_LEVEL: 'loud' }
  t.match(read(t, DOCUMENTS, { environment }).told, [/^HUBWARD_LOG_LEVEL .*config\/environment/, /^HUBWARD_SIDECARS/])
  const settings = ['journal.shard=1', 'hops', 'sidecars=0']
  t.match(read(t, DOCUMENTS, { settings }).told, [/did you mean "journal.share"/, /hops has no value/, /sidecars/])
})

t.test('a feed is held against the schema of its kind, and its files lie beside the configuration', async (t) => {
  const feeds = `feeds:
  - { kind: probe, name: health, targets: [{ target: ams/h100, url: "http://127.0.0.1:1" }], path: /healthy/ }
  - { kind: file, name: samples, path: samples.json }
envoyAdmin: { address: "127.0.0.1:9901" }
`
  const { config, told, folder } = read(t, `${DOCUMENTS}${feeds}`)
  t.same(told, [])
  t.match(config?.feeds, [{ path: '/healthy/' }, { path: join(folder, 'samples.json') }])
  t.match(config?.envoyAdmin, { address: '127.0.0.1:9901' })

  const bad = [
    ['feeds: [{ kind: prob, name: a }]', 'config/feed-kind'],
    ['feeds: [{ kind: file, name: a, path: x, colour: red }]', 'schema/unknown-field'],
    ['feeds: [{ kind: probe, name: a, targets: [] }]', 'schema/bad-value'],
    ['feeds: [{ kind: file, name: a, path: x }, { kind: file, name: a, path: y }]', 'feed/name-twice'],
    ['feeds: [{ kind: file, name: policies, path: x }]', 'config/duplicate-name'],
    ['envoyAdmin: { port: 1 }', 'schema/unknown-field'],
  ]
  for (const [text, code] of bad) {
    const problems = read(t, `${DOCUMENTS}${text}\n`).problems
    t.ok(
      problems.some((problem) => problem.code === code && problem.line === 2),
      `${text}: ${JSON.stringify(problems)}`,
    )
  }
})

t.test('a file that is not there, no YAML, or several documents is told and not thrown', async (t) => {
  t.match(readConfig({ file: '/nowhere/hubward.yaml' }).problems, [{ code: 'config/unreadable' }])
  t.match(read(t, 'a: [').problems, [{ code: 'yaml/syntax', line: 1 }])
  t.match(read(t, `${DOCUMENTS}---\n${DOCUMENTS}`).problems, [{ code: 'config/several' }])
  t.match(read(t, '- 1\n').problems, [{ code: 'schema/wrong-type' }])
  t.match(read(t, '').problems, [{ code: 'schema/missing-field' }])
})

t.test('the shipped schema is that of the code, and takes a whole configuration', async (t) => {
  const file = new URL('../../schemas/config.schema.json', import.meta.url)
  const text = `${JSON.stringify(CONFIG_SCHEMA_WHOLE, null, 2)}\n`
  if (process.env.TAP_SNAPSHOT === '1') writeFileSync(file, text)
  t.equal(readFileSync(file, 'utf8'), text, 'write it with npx tap --snapshot test/unit/config.test.ts')
  const ajv = new Ajv2020({ strict: false })
  formats.default(ajv)
  const validate = ajv.compile(JSON.parse(text))
  const feeds = [{ kind: 'file', name: 'samples', path: 'samples.json' }]
  const whole = { documents: [{ name: 'a', dir: 'b' }], feeds, envoyAdmin: { address: '127.0.0.1:9901' } }
  t.ok(validate(whole), JSON.stringify(validate.errors))
  t.notOk(validate({ ...whole, feeds: [{ kind: 'file', name: 'samples' }] }))
})

t.test('every field has a description, for the reference is made of them', async (t) => {
  t.ok(CONFIG_LEAVES.length > 20)
  for (const { path, schema } of CONFIG_LEAVES) t.type(schema.description, 'string', path)
})
