import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type AdminSettings, startAdmin } from '../../src/admin/server.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Decision } from '../../src/model/decision.ts'
import { EMPTY_SET } from '../../src/model/documents.ts'
import type { Event } from '../../src/model/event.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'
import { createFactsJudge, createJudge, type JudgeParts } from '../../src/sidecar/judge.ts'
import { openJobs } from '../../src/sidecar/open-jobs.ts'
import { createTally } from '../../src/sidecar/tally.ts'
import { flagsOf } from './flagd-view.ts'
import { nothingMeasured } from './measure-view.ts'
import { plannerOf } from './planner-view.ts'
import { rolloutsOf } from './rollout-world.ts'
import { max, min, policy, site, World, workload } from './world.ts'

/** A world whose changes the registry of jobs hears of, as in a running sidecar; its state is in a folder of its own. */
export const jobsWorld = (
  test: Test,
  world: World,
  {
    stateDir,
    reservationLifeMs = 7_200_000,
    listenersMax = 3,
    documents = true,
  }: { stateDir?: string; reservationLifeMs?: number; listenersMax?: number; documents?: boolean } = {},
) => {
  const folder = stateDir ?? mkdtempSync(join(tmpdir(), 'hubward-jobs-'))
  if (stateDir === undefined) test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const metrics = createMetrics()
  const tally = createTally(1)
  const told: Event[] = []
  const bugs: unknown[] = []
  const kept: Decision[] = []
  const foldAlone = world.apply.bind(world)
  world.apply = (change) => {
    const before = world.events.length
    foldAlone(change)
    jobs.changed(change, world.events.slice(before))
    return world
  }
  const clock = { now: () => world.now }
  const jobs = openJobs({
    config: { stateDir: folder, jobs: { reservationLifeMs, listenersMax } },
    clock,
    store: {
      get current() {
        return world.snapshot
      },
      apply: (change) => void world.apply(change),
    },
    tally,
    metrics,
    log: createLog('silent'),
    told: (event) => told.push(event),
    bug: (error) => bugs.push(error),
  })
  test.teardown(() => jobs.close())
  // The documents were there before the registry.
  if (documents) jobs.changed({ ...DOCUMENTS, at: world.now }, [])
  const parts: JudgeParts = {
    clock,
    current: () => world.snapshot,
    readFacts: () => compileFacts([], []),
    tally,
    metrics,
    journal: { wants: () => 'job', keep: ({ decision }) => kept.push(decision) },
    sessionKeys: signingKeys([['k1', Buffer.alloc(32, 7)]]),
    hops: undefined,
    admit: jobs.admit,
    onPanic: () => {},
    onStale: () => {},
  }
  return {
    jobs,
    view: jobs.view(createFactsJudge(parts)),
    judge: (readFacts: JudgeParts['readFacts']) => createJudge({ ...parts, readFacts }),
    metrics,
    tally,
    told,
    bugs,
    kept,
    folder,
  }
}

const DOCUMENTS = {
  kind: 'documents-accepted',
  source: 'test',
  version: '',
  nonce: '',
  hash: '',
  set: EMPTY_SET,
  problems: [],
} as const

/** An admin server over such a world, asked by whoever knows its address. */
export const jobsServer = async (
  test: Test,
  world: World,
  { settings = {}, ...options }: Parameters<typeof jobsWorld>[2] & { settings?: Partial<AdminSettings> } = {},
) => {
  const made = jobsWorld(test, world, options)
  const planner = plannerOf(world)
  const server = await startAdmin(
    { host: '127.0.0.1', port: 0, hosts: [], waitersMax: 3, ...settings },
    {
      version: '1.2.3',
      instance: 'here',
      now: () => world.now,
      data: () => world.snapshot.data,
      sources: () => [],
      ready: () => ({ ready: true, because: [] }),
      siteReady: () => undefined,
      metrics: { text: async () => '', contentType: 'text/plain' },
      jobs: made.view,
      planner: planner.view,
      measure: nothingMeasured,
      flags: flagsOf(world, made.view),
      rollouts: rolloutsOf(world, made.folder).view,
    },
    { onError: (error) => made.bugs.push(error), onProblem: () => {} },
  )
  test.teardown(() => server.close())
  return { ...made, planner, server, url: server.url }
}

/**
 * Training and chat at these sites in turn, with so much power to spare; training waits where signals are stale. There is
 * always a site fra, though nothing may go there.
 */
export const campusWorld = (mw = 5, sites: readonly string[] = ['ams']): World => {
  const world = new World({
    sites: [...new Set([...sites, 'fra'])].map((name) => site(name)),
    residencies: [{ metadata: { name: 'eu' }, allows: ['EU'] }],
    classes: [
      workload('training', {
        whenHubwardIsDown: 'refuse',
        flexibility: 'pausable',
        whenStale: { action: 'delay', alert: true },
      }),
      workload('chat'),
    ],
    policies: [
      policy(
        sites.map((name) => [name]),
        {
          name: 'training',
          class: 'training',
          signals: { 'power.headroom_mw': min(1, 1.5) },
          otherwise: [{ action: 'delay', retryAfterMs: 30_000 }],
        },
      ),
      policy(
        sites.map((name) => [name]),
        {
          signals: { 'queue.depth': max(40) },
          degraded: { site: sites[0]!, model: 'llama', rewriteBody: false },
          otherwise: [{ action: 'degrade' }, { action: 'deny' }],
        },
      ),
    ],
  })
  return world.samples(Object.fromEntries(sites.map((name) => [name, { 'power.headroom_mw': mw, 'queue.depth': 1 }])))
}
