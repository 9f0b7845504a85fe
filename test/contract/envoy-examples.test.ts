import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { readConfig } from '../../src/config.ts'
import { readDocuments } from '../../src/documents/read.ts'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { envoyProblems } from '../../src/envoy/config/envoy-problems.ts'
import { composeFile, EXAMPLE_OPTIONS, exampleFiles } from '../../src/envoy/config/example-files.ts'
import { optionsOf } from '../../src/simulator/hubward-site.ts'
import { istioProxy } from '../helpers/istio-proxy.ts'
import { childEnvironment, validateEnvoy } from '../helpers/running-envoy.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const read = (folder: string) =>
  readDocuments(
    readdirSync(join(root, folder)).map((path) => ({ path, text: readFileSync(join(root, folder, path), 'utf8') })),
  )
const { set, problems } = read('envoy/examples/documents')
const { set: demo } = read('envoy/demo/documents')
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

t.ok(demo, 'the documents of the demo are good')

if (set !== null && demo !== null) {
  for (const { path, text } of [...exampleFiles(set), composeFile(demo)]) {
    const file = join(root, 'envoy', path)
    // HUBWARD_WRITE_EXAMPLES=1 makes them anew.
    if (process.env.HUBWARD_WRITE_EXAMPLES === '1') {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    t.test(`envoy/${path} is what \`hubward envoy\` writes`, async (t) => t.equal(readFileSync(file, 'utf8'), text))
    const [first] = parseAllDocuments(text).map((one) => one.toJS() as EnvoyObject)
    if (path.endsWith('envoy.yaml')) {
      t.test(`envoy/${path} is accepted by Envoy`, async (t) => t.equal(validateEnvoy(first ?? {}), undefined))
    }
    if (first?.kind === 'ConfigMap') {
      t.test(`hubward takes the configuration in envoy/${path}`, async (t) => {
        const file = join(
          t.testdir({ 'hubward.yaml': (first.data as Record<string, string>)['hubward.yaml'] ?? '' }),
          'hubward.yaml',
        )
        t.strictSame(readConfig({ file }).problems, [])
      })
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

t.test('hubward envoy', async (t) => {
  const run = (...args: string[]) => {
    const cli = join(root, 'src', 'cli', 'hubward.ts')
    const documents = ['--documents', join(root, 'envoy', 'examples', 'documents')]
    return spawnSync(process.execPath, [cli, 'envoy', ...documents, ...args], {
      encoding: 'utf8',
      env: childEnvironment(),
    })
  }
  t.test('writes what Envoy takes, with its options at work', async (t) => {
    const args =
      '--listen 127.0.0.1:8000 --admin unix:/tmp/admin.sock --sidecar 127.0.0.1:50051 --sidecar-name hubward ' +
      '--residency-host eu=eu.test,*.eu.test --residency-host uk=uk.test --unrestricted-default emea ' +
      '--message-timeout 50ms --hold-max 0 --body-path /v1/chat/completions --health-path none --http2 ' +
      '--access-log none --log-flush 2s --token-usage --retry-after 2m --hops --no-tell-clients --aggregates-max 3'
    const ca = join(root, 'test', 'fixtures', 'localhost.pem')
    const { status, stdout } = run(...args.split(' '), '--sidecar-ca', ca)
    t.equal(status, 0)
    const config = parse(stdout)
    t.equal(validateEnvoy(config), undefined)
    const names = config.static_resources.clusters.map((one: { name: string }) => one.name)
    t.equal(names.filter((name: string) => name.includes('+')).length, 3)
    t.match(stdout, /retry-after\n +value: "120"/)
    t.match(stdout, /message_timeout: 0\.05s/)
    t.notMatch(stdout, /max_message_timeout/)
    t.match(stdout, /buffer_flush_interval: 2s/)
    t.match(stdout, /sse_to_metadata/)
    const silent = run('--access-log', 'none', '--no-access-log-service').stdout
    t.notMatch(silent, /http_grpc|sse_to_metadata/)
  })
  t.test('writes an EnvoyFilter, and the pod or the workload for it', async (t) => {
    t.match(parse(run('--istio', 'gateway', '--vhost', 'llm.example.com:443=eu').stdout), { kind: 'EnvoyFilter' })
    const kinds = (...args: string[]) =>
      parseAllDocuments(run(...args, '--workload', 'gw').stdout).map((one) => one.toJS().kind)
    t.strictSame(kinds('--istio', 'gateway'), ['ConfigMap', 'Deployment'])
    const tcp = ['--istio', 'sidecar', '--sidecar', 'hubward.routing.svc:50051']
    t.strictSame(kinds(...tcp), ['ConfigMap', 'Service', 'Deployment'])
  })
  t.test('refuses what contradicts itself or the documents', async (t) => {
    t.match(run('--residency', 'eu', '--residency-host', 'uk=uk.test'), { status: 2, stderr: /choose one/ })
    t.match(run('--token-usage', '--no-access-log-service'), { status: 2, stderr: /--token-usage/ })
    t.match(run('--sidecar-ca', 'ca.pem'), { status: 2, stderr: /--sidecar-name/ })
    t.match(run('--istio', 'gateway'), { status: 2, stderr: /--vhost/ })
    t.match(run('--listen', 'nowhere'), { status: 2, stderr: /host:port/ })
    t.match(run('--residency', 'us'), {
      status: 3,
      stdout: '',
      stderr: /envoy\/unknown-residency.*\n +known: emea, eu/,
    })
    t.match(run('--documents', '/none'), { status: 3, stdout: '' })
  })
})

t.test('docker-compose.yml', async (t) => {
  // biome-ignore lint/suspicious/noExplicitAny: a file of any shape.
  const compose: any = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true })
  t.test('mounts only files and folders that exist, and volumes that it declares', async (t) => {
    for (const service of Object.values<{ volumes?: string[] }>(compose.services)) {
      for (const volume of service.volumes ?? []) {
        const [from = ''] = volume.split(':')
        if (from.startsWith('.')) t.ok(existsSync(join(root, from)), from)
        else t.ok(from in compose.volumes, from)
      }
    }
  })
  t.test('starts each site of the documents on the port that they name', async (t) => {
    for (const site of demo?.sites ?? []) {
      const command: string[] = compose.services[site.metadata.name].command
      const port = command[command.indexOf('--port') + 1]
      t.strictSame(site.pools[0]?.endpoints, [`127.0.0.1:${port}`])
      t.equal(optionsOf(command) === 'help', false, 'hubward-site understands it')
    }
  })
  t.test('publishes nothing beyond the loopback', async (t) => {
    for (const port of compose.services.envoy.ports) t.match(port, /^127\.0\.0\.1:/)
  })
  t.test('gives hubward a configuration that it takes, for sites that are there', async (t) => {
    const { config, problems } = readConfig({ file: join(root, 'envoy', 'compose', 'hubward.yaml') })
    t.strictSame(problems, [])
    t.ok(config)
  })
  t.test('has Prometheus look where something answers', async (t) => {
    const prometheus = parse(readFileSync(join(root, 'envoy', 'compose', 'prometheus.yml'), 'utf8'))
    const sites = prometheus.scrape_configs.find((one: { job_name: string }) => one.job_name === 'sites')
    t.strictSame(
      sites.static_configs.flatMap((one: { targets: string[] }) => one.targets),
      demo?.sites.flatMap((site) => site.pools.flatMap((pool) => pool.endpoints)),
    )
  })
})
