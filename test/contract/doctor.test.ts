import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { adminAddress } from '../../src/envoy/doctor/admin.ts'
import { CHECKS, diagnose, lookAt } from '../../src/envoy/doctor/doctor.ts'
import { viewOf } from '../../src/envoy/doctor/view.ts'
import type { DocumentSet } from '../../src/model/documents.ts'
import { emeaSet, policyOf } from '../helpers/emea-set.ts'
import { ask, childEnvironment, type RunningEnvoy, startEnvoy } from '../helpers/running-envoy.ts'
import { mutate, type ScriptedAnswer, scriptedExtProc } from '../helpers/scripted-ext-proc.ts'

// biome-ignore lint/suspicious/noExplicitAny: the tests break a configuration wherever they like.
type Loose = any

const folder = mkdtempSync(join(tmpdir(), 'hubward-doctor-'))
const socket = join(folder, 's.sock')
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const options: EnvoyOptions = {
  ...ENVOY_OPTIONS_DEFAULT,
  listener: { host: '127.0.0.1', port: 0 },
  admin: { host: '127.0.0.1', port: 0 },
  sidecar: { path: socket },
  healthPath: undefined,
  accessLog: undefined,
}

const documents = (): DocumentSet => {
  const set = emeaSet()
  const chat = policyOf('chat', 'interactive-inference', [['ams'], ['fra'], ['lon']])
  return { ...set, policies: [{ ...chat, session: 'sticky', otherwise: [{ action: 'queue' }, { action: 'deny' }] }] }
}

interface Parts {
  readonly config: Loose
  readonly manager: Loose
  readonly filter: Loose
  readonly host: Loose
  readonly route: (name: string) => Loose
  readonly cluster: (name: string) => Loose
}

const partsOf = (config: Loose): Parts => {
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config
  const host = manager.route_config.virtual_hosts[0]
  return {
    config,
    manager,
    filter: manager.http_filters[0].typed_config,
    host,
    route: (name) => host.routes.find((one: Loose) => one.name === name),
    cluster: (name) => config.static_resources.clusters.find((one: Loose) => one.name === name),
  }
}

const broken = (breakIt: (parts: Parts) => void, more: Partial<EnvoyOptions> = {}): EnvoyObject => {
  const config: Loose = JSON.parse(JSON.stringify(envoyConfig(documents(), { ...options, ...more })))
  breakIt(partsOf(config))
  return config
}

const withEnvoy = async <T>(config: EnvoyObject, use: (envoy: RunningEnvoy) => Promise<T>): Promise<T> => {
  const envoy = await startEnvoy(config)
  try {
    return await use(envoy)
  } finally {
    await envoy.stop()
  }
}

const codesOf = async (envoy: RunningEnvoy, set: DocumentSet | undefined = documents()) => {
  const view = await lookAt({ host: '127.0.0.1', port: envoy.adminPort })
  return diagnose(view, set).map((one) => one.code)
}

// No hubward runs in most of these: that is one finding more.
const DOWN = 'doctor/sidecar-down'

