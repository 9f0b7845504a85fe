import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type IstioPlace, istioEnvoyFilter } from '../../src/envoy/config/istio.ts'
import { podPatch, tcpWorkload } from '../../src/envoy/config/istio-workload.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { diagnose, lookAt } from '../../src/envoy/doctor/doctor.ts'
import { emeaSet } from '../helpers/emea-set.ts'
import { istioProxy } from '../helpers/istio-proxy.ts'
import { ask, startEnvoy, validateEnvoy } from '../helpers/running-envoy.ts'
import { mutate, scriptedExtProc } from '../helpers/scripted-ext-proc.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-istio-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const socket = join(folder, 's.sock')
const admin = { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } }

const place = (context: IstioPlace['context']): IstioPlace => ({
  context,
  name: 'hubward',
  namespace: 'istio-ingress',
  labels: { istio: 'ingressgateway' },
  hosts: [{ name: 'eu.example.com:80', class: 'eu' }, { name: 'llm.example.com:80' }],
})
const hosts = ['eu.example.com:80', 'llm.example.com:80', 'shop.example.com:80']
const options: EnvoyOptions = { ...ENVOY_OPTIONS_DEFAULT, sidecar: { path: socket }, healthPath: undefined }

for (const context of ['GATEWAY', 'SIDECAR_OUTBOUND'] as const) {
  for (const sidecar of [{ path: '/run/hubward/envoy.sock' }, { host: 'hubward.istio-ingress.svc', port: 50051 }]) {
    t.test(`Envoy accepts what a ${context} becomes with hubward at ${JSON.stringify(sidecar)}`, async (t) => {
      const filter = istioEnvoyFilter(emeaSet(), { ...options, sidecar }, place(context))
      t.equal(validateEnvoy(istioProxy(filter, hosts, admin)), undefined)
    })
  }
}

t.test('a patched gateway', async (t) => {
  const site = http.createServer((_, response) => response.end('frankfurt'))
  site.listen(0, '127.0.0.1')
  await new Promise((resolve) => site.once('listening', resolve))
  t.teardown(() => site.close())
  const set = emeaSet({ fra: (site.address() as AddressInfo).port })
  const asked: string[] = []
  const hubward = await scriptedExtProc(socket, ({ headers }) => {
    asked.push(`${headers[':authority']} ${headers['x-hubward-residency']}`)
    return mutate({ 'x-hubward-cluster': 'fra-h100', 'x-hubward-site': 'fra', 'x-hubward-session': 'token' })
  })
  t.teardown(() => hubward.stop())
  const filter = istioEnvoyFilter(set, options, place('GATEWAY'))
  // biome-ignore lint/suspicious/noExplicitAny: one field of the generated configuration.
  const proxy: any = istioProxy(filter, hosts, admin)
  delete proxy.static_resources.clusters[0].health_checks
  const envoy = await startEnvoy(proxy)
  t.teardown(() => envoy.stop())
  const port = await envoy.port()
  const get = (host: string, path = '/v1/chat/completions') =>
    ask(port, path, { headers: { host, 'x-hubward-cluster': 'dxb-h100' }, body: '{}' })

  await t.test('asks hubward for its own hosts, with the class that the host gives', async (t) => {
    const { status, body, headers } = await get('eu.example.com')
    t.match({ status, body, headers }, { status: 200, body: 'frankfurt', headers: { 'x-hubward-site': 'fra' } })
    t.equal(headers['x-hubward-session'], 'token')
    await get('llm.example.com')
    t.strictSame(asked, ['eu.example.com eu', 'llm.example.com undefined'])
  })
  await t.test('asks nothing for other hosts', async (t) => {
    const before = asked.length
    await get('shop.example.com')
    t.equal(asked.length, before)
  })
  await t.test('is sound in the eyes of the doctor', async (t) => {
    const view = await lookAt({ host: '127.0.0.1', port: envoy.adminPort })
    t.strictSame(
      diagnose(view, set).map((one) => one.code),
      ['doctor/paths-unresolved', 'doctor/no-health-check'],
    )
  })
  await t.test('falls back to the default of the class and refuses jobs when hubward is gone', async (t) => {
    hubward.stop()
    rmSync(socket, { force: true })
    t.match(await get('eu.example.com'), { status: 200, body: 'frankfurt' })
    t.match(await get('llm.example.com'), { status: 503, headers: { 'retry-after': '30' } })
    t.match(await get('eu.example.com', '/v1/fine_tuning/jobs'), { status: 503, headers: { 'retry-after': '30' } })
  })
})

t.test('hubward in a pod is a native sidecar that nobody probes for readiness', async (t) => {
  for (const context of ['GATEWAY', 'SIDECAR_OUTBOUND'] as const) {
    // biome-ignore lint/suspicious/noExplicitAny: fields of a Kubernetes object.
    const pod: any = podPatch(options, place(context), 'gateway', 'hubward:1')
    const [container] = pod.spec.template.spec.initContainers
    t.equal(container.restartPolicy, 'Always')
    t.notOk('readinessProbe' in container)
    t.match(pod.spec.template.metadata.annotations['proxy.istio.io/config'], /proxyStatsMatcher:\n.*ext_proc/)
  }
})

t.test('hubward as a workload has a port that Istio takes for HTTP/2 and no proxy of its own', async (t) => {
  const tcp = { ...options, sidecar: { host: 'hubward.istio-ingress.svc', port: 50051 } }
  t.match(tcpWorkload(tcp, place('GATEWAY'), 'hubward:1'), [
    { kind: 'Service', spec: { ports: [{ name: 'grpc-hubward', port: 50051 }] } },
    { spec: { template: { metadata: { labels: { 'sidecar.istio.io/inject': 'false' } } } } },
  ])
})
