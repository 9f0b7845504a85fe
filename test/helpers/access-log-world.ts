import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { type EnvoyServer, startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import { handlersOf, type Judged } from '../../src/envoy/serving.ts'
import type { AccessEntry } from '../../src/model/outcome.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { e2eDocuments } from './e2e-documents.ts'
import { type RunningEnvoy, startEnvoy, until } from './running-envoy.ts'
import { decisionOf } from './scripted-judge.ts'

/** What a site does with a request, by its path. */
export type SiteScript = (request: IncomingMessage, response: ServerResponse) => void

/** A site that is closed when the test ends. */
export async function scriptedSite(t: Test, script: SiteScript): Promise<number> {
  const server = createServer((request, response) => {
    request.resume()
    script(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A port on which nobody answers. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The header x-want names the cluster, or the refusal; x-id the decision. */
const judge = (view: RequestView): Judged => {
  const want = view.header('x-want') ?? 'ams-h100'
  const common = { id: view.header('x-id') ?? 'd0', policy: 'chat@1', arm: 'treatment' } as const
  if (want === 'deny') {
    const outcome = { action: 'deny', status: 503, retryAfterMs: 5_000 } as const
    return { decision: decisionOf(outcome, { ...common, reason: 'no-target' }) }
  }
  const outcome = { action: 'route', target: `${want.split('-')[0]}/h100`, cluster: want } as const
  return { decision: decisionOf(outcome, common), extras: { session: 'a-secret-token' } }
}

/** The generated Envoy with a hubward that writes down what the access log tells it. */
export interface AccessLogWorld {
  readonly envoy: RunningEnvoy
  readonly port: number
  readonly entries: AccessEntry[]
  readonly failures: string[]
  /** Waits for the entry of this decision. */
  readonly entry: (decision: string) => Promise<AccessEntry>
  /** Ends hubward at once, as a kill would. */
  readonly kill: () => void
  readonly restart: () => Promise<void>
}

/** Starts it for these sites; dxb is a port on which nobody answers. */
export async function accessLogWorld(
  t: Test,
  sites: { readonly ams: number; readonly fra: number; readonly dxb: number },
  more: Partial<EnvoyOptions> = {},
): Promise<AccessLogWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-access-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const socket = join(folder, 's.sock')
  // A pair whose first member is dead: what heals it is Envoy.
  const text = e2eDocuments({ ...sites, lon: sites.fra })
    .replace('jurisdictions: [AE]', 'jurisdictions: [AE, EU]')
    .replace('ladder: [[ams], [fra], [lon]]', 'ladder: [[dxb], [ams], [fra]]')
  const { set, problems } = readDocuments([{ path: 'all.yaml', text }])
  if (set === null) throw new Error(JSON.stringify(problems))
  const entries: AccessEntry[] = []
  const failures: string[] = []
  const failed = (error: unknown, where: string): void => void failures.push(`${where}: ${(error as Error).message}`)
  let server: EnvoyServer | undefined
  const restart = async (): Promise<void> => {
    const accessLog = (some: readonly AccessEntry[]): void => void entries.push(...some)
    const started = await startEnvoyServer([{ unix: socket }], { ...handlersOf({ judge, failed }), accessLog })
    started.setServing(true)
    server = started
  }
  await restart()
  t.teardown(() => server?.close())
  const envoy = await startEnvoy(
    envoyConfig(set, {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: socket },
      accessLog: undefined,
      healthPath: undefined,
      residency: { by: 'listener', class: 'eu' },
      messageTimeoutMs: 10_000,
      logFlushMs: 50,
      ...more,
    }),
  )
  t.teardown(() => envoy.stop())
  const healthy = async () =>
    (await envoy.stats('^cluster.hubward-sidecar.membership_healthy$'))[
      'cluster.hubward-sidecar.membership_healthy'
    ] === 1
  await until('hubward to be known as healthy', healthy)
  return {
    envoy,
    port: await envoy.port(),
    entries,
    failures,
    entry: (decision) => until(`the entry of ${decision}`, () => entries.find((one) => one.decision === decision)),
    kill: () => server?.close(),
    restart,
  }
}
