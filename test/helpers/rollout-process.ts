import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { startSidecar } from '../../src/sidecar.ts'
import { type Loose, logOf } from './access-log-messages.ts'
import { e2eDocuments } from './e2e-documents.ts'
import { hubwardFolder, type RunningHubward, startHubward } from './hubward-process.ts'
import { lineOf } from './measure-sidecar.ts'
import { childEnvironment, until } from './running-envoy.ts'

const CHAT = 'class: interactive-inference, ladder'

/** The end-to-end documents with a second version of chat, Frankfurt first, and a rollout of it. */
const documents = (rolloutSpec: string): string => `${e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 }).replace(
  CHAT,
  'class: interactive-inference, experiments: { cohorts: ["*"] }, ladder',
)}---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 2, owner: platform-routing@example.com }
spec: { class: interactive-inference, experiments: { cohorts: ["*"] }, ladder: [[fra], [ams], [lon]], otherwise: [{ action: deny }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Rollout
metadata: { name: frankfurt-first, owner: platform-routing@example.com }
spec:
  flag: chat-prefers-frankfurt-first
  class: interactive-inference
  policy: chat@2
  success: [{ metric: response.p50_ms, improveBy: 0 }, { metric: errors.ratio, worseByAtMost: 0.5 }]
  guardrails: [{ event: error, differenceMax: 0.5 }, { event: timeout, differenceMax: 0.5 }, { event: refused, differenceMax: 0.5 }]
  unitsMin: 20
  rollback: { plan: switch the flag off, owner: platform-routing@example.com }
  escalation: [on-call@example.com]
  dashboard: https://dashboards.example.com/frankfurt-first
${rolloutSpec}
`

const FLAGS = {
  flags: {
    'chat-prefers-frankfurt-first': {
      state: 'ENABLED',
      variants: { control: {}, treatment: { policy: 'chat@2' } },
      defaultVariant: 'control',
      metadata: {
        layer: 'rollout',
        class: 'interactive-inference',
        owner: 'platform-routing@example.com',
        purpose: 'chat is answered in Frankfurt first',
        fallback: 'control: version 1',
        expires: '2099-01-01',
        reviewBy: '2099-01-01',
      },
    },
  },
}

/** A decision as POST /v1/decide answers it, as far as these tests look. */
export interface Decided {
  readonly id: string
  readonly arm: string | null
  readonly policy: string
  readonly cluster: string
}

/**
 * A process of hubward with a rollout between two versions of chat, asked over HTTP and by the CLI, and told by gRPC as
 * Envoy would tell. `kill` ends it as a power cut would, `start` starts it again on the same state. Without a process of
 * its own it runs in this one, which is sooner there.
 */
export const rolloutProcess = async (t: Test, rolloutSpec: string, isOwnProcess = true) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-rollouts-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'flags'))
  writeFileSync(join(folder, 'flags', 'flags.json'), JSON.stringify(FLAGS))
  const made = hubwardFolder(folder, documents(rolloutSpec), {
    log: { level: 'info' },
    flags: [{ kind: 'file', name: 'flags', owner: 'platform-routing@example.com', file: join(folder, 'flags') }],
  })
  let running: RunningHubward | undefined
  let url = ''
  const start = async (): Promise<void> => {
    running = startHubward(made)
    const { log } = running
    const line = await until(
      'hubward to serve',
      () => /"admin":"(http[^"]+)"[^\n]*hubward serves/.exec(log()) ?? undefined,
    )
    url = line[1]!
  }
  if (isOwnProcess) await start()
  else {
    const { config, problems } = readConfig({ file: made.config, environment: {} })
    if (config === null) throw new Error(JSON.stringify(problems))
    const sidecar = await startSidecar(config, createLog('silent'), '1.2.3')
    t.teardown(() => sidecar.stop())
    url = sidecar.adminUrl
  }
  t.teardown(() => running?.stop())
  const ask = async (path: string, body?: unknown): Promise<{ status: number; json: Loose }> => {
    const post = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    const answer = await fetch(`${url}${path}`, body === undefined ? {} : post)
    return { status: answer.status, json: await answer.json() }
  }
  return {
    folder,
    url: () => url,
    ask,
    start,
    kill: () => running!.stop(),
    log: () => running!.log(),
    state: async (): Promise<Loose> => (await ask('/v1/rollouts/frankfurt-first')).json.state,
    decide: async (sessions: readonly string[]): Promise<readonly Decided[]> => {
      const decisions: Decided[] = []
      for (let at = 0; at < sessions.length; at += 250) {
        const facts = sessions
          .slice(at, at + 250)
          .map((sessionKey) => ({ class: 'interactive-inference', residency: ['EU'], sessionKey }))
        const { json } = await ask('/v1/decide', { facts, dispatch: true })
        decisions.push(...json.decisions)
      }
      return decisions
    },
    /** Envoy tells how these requests have ended. */
    ended: (decisions: readonly Decided[], how: (decision: Decided) => Parameters<typeof lineOf>[1]): Promise<void> =>
      new Promise((resolve, reject) => {
        const client = new Client(`unix:${made.socket}`, credentials.createInsecure())
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
        call.write(decisions.map((one) => lineOf(one.id, { cluster: one.cluster, ...how(one) })))
        call.end()
      }),
    cli: (...words: string[]): Promise<{ code: number; out: string; err: string }> =>
      new Promise((resolve) => {
        const program = join(import.meta.dirname, '..', '..', 'src', 'cli', 'hubward.ts')
        const env = { ...childEnvironment(), HUBWARD_ADMIN: url }
        execFile(process.execPath, [program, 'rollout', ...words], { env }, (error, out, err) =>
          resolve({ code: error === null ? 0 : Number(error.code), out, err }),
        )
      }),
    journal: (): readonly Loose[] => {
      const dir = join(folder, 'state', 'journal')
      return readdirSync(dir)
        .flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n'))
        .flatMap((line) => {
          try {
            return [JSON.parse(line)]
          } catch {
            return []
          }
        })
    },
  }
}
