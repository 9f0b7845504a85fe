import fc from 'fast-check'
import type { Test } from 'tap'
import { hardBlock } from '../../src/engine/eligibility.ts'
import { softBlock } from '../../src/engine/fitness.ts'
import { policyFor } from '../../src/engine/precedence.ts'
import { sceneOf } from '../../src/engine/scene.ts'
import type { JobNeeds } from '../../src/model/facts.ts'
import { parseNeeds } from '../../src/request/needs.ts'
import { min, policy, pool, site, World, workload } from './world.ts'

const NAMES = ['ams', 'fra', 'lon', 'dxb']

/** Four unlike sites, everything measured. */
const worldOf = (): World => {
  const world = new World({
    sites: NAMES.map((name, index) =>
      site(name, {
        pools: [
          pool('p', { cluster: name, gpu: index % 2 === 0 ? 'H100' : 'B200', cooling: index < 2 ? 'liquid' : 'air' }),
        ],
        holds: index < 3 ? [{ name: 'kb' }] : [{ name: 'logs' }],
      }),
    ),
    classes: [workload('job', { whenHubwardIsDown: 'refuse' })],
    policies: [policy([NAMES], { class: 'job', signals: { 'power.headroom_mw': min(1) } })],
  })
  for (const [index, name] of NAMES.entries())
    world.samples({
      [name]: {
        'power.headroom_mw': index * 1.5,
        'cooling.headroom_kw': 400 * index,
        'gpu.free': 8 * index,
        'network.rtt_p95_ms': 40 - 10 * index,
      },
    })
  return world
}

/** The targets that a job with these needs may go to. */
const fitFor = (world: World, needs: JobNeeds | undefined): string[] => {
  const { data, programs } = world.snapshot
  const facts = world.facts({ class: 'job', ...(needs === undefined ? {} : { needs }) })
  const workloadOf = programs.classes.get('job')
  const found = policyFor(facts, workloadOf, programs)
  const scene = sceneOf(facts, data, programs, world.tally, world.now, found, workloadOf?.doc)
  return programs.targets
    .filter((target) => hardBlock(scene, target, undefined) < 0)
    .filter((target) => softBlock(scene, target, { stale: [], insufficient: [], waivedBy: null }) === undefined)
    .map((target) => target.name)
}

const part = fc.oneof(
  fc.tuple(fc.constantFrom('mw', 'power.headroom_mw'), fc.integer({ min: 0, max: 5 })).map((one) => one.join('=')),
  fc.tuple(fc.constantFrom('kw', 'cooling_kw'), fc.integer({ min: 0, max: 2_000 })).map((one) => one.join('=')),
  fc.tuple(fc.constantFrom('gpus', 'gpus_min', 'batch'), fc.integer({ min: 0, max: 30 })).map((one) => one.join('=')),
  fc.integer({ min: 0, max: 60 }).map((ms) => `latency_ms=${ms}`),
  fc.constantFrom('gpu=H100', 'gpu=H100|B200', 'gpu=B200|L4', 'cooling=liquid', 'cooling=liquid|air'),
  fc.constantFrom('near=kb', 'near=logs', 'near=nowhere', 'may-delay', 'no-delay', 'gpu.free>=9', 'a.b>=1'),
)

/** What a job says of itself only ever takes targets away. */
export function needsLaws(t: Test): void {
  t.test('whatever a job says it needs, it gets no target that the policy alone would not give it', async (t) => {
    const world = worldOf()
    const all = fitFor(world, undefined)
    t.same(all, ['fra/p', 'lon/p', 'dxb/p'], 'the policy has its say')
    let fewer = 0
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const { needs, unread } = parseNeeds(parts.join(', '))
        const fit = fitFor(world, needs)
        if (fit.length < all.length) fewer++
        return unread.length === 0 && fit.every((target) => all.includes(target))
      }),
      { numRuns: 1_000, seed: 11 },
    )
    t.ok(fewer > 500, 'and mostly it gets fewer')
  })

  t.test('a part more never gives a target back, and the order of the parts says nothing', async (t) => {
    const world = worldOf()
    // Heat that is stated corrects the heat that is taken for granted with power: the one part that says less than silence.
    const stated = part.filter((one) => !one.startsWith('cooling_kw'))
    const parts = fc.array(stated, { minLength: 1, maxLength: 8 })
    const details = fc.check(
      fc.property(parts, parts, (some, more) => {
        const before = fitFor(world, parseNeeds(some.join(',')).needs)
        const after = fitFor(world, parseNeeds([...some, ...more].join(',')).needs)
        const turned = fitFor(world, parseNeeds([...more, ...some].reverse().join(',')).needs)
        return after.every((target) => before.includes(target)) && String(after) === String(turned)
      }),
      { numRuns: 1_000, seed: 12 },
    )
    t.notOk(details.failed, JSON.stringify(details.counterexample))
  })
}
