import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CAST } from './cast.ts'
import type { Child, Children } from './children.ts'
import { type ChatClient, chatClient } from './client.ts'
import { awaitTarget, type Numbers, readNumbers } from './hubward-view.ts'
import type { Stage } from './perform.ts'
import { layersSeen, rolloutSeen, switchFlag, turnsOf } from './rollout-view.ts'
import {
  clusterOf,
  envoyArguments,
  type Folders,
  foldersIn,
  hubwardSettings,
  targetOf,
  withEndpoints,
} from './settings.ts'
import { arrivalsOf, orderPlant, orderSite, plantSeen, unansweredOf } from './site-control.ts'

/** A stage that has been set up: five sites, Envoy and hubward, each a process of its own. */
export interface OpenStage extends Stage {
  /** Where everything can be reached, by name. */
  readonly urls: {
    readonly gateway: string
    readonly envoyAdmin: string
    readonly hubward: string
    readonly sites: Readonly<
      Record<string, { readonly url: string; readonly control: string; readonly facility?: string }>
    >
  }
  readonly folders: Folders
  readonly client: ChatClient
  /** What hubward took and did wrong so far, its lives before a kill included. */
  life(): Promise<HubwardLife>
}

/** What hubward took, and what it did wrong. */
export interface HubwardLife {
  /** The largest resident memory that was seen, in MB of 1,000,000 bytes. */
  readonly rssMb: number
  /** Requests and other work that a mistake of its own spoiled. */
  readonly mistakes: number
}

/** What is needed to set it up. */
export interface StageParts {
  readonly children: Children
  /** An empty folder for everything that is written. */
  readonly folder: string
  /** The binary of Envoy. */
  readonly envoy: string
  /** Hears of each thing that runs. */
  readonly say: (text: string) => void
}

/** How long one of the processes may take until it is up. The first start on a cold disk reads 100 MB of Envoy. */
const START_MS = 30_000
/** Client connections to Envoy at once. */
const SOCKETS_MAX = 256

// The demo runs from sources and from dist/ alike: its neighbours have the extension that it has itself.
const SELF = fileURLToPath(import.meta.url)
const beside = (path: string): string => fileURLToPath(new URL(`${path}${extname(SELF)}`, import.meta.url))
const HUBWARD = beside('../../cli/hubward')
const SITE = beside('../hubward-site')
const DOCUMENTS = fileURLToPath(new URL('../../../envoy/demo/documents', import.meta.url))
const FLAGS = fileURLToPath(new URL('../../../envoy/demo/flags', import.meta.url))

