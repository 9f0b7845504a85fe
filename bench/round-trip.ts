import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** The time of one ext_proc stream between two processes on a unix socket, as a gRPC client in Node sees it. */
export const benchRoundTrip = async (rounds = 5_000): Promise<{ readonly p50Us: number; readonly p99Us: number }> => {
  const here = import.meta.dirname
  const folder = mkdtempSync(join(tmpdir(), 'hubward-trip-'))
  const socket = join(folder, 's.sock')
  const child = spawn(process.execPath, [join(here, 'serve.ts'), socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const definition = loadSync('envoy/service/ext_proc/v3/external_processor.proto', {
    keepCase: true,
    includeDirs: [join(here, '..', 'proto')],
  })
  const method = (
    definition['envoy.service.ext_proc.v3.ExternalProcessor'] as unknown as {
      Process: {
        path: string
        requestSerialize: (value: object) => Buffer
        responseDeserialize: (bytes: Buffer) => object
      }
    }
  ).Process
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  const headers = [':method', ':path', ':authority', 'x-tenant', 'x-region', 'user-agent'].map((key) => ({
    key,
    raw_value: Buffer.from(key),
  }))
  const once = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const call = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize)
      call.on('data', () => {
        call.end()
        resolve()
      })
      call.on('error', reject)
      call.write({ request_headers: { headers: { headers }, end_of_stream: true } })
    })
  for (let i = 0; i < 2_000; i++) await once()
  const times = new Float64Array(rounds)
  for (let i = 0; i < rounds; i++) {
    const from = performance.now()
    await once()
    times[i] = (performance.now() - from) * 1_000
  }
  client.close()
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
  rmSync(folder, { recursive: true, force: true })
  times.sort()
  return { p50Us: times[Math.floor(rounds * 0.5)]!, p99Us: times[Math.floor(rounds * 0.99)]! }
}

if (import.meta.main) console.log(execFileSync('nproc', { encoding: 'utf8' }).trim(), await benchRoundTrip())
