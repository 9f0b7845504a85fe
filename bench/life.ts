import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { ASKED, HELLO, type LiveWorld, RETURN_MS, readTrace, startLiveWorld, type Traced } from './live-world.ts'
import { type Loaded, runLoad } from './load.ts'
import { table } from './table.ts'

/*
 * What clients see while the world changes, with `hubward serve`, a real Envoy as `hubward envoy` configures it, and
 * sites that are processes: how soon a change is there, what fails open meanwhile, how soon a dead site is left and used
 * again. `node bench/life.ts [ROUNDS]`.
 */

/** A death or a change, seen from outside; milliseconds. */
export interface LifeRow {
  readonly what: string
  readonly rounds: number
  readonly p50: number
  readonly worst: number
}

/** All that was seen. */
export interface Life {
  readonly rows: readonly LifeRow[]
  readonly calm: Loaded
  readonly stormy: Loaded
  /** Requests while documents and flags changed. */
  readonly requests: number
  /** From here on a request was hurt. */
  readonly slowMs: number
  /** Of the calm ones, by Envoy's counters. */
  readonly calmFailedOpen: number
  /** Of these, while documents, flags and telemetry changed, by Envoy's counters. */
  readonly failedOpen: number
  readonly timeouts: number
  readonly streamsFailed: number
  /** Answers that carried no decision. */
  readonly unmarked: number
}

const RATE = 300
/** More than those that hang at once at that rate, until a hang is noticed. */
const CONNECTIONS = 1_200
/** A site is left alone for so long before it comes back. */
const GONE_MS = 3_500
const LOAD = { body: HELLO, connections: CONNECTIONS, rate: RATE } as const

const traced = async (world: LiveWorld, seconds: number, mark: string, meanwhile: () => Promise<void>) => {
  const trace = join(world.folder, 'trace')
  const [loaded] = await Promise.all([runLoad({ port: world.port, ...LOAD, seconds, mark, trace }), meanwhile()])
  return { loaded, requests: readTrace(trace, loaded.startMs) }
}

const isFrom = (site: string) => (one: Traced) => one.status === 200 && one.mark === site

interface Death {
  readonly detectMs: number
  readonly rerouteMs: number
  readonly lastHurtMs: number
  readonly hurt: number
  readonly returnMs: number
}

/** Takes the first choice away under load, and gives it back. */
const death = async (world: LiveWorld, kind: 'killed' | 'hangs', slowMs: number): Promise<Death> => {
  let goneAt = 0
  let backAt = 0
  const { requests } = await traced(world, (GONE_MS + RETURN_MS) / 1_000 + 5, 'x-site', async () => {
    await after(1_500)
    goneAt = Date.now()
    world.signal('ams', kind === 'killed' ? 'SIGKILL' : 'SIGSTOP')
    await after(GONE_MS)
    if (kind === 'killed') await world.restart('ams')
    else world.signal('ams', 'SIGCONT')
    backAt = Date.now()
  })
  const since = requests.filter(({ dueMs }) => dueMs >= goneAt)
  // Who got no answer, or waited much longer than anybody does in calm times, was hurt; a retry by Envoy hurts nobody.
  const hurt = since.filter(({ dueMs, endMs, status }) => dueMs < backAt && (status !== 200 || endMs - dueMs > slowMs))
  const elsewhere = since.filter(({ mark }) => mark !== 'ams' && mark !== '').map(({ endMs }) => endMs)
  const home = requests.filter((one) => one.dueMs > backAt && isFrom('ams')(one)).map(({ endMs }) => endMs)
  const detected = await world.toldAt('ams', 'down', goneAt)
  return {
    detectMs: (detected ?? Number.NaN) - goneAt,
    rerouteMs: Math.min(...elsewhere) - goneAt,
    lastHurtMs: Math.max(0, ...hurt.map(({ dueMs }) => dueMs - goneAt)),
    hurt: hurt.length,
    returnMs: Math.min(...home) - backAt,
  }
}

/** How long after a file was written the first answer shows it. */
const shown = (requests: readonly Traced[], writtenAt: number, mark: string): number =>
  Math.min(...requests.filter((one) => one.dueMs >= writtenAt && one.mark === mark).map(({ endMs }) => endMs)) -
  writtenAt

const flagsText = (site: string, version: number): string =>
  JSON.stringify({
    flags: {
      'chat-prefers-a-site': {
        ...{ state: 'ENABLED', variants: { on: { preferred_region: site }, off: {} }, defaultVariant: 'on' },
        metadata: { layer: 'preference', class: 'interactive-inference', owner: 'platform-routing@example.com' },
      },
      ...Object.fromEntries(
        Array.from({ length: 1_000 }, (_, i) => [
          `app-shows-banner-${i}`,
          {
            ...{ state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'off' },
            targeting: { if: [{ '==': [{ var: 'tenant' }, `t-${i}-${i % 10 === 0 ? version : 0}`] }, 'on', 'off'] },
          },
        ]),
      ),
    },
  })

/** Nobody waits so long in calm times, on a machine that has a core for it. */
const SLOW_MS = 500
const CHANGES = 12
/** Longer than a change takes, on a machine that is busy with all of this as well. */
const BETWEEN_MS = 1_500

