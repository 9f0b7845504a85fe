import { join } from 'node:path'
import { CAST, RESIDENCY_HOSTS } from './cast.ts'

/** Where the demo keeps what it writes. */
export interface Folders {
  readonly documents: string
  readonly flags: string
  readonly state: string
  readonly socket: string
  readonly envoyConfig: string
  readonly adminFile: string
  readonly hubwardConfig: string
  readonly overrides: string
  readonly journal: string
}

/** The places inside the demo's temporary folder. */
export const foldersIn = (folder: string): Folders => ({
  documents: join(folder, 'documents'),
  flags: join(folder, 'flags'),
  state: join(folder, 'state'),
  socket: join(folder, 'envoy.sock'),
  envoyConfig: join(folder, 'envoy.yaml'),
  adminFile: join(folder, 'envoy-admin'),
  hubwardConfig: join(folder, 'hubward.json'),
  overrides: join(folder, 'overrides.json'),
  journal: join(folder, 'journal'),
})

/** A document with the ports of the running sites in place of those it names; `urls` by site. */
export const withEndpoints = (text: string, urls: Readonly<Record<string, string>>): string =>
  CAST.reduce(
    (now, { name, documentPort }) => now.replaceAll(`127.0.0.1:${documentPort}`, new URL(urls[name]!).host),
    text,
  )

/** The arguments with which `hubward envoy` writes the demo's Envoy configuration; ports are any free ones. */
export const envoyArguments = (folders: Folders): string[] => [
  'envoy',
  ...['--documents', folders.documents],
  ...['--output', folders.envoyConfig],
  ...['--listen', '127.0.0.1:0'],
  ...['--admin', '127.0.0.1:0'],
  ...['--sidecar', `unix:${folders.socket}`],
  ...['--access-log', 'none'],
  // As everything here: arms are judged once a second, and a batch that waits for a second would come late to that.
  ...['--log-flush', '200ms'],
  ...['--retry-after', '5s'],
  ...Object.entries(RESIDENCY_HOSTS).flatMap(([name, host]) => ['--residency-host', `${name}=${host}`]),
]

/** How often hubward asks the sites, in milliseconds: short on purpose. A hang is noticed after about three timeouts. */
const ASK_EVERY_MS = 250

/** The pool of each site, by the demo's documents. */
export const targetOf = (site: string): string => (site.startsWith('edge') ? `${site}/l4` : `${site}/h100`)

/** The Envoy cluster of each site, by the demo's documents. */
export const clusterOf = (site: string): string => targetOf(site).replace('/', '-')

/** What reads the plant of a site: its meters, its cooling units, and the grid that feeds it. */
const plantFeeds = (site: string, url: string): readonly object[] => {
  const every = { owner: 'facility@example.com', intervalMs: ASK_EVERY_MS, timeoutMs: 1_000, backoffMsMax: 1_000 }
  const meter = (signal: string, pointer: string, more: object = {}) => ({
    ...{ signal, pointer, site, timePointer: '/at', ...more },
  })
  return [
    {
      ...{ kind: 'http-json', name: `meters-${site}`, url: `${url}/facility.json`, ...every },
      values: [
        meter('power.draw_mw', '/power/drawKw', { unit: 'kW' }),
        meter('pue.ratio', '/pue'),
        meter('maintenance.active', '/maintenance'),
      ],
    },
    {
      ...{ kind: 'redfish', name: `cooling-${site}`, url, site, ...every },
      units: [{ path: '/redfish/v1/ThermalEquipment/CDUs/cdu-1', loop: 'cdu-1' }],
    },
    { kind: 'openadr', name: `grid-${site}`, url, site, ...every },
  ]
}

/** The demo's configuration of `hubward serve`. `urls` and `facilities` by site, `envoyAdmin` is host and port. */
export const hubwardSettings = (
  folders: Folders,
  urls: Readonly<Record<string, string>>,
  facilities: Readonly<Record<string, string>>,
  envoyAdmin: string,
): object => ({
  instance: 'demo',
  stateDir: folders.state,
  log: { level: 'info' },
  listeners: [{ socket: folders.socket }],
  documents: [{ name: 'documents', dir: folders.documents, owner: 'platform-routing@example.com', poll: '500ms' }],
  flags: [{ kind: 'file', name: 'flags', owner: 'platform-routing@example.com', file: folders.flags, poll: '200ms' }],
  overrides: { file: folders.overrides, owner: 'oncall@example.com', poll: '200ms' },
  // Everything is kept: the demo is there to be looked at.
  journal: { dir: folders.journal, share: 1 },
  drain: '500ms',
  envoyAdmin: { address: envoyAdmin, intervalMs: ASK_EVERY_MS, timeoutMs: 1_000 },
  feeds: [
    {
      kind: 'probe',
      name: 'probe',
      owner: 'dc-ops@example.com',
      intervalMs: ASK_EVERY_MS,
      timeoutMs: 400,
      targets: Object.entries(urls).map(([site, url]) => ({ target: targetOf(site), url: `${url}/health` })),
    },
    {
      kind: 'model-server',
      name: 'vllm',
      owner: 'platform-ml@example.com',
      engine: 'vllm',
      intervalMs: ASK_EVERY_MS,
      timeoutMs: 1_000,
      backoffMsMax: 1_000,
      // A queue that is filled on order stands still, which on a real server would be a lie.
      frozenAfter: 0,
      targets: Object.entries(urls).map(([site, url]) => ({ target: targetOf(site), url: `${url}/metrics` })),
    },
    ...Object.entries(facilities).flatMap(([site, url]) => plantFeeds(site, url)),
  ],
})
