import type { Test } from 'tap'
import { explain } from '../../src/engine/explain.ts'
import type { Policy, RankEntry, Site } from '../../src/model/documents.ts'
import type { Facts } from '../../src/model/facts.ts'
import { max, order, policy, site, World, workload } from './world.ts'

const BY_PATH: readonly RankEntry[] = [{ signal: 'path.cost_ms', prefer: 'lower', within: 4 }]

const held = (...names: string[]): Partial<Site> => ({ holds: names.map((name) => ({ name })) })

/** Sites ams (which holds the index), fra and lon, 5, 10 and 15 ms from this gateway; chat needs the index near. */
const worldOf = (over: Partial<Policy> & { max?: number } = {}, near: readonly string[] = ['index']): World => {
  const { max: limit, ...rest } = over
  const world = new World({
    sites: [site('ams', held('index')), site('fra'), site('lon', held('cache'))],
    classes: [workload('chat', { near })],
    policies: [
      policy([['ams', 'fra', 'lon']], {
        rank: BY_PATH,
        ...(limit === undefined ? {} : { signals: { 'path.cost_ms': max(limit) } }),
        ...rest,
      }),
    ],
  })
  return world.samples({
    ams: { 'network.rtt_p95_ms': 5 },
    fra: { 'network.rtt_p95_ms': 10 },
    lon: { 'network.rtt_p95_ms': 15 },
  })
}

/** Round trips from other ends: `{ fra: { 'site:ams': 9 } }`. */
const links = (world: World, signal: string, values: Record<string, Record<string, number>>): World => {
  for (const [name, ends] of Object.entries(values))
    for (const [from, value] of Object.entries(ends)) world.samples({ [name]: { [signal]: value } }, { from })
  return world
}

const becauseOf = (world: World, over: Partial<Facts> = {}) => world.decide(over).because

