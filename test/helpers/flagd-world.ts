import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { startSidecar } from '../../src/sidecar.ts'
import { e2eDocuments } from './e2e-documents.ts'
import { hubwardFolder } from './hubward-process.ts'
import { until } from './running-envoy.ts'

/** Two versions of chat, and a rollout of the second to three of ten requests, for a month at least. */
const DOCUMENTS = `${e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 }).replace(
  'class: interactive-inference, ladder',
  'class: interactive-inference, experiments: { cohorts: ["*"] }, ladder',
)}---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 2, owner: platform-routing@example.com }
spec: { class: interactive-inference, experiments: { cohorts: ["*"] }, ladder: [[fra], [ams]], otherwise: [{ action: deny }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Rollout
metadata: { name: frankfurt-first, owner: platform-routing@example.com }
spec:
  flag: chat-prefers-frankfurt-first
  class: interactive-inference
  policy: chat@2
  stages: [{ name: some, sharePct: 30, bake: 30d }, { name: more, sharePct: 60, bake: 30d }]
  success: [{ metric: response.p50_ms, improveBy: 0 }]
  rollback: { plan: switch the flag off, owner: platform-routing@example.com }
  escalation: [on-call@example.com]
  dashboard: https://dashboards.example.com/frankfurt-first
`

const ROUTING = {
  'chat-prefers-frankfurt-first': {
    state: 'ENABLED',
    variants: { control: {}, treatment: { policy: 'chat@2' } },
    defaultVariant: 'control',
    metadata: { layer: 'rollout', class: 'interactive-inference', owner: 'routing@example.com', expires: '2099-01-01' },
  },
}

/** Flags that steer nothing here: each behaviour of targeting that a provider could see otherwise. */
export const webFlags = (size: number) => ({
  'banner-text': {
    state: 'ENABLED',
    variants: { plain: 'hello', warm: 'hello there' },
    defaultVariant: 'plain',
    targeting: { if: [{ starts_with: [{ var: 'email' }, 'a'] }, 'warm', null] },
  },
  'page-size': {
    state: 'ENABLED',
    variants: { small: size, large: size * 10 },
    defaultVariant: 'small',
    targeting: { if: [{ sem_ver: [{ var: 'version' }, '>=', '2.0.0'] }, 'large', 'small'] },
  },
  'new-page': {
    state: 'ENABLED',
    variants: { on: true, off: false },
    defaultVariant: 'off',
    targeting: {
      fractional: [
        ['on', 25],
        ['off', 75],
      ],
    },
  },
  'page-limits': { state: 'ENABLED', variants: { all: { rows: 5 } }, defaultVariant: 'all' },
  'caller-decides': { state: 'ENABLED', variants: { on: true }, targeting: { if: [{ var: 'beta' }, 'on', null] } },
  'switched-off': { state: 'DISABLED', variants: { on: true }, defaultVariant: 'on' },
  'not-a-variant': { state: 'ENABLED', variants: { on: true }, defaultVariant: 'on', targeting: { var: 'named' } },
})

/** A running hubward with flags of two sources, served by OFREP and, on a socket, by flagd.sync. */
export const servedWorld = async (t: Test, openfeature: object) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-served-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const flags = join(folder, 'flags')
  mkdirSync(flags)
  /** Writes the flags of a source in one step. */
  const write = (name: string, of: object): void => {
    writeFileSync(join(flags, `${name}.new`), JSON.stringify({ flags: of, metadata: { flagSetId: name } }))
    renameSync(join(flags, `${name}.new`), join(flags, `${name}.json`))
  }
  write('routing', ROUTING)
  write('web', webFlags(20))
  const socket = join(folder, 'sync.sock')
  const { config: file } = hubwardFolder(folder, DOCUMENTS, {
    flags: ['routing', 'web'].map((name) => ({
      kind: 'file',
      name,
      owner: `${name}@example.com`,
      file: join(flags, `${name}.json`),
      poll: '100ms',
    })),
    openfeature: { sync: { socket }, streamsMax: 3, ...openfeature },
  })
  const { config, problems } = readConfig({ file, environment: {} })
  if (config === null) throw new Error(JSON.stringify(problems))
  const { adminUrl: url, stop } = await startSidecar(config, createLog('silent'), '1.2.3')
  t.teardown(stop)
  const ask = async (path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await fetch(`${url}${path}`, {
      ...(body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    })
    const text = await answer.text()
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field.
    const json: any = text === '' ? undefined : JSON.parse(text)
    return { status: answer.status, headers: answer.headers, text, json }
  }
  // A machine that is busy reads them later than the start waits for.
  await until('both sources to have their flags', async () => {
    const { json } = await ask('/v1/flags')
    return new Set(json.flags.map(({ source }: { source: string }) => source)).size === 2
  })
  return {
    url,
    socket,
    write,
    ask,
    /** One flag by OFREP. */
    evaluate: (key: string, context: object) => ask(`/ofrep/v1/evaluate/flags/${key}`, { context }),
    /** Where the same request would go, asked by its facts. */
    decide: async (facts: object) =>
      (
        await ask('/v1/decide', {
          facts: { class: 'interactive-inference', residency: ['EU'], ...facts },
          dryRun: true,
        })
      ).json,
  }
}

/** Contexts that differ in all that those flags look at. */
export const contexts = (count: number): readonly { readonly targetingKey: string; readonly residency: string[] }[] =>
  Array.from({ length: count }, (_, index) => ({
    targetingKey: `session-${index}`,
    class: 'interactive-inference',
    residency: ['EU'],
    email: `${'abc'[index % 3]}@example.com`,
    version: `${index % 4}.1.0`,
    ...(index % 5 === 0 ? { beta: true } : {}),
    ...(index % 7 === 0 ? { named: 'nobody' } : {}),
  }))