const faults: Record<string, { title: string; breakIt: (parts: Parts) => void; more?: Partial<EnvoyOptions> }> = {
  'doctor/no-decision-filter': {
    title: 'a listener without the filter',
    breakIt: ({ manager }) => manager.http_filters.shift(),
  },
  'doctor/no-early-mutation': {
    title: 'a marker that is added and not overwritten',
    breakIt: ({ manager }) => {
      const { mutations } = manager.early_header_mutation_extensions[0].typed_config
      mutations.at(-1).append.append_action = 'ADD_IF_ABSENT'
    },
  },
  'doctor/client-headers-kept': {
    title: 'headers of the client that are not stripped',
    breakIt: ({ manager }) => {
      const config = manager.early_header_mutation_extensions[0].typed_config
      config.mutations = config.mutations.filter((one: Loose) => one.remove_on_match === undefined)
    },
  },
  'doctor/paths-unresolved': {
    title: 'a listener that leaves escaped slashes',
    breakIt: ({ manager }) => {
      delete manager.path_with_escaped_slashes_action
    },
  },
  'doctor/fails-closed': {
    title: 'a filter that fails closed for chat',
    breakIt: ({ filter }) => {
      filter.failure_mode_allow = false
    },
  },
  'doctor/route-cache-kept': {
    title: 'a route that is not chosen again',
    breakIt: ({ filter }) => {
      filter.route_cache_action = 'RETAIN'
    },
  },
  'doctor/message-timeout': {
    title: 'a second of waiting',
    breakIt: ({ filter }) => {
      filter.message_timeout = '1s'
    },
  },
  'doctor/hold-impossible': {
    title: 'a policy that queues where no answer may ask for time',
    breakIt: ({ filter }) => {
      delete filter.max_message_timeout
    },
  },
  'doctor/hold-too-long': {
    title: 'a policy that queues for longer than an answer may ask for',
    breakIt: ({ filter }) => {
      filter.max_message_timeout = '0.5s'
    },
  },
  'doctor/mutations-too-wide': {
    title: 'a processor that may change anything',
    breakIt: ({ filter }) => {
      delete filter.mutation_rules
    },
  },
  'doctor/mutations-too-narrow': {
    title: 'an allow-list that forgets the session',
    breakIt: ({ filter }) => {
      filter.mutation_rules.allow_expression.regex = '^x-hubward-(cluster|reason|decision)$'
    },
  },
  'doctor/no-access-log-service': {
    title: 'an access log that goes to another service',
    breakIt: ({ manager }) => {
      const { common_config: log } = manager.access_log[0].typed_config
      log.grpc_service.envoy_grpc.cluster_name = 'ams-h100'
    },
  },
  'doctor/session-not-kept': {
    title: 'a session token that reaches the sites',
    breakIt: ({ manager }) => manager.http_filters.splice(1, 1),
  },
  'doctor/decision-not-followed': {
    title: 'no route for the decision',
    breakIt: ({ host }) => host.routes.pop(),
  },
  'doctor/marker-ignored': {
    title: 'the route of the decision in front of the others',
    breakIt: ({ host }) => host.routes.unshift(host.routes.pop()),
  },
  'doctor/residency-without-route': {
    title: 'a residency class that was added after the routes were made',
    breakIt: ({ host }) => {
      host.routes = host.routes.filter((one: Loose) => one.name !== 'hubward-default-uk')
    },
  },
  'doctor/residency-broken': {
    title: 'a residency route that leads abroad',
    breakIt: ({ route }) => {
      route('hubward-default-eu').route.cluster = 'dxb-h100'
    },
  },
  'doctor/unlisted-served': {
    title: 'the route for absent attributes in front of the one for unlisted ones',
    breakIt: ({ host, route }) => {
      const absent = route('hubward-residency-absent')
      delete absent.direct_response
      absent.route = { cluster: 'residency-default-eu' }
      host.routes.splice(host.routes.indexOf(route('hubward-residency-unlisted')), 1)
    },
  },
  'doctor/absent-served': {
    title: 'a default for requests without residency that no policy allows',
    breakIt: () => undefined,
    more: { unrestrictedDefault: 'uk' },
  },
  'doctor/job-fails-open': {
    title: 'a job route that was forgotten',
    breakIt: ({ host }) => host.routes.shift(),
  },
  'doctor/job-filter-fails-open': {
    title: 'a job route whose filter fails open',
    breakIt: ({ route }) => {
      delete route('hubward-refuse-fine-tuning').typed_per_filter_config
    },
  },
  'doctor/no-healing': {
    title: 'a decided route without another try',
    breakIt: ({ route }) => {
      delete route('hubward-decided').route.retry_policy
    },
  },
  'doctor/no-sidecar-cluster': {
    title: 'a filter whose cluster is missing',
    breakIt: ({ config }) => config.static_resources.clusters.shift(),
  },
  'doctor/sidecar-without-http2': {
    title: 'a sidecar over HTTP/1.1',
    breakIt: ({ cluster }) => {
      delete cluster('hubward-sidecar').typed_extension_protocol_options
      delete cluster('hubward-sidecar').health_checks
    },
  },
  'doctor/no-health-check': {
    title: 'a sidecar that nobody asks how it is',
    breakIt: ({ cluster }) => {
      delete cluster('hubward-sidecar').health_checks
    },
  },
  'doctor/panic-not-zero': {
    title: 'a dead sidecar that is asked all the same',
    breakIt: ({ cluster }) => {
      delete cluster('hubward-sidecar').common_lb_config
    },
  },
  'doctor/requests-per-connection': {
    title: 'connections without end',
    breakIt: ({ cluster }) => {
      const [http] = Object.values<Loose>(cluster('hubward-sidecar').typed_extension_protocol_options)
      delete http.common_http_protocol_options
    },
  },
  'doctor/streams-are-reset': {
    title: 'a runtime without the switch',
    breakIt: ({ config }) => {
      delete config.layered_runtime
    },
  },
  'doctor/cluster-missing': {
    title: 'a pool whose cluster Envoy has not',
    breakIt: ({ config, cluster }) => {
      const { clusters } = config.static_resources
      clusters.splice(clusters.indexOf(cluster('dxb-h100')), 1)
    },
  },
  'doctor/aggregate-missing': {
    title: 'an aggregate that is missing',
    breakIt: ({ config, cluster }) => {
      const { clusters } = config.static_resources
      clusters.splice(clusters.indexOf(cluster('ams-h100+fra-h100')), 1)
    },
  },
  'doctor/default-missing': {
    title: 'a residency default that is missing',
    breakIt: ({ config, cluster, route }) => {
      const { clusters } = config.static_resources
      clusters.splice(clusters.indexOf(cluster('residency-default-eu')), 1)
      route('hubward-default-eu').route.cluster = 'fra-h100'
    },
  },
  'doctor/default-outside-class': {
    title: 'a residency default that leads abroad',
    breakIt: ({ cluster }) => {
      cluster('residency-default-eu').cluster_type.typed_config.clusters.push('dxb-h100')
    },
  },
  'doctor/stats-hidden': {
    title: 'counters that a stats matcher hides, as Istio does',
    breakIt: ({ config }) => {
      config.stats_config = {
        stats_matcher: { inclusion_list: { patterns: [{ prefix: 'cluster.' }, { prefix: 'cluster_manager' }] } },
      }
    },
  },
}

