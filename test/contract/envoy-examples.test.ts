import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { readDocuments } from '../../src/documents/read.ts'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { envoyProblems } from '../../src/envoy/config/envoy-problems.ts'
import { EXAMPLE_OPTIONS, exampleFiles } from '../../src/envoy/config/example-files.ts'
import { istioProxy } from '../helpers/istio-proxy.ts'
import { validateEnvoy } from '../helpers/running-envoy.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const documents = join(root, 'envoy', 'examples', 'documents')
const files = readdirSync(documents).map((path) => ({ path, text: readFileSync(join(documents, path), 'utf8') }))
const { set, problems } = readDocuments(files)
const admin = { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } }

t.test('the example documents are good, and no route is missing for them', async (t) => {
  t.strictSame(
    problems.filter((one) => one.severity === 'error'),
    [],
  )
  t.ok(set)
  if (set === null) return
  t.strictSame(
    envoyProblems(set, EXAMPLE_OPTIONS).filter((one) => one.severity === 'error'),
    [],
  )
})

if (set !== null) {
  for (const { path, text } of exampleFiles(set)) {
    const file = join(root, 'envoy', path)
    // HUBWARD_WRITE_EXAMPLES=1 makes them anew.
    if (process.env.HUBWARD_WRITE_EXAMPLES === '1') {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    t.test(`envoy/${path} is what \`hubward envoy\` writes`, async (t) => t.equal(readFileSync(file, 'utf8'), text))
    const [first] = parseAllDocuments(text).map((one) => one.toJS() as EnvoyObject)
    if (path === 'envoy.yaml') {
      t.test('envoy/envoy.yaml is accepted by Envoy', async (t) => t.equal(validateEnvoy(first ?? {}), undefined))
    }
    if (first?.kind === 'EnvoyFilter') {
      t.test(`the Envoy that envoy/${path} makes is accepted`, async (t) => {
        const hosts = JSON.stringify(first).matchAll(/"vhost":\{"name":"([^"]+)"\}/g)
        const names = [...new Set([...hosts].map((one) => one[1] ?? ''))]
        t.equal(validateEnvoy(istioProxy(first, names, admin)), undefined)
      })
    }
  }
}