/** What data weighs: the way of a request to its data, judged through decide. */
export function gravityCases(t: Test): void {
  t.test('the way to a target is its client leg and the legs to what is needed near', async (t) => {
    const world = links(worldOf(), 'site.rtt_ms', { fra: { 'site:ams': 9 }, lon: { 'site:ams': 30 } })
    t.equal(world.where(), 'ams/default', '5 against 19 and 45')
    links(world, 'client.rtt_p95_ms', {
      ams: { 'region:EMEA': 60 },
      fra: { 'region:EMEA': 20 },
      lon: { 'region:EMEA': 20 },
    })
    t.equal(world.where({ region: 'EMEA' }), 'fra/default', '29 against 60 and 50')
    t.ok(
      explain(world.facts({ region: 'EMEA' }), world.snapshot, world.tally, world.now).text.includes(
        'The way to fra/default is 29 ms: region:EMEA 20 + index@ams 9.',
      ),
    )
    t.equal(world.where({ region: 'APAC' }), 'ams/default', 'another region is measured from this gateway')
  })

  t.test("a client's ASN goes before its region, and only what all candidates share is compared", async (t) => {
    const world = links(worldOf({}, []), 'client.rtt_p95_ms', {
      ams: { 'asn:1136': 40, 'region:EMEA': 10 },
      fra: { 'asn:1136': 10, 'region:EMEA': 30 },
      lon: { 'asn:1136': 50, 'region:EMEA': 50 },
    })
    t.equal(world.where({ asn: 1136, region: 'EMEA' }), 'fra/default')
    t.equal(world.where({ asn: 99, region: 'EMEA' }), 'ams/default')
    const half = links(worldOf({}, []), 'client.rtt_p95_ms', { fra: { 'asn:1136': 2 } })
    t.equal(half.where({ asn: 1136 }), 'ams/default', 'what only one was measured from does not make it the nearest')
  })

  t.test('what no site in reach holds keeps a target out, by its name', async (t) => {
    const world = worldOf()
    t.equal(world.where(), 'ams/default', 'nobody knows the way from the others to ams')
    t.match(becauseOf(world), [
      { target: 'fra/default', constraint: 'data.near', measured: /index is held by no site in reach/ },
      { target: 'lon/default', constraint: 'data.near' },
    ])
    t.match(world.decide({ needs: { near: ['logs'] } }), { action: 'deny', reason: 'no-target' })
    t.equal(world.where({ needs: { near: ['cache'] } }), 'deny', 'no site holds both, and no way is known')
    links(world, 'site.rtt_ms', { ams: { 'site:lon': 12 } })
    t.equal(world.where({ needs: { near: ['cache'] } }), 'ams/default', 'a job adds to what its class needs')
    t.match(explain(world.facts({ needs: { near: ['logs'] } }), world.snapshot, world.tally, world.now).text, [
      /refused with 503/,
      /Policy/,
      /ams\/default was not chosen: data\.near logs is held by no site in reach/,
    ])
    const order1 = order('admit', { site: 'fra' }, { constraint: 'data.near' })
    t.match(world.overrides({ overrides: [order1] }).decide({ needs: { near: ['logs'] } }), {
      target: 'fra/default',
      override: 'admit-1',
    })
  })

  t.test('a way is as long from either end, and an old one is none', async (t) => {
    const world = links(worldOf({ ladder: { tiers: [['fra']] } }), 'site.rtt_ms', { ams: { 'site:fra': 9 } })
    t.equal(world.where(), 'fra/default')
    world.now += 901_000
    t.match(world.decide(), { action: 'deny', because: [{ constraint: 'data.near' }] })
  })

  t.test('a copy that is not there yet is none', async (t) => {
    const world = worldOf()
    const copied = { holds: [{ name: 'index', freshSince: world.now + 60_000 }] }
    world.documents({
      sites: [site('ams'), site('fra', copied)],
      classes: [workload('chat', { near: ['index'] })],
      policies: [policy([['ams', 'fra']])],
    })
    t.equal(world.where(), 'deny')
    world.now += 60_000
    t.equal(world.where(), 'fra/default')
  })

  t.test('a request does not fetch from outside its residency: what it asks would go there', async (t) => {
    const world = new World({
      sites: [site('lon', { jurisdictions: ['UK'], holds: [{ name: 'index' }] }), site('ams')],
      classes: [workload('chat', { near: ['index'] })],
      policies: [policy([['ams']])],
    })
    links(world, 'site.rtt_ms', { ams: { 'site:lon': 8 } })
    t.equal(world.where(), 'ams/default')
    t.equal(world.where({ residency: ['UK', 'EU'] }), 'ams/default')
    t.match(world.decide({ residency: ['EU'] }), { action: 'deny', because: [{ constraint: 'data.near' }] })
  })

  t.test('a policy and a job may limit the whole way, and the answer has its parts', async (t) => {
    const world = links(worldOf({ max: 25, rank: [] }), 'site.rtt_ms', {
      fra: { 'site:ams': 9 },
      lon: { 'site:ams': 30 },
    })
    t.match(becauseOf(world), [
      {
        target: 'lon/default',
        constraint: 'path.cost_ms',
        measured: 45,
        op: '<=',
        limit: 25,
        unit: 'ms',
        ageMs: 0,
        source: 'gateway 15 + index@ams 30',
      },
    ])
    for (let count = 0; count < 20; count++) t.not(world.where(), 'lon/default')
    const tight = { needs: { signals: { 'path.cost_ms': { max: 6 } } } }
    for (let count = 0; count < 20; count++) t.equal(world.where(tight), 'ams/default')
    t.equal(
      world.where({ needs: { signals: { 'path.cost_ms': { max: 60 } } } }) === 'lon/default',
      false,
      'never looser',
    )
  })

  t.test(
    'a way that nobody has measured is stale where a policy limits it, and no advantage where it ranks',
    async (t) => {
      const world = new World({
        sites: [site('ams'), site('fra')],
        policies: [policy([['ams', 'fra']], { signals: { 'path.cost_ms': max(25) }, rank: BY_PATH })],
      })
      t.match(world.decide(), {
        reason: 'lowest-risk',
        stale: ['ams/default path.cost_ms', 'fra/default path.cost_ms'],
      })
      world.samples({ fra: { 'network.rtt_p95_ms': 20 } })
      t.match(world.decide(), { target: 'fra/default', stale: ['ams/default path.cost_ms'] })
    },
  )

  t.test('a sample of what is worked out for each request is refused', async (t) => {
    const world = worldOf().samples({ fra: { 'path.cost_ms': 1 } })
    t.match(world.events.at(-1), { kind: 'samples-refused', signal: 'path.cost_ms', why: 'worked-out' })
    t.equal(world.where(), 'ams/default')
  })

  t.test("of equals, those whose network reaches the client's go first, then those that meet it", async (t) => {
    const world = new World({
      sites: [
        site('ams', { network: { asns: [1136, 3320], exchanges: ['AMS-IX'] } }),
        site('fra', { network: { asns: [3320], exchanges: ['DE-CIX'], meetMeRooms: ['FR5'] } }),
        site('lon', { network: { exchanges: ['AMS-IX'] } }),
        site('dxb'),
      ],
      policies: [
        policy([['ams', 'fra', 'lon', 'dxb']]),
        policy([['lon', 'dxb']], { name: 'q', priority: 1, when: 'tier == far' }),
      ],
    })
    const reached = (over: Partial<Facts>) => {
      world.tally.dispatched = {}
      return [
        ...new Set(
          Array.from({ length: 200 }, (_, index) => world.where({ ...over, seed: String(index).padStart(16, '0') })),
        ),
      ].sort()
    }
    t.same(reached({ asn: 1136 }), ['ams/default'])
    t.same(reached({ asn: 3320 }), ['ams/default', 'fra/default'])
    t.same(reached({ asn: 1136, tier: 'far' }), ['lon/default'], 'an exchange that the network of the client is at')
    t.equal(reached({ asn: 65_000 }).length, 4, 'a network that nobody names')
    t.equal(reached({}).length, 4)
    const facts = world.facts({ asn: 1136, tier: 'far' })
    const { text } = explain(facts, world.snapshot, world.tally, world.now)
    t.ok(text.includes('Of equals lon goes first: its network meets one that reaches AS1136.'), text.join('\n'))
  })

  t.test('preferences go before networks', async (t) => {
    const world = new World({
      sites: [site('ams', { network: { asns: [1136] } }), site('fra')],
      policies: [policy([['ams', 'fra']], { rank: [{ signal: 'carbon.g_per_kwh', prefer: 'lower', within: 20 }] })],
    })
    world.samples({ ams: { 'carbon.g_per_kwh': 300 }, fra: { 'carbon.g_per_kwh': 100 } })
    t.equal(world.where({ asn: 1136 }), 'fra/default')
  })

  t.test('a session that changes its target names the one before, so that caches can follow', async (t) => {
    const world = new World({
      sites: [site('ams'), site('fra')],
      policies: [policy([['ams'], ['fra']], { session: 'sticky' })],
    })
    const session = { verdict: 'valid', target: 'ams/default' } as const
    const asked = { sessionKey: 'k', session }
    t.match(world.decide(asked), { session: 'kept', movedFrom: undefined })
    world.overrides({ overrides: [order('drain', { site: 'ams' })] })
    const moved = world.decide(asked)
    t.match(moved, { target: 'fra/default', session: 'moved', movedFrom: 'ams/default' })
    const { text } = explain(world.facts(asked), world.snapshot, world.tally, world.now)
    t.ok(text.includes('The session was on ams/default before, and what it has cached is there.'))
    t.equal(world.decide({ sessionKey: 'k' }).movedFrom, undefined, 'a new one has no before')
    t.equal(
      world.overrides({ overrides: [order('drain', { site: 'ams' }), order('drain', { site: 'fra' })] }).decide(asked)
        .movedFrom,
      undefined,
      'and one that goes nowhere has not moved',
    )
    const alone = new World({
      sites: [site('ams')],
      policies: [policy([['ams']], { session: 'sticky' })],
    }).probe(['ams'], 'refused', 5)
    t.match(alone.decide(asked), { reason: 'panic', target: 'ams/default', session: 'kept', movedFrom: undefined })
  })
}