t.test('an Envoy as `hubward envoy` writes it lacks nothing but hubward', async (t) => {
  await withEnvoy(
    broken(() => undefined),
    async (envoy) => {
      t.strictSame(await codesOf(envoy), [DOWN])
      t.strictSame(await codesOf(envoy, undefined), [DOWN])
    },
  )
})

t.test('the other shapes that `hubward envoy` writes are as sound', async (t) => {
  const hosts = [{ domains: ['eu.example.com'], class: 'eu' }]
  for (const more of [{ mode: 'ext_authz' }, { residency: { by: 'vhost', hosts } }, { processes: 3 }] as const) {
    await withEnvoy(
      broken(() => undefined, more),
      async (envoy) => t.strictSame(await codesOf(envoy), [DOWN]),
    )
  }
})

t.test('an access log that hubward does not get, or can make nothing of, is told apart', async (t) => {
  const messages = async (breakIt: (parts: Parts) => void) =>
    withEnvoy(broken(breakIt), async (envoy) =>
      diagnose(await lookAt({ host: '127.0.0.1', port: envoy.adminPort }), undefined)
        .filter((one) => one.code === 'doctor/no-access-log-service')
        .map((one) => one.message),
    )
  t.match(await messages(({ manager }) => delete manager.access_log), [/ingress does not tell hubward-sidecar how/])
  t.match(await messages(faults['doctor/no-access-log-service']!.breakIt), [/requests end, but ams-h100$/])
  t.match(
    await messages(({ manager }) => delete manager.access_log[0].typed_config.additional_request_headers_to_log),
    [/does not tell which decision/],
  )
})

