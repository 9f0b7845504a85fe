import t from 'tap'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { classRules } from '../../src/envoy/config/class-rules.ts'
import { MAIN_CLUSTER, SIDECAR_CLUSTER } from '../../src/envoy/config/clusters.ts'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { envoyProblems } from '../../src/envoy/config/envoy-problems.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { clusterPairs } from '../../src/envoy/config/pairs.ts'
import type { DocumentSet, FactSource } from '../../src/model/documents.ts'
import { classOf, emeaSet, policyOf, siteAt } from '../helpers/emea-set.ts'
import { validateEnvoy } from '../helpers/running-envoy.ts'

const vhosts = { by: 'vhost', hosts: [{ domains: ['eu.example.com', '*.eu.example.com'], class: 'eu' }] } as const

const shapes: Record<string, Partial<EnvoyOptions>> = {
  'the defaults': {},
  ext_authz: { mode: 'ext_authz' },
  'several processes': { processes: 3 },
  'several processes by ext_authz': { processes: 3, mode: 'ext_authz' },
  'ext_authz by virtual host': { mode: 'ext_authz', residency: vhosts },
  'a class by listener, an unrestricted default and hops': {
    residency: { by: 'listener', class: 'eu' },
    unrestrictedDefault: 'uk',
    hops: true,
  },
  'a class by virtual host and a body that is read': { residency: vhosts, bodyPaths: ['/v1/chat/completions'] },
  'hubward over TCP, sites over HTTP/2, no health path, no access log': {
    sidecar: { host: 'hubward.routing.svc.cluster.local', port: 50051 },
    upstreamHttp: 2,
    healthPath: undefined,
    accessLog: undefined,
    holdMsMax: 0,
  },
}

const routesOf = (set: DocumentSet, options: Partial<EnvoyOptions> = {}, host = 'hubward'): EnvoyObject[] => {
  const config = JSON.parse(JSON.stringify(envoyConfig(set, { ...ENVOY_OPTIONS_DEFAULT, ...options })))
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config
  return manager.route_config.virtual_hosts.find((one: { name: string }) => one.name === host).routes
}

const namesOf = (routes: readonly EnvoyObject[]) => routes.map((route) => route.name)

const withClassSources = (sources: readonly FactSource[]): DocumentSet => {
  const set = emeaSet()
  return { ...set, factSources: set.factSources.map((one) => ({ ...one, facts: { class: sources } })) }
}

for (const [title, options] of Object.entries(shapes)) {
  t.test(`Envoy accepts ${title}`, async (t) => {
    t.equal(validateEnvoy(envoyConfig(emeaSet(), { ...ENVOY_OPTIONS_DEFAULT, ...options })), undefined)
  })
}

t.test('Envoy refuses a configuration that is wrong, so that the checks above mean something', async (t) => {
  const config = envoyConfig(emeaSet(), ENVOY_OPTIONS_DEFAULT)
  t.match(
    validateEnvoy({ ...config, static_resources: { clusters: [{ name: 'x', no_such_field: 1 }] } }),
    /no_such_field/,
  )
})

t.test('the marker routes come in the order that residency needs', async (t) => {
  t.strictSame(namesOf(routesOf(emeaSet())), [
    'hubward-refuse-fine-tuning',
    'hubward-default-eu',
    'hubward-default-uk',
    'hubward-default-ae',
    'hubward-residency-unlisted',
    'hubward-residency-absent',
    'hubward-decided',
  ])
})

t.test(
  'a virtual host with a class refuses an attribute that contradicts it, and knows one default only',
  async (t) => {
    const routes = routesOf(emeaSet(), { residency: vhosts }, 'hubward-eu-eu.example.com')
    t.strictSame(namesOf(routes), [
      'hubward-refuse-fine-tuning',
      'hubward-other-residency-eu',
      'hubward-default-eu',
      'hubward-decided',
    ])
  },
)