/** Starts everything and waits until it answers. Rejects with what went wrong; what runs by then is in `children`. */
export const openStage = async (parts: StageParts): Promise<OpenStage> => {
  const { children, say } = parts
  const folders = foldersIn(parts.folder)
  await mkdir(folders.state)
  const sites = await startSites(children)
  const urls = Object.fromEntries(Object.entries(sites).map(([name, { url }]) => [name, url]))
  say(`five sites listen: ${Object.keys(sites).join(', ')}`)
  await writeDocuments(folders, urls)
  await cp(FLAGS, folders.flags, { recursive: true })
  await hubwardOnce(children, envoyArguments(folders))
  const envoy = await startEnvoy(children, parts.envoy, folders)
  say(`Envoy ${envoy.version} listens, with the configuration that \`hubward envoy\` wrote from the demo's documents`)
  await writeFile(
    folders.hubwardConfig,
    JSON.stringify(hubwardSettings(folders, urls, facilitiesOf(sites), envoy.adminAddress), null, 2),
  )
  let hubward = await startHubward(children, folders)
  const hubwardUrl = hubward.url
  for (const url of Object.values(facilitiesOf(sites))) await orderPlant(url, { do: 'follow', url: hubwardUrl })
  let past: HubwardLife = { rssMb: 0, mistakes: 0 }
  const life = async (): Promise<HubwardLife> => lifeWith(past, await readNumbers(hubwardUrl))
  say('hubward decides')
  const siteOf = (name: string) => {
    const site = sites[name]
    if (site === undefined) throw new Error(`the demo has no site ${name}`)
    return site
  }
  const client = chatClient(SOCKETS_MAX)
  return {
    urls: {
      gateway: envoy.gateway,
      envoyAdmin: `http://${envoy.adminAddress}`,
      hubward: hubwardUrl,
      sites,
    },
    folders,
    baseUrl: envoy.gateway,
    client,
    sites: CAST.map(({ name }) => name),
    order: async (site, command) => {
      await orderSite(siteOf(site).control, command)
      if (command.do === 'die') await connectionsGone(`http://${envoy.adminAddress}`, clusterOf(site))
    },
    arrivals: (site) => arrivalsOf(siteOf(site).control),
    unanswered: (site, since) => unansweredOf(siteOf(site).control, since),
    plant: (site, order) => orderPlant(facilityOf(siteOf(site)), order),
    plantSeen: (site) => plantSeen(facilityOf(siteOf(site))),
    drain: (site, forText, reason) =>
      hubwardOnce(children, [
        ...['override', 'drain', site, '--for', forText, '--reason', reason],
        ...['--author', 'oncall@example.com', '--config', folders.hubwardConfig],
      ]).then(() => {}),
    undrain: (site) => endDrain(children, folders, hubwardUrl, site),
    life,
    killHubward: async () => {
      past = await life().catch(() => past)
      await hubward.child.kill()
    },
    startHubward: async () => {
      hubward = await startHubward(children, folders, new URL(hubwardUrl).host)
    },
    numbers: () => readNumbers(hubwardUrl),
    target: (site, holds, withinMs) => awaitTarget(hubwardUrl, targetOf(site), holds, withinMs),
    rollout: (name) => rolloutSeen(hubwardUrl, name),
    turns: (rollout, since) => turnsOf(folders.journal, rollout, since),
    setFlag: (flag, variant) => switchFlag(folders.flags, flag, variant),
    layers: (className) => layersSeen(hubwardUrl, className),
  }
}

interface SiteLine {
  readonly url: string
  readonly control: string
  readonly facility?: string
}

const facilitiesOf = (sites: Readonly<Record<string, SiteLine>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(sites).flatMap(([name, { facility }]) => (facility === undefined ? [] : [[name, facility]])),
  )

const facilityOf = ({ facility }: SiteLine): string => {
  if (facility === undefined) throw new Error('the site has no plant')
  return facility
}

const startSites = async (children: Children): Promise<Record<string, SiteLine>> => {
  const started = await Promise.all(
    CAST.map(async ({ name, options }) => {
      const flags = [
        ...['--name', name, '--region', options.region ?? '', '--slots', String(options.slots)],
        ...(options.models ?? []).flatMap((model) => [
          ...['--models', `${model.name}:${model.contextTokens}`],
          ...model.aliases.flatMap((alias) => ['--alias', `${alias}=${model.name}`]),
        ]),
        ...['--prefill-tokens-per-s', String(options.prefillTokensPerS)],
        ...['--decode-tokens-per-s', String(options.decodeTokensPerS)],
        ...['--ttft-floor-ms', String(options.ttftFloorMs), '--queue-max', String(options.queueMax)],
        ...['--facility-mw', String(options.facilityMw ?? 0), '--facility-speed', String(options.facilitySpeed ?? 1)],
      ]
      const child = await children.start(name, process.execPath, [SITE, ...flags])
      return [name, JSON.parse(await inTime(child.firstLine, `${name} to listen`)) as SiteLine] as const
    }),
  )
  return Object.fromEntries(started)
}

const writeDocuments = async (folders: Folders, urls: Readonly<Record<string, string>>): Promise<void> => {
  await cp(DOCUMENTS, folders.documents, { recursive: true })
  for (const name of await readdir(folders.documents)) {
    const file = join(folders.documents, name)
    const text = await readFile(file, 'utf8')
    await writeFile(file, withEndpoints(text, urls))
  }
}

/** Runs a command of hubward's to its end and gives what it wrote; rejects with that if it did not go well. */
const hubwardOnce = async (children: Children, args: readonly string[]): Promise<string> => {
  const child = await children.start(`hubward ${args[0]}`, process.execPath, [HUBWARD, ...args])
  const how = await inTime(child.ended, `hubward ${args.join(' ')}`)
  const wrote = child.tail().join('\n')
  if (how !== 'exit code 0') throw new Error(`hubward ${args.join(' ')} ended with ${how}:\n${wrote}`)
  return wrote
}

