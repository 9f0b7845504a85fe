import { runLoad } from './load.ts'
import { ALONE, goPeer, hubwardPeer, LUA, type Peer, startPeer } from './peers.ts'

/** What one peer came to under one kind of load: microseconds of CPU a request, milliseconds, and memory. */
export interface PeerRow {
  readonly peer: string
  readonly load: string
  readonly sidecarCpuUs: number
  readonly envoyCpuUs: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
  /** Of collections, what a request takes of them in microseconds, and the longest. */
  readonly gcUs: number
  readonly gcLongestMs: number
  /** The longest that the sidecar's event loop was kept; undefined where there is none. */
  readonly loopLongestMs: number | undefined
  readonly sidecarRssMb: number
  /** Answers that are not 2xx. */
  readonly bad: number
  /** Answers that did not go where the sidecar sends them, as a client sees it. */
  readonly failedOpen: number
  /** What Envoy counted: allowed by its failure mode, timeouts, failed streams. */
  readonly envoySays: number
  /** How late the load itself sent its 99th of a hundred. */
  readonly lateP99Ms: number
}

/** A kind of load. A closed one lasts so long; an open one has a rate. */
export interface LoadKind {
  readonly name: string
  readonly connections: number
  readonly seconds: number
  readonly rate?: number
}

/** What every peer can bear on two cores that it shares with Envoy, sites and the load. */
export const RATE = 1_500

/** One, thirty-two and 256 clients that wait for their answers, and a rate that does not wait. */
export const LOADS: readonly LoadKind[] = [
  { name: '1', connections: 1, seconds: 3 },
  { name: '32', connections: 32, seconds: 4 },
  { name: '256', connections: 256, seconds: 4 },
  { name: `open, ${RATE}/s`, connections: 256, seconds: 5, rate: RATE },
]

/** Enough that what is compiled is compiled. */
const WARM = { connections: 32, requests: 24_000 } as const
const ENVOY_SAYS = 'ext_proc.*(failure_mode_allowed|message_timeouts|streams_failed)$'

/** Sends the same traffic through Envoy with each peer in turn, several rounds, and gives the medians; undefined without Go. */
export const benchThroughEnvoy = async (rounds = 3): Promise<readonly PeerRow[] | undefined> => {
  const go = goPeer()
  if (go === undefined) return undefined
  const peers = [ALONE, LUA, go, hubwardPeer('hubward, grpc-js', 'grpc-js'), hubwardPeer('hubward, own', 'own')]
  return await inTurns(peers, rounds)
}

/** Every peer in turn, several rounds; the medians. */
export const inTurns = async (
  peers: readonly Peer[],
  rounds: number,
  loads: readonly LoadKind[] = LOADS,
): Promise<readonly PeerRow[]> => {
  const seen = new Map<string, PeerRow[]>()
  for (let round = 0; round < rounds; round++) {
    // The first of one round is the last of the next: what the machine does meanwhile meets everybody.
    for (const peer of round % 2 === 0 ? peers : peers.toReversed()) {
      for (const row of await measure(peer, loads)) {
        const key = `${row.peer}|${row.load}`
        seen.set(key, [...(seen.get(key) ?? []), row])
      }
    }
  }
  return peers.flatMap(({ name }) => loads.map((load) => median(seen.get(`${name}|${load.name}`)!)))
}

const measure = async (peer: Peer, loads: readonly LoadKind[]): Promise<PeerRow[]> => {
  const running = await startPeer(peer)
  const { port, envoy } = running
  const envoySays = async (): Promise<number> =>
    Object.values(await envoy.stats(ENVOY_SAYS)).reduce((sum, count) => sum + count, 0)
  try {
    await runLoad({ port, ...WARM })
    const rows: PeerRow[] = []
    for (const { name, connections, seconds, rate } of loads) {
      running.reset()
      const said = await envoySays()
      const before = [running.sidecarCpuUs(), running.envoyCpuUs()] as const
      const ends = rate === undefined ? { requests: 1e9, seconds } : { rate, seconds }
      const got = await runLoad({ port, connections, mark: 'body', ...ends })
      const sidecarCpuUs = (running.sidecarCpuUs() - before[0]) / got.requests
      const envoyCpuUs = (running.envoyCpuUs() - before[1]) / got.requests
      const report = await running.report()
      const gc = Object.values(report?.gc ?? {})
      rows.push({
        ...{ peer: peer.name, load: name, sidecarCpuUs, envoyCpuUs, perSecond: got.perSecond },
        ...{ p50Ms: got.p50Ms, p99Ms: got.p99Ms, longestMs: got.maxMs, lateP99Ms: got.lateP99Ms },
        gcUs: (gc.reduce((sum, { totalMs }) => sum + totalMs, 0) * 1_000) / got.requests,
        gcLongestMs: Math.max(0, ...gc.map(({ longestMs }) => longestMs)),
        loopLongestMs: report?.loopLongestMs,
        sidecarRssMb: running.sidecarRssMb(),
        bad: got.bad,
        failedOpen: peer === ALONE ? 0 : got.requests - got.bad - (got.byMark.a ?? 0),
        envoySays: (await envoySays()) - said,
      })
    }
    return rows
  } finally {
    await running.stop()
  }
}

const median = (rows: readonly PeerRow[]): PeerRow => {
  const middle = (pick: (row: PeerRow) => number): number =>
    rows.map(pick).sort((a, b) => a - b)[Math.floor(rows.length / 2)]!
  const most = (pick: (row: PeerRow) => number): number => Math.max(...rows.map(pick))
  const sum = (pick: (row: PeerRow) => number): number => rows.reduce((all, row) => all + pick(row), 0)
  return {
    ...rows[0]!,
    sidecarCpuUs: middle((row) => row.sidecarCpuUs),
    envoyCpuUs: middle((row) => row.envoyCpuUs),
    perSecond: middle((row) => row.perSecond),
    p50Ms: middle((row) => row.p50Ms),
    p99Ms: middle((row) => row.p99Ms),
    // What is the worst of all is the worst of all rounds.
    longestMs: most((row) => row.longestMs),
    gcUs: middle((row) => row.gcUs),
    gcLongestMs: most((row) => row.gcLongestMs),
    loopLongestMs: rows[0]!.loopLongestMs === undefined ? undefined : most((row) => row.loopLongestMs ?? 0),
    sidecarRssMb: most((row) => row.sidecarRssMb),
    bad: sum((row) => row.bad),
    failedOpen: sum((row) => row.failedOpen),
    envoySays: sum((row) => row.envoySays),
    lateP99Ms: middle((row) => row.lateP99Ms),
  }
}

if (import.meta.main) console.log(JSON.stringify(await benchThroughEnvoy(Number(process.argv[2] ?? 1)), null, 1))