t.test('a class without default is refused rather than sent anywhere', async (t) => {
  const route = routesOf(emeaSet()).find((one) => one.name === 'hubward-default-ae')
  t.match(route, { direct_response: { status: 503 } })
})

t.test('a job route refuses by its filter and by itself', async (t) => {
  const [route] = routesOf(emeaSet())
  t.match(route, {
    match: { safe_regex: { regex: '/v1(;[^/]*)?/fine_tuning([;/].*)?' } },
    direct_response: { status: 503 },
    typed_per_filter_config: { 'envoy.filters.http.ext_proc': { overrides: { failure_mode_allow: false } } },
  })
})

t.test('a path whose body is read exists once more, before the plain one, on every marker route', async (t) => {
  const routes = routesOf(emeaSet(), { bodyPaths: ['/v1/chat/completions'] })
  const eu = routes.filter((route) => route.name === 'hubward-default-eu')
  t.match(eu, [
    {
      match: { path_separated_prefix: '/v1/chat/completions' },
      typed_per_filter_config: {
        'envoy.filters.http.ext_proc': { overrides: { processing_mode: { request_body_mode: 'BUFFERED' } } },
      },
    },
    { match: { prefix: '/' } },
  ])
  t.notOk(eu[1]?.typed_per_filter_config)
})

