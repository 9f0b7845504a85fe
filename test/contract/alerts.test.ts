import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { METRICS } from '../../src/metrics/table.ts'
import { e2eDocuments } from '../helpers/e2e-documents.ts'
import { ask, startEnvoy } from '../helpers/running-envoy.ts'

const FILE = join(import.meta.dirname, '../../envoy/prometheus/alerts.yml')
const rules = (
  parse(readFileSync(FILE, 'utf8')) as {
    groups: {
      rules: { alert: string; expr: string; annotations: { summary: string }; labels: { severity: string } }[]
    }[]
  }
).groups.flatMap((group) => group.rules)

t.test("every alert asks for metrics that exist, ours in the table and Envoy's in a running Envoy", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-alerts-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const { set } = readDocuments([{ path: 'all.yaml', text: e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 }) }])
  const envoy = await startEnvoy(
    envoyConfig(set!, {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: join(folder, 's.sock') },
      accessLog: undefined,
      residency: { by: 'listener', class: 'eu' },
    }),
  )
  t.teardown(() => envoy.stop())
  await ask(await envoy.port(), '/v1/chat/completions', { body: '{}' })
  const { body } = await ask(envoy.adminPort, '/stats/prometheus')
  t.ok(rules.length >= 10)
  for (const rule of rules) {
    const names = rule.expr.match(/\b(hubward|envoy)_[a-z0-9_]+/g) ?? []
    t.ok(names.length > 0, `${rule.alert} asks for something`)
    for (const name of names)
      t.ok(name.startsWith('hubward_') ? name in METRICS : body.includes(`\n${name}{`), `${rule.alert}: ${name}`)
    t.ok(
      rule.annotations.summary.length > 0 && ['page', 'ticket'].includes(rule.labels.severity),
      `${rule.alert} says what it is and how urgent`,
    )
  }
  t.match(
    body,
    /envoy_http_ext_proc_hubward_failure_mode_allowed\{[^}]*\} 1/,
    'with nobody on the socket the first alert would fire',
  )
})
