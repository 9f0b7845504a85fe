import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type DirectoryOptions, directorySource } from '../../src/feeds/documents-directory.ts'
import { addOverride, editOverrides, endOverride, overridesText } from '../../src/feeds/overrides-edit.ts'
import { overridesFile } from '../../src/feeds/overrides-file.ts'
import { readOverrides } from '../../src/feeds/overrides-read.ts'
import type { Change } from '../../src/model/change.ts'
import type { Override, OverrideSet } from '../../src/model/override.ts'

const WORKER = new URL('../../src/documents/read-worker.ts', import.meta.url)
const T0 = 1_800_000_000_000

const siteText = (name: string, jurisdiction = 'EU') => `apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ${name} }
spec: { jurisdictions: [${jurisdiction}], models: [{ name: llama }] }
`

const folder = (t: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'hubward-sources-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const nextTurn = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A source on a folder, the changes it emitted, and a way to wait for the next one. */
function started(t: Test, dir: string, over: Partial<DirectoryOptions> = {}) {
  const changes: Change[] = []
  let wake = () => {}
  const source = directorySource({
    name: 'policies',
    dir,
    cacheFile: null,
    workerUrl: WORKER,
    now: () => T0,
    emit: (change) => {
      changes.push(change)
      wake()
    },
    pollMs: 100,
    settleMs: 20,
    ...over,
  })
  t.teardown(() => source.stop())
  const until = async (is: (change: Change) => boolean): Promise<Change> => {
    for (;;) {
      const found = changes.find(is)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return { source, changes, until }
}

const sitesOf = (change: Change | undefined): string[] =>
  change?.kind === 'documents-accepted' ? change.set.sites.map(({ metadata }) => metadata.name) : []

const hasSites =
  (...names: string[]) =>
  (change: Change) =>
    sitesOf(change).join() === names.join()

t.test('a folder is read with its folders below, hidden files left out, JSON and YAML alike', async (t) => {
  const dir = folder(t)
  mkdirSync(join(dir, 'eu/hubs'), { recursive: true })
  writeFileSync(join(dir, 'eu/hubs/ams.yaml'), siteText('ams'))
  writeFileSync(join(dir, '.ams.yaml.swp'), 'not: [yaml')
  mkdirSync(join(dir, '.git'))
  writeFileSync(join(dir, '.git/config.yaml'), 'not: [yaml')
  writeFileSync(join(dir, 'notes.txt'), 'nothing')
  const fra = {
    apiVersion: 'hubward.dev/v1alpha1',
    kind: 'Site',
    metadata: { name: 'fra' },
    spec: { jurisdictions: ['EU'], models: [{ name: 'llama' }] },
  }
  writeFileSync(join(dir, 'fra.json'), JSON.stringify(fra, null, '\t'))
  const { source, changes } = started(t, dir)
  await source.start()
  t.same(
    changes.map(({ kind }) => kind),
    ['documents-accepted'],
  )
  t.same(sitesOf(changes[0]), ['ams', 'fra'])
  t.match(source.status(), { name: 'policies', kind: 'documents', where: dir, lastAcceptedAt: T0, refusal: [] })
})

t.test('a change is picked up, and what is only a touch is not told again', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'ams.yaml'), siteText('ams'))
  const { source, changes, until } = started(t, dir)
  await source.start()
  writeFileSync(join(dir, 'fra.yaml'), siteText('fra'))
  await until(hasSites('ams', 'fra'))
  const count = changes.length
  writeFileSync(join(dir, 'fra.yaml'), siteText('fra'))
  await source.look()
  t.equal(changes.length, count)
  const [first, last] = [changes[0]!, changes.at(-1)!] as (Change & { nonce: string; version: string })[]
  t.not(first!.version, last!.version)
  t.not(first!.nonce, last!.nonce)
})

