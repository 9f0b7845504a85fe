import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
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
import type { World } from './world.ts'

/** A world whose changes the registry of jobs hears of, as in a running sidecar; its state is in a folder of its own. */
export const jobsWorld = (
  test: Test,
  world: World,
  {
    stateDir,
    reservationLifeMs = 7_200_000,
    listenersMax = 3,
  }: { stateDir?: string; reservationLifeMs?: number; listenersMax?: number } = {},
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
  jobs.changed({ ...DOCUMENTS, at: world.now }, [])
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
