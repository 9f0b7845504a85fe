import { soak } from '../test/helpers/h2-soak.ts'

/*
 * The long soak: `node bench/soak.ts [REQUESTS] [TRANSPORT]`, five million requests through a real Envoy to our own
 * transport where nothing else is said. Says how far it is, and ends with 1 where a request failed, a connection was told
 * to go away, or the memory of the second half rose above that of the first.
 */

const requests = Number(process.argv[2] ?? 5_000_000)
const transport = process.argv[3] === 'grpc-js' ? 'grpc-js' : 'own'
const step = Math.max(1_000, Math.ceil(requests / 50))
/** What the memory of a process moves by itself, in MB. */
const NOISE_MB = 12

const start = performance.now()
const { byStatus, broken, rssMb, failed, goaways, timeouts, isAlive } = await soak({
  requests,
  transport,
  step,
  told: (done, mb) =>
    console.log(`${done} requests, ${mb.toFixed(1)} MB, ${((performance.now() - start) / 1_000).toFixed(0)} s`),
})
const half = Math.floor(rssMb.length / 2)
const highest = (list: readonly number[]): number => Math.max(...list)
// The first tenth is start-up.
const before = highest(rssMb.slice(Math.min(half - 1, Math.floor(rssMb.length / 10)), half))
const after = highest(rssMb.slice(half))
console.log(
  JSON.stringify({
    transport,
    requests,
    byStatus,
    broken,
    failed,
    goaways,
    timeouts,
    isAlive,
    beforeMb: before,
    afterMb: after,
  }),
)
const isGood =
  isAlive && byStatus[200] === requests && broken === 0 && failed === 0 && goaways === 0 && after <= before + NOISE_MB
process.exit(isGood ? 0 : 1)