t.test('the symlink swap of a ConfigMap is one change, read once, and never a mix', async (t) => {
  const dir = folder(t)
  const version = (name: string, sites: readonly string[]) => {
    mkdirSync(join(dir, name))
    for (const site of sites) writeFileSync(join(dir, name, `${site}.yaml`), siteText(site))
    symlinkSync(name, join(dir, '..data_tmp'))
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'))
  }
  version('..2026_1', ['ams', 'fra'])
  for (const site of ['ams', 'fra']) symlinkSync(`..data/${site}.yaml`, join(dir, `${site}.yaml`))
  const { source, changes, until } = started(t, dir)
  await source.start()
  t.same(sitesOf(changes[0]), ['ams', 'fra'], 'each file once, though it can be reached twice')
  version('..2026_2', ['ams', 'lon'])
  await until(hasSites('ams', 'lon'))
  t.same(new Set(changes.map(({ kind }) => kind)), new Set(['documents-accepted']))
  t.notOk(changes.some(hasSites('ams', 'fra', 'lon')))
})

t.test('a bad set is refused whole, told once, and the last good one stays until it is repaired', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'ams.yaml'), siteText('ams'))
  const { source, changes, until } = started(t, dir)
  await source.start()
  writeFileSync(join(dir, 'fra.yaml'), siteText('fra').replace('jurisdictions', 'jurisdiction'))
  const refused = await until(({ kind }) => kind === 'documents-refused')
  t.match(refused, { problems: [{ path: 'fra.yaml', line: 4 }] })
  await source.look()
  await source.look()
  t.equal(changes.filter(({ kind }) => kind === 'documents-refused').length, 1)
  t.match(source.status(), { failuresInARow: 1, lastAcceptedAt: T0, lastRefusedAt: T0 })
  writeFileSync(join(dir, 'fra.yaml'), siteText('fra'))
  await until(hasSites('ams', 'fra'))
  t.same(source.status().refusal, [])
})

t.test('a folder that is being written is not read before it stands still', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'a0.yaml'), siteText('a0'))
  // The writer below never pauses for as long as this, takes far longer in all, and is watched all the while.
  const { source, changes, until } = started(t, dir, { settleMs: 800 })
  await source.start()
  const names = Array.from({ length: 200 }, (_, index) => `a${index}`)
  for (const name of names.slice(1)) {
    writeFileSync(join(dir, `${name}.yaml`), siteText(name))
    await nextTurn(10)
  }
  await until((change) => sitesOf(change).length === 200)
  t.same(
    changes.map((change) => sitesOf(change).length),
    [1, 200],
  )
})

t.test('the last good set is on disk, and serves a start with a folder that is bad, empty or gone', async (t) => {
  const dir = folder(t)
  const cacheFile = join(folder(t), 'state/policies.json')
  writeFileSync(join(dir, 'ams.yaml'), siteText('ams'))
  const before = started(t, dir, { cacheFile })
  await before.source.start()
  await before.source.stop()
  const broken: Record<string, (dir: string) => void> = {
    bad: (at) => writeFileSync(join(at, 'ams.yaml'), 'kind: Sight'),
    empty: () => {},
    gone: (at) => rmSync(at, { recursive: true }),
  }
  for (const [what, make] of Object.entries(broken)) {
    const at = folder(t)
    make(at)
    const { source, changes } = started(t, at, { cacheFile })
    await source.start()
    t.same(
      changes.map(({ kind }) => kind),
      ['documents-refused', 'documents-accepted'],
      what,
    )
    t.match(changes[1], { fromDisk: true, problems: [{ code: 'documents/from-disk', severity: 'warning' }] })
    t.same(sitesOf(changes[1]), ['ams'])
    t.ok(source.status().refusal.length > 0, 'what is wrong with the folder is still shown')
    await source.stop()
  }
})

t.test('a kept set that was altered is not believed', async (t) => {
  const cacheFile = join(folder(t), 'policies.json')
  const dir = folder(t)
  writeFileSync(join(dir, 'ams.yaml'), siteText('ams'))
  const before = started(t, dir, { cacheFile })
  await before.source.start()
  await before.source.stop()
  writeFileSync(cacheFile, readFileSync(cacheFile, 'utf8').replace('"EU"', '"US"'))
  rmSync(join(dir, 'ams.yaml'))
  const { source, changes } = started(t, dir, { cacheFile })
  await source.start()
  t.same(
    changes.map(({ kind }) => kind),
    ['documents-refused'],
  )
})

