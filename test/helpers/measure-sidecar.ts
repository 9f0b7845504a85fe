import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { startSidecar } from '../../src/sidecar.ts'
import { type Loose, logOf } from './access-log-messages.ts'
import { e2eDocuments } from './e2e-documents.ts'
import { hubwardFolder } from './hubward-process.ts'

const SLO =
  'spec: { flexibility: inflexible, slo: { objectivePct: 99, ttft: 300ms, response: 2s, window: 30d }, whenHubwardIsDown: default }'
const LIMITED = 'class: interactive-inference, require: { signals: { slo.burn_1h_ratio: { max: 14.4, resume: 6 } } }, '

/** The documents of the end-to-end tests, with a promise for chat and a policy that leaves a site which breaks it. */
const DOCUMENTS = e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 }, 'timers: { stableFor: 0s, dwell: 1h }, ')
  .replace('spec: { flexibility: inflexible, whenHubwardIsDown: default }', SLO)
  .replace('class: interactive-inference, ', LIMITED)

/** A hubward of its own, asked over HTTP and told by gRPC as Envoy would. */
export const measuredSidecar = async (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-measured-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const { config: file, socket } = hubwardFolder(folder, DOCUMENTS)
  const start = async () => {
    const { config, problems } = readConfig({ file, environment: {} })
    if (config === null) throw new Error(JSON.stringify(problems))
    const sidecar = await startSidecar(config, createLog('silent'), '1.2.3')
    return { ...sidecar, url: sidecar.adminUrl }
  }
  let running = await start()
  t.teardown(() => running.stop())
  const ask = async (path: string, body?: unknown): Promise<{ status: number; json: Loose; text: string }> => {
    const answer = await fetch(`${running.url}${path}`, {
      ...(body === undefined
        ? {}
        : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const text = await answer.text()
    return { status: answer.status, text, json: text.startsWith('{') ? JSON.parse(text) : undefined }
  }
  /** So many chat requests are decided; gives their ids. */
  const decide = async (count: number, facts: object = {}): Promise<string[]> => {
    const { json } = await ask('/v1/decide', {
      facts: Array.from({ length: count }, () => ({ class: 'interactive-inference', residency: ['EU'], ...facts })),
      dispatch: true,
    })
    return json.decisions.map(({ id }: { id: string }) => id)
  }
  /** One stream of the access log, each list a message of its own. */
  const log = (...messages: (readonly Loose[])[]): Promise<void> =>
    new Promise((resolve, reject) => {
      const client = new Client(`unix:${socket}`, credentials.createInsecure())
      const call = client.makeClientStreamRequest(
        '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
        (entries: readonly Loose[]) => logOf(...entries),
        (bytes: Buffer) => bytes,
        (error) => {
          client.close()
          if (error === null) resolve()
          else reject(error)
        },
      )
      for (const entries of messages) call.write(entries)
      call.end()
    })
  return {
    ask,
    decide,
    log,
    url: () => running.url,
    restart: async () => {
      await running.stop()
      running = await start()
    },
  }
}

/** A line of the log as Envoy writes it: a request of this decision that a site served, and whatever else is said. */
export const lineOf = (
  decision: string,
  {
    ms = 900,
    bodyMs = 200,
    status = 200,
    cluster = 'ams-h100',
    tokens = 0,
  }: Partial<Record<'ms' | 'bodyMs' | 'status' | 'tokens', number>> & { cluster?: string } = {},
): Loose => {
  const now = Date.now() - ms
  const duration = (of: number) => ({ seconds: Math.floor(of / 1_000), nanos: (of % 1_000) * 1_000_000 })
  return {
    common_properties: {
      start_time: { seconds: Math.floor(now / 1_000), nanos: (now % 1_000) * 1_000_000 },
      time_to_first_upstream_tx_byte: duration(5),
      time_to_first_upstream_rx_byte: duration(40),
      duration: duration(ms),
      upstream_cluster: cluster,
      upstream_request_attempt_count: 1,
      custom_tags: {
        'hubward.first-body-us': String(bodyMs * 1_000),
        ...(tokens === 0 ? {} : { 'hubward.completion-tokens': String(tokens) }),
      },
      access_log_type: 6,
    },
    request: { request_headers: { 'x-hubward-decision': decision, 'x-hubward-action': 'route' } },
    response: { response_code: { value: status }, response_code_details: 'via_upstream' },
  }
}