for (const [code, { title, breakIt, more }] of Object.entries(faults)) {
  t.test(`${title} is found`, async (t) => {
    await withEnvoy(broken(breakIt, more), async (envoy) => t.ok((await codesOf(envoy)).includes(code), code))
  })
}

t.test('a running Envoy', async (t) => {
  const chat = { headers: {}, body: '{}' }
  const live = async (
    title: string,
    script: () => ScriptedAnswer | undefined,
    breakIt: (parts: Parts) => void,
    code: string,
  ) =>
    t.test(title, async (t) => {
      const server = await scriptedExtProc(socket, script)
      try {
        const config = broken((parts) => {
          delete parts.cluster('hubward-sidecar').health_checks
          breakIt(parts)
        })
        await withEnvoy(config, async (envoy) => {
          await ask(await envoy.port(), '/v1/chat/completions', chat)
          t.ok((await codesOf(envoy)).includes(code), code)
        })
      } finally {
        server.stop()
        rmSync(socket, { force: true })
      }
    })
  await live(
    'whose decisions come too late is found',
    () => undefined,
    () => undefined,
    'doctor/timed-out',
  )
  await live(
    'that went on without a decision is found',
    () => undefined,
    () => undefined,
    'doctor/failed-open',
  )
  await live(
    'that drops what hubward answers is found',
    () => mutate({ 'x-hubward-cluster': 'ams-h100' }),
    ({ filter }) => {
      filter.mutation_rules.allow_expression.regex = '^x-hubward-reason$'
    },
    'doctor/answers-rejected',
  )
  await live(
    'that keeps the first route is found',
    () => {
      const answer: Loose = mutate({ 'x-hubward-cluster': 'ams-h100' })
      answer.request_headers.response.clear_route_cache = true
      return answer
    },
    ({ filter }) => {
      filter.route_cache_action = 'RETAIN'
    },
    'doctor/route-not-chosen-again',
  )
  await live(
    'whose processor asks for another route without a header is found',
    () => ({ request_headers: { response: { clear_route_cache: true } } }),
    () => undefined,
    'doctor/route-clear-ignored',
  )
  await live(
    'whose processor answers to another phase is found',
    () => ({ response_headers: { response: {} } }),
    () => undefined,
    'doctor/spurious-answers',
  )
})

t.test('an old Envoy is found by its version, and a version that tells nothing is let pass', async (t) => {
  const view = (version: string) =>
    viewOf({ configDump: { configs: [] }, stats: { stats: [] }, serverInfo: { version }, runtime: {} }, 'x')
  const codes = (version: string) => diagnose(view(version), undefined).map((one) => one.code)
  t.ok(codes('abc/1.39.2/Clean/RELEASE/BoringSSL').includes('doctor/version'))
  t.notOk(codes('abc/1.40.0/Clean/RELEASE/BoringSSL').includes('doctor/version'))
  t.notOk(codes('abc/Clean/RELEASE/BoringSSL').includes('doctor/version'))
})

t.test('processes of which some do not answer are counted, and none of them is another matter', async (t) => {
  const codes = (healthy: number, total: number) => {
    const stats = Object.entries({ healthy, total }).map(([name, value]) => ({
      name: `cluster.x.membership_${name}`,
      value,
    }))
    const pages = { configDump: { configs: [] }, stats: { stats }, serverInfo: {}, runtime: {} }
    const found = diagnose(viewOf(pages, 'x'), undefined).filter((one) => /sidecar-down|processes/.test(one.code))
    return found.map((one) => `${one.code}: ${one.message}`)
  }
  t.strictSame(codes(2, 3), ['doctor/processes-missing: 2 of 3 processes of hubward answer'])
  t.strictSame(codes(3, 3), [])
  t.match(codes(0, 3), [/^doctor\/sidecar-down/])
})

