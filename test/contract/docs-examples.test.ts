import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type MeasureView, measureHandlers } from '../../src/admin/measure-handlers.ts'
import { contextIn } from '../../src/admin/ofrep-answers.ts'
import { flagFindings, flagsIn } from '../../src/cli/flags-in.ts'
import { readConfig } from '../../src/config.ts'
import { scanFolder } from '../../src/documents/folder.ts'
import { readDocuments } from '../../src/documents/read.ts'
import { joinSets } from '../../src/documents/read-kinds.ts'
import { lintFlags } from '../../src/flags/lint-flags.ts'
import { readFlags } from '../../src/flags/read-flags.ts'
import type { DocumentSet } from '../../src/model/documents.ts'
import { flag, RolloutWorld, rollout } from '../helpers/rollout-world.ts'
import { policy, site } from '../helpers/world.ts'

/** The day on which the pages were written: their dates lie ahead of it. */
const NOW = Date.UTC(2026, 10, 29)
const ROOT = join(import.meta.dirname, '..', '..')

const page = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
/** The fenced blocks of a page in one language. */
const blocks = (path: string, language: string): string[] =>
  [...page(path).matchAll(/^```([a-z]*)\n([\s\S]*?)^```$/gm)].flatMap(([, of, text]) =>
    of === language ? [text!] : [],
  )
const title = (text: string): string => text.split('\n').slice(0, 4).join(' ').slice(0, 120)
/** The bodies that a page sends with curl to a path. */
const bodies = (path: string, route: string): unknown[] =>
  blocks(path, '')
    .flatMap((text) => text.split(/(?=^curl )/m))
    .filter((text) => text.startsWith('curl ') && text.includes(route))
    .flatMap((text) => [...text.matchAll(/-d '([^']+)'/g)].map(([, body]) => JSON.parse(body!) as unknown))

const documentsIn = (folder: string): DocumentSet => {
  const { set, problems } = readDocuments(scanFolder(join(ROOT, folder)).files, { now: NOW })
  if (set === null) throw new Error(problems.map(({ message }) => message).join('; '))
  return set
}
const examples = documentsIn('envoy/examples/documents')
// The pages show the same rollout as the examples, in short.
const beside: DocumentSet = { ...examples, rollouts: [] }

for (const path of ['docs/flags.md', 'docs/rollouts.md']) {
  t.test(`${path}: every flag and document in it is taken, and there is nothing to say against it`, async (t) => {
    const documents = blocks(path, 'yaml').filter((text) => text.includes('apiVersion:'))
    const written = documents.map((text, index) => {
      const { set, problems } = readDocuments([{ path: `${index}.yaml`, text }], { otherSets: [beside], now: NOW })
      t.strictSame(problems, [], title(text))
      return set
    })
    const all = joinSets([beside, ...written.flatMap((set) => set ?? [])])
    const flags = blocks(path, 'json')
    for (const text of flags) {
      const { set, problems } = readFlags(text, 'flags.json')
      t.strictSame(problems, [], title(text))
      if (set !== null) t.strictSame(lintFlags(set, { now: NOW, documents: all }), [], title(text))
    }
    t.ok(documents.length > 0 && flags.length > 0)
  })

  t.test(`${path}: every configuration in it is one`, async (t) => {
    const parts = blocks(path, 'yaml').filter((text) => !text.includes('apiVersion:'))
    for (const text of parts) {
      const config = `documents: [{ name: d, dir: documents, owner: a@example.com }]\nlisteners: [{ socket: s }]\n${text}`
      const file = join(t.testdir({ 'hubward.yaml': config }), 'hubward.yaml')
      t.strictSame(readConfig({ file }).problems, [], title(text))
    }
    t.equal(parts.length > 0, path === 'docs/flags.md')
  })
}

t.test('what the pages send to hubward can be read there', async (t: Test) => {
  const contexts = bodies('docs/flags.md', '/ofrep/')
  t.ok(contexts.length > 0)
  for (const body of contexts) t.type(contextIn(body), 'object')
  const outcomes = bodies('docs/rollouts.md', '/v1/outcomes')
  t.ok(outcomes.length > 0)
  const view = { report: (all: readonly unknown[]) => all.map(() => 'counted') } as unknown as MeasureView
  for (const body of outcomes) {
    const status: number[] = []
    const reply = { code: (code: number) => status.push(code) && reply, header: () => reply, type: () => reply }
    const answer = measureHandlers(view, () => NOW).outcomesReported({ body } as never, reply as never)
    t.match(answer, { counted: (body as unknown[]).length }, JSON.stringify(answer))
    t.strictSame(status, [])
  }
})

t.test("the README's flag is one", async (t) => {
  const [text = ''] = blocks('README.md', 'json').filter((block) => block.includes('"variants"'))
  const { set, problems } = readFlags(text, 'README.md')
  t.strictSame(problems, [])
  const found = set === null ? [] : lintFlags(set, { now: NOW, documents: examples })
  t.strictSame(
    found.filter(({ severity }) => severity === 'error'),
    [],
  )
})

t.test('the shipped flags: one of each layer, each beside its documents', async (t) => {
  for (const [documents, flags, layers] of [
    [
      'envoy/examples/documents',
      'envoy/examples/flags',
      ['incident', 'kill-switch', 'preference', 'rollout', undefined],
    ],
    ['envoy/demo/documents', 'envoy/demo/flags', ['incident', 'kill-switch', 'rollout']],
  ] as const) {
    const read = flagsIn([join(ROOT, flags)])
    t.strictSame(read.problems, [], flags)
    t.strictSame(flagFindings(read, { now: NOW, documents: documentsIn(documents) }), [], flags)
    const found = new Set(Object.values(read.set?.flags ?? {}).map(({ layer }) => layer))
    t.strictSame([...found].sort(), layers)
    for (const one of documentsIn(documents).rollouts)
      t.match(read.set?.flags[one.flag], { layer: 'rollout', class: one.class }, one.flag)
  }
})

t.test('what the page of rollouts says of their ends: a deleted document promotes nobody', async (t) => {
  const meant = flag({ targeting: { if: [{ '==': [{ var: 'tier' }, 'gold'] }, 'treatment', null] } })
  const policies = [
    policy([['fra'], ['ams']], { experiments: { cohorts: ['*'] } }),
    policy([['ams'], ['fra']], { version: 2, experiments: { cohorts: ['*'] } }),
  ]
  const set = { sites: [site('ams'), site('fra')], policies }
  const versions = (world: RolloutWorld): string[] => {
    const seen = Array.from({ length: 200 }, (_, index) => world.decide({ tier: 'gold', sessionKey: `s-${index}` }))
    return [...new Set(seen.map(({ policy: ref }) => ref ?? ''))].sort()
  }
  const running = new RolloutWorld(rollout(), meant)
  t.strictSame(versions(running), ['p@1', 'p@2'], 'one percent is in it')
  running.documents(set)
  t.strictSame(versions(running), ['p@1'], 'at once')
  running.pass(61_000)
  t.equal(running.state.status, 'aborted')
  t.strictSame(versions(running), ['p@1'])
  const lost = new RolloutWorld(rollout(), meant).order('abort')
  lost.documents(set)
  t.strictSame(versions(lost), ['p@1'], 'and of one that has ended without winning')
  const won = new RolloutWorld(rollout(), meant).order('promote').order('promote').order('promote')
  t.equal(won.state.status, 'finished')
  won.documents(set)
  t.strictSame(versions(won), ['p@2'], 'what has won stays')
})