t.test('a version that is used again for other content is refused, also after a restart', async (t) => {
  const dir = folder(t)
  const cacheFile = join(folder(t), 'policies.json')
  const policy = (priority: number) => `apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 1 }
spec: { class: chat, priority: ${priority}, ladder: [[ams]] }
`
  const chat =
    'apiVersion: hubward.dev/v1alpha1\nkind: WorkloadClass\nmetadata: { name: chat }\nspec: { whenHubwardIsDown: default }\n'
  writeFileSync(join(dir, 'a.yaml'), `${siteText('ams')}---\n${chat}---\n${policy(1)}`)
  const first = started(t, dir, { cacheFile })
  await first.source.start()
  t.same(
    first.changes.map(({ kind }) => kind),
    ['documents-accepted'],
  )
  await first.source.stop()
  writeFileSync(join(dir, 'a.yaml'), `${siteText('ams')}---\n${chat}---\n${policy(2)}`)
  const second = started(t, dir, { cacheFile })
  await second.source.start()
  t.match(second.changes[0], { kind: 'documents-refused', problems: [{ code: 'policy/version-reused', line: 13 }] })
})

t.test('a set that only lacked what another source brings is taken when that has come', async (t) => {
  const dir = folder(t)
  writeFileSync(
    join(dir, 'eu.yaml'),
    'apiVersion: hubward.dev/v1alpha1\nkind: ResidencyClass\nmetadata: { name: eu }\nspec: { allows: [EU], default: { sites: [ams] } }\n',
  )
  const sites = folder(t)
  writeFileSync(join(sites, 'ams.yaml'), siteText('ams'))
  const other = started(t, sites)
  await other.source.start()
  const [accepted] = other.changes
  const otherSets = accepted?.kind === 'documents-accepted' ? [accepted.set] : []
  let isThere = false
  const { source, changes, until } = started(t, dir, { context: () => ({ otherSets: isThere ? otherSets : [] }) })
  await source.start()
  t.match(changes[0], { kind: 'documents-refused', problems: [{ code: 'residency/unknown-site' }] })
  isThere = true
  await until(({ kind }) => kind === 'documents-accepted')
})

t.test('a reading that takes too long is given up, told once, and tried again', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'ams.yaml'), siteText('ams'))
  const troubles: string[] = []
  const { source, changes } = started(t, dir, { readTimeoutMs: 1, onTrouble: (message) => troubles.push(message) })
  await source.start()
  await source.look()
  t.match(changes, [{ kind: 'documents-refused', problems: [{ code: 'documents/unreadable' }] }])
  t.ok(troubles.length >= 2)
})

t.test('files that no reader should swallow are refused by name', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'large.yaml'), `# ${'x'.repeat(1_048_576)}\n`)
  writeFileSync(join(dir, 'binary.yaml'), Buffer.from([0xff, 0xfe, 0x00, 0x80]))
  writeFileSync(join(dir, 'deep.json'), '['.repeat(200_000))
  symlinkSync('.', join(dir, 'loop'))
  const { source, changes } = started(t, dir)
  await source.start()
  const [refused] = changes
  const codes = refused?.kind === 'documents-refused' ? refused.problems.map(({ code, path }) => `${path} ${code}`) : []
  t.ok(codes.includes('large.yaml yaml/too-large'))
  t.ok(codes.includes('binary.yaml yaml/syntax'))
  t.ok(codes.includes('deep.json yaml/syntax'))
})

const order = (over: Partial<Override> = {}): Override => ({
  id: 'o1',
  kind: 'drain',
  scope: { site: 'ams' },
  reason: 'CDU-2 leaks',
  author: 'oncall@example.com',
  created: T0,
  expires: T0 + 2_700_000,
  ...over,
})

const setOf = (...overrides: Override[]): OverrideSet => ({ overrides, maintenance: [] })

