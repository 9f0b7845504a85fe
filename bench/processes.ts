import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../src/config.ts'
import { readDocuments } from '../src/documents/read.ts'
import { fold } from '../src/engine/fold.ts'
import { envoyConfig } from '../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../src/envoy/config/options.ts'
import { createLog } from '../src/log.ts'
import { createMetrics } from '../src/metrics.ts'
import type { Change } from '../src/model/change.ts'
import { processSocket } from '../src/model/process-address.ts'
import { signingKeys } from '../src/request/signing-keys.ts'
import { openProcesses } from '../src/sidecar/processes/processes.ts'
import { createTally } from '../src/sidecar/tally.ts'
import { createStore } from '../src/store.ts'
import { e2eDocuments } from '../test/helpers/e2e-documents.ts'
import { hubwardFolder } from '../test/helpers/hubward-process.ts'
import { instantSites } from '../test/helpers/instant-sites.ts'
import { ask, childEnvironment, startEnvoy, until } from '../test/helpers/running-envoy.ts'
import { NOW, worldOf } from './engine.ts'
import { runLoad } from './load.ts'
import { cpuUsOf, rssMbOf } from './peers.ts'
import { openStreams } from './raw-streams.ts'
import { SIGNALS } from './second.ts'
import { table } from './table.ts'

/*
 * Several processes behind one cluster: what they answer, what each request costs, and what it costs to keep them at one
 * snapshot. `node bench/processes.ts [SECONDS] [ROUNDS]` writes its section of docs/benchmarks.md.
 */

const FILE = join(import.meta.dirname, '..', 'docs', 'benchmarks.md')
const TITLE = 'Several processes'
const COUNTS = [1, 2, 3, 4] as const
const PATH = '/v1/summaries'
/** Requests after which a process is taken to be warm, and how long that is waited for. */
const WARM_REQUESTS = 60_000
const WARM_MS_MAX = 30_000

interface Hubward {
  readonly sockets: readonly string[]
  /** CPU of the main process, and of all others, in microseconds. */
  readonly cpuUs: () => readonly [main: number, others: number]
  readonly rssMb: () => readonly number[]
  readonly stop: () => Promise<void>
}