t.test('a path of jobs whose body is read is refused with it, and nothing behind it says it again', async (t) => {
  const set = withClassSources([{ from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' }])
  const routes = routesOf(set, { bodyPaths: ['/v1/fine_tuning/jobs', '/v1/fine'] })
  const read = routes.filter((route) => JSON.stringify(route.typed_per_filter_config ?? {}).includes('BUFFERED'))
  t.match(read[0], {
    name: 'hubward-refuse-fine-tuning',
    direct_response: { status: 503 },
    typed_per_filter_config: { 'envoy.filters.http.ext_proc': { overrides: { failure_mode_allow: false } } },
  })
  t.ok(
    read.slice(1).every((route) => JSON.stringify(route.match).includes('"/v1/fine"')),
    'segments, not letters',
  )
})

t.test('class rules', async (t) => {
  t.test('a header that anybody can send may refuse and may not excuse', async (t) => {
    const set = withClassSources([
      { from: 'header', name: 'X-Class' },
      { from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' },
    ])
    t.strictSame(
      classRules(set).rules.map((rule) => [rule.classes.join(), rule.whenDown, rule.prefix, rule.match]),
      [
        ['fine-tuning', 'refuse', '/', { headers: [{ name: 'x-class', string_match: { exact: 'fine-tuning' } }] }],
        ['fine-tuning', 'refuse', '/v1/fine_tuning', {}],
      ],
    )
  })
  t.test('a path of chat in front of a path of jobs keeps its default', async (t) => {
    const set = withClassSources([
      { from: 'path', prefix: '/v1/fine_tuning/status', value: 'interactive-inference' },
      { from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' },
    ])
    t.strictSame(
      classRules(set).rules.map((rule) => rule.whenDown),
      ['default', 'refuse'],
    )
  })
  t.test('a job class that only a claim tells apart is a problem', async (t) => {
    const { problems } = classRules(withClassSources([{ from: 'jwt', name: 'class' }]))
    t.match(problems, [{ code: 'envoy/class-without-route', severity: 'warning', message: /fine-tuning/ }])
  })
  t.test('everything is refused where the class that takes the rest is a job', async (t) => {
    const set = withClassSources([{ from: 'value', value: 'fine-tuning' }])
    t.strictSame(namesOf(routesOf(set))[0], 'hubward-refuse-fine-tuning')
  })
})

t.test('pairs of clusters', async (t) => {
  const names = (set: DocumentSet, max = 400) => clusterPairs(set, max).pairs.map((one) => `${one.first}+${one.second}`)
  t.test('pair only what stands in one ladder, shares a model and could share a residency', async (t) => {
    const set = { ...emeaSet(), policies: [policyOf('chat', 'interactive-inference', [['ams'], ['fra'], ['dxb']])] }
    t.strictSame(names(set), ['ams-h100+fra-h100', 'fra-h100+ams-h100'])
  })
  t.test('leave out a pool with another model', async (t) => {
    const set = emeaSet()
    const other = siteAt('fra', ['DE', 'EU'], 9002, { models: [{ name: 'llama-3.2-3b' }] })
    const sites = set.sites.map((site) => (site.metadata.name === 'fra' ? other : site))
    t.notOk(names({ ...set, sites }).some((name) => name.includes('fra')))
  })
  t.test('are bounded, the nearest steps of the ladder first', async (t) => {
    const sites = ['a', 'b', 'c', 'd'].map((name, i) => siteAt(name, ['EU'], 9100 + i))
    const set = {
      ...emeaSet(),
      sites,
      policies: [policyOf('p', 'interactive-inference', [['a'], ['b'], ['c'], ['d']])],
    }
    t.strictSame(names(set, 3), ['a-h100+b-h100', 'b-h100+c-h100', 'c-h100+d-h100'])
    t.equal(clusterPairs(set, 3).cut, 9)
  })
})

t.test('problems', async (t) => {
  const codes = (set: DocumentSet, options: Partial<EnvoyOptions> = {}) =>
    envoyProblems(set, { ...ENVOY_OPTIONS_DEFAULT, ...options }).map((one) => `${one.severity} ${one.code}`)
  t.test('a default outside its class is refused', async (t) => {
    const set = emeaSet()
    const residencies = [{ metadata: { name: 'eu' }, allows: ['EU'], default: { sites: ['fra', 'dxb'] } }]
    t.ok(codes({ ...set, residencies }).includes('error envoy/default-outside-class'))
  })
  t.test('a default of one site is told', async (t) => {
    const residencies = [{ metadata: { name: 'uk' }, allows: ['UK'], default: { sites: ['lon'] } }]
    t.ok(codes({ ...emeaSet(), residencies }).includes('warning envoy/default-alone'))
  })
  t.test('an unknown class in the options is refused', async (t) => {
    t.ok(codes(emeaSet(), { residency: { by: 'listener', class: 'us' } }).includes('error envoy/unknown-residency'))
  })
  t.test('two pools of one cluster, a reserved name and a cluster without endpoints are told', async (t) => {
    const set = emeaSet()
    const twice = [...set.sites, siteAt('par', ['EU'], 1, { cluster: 'ams-h100' })]
    t.ok(codes({ ...set, sites: twice }).includes('error envoy/cluster-twice'))
    for (const cluster of ['unset', SIDECAR_CLUSTER, MAIN_CLUSTER]) {
      const reserved = [...set.sites, siteAt('par', ['EU'], 1, { cluster })]
      t.ok(codes({ ...set, sites: reserved }).includes('error envoy/cluster-name-reserved'), cluster)
    }
    const foreign = [...set.sites, siteAt('par', ['EU'], 1, { endpoints: [] })]
    t.ok(codes({ ...set, sites: foreign }).includes('warning envoy/cluster-not-ours'))
  })
  t.test('a path of jobs that Envoy would send on blindly is told', async (t) => {
    const jobs = (prefix: string) => {
      const set = withClassSources([{ from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' }])
      return { ...set, factSources: set.factSources.map((one) => ({ ...one, jobs: [{ prefix }] })) }
    }
    t.ok(codes(jobs('/v1/batches')).includes('warning envoy/jobs-fail-open'))
    t.ok(codes(jobs('/v1/fine')).includes('warning envoy/jobs-fail-open'))
    t.notOk(codes(jobs('/v1/fine_tuning/jobs')).includes('warning envoy/jobs-fail-open'))
  })
  t.test('a class that is refused and known by its path gives none', async (t) => {
    const set = { ...emeaSet(), classes: [classOf('fine-tuning', 'refuse')] }
    t.notOk(codes(set).some((code) => code.includes('class-without-route')))
  })
})
