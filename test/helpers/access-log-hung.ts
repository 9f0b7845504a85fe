import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { closedPort, scriptedSite } from './access-log-world.ts'
import { e2eDocuments } from './e2e-documents.ts'
import { hubwardFolder, socketIn, startHubward } from './hubward-process.ts'
import { ask, startEnvoy, until } from './running-envoy.ts'

/** More than Envoy keeps of its log, in bytes: a batch, and what a connection buffers. Without a bound it is soon passed. */
const HELD_BYTES_MAX = 4 * 1024 * 1024

/** A real hubward that is stopped and goes on: requests are served all the while, and Envoy keeps no log for it. */
export const hungHubward = async (t: Test): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-hung-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const site = await scriptedSite(t, (_, response) => void response.end('ok'))
  const documents = e2eDocuments({ ams: site, fra: site, lon: site, dxb: await closedPort() })
  const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
  const hubward = startHubward(hubwardFolder(folder, documents))
  t.teardown(() => hubward.stop())
  const envoy = await startEnvoy(
    envoyConfig(set!, {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: socketIn(folder) },
      accessLog: undefined,
      healthPath: undefined,
      residency: { by: 'listener', class: 'eu' },
      logFlushMs: 20,
    }),
  )
  t.teardown(() => envoy.stop())
  const port = await envoy.port()
  const stat = async (name: string) => (await envoy.stats(name))[name] ?? 0
  const counted = (name: string) => stat(`access_logs.grpc_access_log.${name}`)
  // A long path makes a long line, so that few of them fill what Envoy keeps.
  const long = `/v1/chat/completions?${'x'.repeat(16_000)}`
  const chat = async () => (await ask(port, long)).status
  // Envoy begins to write before hubward is there to read, and each line is one more that is thrown away.
  await until(
    'hubward to be ready',
    async () => (await stat('cluster.hubward-sidecar.membership_healthy')) === 1,
    120_000,
  )
  await until('the first line that has been taken', async () => {
    await ask(port, '/v1/chat/completions')
    return (await counted('grpc_entries_flushed')) > 0
  })

  await t.test('keeps no request waiting, and its lines are thrown away and counted', async (t) => {
    const before = await stat('server.memory_allocated')
    const dropped = await counted('logs_dropped')
    hubward.process.kill('SIGSTOP')
    let [answers, peak] = [0, before]
    await until('Envoy to throw lines away', async () => {
      for (let i = 0; i < 50; i++, answers++) if ((await chat()) !== 200) throw new Error('not served')
      peak = Math.max(peak, await stat('server.memory_allocated'))
      return (await counted('logs_dropped')) > dropped + 100
    })
    t.ok(peak - before < HELD_BYTES_MAX, `${peak - before} bytes more with ${answers} lines of 16 kB`)
  })

  await t.test('gets the log again when it goes on', async (t) => {
    hubward.process.kill('SIGCONT')
    const before = await counted('grpc_entries_flushed')
    await until('a line that is taken', async () => {
      await ask(port, '/v1/chat/completions')
      return (await counted('grpc_entries_flushed')) > before
    })
    t.equal(await chat(), 200)
  })
}
