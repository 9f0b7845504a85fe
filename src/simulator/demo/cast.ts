import type { SiteOptions } from '../options.ts'
import { servedModels } from '../options.ts'

/** A member of the demo's cast: how its simulated site is built, and the port its document names. */
export interface Member {
  readonly name: string
  readonly says: string
  /** The port in envoy/demo/documents/sites.yaml; the demo puts its own in place of it. */
  readonly documentPort: number
  readonly options: Partial<SiteOptions>
}

/** The model everybody asks for. */
export const BIG_MODEL = 'llama-3.1-70b'
/** The model the edge has; it answers to the big one's name too, so that a degraded request needs no other body. */
export const SMALL_MODEL = 'llama-3.2-3b'

/** Eight slots and 80 tokens a second: a hub bears the demo's traffic with slots to spare, so only orders fill a queue. */
const HUB: Partial<SiteOptions> = {
  models: servedModels([`${BIG_MODEL}:131072`]),
  slots: 8,
  prefillTokensPerS: 8_000,
  decodeTokensPerS: 80,
  ttftFloorMs: 20,
  queueMax: 256,
}

/** Power and cooling of their own, of which jobs have their fill; coolant follows ten times faster than it would. */
const PLANT: Partial<SiteOptions> = { facilityMw: 12, facilitySpeed: 10 }

/** The five sites, in the order in which they are told of. */
export const CAST: readonly Member[] = [
  {
    name: 'ams',
    says: 'Amsterdam, hub, EMEA: first choice',
    documentPort: 18_101,
    options: { ...HUB, ...PLANT, region: 'EMEA' },
  },
  {
    name: 'fra',
    says: 'Frankfurt, hub, EMEA: second',
    documentPort: 18_102,
    options: { ...HUB, ...PLANT, region: 'EMEA' },
  },
  { name: 'lon', says: 'London, hub, EMEA: third', documentPort: 18_103, options: { ...HUB, region: 'EMEA' } },
  {
    name: 'dxb',
    says: 'Dubai, hub, MEA: for who is bound to the Emirates',
    documentPort: 18_104,
    options: { ...HUB, region: 'MEA' },
  },
  {
    name: 'edge-ams',
    says: `Amsterdam, edge: the smaller ${SMALL_MODEL}, when no hub can`,
    documentPort: 18_105,
    options: {
      region: 'EMEA',
      models: servedModels([`${SMALL_MODEL}:32768`], [`${BIG_MODEL}=${SMALL_MODEL}`]),
      slots: 16,
      prefillTokensPerS: 16_000,
      decodeTokensPerS: 160,
      ttftFloorMs: 10,
      queueMax: 256,
    },
  },
]

/** The virtual host of each residency class: the one thing about a request that its client can't say of itself. */
export const RESIDENCY_HOSTS: Readonly<Record<string, string>> = {
  emea: 'emea.demo.example',
  eu: 'eu.demo.example',
  uk: 'uk.demo.example',
  ae: 'ae.demo.example',
  ch: 'ch.demo.example',
}

/** Who asks: the headers of a kind of client. */
export interface Caller {
  readonly says: string
  readonly headers: Readonly<Record<string, string>>
  /** Where it sends its jobs; absent: it chats. */
  readonly path?: string
}

const callerOf = (says: string, residency: string, headers: Readonly<Record<string, string>> = {}): Caller => ({
  says,
  headers: { host: RESIDENCY_HOSTS[residency]!, 'x-model': BIG_MODEL, ...headers },
})

const jobOf = (says: string, headers: Readonly<Record<string, string>>, path = '/v1/jobs'): Caller => ({
  says,
  headers: { host: RESIDENCY_HOSTS.eu!, ...headers },
  path,
})

/** The kinds of clients in the demo. */
export const CALLERS = {
  chat: callerOf('chat from EMEA', 'emea'),
  premium: callerOf('premium chat from EMEA', 'emea', { 'x-tier': 'premium' }),
  chatEu: callerOf('chat bound to the EU', 'eu'),
  chatUk: callerOf('chat bound to the UK', 'uk'),
  chatAe: callerOf('chat bound to the Emirates', 'ae', { 'x-region': 'MEA' }),
  chatCh: callerOf('chat bound to Switzerland', 'ch'),
  // A job that asks for no price: this story is told at all hours.
  job: callerOf('a job', 'emea', { 'x-workload-class': 'preprocessing' }),
  summaries: callerOf('summaries in the background', 'eu', { 'x-workload-class': 'summarisation' }),
  assistants: callerOf('assistants', 'emea', { 'x-workload-class': 'assistants' }),
  translation: callerOf('translations', 'emea', { 'x-workload-class': 'translation' }),
  training: jobOf('a training job that says nothing of its needs', { 'x-workload-class': 'training' }),
  largeTraining: jobOf('a training job of 2.5 MW', { 'x-workload-class': 'training', 'x-hubward-needs': 'mw=2.5' }),
  tuning: jobOf('a fine-tuning job that says nothing of its needs', {}, '/v1/fine_tuning/jobs'),
  largeTuning: jobOf('a fine-tuning job of 3 MW', { 'x-hubward-needs': 'mw=3' }, '/v1/fine_tuning/jobs'),
  batch: jobOf('a batch of requests', {}, '/v1/batches'),
  liar: callerOf('a client with routing headers of its own', 'emea', {
    'x-hubward-cluster': 'dxb-h100',
    'x-hubward-site': 'dxb',
    'x-hubward-residency': 'ae',
  }),
} satisfies Record<string, Caller>

/** A key of CALLERS. */
export type CallerName = keyof typeof CALLERS