const startEnvoy = async (children: Children, binary: string, folders: Folders) => {
  const child = await children.start('envoy', binary, [
    ...['-c', folders.envoyConfig, '--use-dynamic-base-id', '--admin-address-path', folders.adminFile],
    ...['--concurrency', '2', '--log-level', 'warning'],
  ])
  const adminAddress = await until('Envoy to be up', child, async () => {
    const address = await readFile(folders.adminFile, 'utf8')
    return (await fetch(`http://${address}/ready`)).status === 200 ? address : undefined
  })
  const listeners = (await (await fetch(`http://${adminAddress}/listeners?format=json`)).json()) as ListenersAnswer
  const { port_value: port } = listeners.listener_statuses[0]!.local_address.socket_address
  const { version } = (await (await fetch(`http://${adminAddress}/server_info`)).json()) as { version: string }
  return { gateway: `http://127.0.0.1:${port}`, adminAddress, version: version.split('/')[1] ?? version }
}

interface ListenersAnswer {
  readonly listener_statuses: readonly {
    readonly local_address: { readonly socket_address: { readonly port_value: number } }
  }[]
}

/** How long Envoy may take to read that its connections to a dead site are closed. */
const GONE_MS = 5_000

/**
 * Waits until Envoy has no connection to a cluster left. A request that it writes to one that the site has just closed,
 * before it has read so, is one of those that the death itself cut off.
 */
const connectionsGone = async (admin: string, cluster: string): Promise<void> => {
  const end = performance.now() + GONE_MS
  while (performance.now() < end) {
    const stats = await fetch(`${admin}/stats?filter=^cluster\\.${cluster}\\.upstream_cx_active$`)
    if (/: 0$/m.test(await stats.text())) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const lifeWith = (past: HubwardLife, numbers: Numbers): HubwardLife => ({
  rssMb: Math.max(past.rssMb, Math.round(numbers('process_resident_memory_bytes') / 1e6)),
  mistakes: past.mistakes + numbers('hubward_handler_errors_total') + numbers('hubward_internal_errors_total'),
})

/** Ends the drain as an operator does: looks up its id in the list, and ends that. */
const endDrain = async (children: Children, folders: Folders, url: string, site: string): Promise<void> => {
  const { overrides } = (await (await fetch(`${url}/overrides`)).json()) as { overrides: readonly OrderSeen[] }
  const order = overrides.find(({ kind, scope, inForce }) => kind === 'drain' && scope.site === site && inForce)
  if (order === undefined) throw new Error(`hubward knows of no drain of ${site}`)
  await hubwardOnce(children, ['override', 'end', order.id, '--config', folders.hubwardConfig])
}

interface OrderSeen {
  readonly id: string
  readonly kind: string
  readonly scope: { readonly site?: string }
  readonly inForce: boolean
}

// V8 lets young objects take up to 48 MB before it looks; hubward's requests leave little that lives longer than one.
const LEAN = ['--max-semi-space-size=2']

/** Starts `hubward serve`, on any free port the first time, and on the same one when it is started again. */
const startHubward = async (children: Children, folders: Folders, address = '127.0.0.1:0') => {
  const settings = ['--config', folders.hubwardConfig, '--set', `admin.address=${address}`]
  const child = await children.start('hubward', process.execPath, [...LEAN, HUBWARD, 'serve', ...settings])
  const { admin: url } = JSON.parse(await inTime(child.firstLine, 'hubward to serve')) as { admin: string }
  await until('hubward to be ready', child, async () => (await fetch(`${url}/readyz`)).ok || undefined)
  return { child, url }
}

/** Looks until there is something, or the process is gone, or it took too long; then it says how that process went. */
const until = async <T>(what: string, child: Child, look: () => Promise<T | undefined>): Promise<T> => {
  const end = performance.now() + START_MS
  for (;;) {
    const found = await look().catch(() => undefined)
    if (found !== undefined) return found
    const gone = !child.isRunning()
    if (gone || performance.now() > end) {
      const why = gone ? 'it ended' : `not in ${START_MS / 1_000} s`
      throw new Error(`waited for ${what}: ${why}:\n${child.tail().slice(-12).join('\n')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const inTime = async <T>(promise: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${START_MS / 1_000} s for ${what}`)), START_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