t.test('every check of the table has its fault above', async (t) => {
  const live = [
    'doctor/timed-out',
    'doctor/failed-open',
    'doctor/answers-rejected',
    'doctor/route-not-chosen-again',
    'doctor/route-clear-ignored',
  ]
  const tested = [
    ...Object.keys(faults),
    ...live,
    'doctor/spurious-answers',
    'doctor/version',
    DOWN,
    'doctor/processes-missing',
  ]
  t.strictSame(CHECKS.map((check) => check.code).sort(), tested.sort())
})

t.test('an admin address is read in the forms that people write', async (t) => {
  t.strictSame(adminAddress('9901'), { host: '127.0.0.1', port: 9901 })
  t.strictSame(adminAddress('http://envoy:15000/'), { host: 'envoy', port: 15000 })
  t.strictSame(adminAddress('unix:/run/envoy.sock'), { path: '/run/envoy.sock' })
  t.equal(adminAddress('envoy'), undefined)
  t.equal(adminAddress('localhost:99999'), undefined)
})

t.test('hubward doctor', async (t) => {
  const run = (...args: string[]) => {
    const cli = fileURLToPath(new URL('../../src/cli/hubward.ts', import.meta.url))
    return spawnSync(process.execPath, [cli, 'doctor', ...args], { encoding: 'utf8', env: childEnvironment() })
  }
  await withEnvoy(
    broken(() => undefined),
    async (envoy) => {
      // Envoy's admin may also be a unix socket.
      const path = join(folder, 'admin.sock')
      const bridge = createServer((near) => {
        const far = connect(envoy.adminPort, '127.0.0.1')
        near.on('error', () => far.destroy()).pipe(far)
        far.on('error', () => near.destroy()).pipe(near)
      })
      await new Promise<void>((resolve) => bridge.listen(path, resolve))
      t.teardown(() => bridge.close())
      await t.test('reads a unix socket as well', async (t) => {
        const view = await lookAt({ path })
        t.strictSame(
          diagnose(view, documents()).map((one) => one.code),
          [DOWN],
        )
      })
      await t.test('names what is wrong with its remedy and ends with the code for problems', async (t) => {
        const { status, stdout } = run('--admin', String(envoy.adminPort))
        t.equal(status, 3)
        t.match(stdout, /^error: doctor\/sidecar-down .*\n {2}start hubward.*\nEnvoy 1\.40\.0, 1 connection managers/)
      })
      await t.test('says the same as JSON', async (t) => {
        const { status, stdout } = run('--admin', `127.0.0.1:${envoy.adminPort}`, '--json')
        t.equal(status, 3)
        t.match(JSON.parse(stdout), { envoy: '1.40.0', findings: [{ code: DOWN, severity: 'error' }], notes: [] })
      })
      await t.test('says of documents with jobs that each hubward knows its own reservations only', async (t) => {
        const examples = fileURLToPath(new URL('../../envoy/examples/documents', import.meta.url))
        const { stdout } = run('--admin', String(envoy.adminPort), '--documents', examples)
        t.match(stdout, /^note: jobs \(.*training.*\) hold .* several hubwards can give away the same headroom/m)
      })
    },
  )
  t.test('ends with the code for failure where no Envoy answers', async (t) => {
    const { status, stderr } = run('--admin', join(folder, 'none.sock'))
    t.equal(status, 1)
    t.match(stderr, /admin page .*\n {2}start Envoy/)
  })
})

t.test('an Envoy that can not be reached is an error that names the page', async (t) => {
  await t.rejects(lookAt({ path: join(folder, 'none.sock') }), /admin page \/config_dump/)
})