const startHubward = async (folder: string, documents: string, processes: number): Promise<Hubward> => {
  const { config, socket } = hubwardFolder(folder, documents, {
    ...{ processes, transport: 'own', log: { level: 'info' } },
  })
  const cli = join(import.meta.dirname, '..', 'src', 'cli', 'hubward.ts')
  const child: ChildProcess = spawn(process.execPath, [cli, 'serve', '--config', config], {
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout!.on('data', (part) => {
    out += part
  })
  child.stderr!.on('data', (part) => {
    err += part
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await until('hubward', () => out.includes('\n') || child.exitCode !== null, 60_000)
  if (child.exitCode !== null) throw new Error(err)
  await until('all processes', () => err.split('"decider":').length === processes)
  const others = [...err.matchAll(/"decider":(\d+)/g)].map(([, pid]) => Number(pid))
  return {
    sockets: Array.from({ length: processes }, (_, index) => processSocket(socket, index)),
    cpuUs: () => [cpuUsOf(child.pid), others.reduce((sum, pid) => sum + cpuUsOf(pid), 0)],
    rssMb: () => [child.pid!, ...others].map((pid) => rssMbOf(pid)),
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}

const inFolder = async <T>(run: (folder: string) => Promise<T>): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-bench-'))
  try {
    return await run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

interface Row {
  readonly processes: number
  readonly perSecond: number
  readonly mainUs: number
  readonly othersUs: number
  /** CPU of all processes by request. */
  readonly requestUs: number
  readonly clientUs: number
  readonly rssMb: readonly number[]
  readonly failed: number
}

const measured = (
  processes: number,
  seconds: number,
  answered: number,
  failed: number,
  before: readonly [number, number],
  after: readonly [number, number],
  clientUs: number,
  rssMb: readonly number[],
): Row => {
  const [mainUs, othersUs] = [after[0] - before[0], after[1] - before[1]]
  const by = (us: number): number => us / Math.max(1, answered)
  return {
    ...{ processes, perSecond: answered / seconds, failed, rssMb },
    ...{ mainUs: by(mainUs), othersUs: by(othersUs), requestUs: by(mainUs + othersUs), clientUs: by(clientUs) },
  }
}

/** Straight on the sockets, as many requests as all of them together answer. */
const onSockets = (processes: number, seconds: number): Promise<Row> =>
  inFolder(async (folder) => {
    const hubward = await startHubward(folder, e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 }), processes)
    const streams = openStreams(hubward.sockets, { path: PATH, connections: 2, open: 16 })
    try {
      // By requests and not by time: a process that gets little of a core is not warm after seconds.
      const warmBy = performance.now() + WARM_MS_MAX
      while (streams.result().answered < WARM_REQUESTS * processes && performance.now() < warmBy) await later(50)
      const before = hubward.cpuUs()
      const client = process.cpuUsage()
      streams.reset()
      await later(seconds * 1_000)
      const { answered, failed, wallMs } = streams.result()
      const { user, system } = process.cpuUsage(client)
      const after = hubward.cpuUs()
      return measured(processes, wallMs / 1_000, answered, failed, before, after, user + system, hubward.rssMb())
    } finally {
      streams.stop()
      await hubward.stop()
    }
  })

/** Through a real Envoy of two workers, with its access log. */
const throughEnvoy = (processes: number, seconds: number): Promise<Row> =>
  inFolder(async (folder) => {
    const { ports, envoy: sites } = await instantSites(['ams', 'fra', 'lon', 'dxb'])
    const documents = e2eDocuments(ports)
    const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
    const hubward = await startHubward(folder, documents, processes)
    const envoy = await startEnvoy(
      envoyConfig(set!, {
        ...ENVOY_OPTIONS_DEFAULT,
        ...{ listener: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 }, accessLog: undefined },
        ...{ sidecar: { path: hubward.sockets[0]! }, processes, residency: { by: 'listener', class: 'eu' } },
      }),
      2,
    )
    try {
      const port = await envoy.port()
      await until(
        'a decision',
        async () => (await ask(port, '/v1/chat/completions')).headers['x-hubward-site'] !== undefined,
      )
      const asked = { port, connections: 64, mark: 'x-hubward-site' }
      await runLoad({ ...asked, requests: 12_000 * processes })
      const before = hubward.cpuUs()
      const result = await runLoad({ ...asked, requests: 5_000 * seconds })
      const { requests, wallMs, cpuMs, bad, byMark } = result
      const failed = bad + (byMark[''] ?? 0)
      return measured(
        processes,
        wallMs / 1_000,
        requests,
        failed,
        before,
        hubward.cpuUs(),
        cpuMs * 1_000,
        hubward.rssMb(),
      )
    } finally {
      await envoy.stop()
      await sites.stop()
      await hubward.stop()
    }
  })

interface FeedRow {
  readonly processes: number
  readonly mainMs: number
  readonly eachMs: number
  readonly joinMs: number
  readonly rssMb: number
}

const SITES = 1_000
const BATCHES = 20

/** What a second of telemetry costs the main process and each of the others: 1,000 sites of twenty signals each. */
const ofFeed = (processes: number, seconds: number): Promise<FeedRow> =>
  inFolder(async (folder) => {
    const store = createStore({ initial: worldOf(SITES, 20), fold })
    const tally = createTally(1)
    const metrics = createMetrics()
    const pids: number[] = []
    const log = createLog('silent')
    const quiet = Object.assign(Object.create(log), {
      info: (about: { decider?: number }) => about.decider !== undefined && pids.push(about.decider),
      error: (about: object, what: string) => console.error(what, about),
    })
    const config = {
      ...{ processes, listeners: [{ unix: join(folder, 'a.sock') }], transport: 'own', instance: 'bench', geo: {} },
      ...{ logLevel: 'warn', sidecars: 1, fractionalVersion: 2, drainMs: 0 },
      hold: { msMax: 0, countMax: 0, bytesMax: 0 },
      journal: { share: 0.01, movedPerSecond: 100, hide: [] },
    } as unknown as Config
    const all = openProcesses({
      ...{ config, metrics, log: quiet, now: Date.now, data: () => store.current.data, tally },
      keys: { session: signingKeys([['k', Buffer.alloc(32, 1)]]) },
      recordKey: Buffer.alloc(32),
      handlers: () => {
        throw new Error('nobody asks')
      },
      uncounted: () => undefined,
      bug: (error) => console.error(error),
      ...{ isKnown: () => false, measured: () => {}, turnedAway: () => {}, moved: () => {} },
      ...{ onPanic: () => {}, onStale: () => {}, accessLog: () => {} },
      journal: { takeIn: () => {}, leaveOut: () => {} },
    })
    store.subscribe((_snapshot, _events, change) => all.changed(change))
    const joining = process.cpuUsage()
    await all.start()
    const joined = process.cpuUsage(joining)
    const run = async (from: number, until: number): Promise<void> => {
      for (let second = from; second < until; second++) {
        const began = performance.now()
        for (let batch = 0; batch < BATCHES; batch++) {
          store.apply(changeOf(second, batch))
          await later(Math.max(0, began + (batch + 1) * 50 - performance.now()))
        }
        store.apply({ kind: 'time-passed', at: NOW + (second + 1) * 1_000 })
        all.tick()
      }
    }
    await run(0, 5)
    const before = pids.map((pid) => cpuUsOf(pid))
    const main = process.cpuUsage()
    await run(5, 5 + seconds)
    const { user, system } = process.cpuUsage(main)
    const used = pids.map((pid, index) => cpuUsOf(pid) - before[index]!)
    const rssMb = pids.length === 0 ? 0 : Math.max(...pids.map((pid) => rssMbOf(pid)))
    await all.drain(0)
    all.close()
    return {
      processes,
      mainMs: (user + system) / 1_000 / seconds,
      eachMs: used.length === 0 ? 0 : used.reduce((a, b) => a + b, 0) / used.length / 1_000 / seconds,
      joinMs: processes === 1 ? 0 : (joined.user + joined.system) / 1_000 / (processes - 1),
      rssMb,
    }
  })

const changeOf = (second: number, batch: number): Change => {
  const at = NOW + second * 1_000 + batch * 50
  const samples = Array.from({ length: SITES / BATCHES }, (_, i) => i * BATCHES + batch).flatMap((site) =>
    SIGNALS.map(([signal, value]) => ({
      ...{ signal, site: `s${site}`, at, source: 'bench', count: 5_000, dispatchedBefore: 0 },
      ...(signal.startsWith('cooling.') ? { loop: 'cdu-1' } : {}),
      value: signal.endsWith('ratio') && signal !== 'pue.ratio' ? value : value * (1 + 0.02 * Math.sin(second + site)),
    })),
  )
  return { kind: 'samples-arrived', at, samples, heartbeats: [] }
}

const median = (all: readonly Row[]): Row =>
  all.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(all.length / 2)]!

/** What the processes would answer if each had a core to itself: as much as the one that works most for each request. */
const byCpu = ({ processes, mainUs, othersUs }: Row): number =>
  1e6 / Math.max(mainUs, processes === 1 ? 0 : othersUs / (processes - 1))

const rowsOf = (rows: readonly Row[]): string =>
  table(
    [
      'processes',
      'requests a second',
      'times one',
      'with a core each, by CPU',
      'CPU us',
      'of it main',
      'of it the others',
      'client us',
      'RSS MB',
      'failed',
    ],
    rows.map((row) => [
      ...[row.processes, Math.round(row.perSecond), (row.perSecond / rows[0]!.perSecond).toFixed(2)],
      `${Math.round(byCpu(row))}, ${(byCpu(row) / byCpu(rows[0]!)).toFixed(2)} times one`,
      ...[row.requestUs.toFixed(1), row.mainUs.toFixed(1), row.othersUs.toFixed(1), row.clientUs.toFixed(1)],
      ...[row.rssMb.map((mb) => mb.toFixed(0)).join(' + '), row.failed],
    ]),
  )

if (import.meta.main) {
  const before = loadavg()[0]!
  const [seconds, rounds] = [Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 3)]
  const turns = async (run: (processes: number, seconds: number) => Promise<Row>): Promise<Row[]> => {
    const all = COUNTS.map((): Row[] => [])
    for (let round = 0; round < rounds; round++)
      for (const [index, count] of COUNTS.entries()) all[index]!.push(await run(count, seconds))
    return all.map(median)
  }
  const straight = await turns(onSockets)
  console.log(rowsOf(straight))
  const through = await turns(throughEnvoy)
  console.log(rowsOf(through))
  const feed: FeedRow[] = []
  for (const count of [1, 2, 4]) feed.push(await ofFeed(count, 10))
  const feedTable = table(
    ['processes', 'main ms a second', 'each other ms a second', 'main ms for one to join', 'RSS MB of another'],
    feed.map((row) => [
      ...[row.processes, row.mainMs.toFixed(1), row.eachMs.toFixed(1), row.joinMs.toFixed(0), row.rssMb.toFixed(0)],
    ]),
  )
  const text = `## ${TITLE}

Measured on ${new Date().toISOString().slice(0, 10)} by \`node bench/processes.ts\`, ${cpus().length} cores, ${rounds} rounds of ${seconds} s in turns, medians. One process is hubward as it always was; with more, each has its own socket and its own copy of the snapshot. CPU is that of hubward's processes by request, what is handed over included. Client, Envoy and others (load average ${before.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after) share the cores, so requests a second show what fits beside them; what the processes could answer with a core each is worked out of the CPU of the one that works most.

Straight on the sockets, two connections of sixteen open streams to each, the real decision and the journal's default:

${rowsOf(straight)}

Through a real Envoy of two workers, 64 clients in a closed loop, access log on:

${rowsOf(through)}

1,000 sites of twenty signals a second, in twenty batches; the main process with fold, feed and comparison of parts:

${feedTable}
`
  console.log(feedTable)
  const page = existsSync(FILE) ? readFileSync(FILE, 'utf8') : '# Benchmarks\n'
  const parts = page.split(/^(?=## )/m).filter((part) => !part.startsWith(`## ${TITLE}\n`))
  writeFileSync(FILE, `${parts.map((part) => part.trimEnd()).join('\n\n')}\n\n${text}`)
}
