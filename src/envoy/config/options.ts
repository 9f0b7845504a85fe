import type { ResidencyName } from '../../model/names.ts'
import type { Address, EnvoyObject } from './envoy-object.ts'

/**
 * Who says which residency class a request belongs to. It must be something the client can't set:
 * `listener` gives everything that comes in here one class, `vhost` one class by domain, and `filter` leaves it to a
 * filter of the operator's that sets x-hubward-residency and clears the route cache (jwt_authn with claim_to_headers
 * and clear_route_cache, for one).
 */
export type ResidencySource =
  | { readonly by: 'listener'; readonly class: ResidencyName }
  | {
      readonly by: 'vhost'
      readonly hosts: readonly { readonly domains: readonly string[]; readonly class: ResidencyName }[]
    }
  | { readonly by: 'filter' }

/** TLS from Envoy to hubward: PEM files as Envoy sees them. */
export interface SidecarTls {
  /** Who signed hubward's certificate. */
  readonly caFile: string
  /** The DNS name in it. */
  readonly serverName: string
  /** Envoy's own certificate and key, where hubward asks for one. */
  readonly certFile?: string
  readonly keyFile?: string
}

/** What `hubward envoy` can be told beside the documents. */
export interface EnvoyOptions {
  readonly listener: Address
  readonly admin: Address
  readonly sidecar: Address
  readonly sidecarTls?: SidecarTls
  /** How many processes hubward has, each with a listener of its own behind that address. */
  readonly processes: number
  readonly mode: 'ext_proc' | 'ext_authz'
  readonly residency: ResidencySource
  /** The residency class whose default also serves requests without any; absent: those get 503 while hubward is down. */
  readonly unrestrictedDefault?: ResidencyName
  /** How long Envoy waits for a decision. */
  readonly messageTimeoutMs: number
  /** How long hubward may ask it to wait, for the action `queue`; 0 switches holding off. */
  readonly holdMsMax: number
  /** Path prefixes whose body hubward reads (the OpenAI `model`). Bodies over the limit get 413 there. */
  readonly bodyPaths: readonly string[]
  /** The path of the sites' own health check; absent: only refused connections are noticed. */
  readonly healthPath?: string | undefined
  readonly healthIntervalMs: number
  readonly connectTimeoutMs: number
  /** How long a stream may be silent: prefill of a long prompt is silence. */
  readonly idleTimeoutMs: number
  /** What the sites speak. */
  readonly upstreamHttp: 1 | 2
  /** A file as Envoy sees it; absent: no access log. */
  readonly accessLog?: string | undefined
  /** Whether Envoy tells hubward how each request ended. */
  readonly accessLogService: boolean
  /** How long lines of that log are gathered before they are sent. */
  readonly logFlushMs: number
  /** Whether the counts of tokens in the last chunk of streamed answers go into it. */
  readonly tokenUsage: boolean
  /** What the job routes tell clients while hubward is down. */
  readonly retryAfterS: number
  /** Whether a signed decision of another hubward is let in. */
  readonly hops: boolean
  /** Whether a tester's signed header is let in; it never goes on to a site. */
  readonly force: boolean
  /** Whether clients are told site, reason, policy and decision. */
  readonly tellClients: boolean
  /** HTTP filters of the operator's that run before hubward's, as Envoy has them. */
  readonly filtersBefore: readonly EnvoyObject[]
  /** The most pairs of clusters that get an aggregate. */
  readonly aggregatesMax: number
}

/**
 * What holds where nobody said otherwise. 200 ms is Envoy's own default for message_timeout; 50 ms made 3 % of requests
 * fail open on a saturated two-core machine. 15 s is the longest hold that clients were seen to bear.
 */
export const ENVOY_OPTIONS_DEFAULT: EnvoyOptions = {
  listener: { host: '0.0.0.0', port: 8080 },
  admin: { host: '127.0.0.1', port: 9901 },
  sidecar: { path: '/run/hubward/envoy.sock' },
  processes: 1,
  mode: 'ext_proc',
  residency: { by: 'filter' },
  messageTimeoutMs: 200,
  holdMsMax: 15_000,
  bodyPaths: [],
  healthPath: '/health',
  healthIntervalMs: 1_000,
  connectTimeoutMs: 1_000,
  idleTimeoutMs: 300_000,
  upstreamHttp: 1,
  accessLog: '/dev/stdout',
  accessLogService: true,
  logFlushMs: 1_000,
  tokenUsage: false,
  retryAfterS: 30,
  hops: false,
  force: false,
  tellClients: true,
  filtersBefore: [],
  aggregatesMax: 400,
}