t.test('orders survive their file and back', async (t) => {
  const set: OverrideSet = {
    routing: { enabled: false, reason: 'test', author: 'oncall@example.com', at: T0 },
    overrides: [order(), order({ id: 'o2', kind: 'admit', constraint: 'queue.depth' })],
    maintenance: [
      { id: 'm1', site: 'fra', pool: 'h100', from: T0, to: T0 + 1_000, reason: 'valve', author: 'dc-ops@example.com' },
    ],
  }
  t.same(readOverrides(overridesText(set), 'o.json', T0), { set, problems: [] })
})

const BAD_ORDERS: readonly [what: string, text: string, code: string][] = [
  ['no JSON', '{"overrides": [', 'override/syntax'],
  ['an empty file', '', 'override/syntax'],
  [
    'an order without an end',
    overridesText(setOf(order())).replace(/,\s*"expires": "[^"]*"/, ''),
    'override/no-expiry',
  ],
  ['an order of two days', overridesText(setOf(order({ expires: T0 + 172_800_000 }))), 'override/expiry'],
  [
    'an order from the future',
    overridesText(setOf(order({ created: T0 + 3_600_000, expires: T0 + 3_700_000 }))),
    'override/expiry',
  ],
  ['an order that is over before it begins', overridesText(setOf(order({ expires: T0 - 1 }))), 'override/expiry'],
  ['an order about everything', overridesText(setOf(order({ scope: {} }))), 'override/scope'],
  ['a pool without its site', overridesText(setOf(order({ scope: { pool: 'h100' } }))), 'override/scope'],
  [
    'an order to waive residency',
    overridesText(setOf(order({ kind: 'admit', constraint: 'residency' }))),
    'override/constraint',
  ],
  ['two orders of one id', overridesText(setOf(order(), order())), 'override/duplicate-id'],
  ['an unknown field', '{"overides": []}', 'override/shape'],
  ['an order without a reason', overridesText(setOf(order({ reason: ' ' }))), 'override/shape'],
  ['a list at the top', '[]', 'override/shape'],
]

for (const [what, text, code] of BAD_ORDERS) {
  t.test(`${what} is refused`, async (t) => {
    const { set, problems } = readOverrides(text, 'o.json', T0)
    t.equal(set, null)
    t.ok(
      problems.some((problem) => problem.code === code),
      problems.map(({ message }) => message).join('; '),
    )
  })
}

