import http from 'node:http'

/*
 * A closed loop of clients in a process of its own: `node bench/load.ts PORT CONCURRENCY REQUESTS`. Prints one line of
 * JSON: how long each percentile of requests took, in milliseconds, how long all took, and what went wrong.
 */

const [port, concurrency, requests] = process.argv.slice(2).map(Number) as [number, number, number]
const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency })
const headers = {
  authorization: 'Bearer not-a-secret',
  'x-tenant': 'tenant-1',
  'x-region': 'EMEA',
  'user-agent': 'bench',
  accept: 'application/json',
  'x-request-source': 'bench',
}

const once = (): Promise<number> =>
  new Promise((resolve) => {
    const request = http.request(
      { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'GET', agent, headers },
      (response) => {
        response.resume()
        response.once('end', () => resolve(response.statusCode ?? 0))
      },
    )
    request.once('error', () => resolve(-1))
    request.end()
  })

const times = new Float64Array(requests)
let next = 0
let bad = 0
const start = performance.now()
await Promise.all(
  Array.from({ length: concurrency }, async () => {
    for (let i = next++; i < requests; i = next++) {
      const from = performance.now()
      const status = await once()
      times[i] = performance.now() - from
      if (status !== 200) bad += 1
    }
  }),
)
const wallMs = performance.now() - start
times.sort()
const at = (share: number): number => times[Math.min(requests - 1, Math.floor(requests * share))]!
console.log(JSON.stringify({ requests, bad, wallMs, p50Ms: at(0.5), p99Ms: at(0.99) }))
agent.destroy()
