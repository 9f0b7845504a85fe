import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PerformanceObserver } from 'node:perf_hooks'
import { processingRequest, requestHeaders } from '../../bench/messages.ts'
import { openPath, PATH_DEFAULT } from '../../bench/path.ts'
import { HealthService } from '../../src/envoy/health-service.ts'
import { SELF_WARM_CHECK } from '../../src/envoy/self-warm-messages.ts'
import { Connection } from '../../src/envoy/transport/connection.ts'
import { limitsOf } from '../../src/envoy/transport/limits.ts'
import { Memory } from '../../src/envoy/transport/memory.ts'
import { methodsOf } from '../../src/envoy/transport/services.ts'
import { CountedStreams, GREETING } from './counted-streams.ts'

/*
 * Bytes that the request path allocates for a request, as one line of JSON by what is done: in itself, with the transport
 * below it, and with a little more of what a careless change would add. counted.ts starts it without the optimising
 * compilers: what is allocated then is what is written, to the byte, and does not depend on when they came by.
 */

const REQUESTS = 1_000
const ROUNDS = 3
const WARM = 2_000
const BATCH = 200

const folder = mkdtempSync(join(tmpdir(), 'hubward-counted-'))
// Of the first nothing is kept: a record is built later, and is no part of what a client waits for.
const path = openPath({ ...PATH_DEFAULT, share: 0, folder: join(folder, 'none'), cluster: 'a' })
const keeping = openPath({ ...PATH_DEFAULT, share: 1, folder: join(folder, 'all'), cluster: 'a' })
const { handlers } = path
const messages = Array.from({ length: 1_000 }, (_, i) => processingRequest(requestHeaders(i)))
const message = (i: number): Buffer => messages[i % messages.length]!
let kept: unknown

const limits = limitsOf()
let said = 0
let isOver = false
const over = (): void => {
  isOver = true
}
const connection = new Connection(
  {
    methods: methodsOf(handlers, new HealthService(), { count: 0 }),
    ...{ limits, now: () => 0, memory: new Memory(limits.serverBytesMax) },
    bug: (error) => console.error(error),
  },
  {
    write: (parts) => {
      for (const part of parts) said += part.length
    },
    ...{ queued: () => 0, end: over, destroy: over },
  },
)
const streams = new CountedStreams(messages)
connection.read(GREETING)

/** By name, what is made ready before the count begins, and what is counted. */
interface Way {
  readonly ready?: (count: number) => void
  readonly run: (i: number) => void
  /** What happens after each two hundred of them, and counts. */
  readonly settle?: () => Promise<void>
}

let chunks: readonly Buffer[] = []
const WAYS: Readonly<Record<string, Way>> = {
  nothing: {
    run: (i) => {
      kept = message(i)
    },
  },
  'ext_proc request': {
    run: (i) => {
      kept = handlers.process(message(i), {})
    },
  },
  'ext_authz request': {
    run: () => {
      kept = handlers.check(SELF_WARM_CHECK)
    },
  },
  'ext_proc request on the own transport': {
    ready: (count) => {
      chunks = Array.from({ length: count }, () => streams.next(1))
    },
    run: (i) => {
      connection.read(chunks[i]!)
    },
  },
  'ext_proc request that is kept, with its record': {
    run: (i) => {
      kept = keeping.handlers.process(message(i), {})
    },
    settle: () => keeping.journal.flush(),
  },
  'ext_proc request and one header more that is read': {
    run: (i) => {
      kept = handlers.process(message(i), {})
      kept = message(i).toString('latin1', 60, 120)
    },
  },
  'ext_proc request and an object more': {
    run: (i) => {
      const answer = handlers.process(message(i), {})
      kept = { answer, number: i, name: 'more', list: [i] }
    },
  },
}

// For whoever counts instructions: so many requests and nothing else.
const only = Number(process.argv[2] ?? 0)
if (only > 0) {
  for (let i = 0; i < only; i++) WAYS['ext_proc request']!.run(i)
  rmSync(folder, { recursive: true, force: true })
  process.exit(0)
}

const observer = new PerformanceObserver(() => {})
observer.observe({ entryTypes: ['gc'] })
const repeat = async ({ run, settle }: Way, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    run(i)
    if (settle !== undefined && i % BATCH === BATCH - 1) await settle()
  }
}
const round = async (way: Way): Promise<number> => {
  way.ready?.(REQUESTS)
  globalThis.gc!()
  observer.takeRecords()
  const before = process.memoryUsage().heapUsed
  await repeat(way, REQUESTS)
  const grown = process.memoryUsage().heapUsed - before
  if (observer.takeRecords().length > 0) throw new Error('a collection has taken away what was to be counted')
  return grown / REQUESTS
}

const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
const counted: Record<string, number> = {}
for (const [name, way] of Object.entries(WAYS)) {
  way.ready?.(WARM)
  await repeat(way, WARM)
  const rounds: number[] = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(way))
  counted[name] = Math.round(middle(rounds))
}
if (isOver || said < REQUESTS * 100 || kept === undefined) throw new Error('the connection did not last')
await path.close()
await keeping.close()
rmSync(folder, { recursive: true, force: true })
console.log(JSON.stringify(counted))
process.exit(0)
