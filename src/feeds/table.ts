import type { TargetName } from '../model/names.ts'
import type { HttpAccess } from './credentials.ts'
import type { EngineName } from './engines.ts'
import { fileFeed } from './file.ts'
import { modelServer } from './model-server.ts'
import { placeOf } from './place.ts'
import type { Source } from './poller.ts'
import { probe } from './probe.ts'
import { FEED_DEFAULTS, FILE_SCHEMA, type JsonSchema, MODEL_SERVER_SCHEMA, PROBE_SCHEMA } from './schemas.ts'
import type { FeedClock } from './time.ts'

/** What every feed says of itself. */
interface Common {
  readonly name: string
  readonly owner?: string
  readonly intervalMs?: number
  readonly timeoutMs?: number
}

/** A feed of model servers' metrics, as it is configured. */
export interface ModelServerConfig extends Common, HttpAccess {
  readonly kind: 'model-server'
  readonly targets: readonly ({ readonly target: TargetName } & (
    | { readonly url: string }
    | { readonly urls: readonly string[] }
  ))[]
  readonly engine?: EngineName
  readonly backoffMsMax?: number
  readonly frozenAfter?: number
  readonly bodyBytesMax?: number
}

/** A feed of active probes, as it is configured. */
export interface ProbeConfig extends Common, HttpAccess {
  readonly kind: 'probe'
  readonly targets: readonly { readonly target: TargetName; readonly url: string }[]
  readonly path?: string
  readonly expect?: readonly number[]
}

/** A feed from a file, as it is configured. */
export interface FileConfig extends Common {
  readonly kind: 'file'
  readonly path: string
  readonly signals?: readonly string[]
  readonly targets?: readonly TargetName[]
  readonly backoffMsMax?: number
  readonly bytesMax?: number
}

/** One entry of `feeds`. */
export type FeedConfig = ModelServerConfig | ProbeConfig | FileConfig

/** What the making of sources needs from outside. */
export interface FeedParts {
  readonly clock: FeedClock
  readonly dispatched: (target: TargetName) => number
}

/** A kind of feed: what it is, what it may say, and the sources that one entry makes, each polled by itself. */
export interface FeedKind<Config> {
  readonly says: string
  readonly schema: JsonSchema
  readonly sources: (config: Config, parts: FeedParts) => Source[]
}

/** Every kind of feed. A new one is a row here and a reader. */
export const FEED_KINDS = {
  'model-server': {
    says: "model servers' own metrics: vLLM, SGLang, TensorRT-LLM, Triton",
    schema: MODEL_SERVER_SCHEMA,
    sources: (config, parts) =>
      config.targets.map((one) => {
        const urls = 'urls' in one ? one.urls : [one.url]
        const settings = { ...FEED_DEFAULTS['model-server'], ...config, ...named(config, one.target), urls }
        return modelServer({ ...settings, target: one.target }, parts)
      }),
  } satisfies FeedKind<ModelServerConfig>,
  probe: {
    says: 'active probes over HTTP: signs of life, round trip, TLS, first byte',
    schema: PROBE_SCHEMA,
    sources: (config, { clock }) =>
      config.targets.map(({ target, url }) => {
        const { site } = placeOf(target)
        const isSiteWide = config.targets.filter((one) => placeOf(one.target).site === site).length === 1
        const settings = { ...FEED_DEFAULTS.probe, expect: [], ...config, ...named(config, target) }
        return probe({ ...settings, target, url, isSiteWide }, clock)
      }),
  } satisfies FeedKind<ProbeConfig>,
  file: {
    says: 'samples from a file of JSON',
    schema: FILE_SCHEMA,
    sources: (config) => [fileFeed({ ...FEED_DEFAULTS.file, ...config })],
  } satisfies FeedKind<FileConfig>,
} as const

/** The sources that one entry of `feeds` makes. */
export const feedSources = (config: FeedConfig, parts: FeedParts): Source[] => {
  switch (config.kind) {
    case 'model-server':
      return FEED_KINDS['model-server'].sources(config, parts)
    case 'probe':
      return FEED_KINDS.probe.sources(config, parts)
    case 'file':
      return FEED_KINDS.file.sources(config)
    default:
      return config satisfies never
  }
}

/** A feed of several targets is several sources, each with the target in its name. */
const named = (config: { readonly name: string; readonly targets: readonly unknown[] }, target: TargetName) =>
  config.targets.length === 1 ? {} : { name: `${config.name}/${target}` }