/** A source of orders on a file, and what it emitted. */
function orders(t: Test, file: string, cacheFile: string | null = null, now = () => T0) {
  const changes: Change[] = []
  let wake = () => {}
  const emit = (change: Change) => {
    changes.push(change)
    wake()
  }
  const source = overridesFile({ name: 'overrides', file, cacheFile, now, emit, pollMs: 50 })
  t.teardown(() => source.stop())
  source.start()
  const until = async (is: (change: Change) => boolean): Promise<void> => {
    while (!changes.some(is)) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return { source, changes, until }
}

const drains = (id: string) => (change: Change) =>
  change.kind === 'overrides-accepted' && change.set.overrides.some((one) => one.id === id)

t.test('orders that an operator writes are in force, and end when they are taken out', async (t) => {
  const file = join(folder(t), 'overrides.json')
  const { changes, until } = orders(t, file)
  t.match(changes, [{ kind: 'overrides-accepted', set: { overrides: [] } }], 'no file: no orders')
  await editOverrides(file, T0, (set) => ({ set: addOverride(set, order()) }))
  await until(drains('o1'))
  await editOverrides(file, T0, (set) => ({ set: endOverride(set, 'o1') ?? set }))
  await until((change) => (change.kind === 'overrides-accepted' && change.nonce === '' ? false : changes.length >= 3))
  t.match(changes.at(-1), { kind: 'overrides-accepted', set: { overrides: [] } })
})

t.test('a broken or vanished file does not end an order', async (t) => {
  const file = join(folder(t), 'overrides.json')
  writeFileSync(file, overridesText(setOf(order())))
  const { source, changes, until } = orders(t, file)
  writeFileSync(file, '{"overrides": [')
  await until((change) => change.kind === 'overrides-refused')
  rmSync(file)
  await until((change) => change.kind === 'overrides-refused' && change.problems[0]?.code === 'override/file-gone')
  t.equal(changes.filter(({ kind }) => kind === 'overrides-accepted').length, 1)
  t.equal(source.status().failuresInARow >= 2, true)
})

t.test('orders kept on disk serve a start without their file, until they end', async (t) => {
  const file = join(folder(t), 'overrides.json')
  const cacheFile = join(folder(t), 'kept.json')
  writeFileSync(file, overridesText(setOf(order(), order({ id: 'short', expires: T0 + 1_000 }))))
  orders(t, file, cacheFile).source.stop()
  rmSync(file)
  const { changes } = orders(t, file, cacheFile, () => T0 + 60_000)
  t.match(changes, [
    { kind: 'overrides-refused', problems: [{ code: 'override/file-gone' }] },
    { kind: 'overrides-accepted', set: { overrides: [{ id: 'o1' }] } },
  ])
  t.equal(
    changes[1]?.kind === 'overrides-accepted' && changes[1].set.overrides.length,
    1,
    'the one that ended is left out',
  )
})

t.test('operators who write at once from several processes lose nothing', async (t) => {
  const dir = folder(t)
  const file = join(dir, 'overrides.json')
  const edit = new URL('../../src/feeds/overrides-edit.ts', import.meta.url).href
  const script = `
    const { addOverride, editOverrides } = await import(${JSON.stringify(edit)})
    const order = ${JSON.stringify(order())}
    for (let n = 0; n < 8; n++) {
      const id = process.argv[1] + n
      const edited = await editOverrides(${JSON.stringify(file)}, ${T0}, (set) => ({ set: addOverride(set, { ...order, id }) }), 60_000)
      if ('problems' in edited) throw new Error(edited.problems[0].message)
    }`
  const env = { PATH: process.env.PATH }
  const run = (who: string) =>
    new Promise<void>((resolve, reject) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, who], {
        env,
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      t.teardown(() => child.kill())
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${who} ended with ${code}`))))
    })
  await Promise.all(['a', 'b', 'c', 'd'].map(run))
  const { set } = readOverrides(readFileSync(file, 'utf8'), file, T0)
  t.equal(new Set(set?.overrides.map(({ id }) => id)).size, 32)
  t.same(readdirSync(dir), ['overrides.json'], 'no lock and no half file is left')
})

t.test('a lock that somebody holds is respected, and one that was left behind is not', async (t) => {
  const file = join(folder(t), 'overrides.json')
  writeFileSync(`${file}.lock`, '1\n')
  const add = () => editOverrides(file, T0, (set) => ({ set: addOverride(set, order()) }), 100)
  t.match(await add(), { problems: [{ code: 'override/locked' }] })
  t.notOk(existsSync(file))
  t.ok(existsSync(`${file}.lock`), 'the lock is still theirs')
  const longAgo = new Date(Date.now() - 60_000)
  utimesSync(`${file}.lock`, longAgo, longAgo)
  t.match(await add(), { set: { overrides: [{ id: 'o1' }] } })
})

t.test('an edit that breaks a rule is not written', async (t) => {
  const file = join(folder(t), 'overrides.json')
  await editOverrides(file, T0, (set) => ({ set: addOverride(set, order()) }))
  const text = readFileSync(file, 'utf8')
  const edited = await editOverrides(file, T0, (set) => ({
    set: addOverride(set, order({ id: 'o2', expires: T0 + 9e8 })),
  }))
  t.match(edited, { problems: [{ code: 'override/expiry' }] })
  t.equal(readFileSync(file, 'utf8'), text)
})

t.test('the shipped documents are accepted from their folders', async (t) => {
  for (const name of ['demo', 'examples']) {
    const dir = folder(t)
    cpSync(new URL(`../../envoy/${name}/documents`, import.meta.url), dir, { recursive: true })
    const { source, changes } = started(t, dir)
    await source.start()
    t.match(changes, [{ kind: 'documents-accepted', problems: [] }], name)
    await source.stop()
  }
})
