import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { readDocuments } from '../src/documents/read.ts'
import { envoyConfig } from '../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../src/envoy/config/options.ts'
import { readJournal } from '../src/journal/read.ts'
import { e2eDocuments } from '../test/helpers/e2e-documents.ts'
import { hubwardFolder, type RunningHubward, socketIn, startHubward } from '../test/helpers/hubward-process.ts'
import { ask, childEnvironment, type RunningEnvoy, startEnvoy, until } from '../test/helpers/running-envoy.ts'

/** How often sites are asked, and how long an answer may take: what the times to notice a death are multiples of. */
export const ASKED = { intervalMs: 250, timeoutMs: 400 } as const
/** How long a site that comes back waits before it is used again, by the policies of this bench. */
export const RETURN_MS = 1_000

const NAMES = ['ams', 'fra', 'lon', 'dxb'] as const
type SiteName = (typeof NAMES)[number]

/** One request of a trace; times in milliseconds since 1970. */
export interface Traced {
  readonly dueMs: number
  readonly endMs: number
  readonly status: number
  readonly mark: string
}

/** `hubward serve`, its Envoy and sites that are processes. */
export interface LiveWorld {
  readonly port: number
  readonly envoy: RunningEnvoy
  readonly hubward: RunningHubward
  readonly folder: string
  /** Kills a site's process, or has it stand still. */
  readonly signal: (site: SiteName, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') => void
  /** Starts a killed site again where it was; resolves when it listens. */
  readonly restart: (site: SiteName) => Promise<void>
  /** Puts documents or flags in force, as a deployment does: one file takes the place of another. Gives the time of it. */
  readonly write: (what: 'documents' | 'flags', text: string) => number
  readonly documents: (ladder: string, version: number) => string
  /** When the journal says that a target of this site came to this state, first after a time. */
  readonly toldAt: (site: SiteName, to: string, afterMs: number) => Promise<number | undefined>
  readonly stop: () => Promise<void>
}

const CHAT = '/v1/chat/completions'
/** A request that any of the sites serves. */
export const HELLO = JSON.stringify({ model: 'llama-3.1-70b', messages: [{ role: 'user', content: 'hello' }] })

/** Policies of another class that are read with each change of documents. */
const OTHER_POLICIES = 200

const startSite = async (name: SiteName, port = 0): Promise<{ process: ChildProcess; port: number }> => {
  const file = join(import.meta.dirname, '..', 'src', 'simulator', 'hubward-site.ts')
  const args = ['--prefill-tokens-per-s=Infinity', '--decode-tokens-per-s=Infinity', '--ttft-floor-ms=0']
  const child = spawn(
    process.execPath,
    [file, `--name=${name}`, `--port=${port}`, '--slots=10000', '--answer-tokens=1', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], env: childEnvironment() },
  )
  const [line] = await once(createInterface(child.stdout!), 'line')
  return { process: child, port: Number(new URL(JSON.parse(line as string).url).port) }
}

/** Starts the world and waits until hubward serves. */
export const startLiveWorld = async (): Promise<LiveWorld> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-live-'))
  const sites = Object.fromEntries(
    await Promise.all(NAMES.map(async (name) => [name, await startSite(name)] as const)),
  ) as Record<SiteName, { process: ChildProcess; port: number }>
  const ports = Object.fromEntries(NAMES.map((name) => [name, sites[name].port])) as Record<SiteName, number>
  const ms = `${RETURN_MS}ms`
  const base = e2eDocuments(ports, `timers: { stableFor: 250ms, dwell: ${ms}, failBack: ${ms}, cooldown: 250ms }, `)
  const others = Array.from(
    { length: OTHER_POLICIES },
    (_, i) => `---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: other-${i}, version: 1, owner: platform-routing@example.com }
spec: { class: summarisation, when: 'request.tenant == "other-${i}"', priority: ${i + 1}, ladder: [[fra], [ams]], otherwise: [{ action: deny, retryAfter: 5s }] }
`,
  ).join('')
  const documents = (ladder: string, version: number): string =>
    base
      .replace('name: chat, version: 1', `name: chat, version: ${version}`)
      .replace('ladder: [[ams], [fra], [lon]]', `ladder: ${ladder}`) + others
  const first = documents('[[ams], [fra], [lon]]', 1)
  const { set, problems } = readDocuments([{ path: 'all.yaml', text: first }])
  if (set === null) throw new Error(`the documents of this bench are bad: ${JSON.stringify(problems)}`)
  const envoy = await startEnvoy(
    envoyConfig(set, {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: socketIn(folder) },
      accessLog: undefined,
      residency: { by: 'listener', class: 'eu' },
    }),
  )
  const targets = (path: string) =>
    NAMES.map((name) => ({ target: `${name}/h100`, url: `http://127.0.0.1:${ports[name]}${path}` }))
  mkdirSync(join(folder, 'flags'))
  const place = hubwardFolder(folder, first, {
    log: { level: 'info' },
    transport: 'own',
    envoyAdmin: { address: `127.0.0.1:${envoy.adminPort}`, ...ASKED },
    flags: [{ kind: 'file', name: 'flags', file: join(folder, 'flags'), owner: 'platform-routing@example.com' }],
    feeds: [
      { kind: 'probe', name: 'probe', owner: 'dc-ops@example.com', ...ASKED, targets: targets('/health') },
      {
        ...{ kind: 'model-server', name: 'vllm', owner: 'platform-ml@example.com', engine: 'vllm', frozenAfter: 0 },
        ...{ ...ASKED, targets: targets('/metrics') },
      },
    ],
  })
  const hubward = startHubward(place)
  const stop = async (): Promise<void> => {
    await hubward.stop()
    await envoy.stop()
    for (const name of NAMES) {
      sites[name].process.kill('SIGKILL')
      if (sites[name].process.exitCode === null && sites[name].process.signalCode === null)
        await once(sites[name].process, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await until('hubward to serve', () => hubward.log().includes('hubward serves'))
    const port = await envoy.port()
    await until(
      'Envoy to ask hubward',
      async () => 'x-hubward-policy' in (await ask(port, CHAT, { body: HELLO })).headers,
    )
    return {
      ...{ port, envoy, hubward, folder, documents, stop },
      signal: (site, signal) => void sites[site].process.kill(signal),
      restart: async (site) => {
        sites[site] = await startSite(site, ports[site])
      },
      write: (what, text) => {
        const file = join(folder, what, what === 'flags' ? 'flags.json' : 'all.yaml')
        writeFileSync(join(folder, 'next'), text)
        renameSync(join(folder, 'next'), file)
        return Date.now()
      },
      toldAt: async (site, to, afterMs) => {
        const lines = readJournal(join(folder, 'state', 'journal'), {
          ...{ streams: ['changes'], kinds: ['health-changed'], from: afterMs },
          where: (line) => line.kind === 'health-changed' && line.target === `${site}/h100` && line.to === to,
        })
        for await (const line of lines) return 'at' in line ? line.at : undefined
        return undefined
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What bench/go-load has written down. */
export const readTrace = (file: string, startMs: number): readonly Traced[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [due, took, status, mark] = line.split(' ')
      const dueMs = startMs + Number(due) / 1_000
      return { dueMs, endMs: dueMs + Number(took) / 1_000, status: Number(status), mark: mark ?? '' }
    })