const summed = (what: string, values: readonly number[]): LifeRow => {
  const sorted = values.toSorted((a, b) => a - b)
  return { what, rounds: sorted.length, p50: sorted[Math.floor(sorted.length / 2)]!, worst: sorted.at(-1)! }
}

/** Runs everything once; a death of each kind so often. */
export const benchLife = async (rounds = 3): Promise<Life> => {
  const world = await startLiveWorld()
  try {
    await runLoad({ port: world.port, ...LOAD, seconds: 4 })
    const counted = async (name: string): Promise<number> =>
      Object.values(await world.envoy.stats(`ext_proc.*${name}$`)).reduce((sum, count) => sum + count, 0)
    const counters = ['failure_mode_allowed', 'message_timeouts', 'streams_failed']
    const first = await counted(counters[0]!)
    const calm = await runLoad({ port: world.port, ...LOAD, seconds: 6, mark: 'x-hubward-policy' })
    const before = await Promise.all(counters.map(counted))

    const slowMs = Math.max(SLOW_MS, 2 * calm.p99Ms)
    const documents: { version: number; at: number }[] = []
    const byDocument = await traced(world, (CHANGES * BETWEEN_MS) / 1_000 + 2, 'x-hubward-policy', async () => {
      for (let i = 0; i < CHANGES; i++) {
        await after(BETWEEN_MS)
        const version = i + 2
        documents.push({ version, at: world.write('documents', world.documents('[[ams], [fra], [lon]]', version)) })
      }
    })
    const flags: { site: string; at: number }[] = []
    const byFlag = await traced(world, (CHANGES * BETWEEN_MS) / 1_000 + 2, 'x-hubward-site', async () => {
      for (let i = 0; i < CHANGES; i++) {
        await after(BETWEEN_MS)
        const site = i % 2 === 0 ? 'fra' : 'ams'
        flags.push({ site, at: world.write('flags', flagsText(site, i)) })
      }
    })
    const now = await Promise.all(counters.map(counted))
    const [failedOpen, timeouts, streamsFailed] = now.map((count, i) => count - before[i]!) as [number, number, number]

    const rows = [
      summed(
        'documents written: first answer decided by them',
        documents.map(({ version, at }) => shown(byDocument.requests, at, `chat@${version}`)),
      ),
      summed(
        'flags written: first answer that follows them',
        flags.map(({ site, at }) => shown(byFlag.requests, at, site)),
      ),
    ]
    for (const kind of ['killed', 'hangs'] as const) {
      const deaths: Death[] = []
      for (let round = 0; round < rounds; round++) deaths.push(await death(world, kind, slowMs))
      const of = (what: string, pick: (one: Death) => number): void =>
        void rows.push(summed(`a site ${kind}: ${what}`, deaths.map(pick)))
      of('hubward knows', ({ detectMs }) => detectMs)
      of('first answer from elsewhere', ({ rerouteMs }) => rerouteMs)
      of('the last request that was hurt was sent', ({ lastHurtMs }) => lastHurtMs)
      of('requests that were hurt', ({ hurt }) => hurt)
      of('back: first answer of its own', ({ returnMs }) => returnMs)
    }
    const requests = byDocument.loaded.requests + byFlag.loaded.requests
    const calmFailedOpen = before[0]! - first
    const unmarked = (byDocument.loaded.byMark[''] ?? 0) + (byFlag.loaded.byMark[''] ?? 0)
    return {
      rows,
      calm,
      stormy: byDocument.loaded,
      requests,
      slowMs,
      calmFailedOpen,
      failedOpen,
      timeouts,
      streamsFailed,
      unmarked,
    }
  } finally {
    await world.stop()
  }
}

/** All of it as text of the page. */
export const lifeText = (life: Life): string => {
  const { rows, calm, stormy, requests, slowMs, calmFailedOpen, failedOpen, timeouts, streamsFailed, unmarked } = life
  return `\`hubward serve\` with its own transport, a real Envoy as \`hubward envoy\` configures it, four sites that are processes, ${RATE} requests a second that come whatever has become of the others. Sites are asked every ${ASKED.intervalMs} ms by probe, metrics and Envoy's admin port, an answer may take ${ASKED.timeoutMs} ms, and Envoy's own health check has its default of a second. A site that comes back waits ${RETURN_MS} ms by its policy before it is used; that is part of the time. A change is one file that takes the place of another: ${CHANGES} times 213 documents, then ${CHANGES} times 1,001 flags. Milliseconds, by clients except where hubward's journal is what knows; hurt is who got no answer, or one after more than ${slowMs.toFixed(0)} ms.

${table(
  ['what', 'rounds', 'median', 'worst'],
  rows.map(({ what, rounds, p50, worst }) => [what, rounds, p50.toFixed(0), worst.toFixed(0)]),
)}

While documents and flags changed Envoy let ${failedOpen} of ${requests} requests pass undecided (message_timeout 200 ms: ${timeouts} timeouts, ${streamsFailed} failed streams), and ${unmarked} answers carried no decision; before that ${calmFailedOpen} of ${calm.requests}. p99 of a request was ${stormy.p99Ms.toFixed(1)} ms while documents changed and ${calm.p99Ms.toFixed(1)} ms before.`
}

if (import.meta.main) console.log(lifeText(await benchLife(Number(process.argv[2] ?? 3))))
