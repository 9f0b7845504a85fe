import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readArchitecture } from './architecture.ts'
import { barrels, defaults, docstrings } from './exports.ts'
import { GENERATED, staleReferences } from './generated.ts'
import { cycles, dangling, layers, purity, shippedPackages } from './imports.ts'
import { planted, ROOT, type Rule, type Source, tracked, typescript } from './sources.ts'
import {
  deadLinks,
  LINES_MAX,
  lengths,
  machinePaths,
  outsideFolders,
  promises,
  registryHosts,
  unknownCommands,
} from './words.ts'

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const architecture = readArchitecture(readFileSync(join(ROOT, 'docs', 'architecture.md'), 'utf8'))

const everything = tracked()
const src = typescript(everything.filter(({ path }) => path.startsWith('src/')))
const code = typescript(everything.filter(({ path }) => /^(src|test|bench)\//.test(path)))
const written = everything.filter(({ path }) => path !== 'package-lock.json')
const documents = everything.filter(({ path }) => path.endsWith('.md'))
const readme = documents.filter(({ path }) => path === 'README.md')

/** Holds the sources to a rule, after it has caught each planted breach and let the twin without one pass. */
const holds = (
  title: string,
  rule: Rule,
  sources: readonly Source[],
  breaches: readonly Source[][],
  fine: readonly Source[],
): void => {
  t.test(title, (t) => {
    for (const breach of breaches)
      t.ok(rule(breach).length > 0, `catches ${breach.map(({ text }) => text.slice(0, 60)).join(' / ')}`)
    t.strictSame(rule(fine), [], 'has nothing against what is in order')
    t.ok(sources.length > 0, 'sees files')
    t.strictSame(rule(sources), [])
    t.end()
  })
}

t.test('the architecture document has a table that says something', (t) => {
  t.ok(architecture.rows.size > 10)
  t.notOk(architecture.rows.get('engine')?.ours('envoy'))
  t.ok(architecture.rows.get('engine')?.ours('model'))
  t.ok(architecture.pure.includes('engine'))
  t.throws(() => readArchitecture('# Without a table\n\n## Who may import whom\nanybody\n'), /no table/)
  for (const file of architecture.impure)
    t.ok(
      src.some(({ path }) => path === `src/${file}`),
      `the exception ${file} is there`,
    )
  for (const folder of architecture.rows.keys())
    t.ok(
      src.some(({ path }) => path.startsWith(`src/${folder}`)),
      `the row ${folder} is of something`,
    )
  t.end()
})

holds(
  'every folder imports only what the table lets it',
  layers(architecture),
  src,
  [
    [planted('src/engine/a.ts', "import { b } from '../envoy/b.ts'")],
    [planted('src/engine/a.ts', "import fs from 'node:fs'")],
    [planted('src/feeds/a.ts', "import type { B } from '../journal/b.ts'")],
    [planted('src/feeds/a.ts', "const b = await import('../admin/b.ts')")],
    [planted('src/admin/a.ts', "type B = import('../envoy/b.ts').B")],
    [planted('src/model/a.ts', "import { t } from '../../test/helpers/t.ts'")],
    [planted('src/elsewhere/a.ts', '')],
    [planted('src/sidecar.ts', "import { b } from './cli/b.ts'")],
  ],
  [planted('src/engine/a.ts', "import { b } from '../model/b.ts'\nimport { c } from './c.ts'")],
)

holds(
  'no file reaches itself by its imports',
  cycles,
  src,
  [
    [
      planted('src/model/a.ts', "import { b } from './b.ts'"),
      planted('src/model/b.ts', "import type { A } from './a.ts'"),
    ],
    [planted('src/model/a.ts', "import { a } from './a.ts'")],
  ],
  [planted('src/model/a.ts', "import { b } from './b.ts'"), planted('src/model/b.ts', '')],
)

holds(
  'imports lead to files that are there',
  dangling,
  code,
  [[planted('src/model/a.ts', "import { b } from './b.ts'")]],
  [planted('src/model/a.ts', "import { b } from './b.ts'"), planted('src/model/b.ts', '')],
)

holds(
  'what ships needs only packages that are installed with it',
  shippedPackages(Object.keys(manifest.dependencies)),
  src,
  [[planted('src/cli/a.ts', "import t from 'tap'")]],
  [
    planted(
      'src/cli/a.ts',
      "import { parse } from 'yaml'\nimport fs from 'node:fs'\nimport Ajv from 'ajv/dist/2020.js'",
    ),
  ],
)

holds(
  'pure folders neither wait nor look at a clock, at chance or at the process',
  purity(architecture),
  src,
  [
    [planted('src/engine/a.ts', 'const a = async () => await b()')],
    [planted('src/engine/a.ts', 'const a = async () => { for await (const c of b) d(c) }')],
    [planted('src/model/a.ts', 'const a = Date.now()')],
    [planted('src/math/a.ts', 'const a = new Date()')],
    [planted('src/math/a.ts', 'const a = Math.random()')],
    [planted('src/engine/a.ts', "console.log('a')")],
    [planted('src/documents/a.ts', 'const a = process.env')],
    [planted('src/documents/a.ts', `import { a } from './${architecture.impure[0]?.split('/')[1]}'`)],
  ],
  [
    planted('src/engine/a.ts', 'const a = Math.max(b.process, 1) // Date'),
    planted('src/envoy/a.ts', 'process.exit(1)'),
  ],
)

holds(
  'there are no default exports',
  defaults,
  code,
  [
    [planted('src/a.ts', 'export default 1')],
    [planted('src/a.ts', 'export default function a() {}')],
    [planted('src/a.ts', 'const a = 1; export { a as default }')],
  ],
  [planted('src/a.ts', 'export const a = 1')],
)

holds(
  'there are no barrels',
  barrels,
  code,
  [
    [planted('src/a.ts', "export * from './b.ts'")],
    [planted('src/a.ts', "export { b } from './b.ts'")],
    [planted('src/model/index.ts', '')],
  ],
  [planted('src/a.ts', "import { b } from './b.ts'\nexport const a = b")],
)

holds(
  'every export has a docstring',
  docstrings,
  code,
  [
    [planted('src/a.ts', 'export const a = 1')],
    [planted('src/a.ts', '// a\nexport function a() {}')],
    [planted('src/a.ts', 'export interface A { b: 1 }')],
    [planted('src/a.ts', 'export type A = 1')],
    [planted('src/a.ts', '/** */\nexport class A {}')],
  ],
  [
    planted(
      'src/a.ts',
      '/** One. */\nexport const a = 1\nconst b = 2\n/** F. */\nexport function f(a: 1): 1\nexport function f(a: 2): 2',
    ),
  ],
)

holds(
  `no file of src is longer than ${LINES_MAX} lines`,
  lengths,
  src,
  [[planted('src/a.ts', '\n'.repeat(LINES_MAX).concat('a'))]],
  [planted('src/a.ts', 'a\n'.repeat(LINES_MAX))],
)

holds(
  'no file promises what is not there',
  promises,
  written,
  [
    [planted('src/a.ts', `// ${'TO'}${'DO'}: more`)],
    [planted('src/a.ts', `throw new Error('${'Not imple'.toLowerCase()}mented')`)],
  ],
  [planted('src/a.ts', '// the list of what is to be done')],
)

holds(
  'no file names a folder of one machine',
  machinePaths,
  written,
  [
    [planted('a.md', `cd /${'wo'}rk/main`)],
    [planted('a.md', `"/${'ro'}ot/.cache"`)],
    [planted('a.md', '/home/' + 'somebody/x')],
  ],
  [planted('a.md', 'src/work/a.ts ~/work/a /home/node/app ../root/a /workspace')],
)

holds(
  'no file names a host of a registry',
  registryHosts,
  everything,
  [[planted('package-lock.json', `"https://registry.${'npm'}js.org/a"`)]],
  [planted('a.md', 'the registry that npm is told of')],
)

holds(
  'no file refers to a folder outside the project',
  outsideFolders,
  written,
  [[planted('a.md', `see ../${'sha'}red/a.md`)]],
  [planted('a.md', 'a shared design')],
)

holds(
  'links in the documents lead somewhere',
  deadLinks,
  documents,
  [[planted('docs/a.md', '[a](nowhere.md)')]],
  [planted('docs/a.md', '[a](architecture.md#the-tree), [b](https://example.com)')],
)

t.test('every generated reference is what its program prints now', (t) => {
  const row = { file: 'docs/reference/a.md', command: ['-p', '1'] }
  t.strictSame(staleReferences([row], [planted(row.file, '1\n')]), [], 'has nothing against a fresh one')
  t.equal(staleReferences([row], [planted(row.file, '2\n')]).length, 1, 'catches an old one')
  t.equal(staleReferences([row], []).length, 1, 'catches a missing one')
  t.equal(staleReferences([], [planted(row.file, '')]).length, 1, 'catches one that nothing prints')
  t.equal(staleReferences([{ ...row, command: ['-e', 'process.exit(3)'] }], []).length, 1, 'catches a failure')
  t.strictSame(staleReferences(GENERATED, everything), [])
  t.end()
})

const commands = readdirSync(join(ROOT, 'src', 'cli', 'commands')).map((file) => file.replace(/\.ts$/, ''))
const binaries = [...Object.keys(manifest.bin), ...readdirSync(join(ROOT, 'node_modules', '.bin'))]
holds(
  'every command that the documents tell people to run is there',
  unknownCommands(Object.keys(manifest.scripts), binaries, commands),
  documents,
  [
    [planted('README.md', 'npm run nonsense')],
    [planted('README.md', 'npx nonsense')],
    [planted('README.md', 'npx hubward nonsense')],
    [planted('README.md', '```\n$ hubward nonsense\n```')],
  ],
  [planted('README.md', 'npm test, then npm run demo, npx hubward envoy -d x, hubward is a sidecar')],
)

t.test('the README names the two commands', (t) => {
  t.equal(readme.length, 1, 'there is a README')
  for (const command of ['npm run demo', 'npm test']) t.ok(readme[0]?.text.includes(command), command)
  t.end()
})

t.test('there are few test files, since each costs a process', (t) => {
  const files = code.filter(({ path }) => path.endsWith('.test.ts'))
  t.ok(files.length > 0 && files.length <= 64, `${files.length} files, at most 64`)
  t.end()
})
