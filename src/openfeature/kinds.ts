import type { FlagSourceBase } from './flag-intake.ts'

/** A JSON Schema (2020-12) as plain data. */
type JsonSchema = Readonly<Record<string, unknown>>

/** How a source of flags is asked over a network: as the same fields of feeds say. */
export interface FlagAccess {
  readonly auth?: { readonly bearerFile: string } | { readonly username: string; readonly passwordFile: string }
  readonly headers?: readonly ({ readonly name: string } & ({ readonly value: string } | { readonly file: string }))[]
  readonly tls?: {
    readonly caFile?: string
    readonly certFile?: string
    readonly keyFile?: string
    readonly serverName?: string
  }
}

/** What sources on a network have beside. */
interface Remote extends FlagSourceBase, FlagAccess {
  readonly pollMs: number
  readonly timeoutMs: number
  readonly backoffMs: { readonly min: number; readonly max: number }
}

/** A file or a folder of definitions. */
export interface FileFlagsConfig extends FlagSourceBase {
  readonly kind: 'file'
  readonly file: string
  readonly pollMs: number
}

/** A definition by HTTP. */
export interface HttpFlagsConfig extends Remote {
  readonly kind: 'http'
  readonly url: string
}

/** What an OFREP service says for one context. */
export interface OfrepFlagsConfig extends Remote {
  readonly kind: 'ofrep'
  readonly url: string
  readonly context: Readonly<Record<string, unknown>>
}

/** A stream of flagd.sync.v1. */
export interface SyncFlagsConfig extends Remote {
  readonly kind: 'flagd-sync'
  /** `host:port`, or a unix socket. */
  readonly address?: string
  readonly socket?: string
  readonly selector?: string
  readonly providerId?: string
  readonly streamDeadlineMs: number
}

/** An entry of `flags`, durations in milliseconds and paths absolute. */
export type FlagSourceConfig = FileFlagsConfig | HttpFlagsConfig | OfrepFlagsConfig | SyncFlagsConfig

const text = (description: string, more: JsonSchema = {}): JsonSchema => ({
  type: 'string',
  minLength: 1,
  maxLength: 4_096,
  description,
  ...more,
})
const duration = (description: string, absent: string): JsonSchema => ({
  type: 'string',
  pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$',
  description: `${description}, such as 30s`,
  default: absent,
})
const common = (kind: string, poll: JsonSchema): JsonSchema => ({
  kind: { const: kind },
  name: text('a name of its own: letters, digits, dots and dashes', { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' }),
  owner: text('who answers for it: the address of a role'),
  ttl: duration('how long its flags are fresh after each sign of life (0s: for ever)', '0s'),
  whenStale: {
    enum: ['keep', 'off'],
    description:
      'what becomes of its flags when they are stale: the last values stay and say so, or all of them are off',
    default: 'keep',
  },
  poll,
})
const secret = (description: string): JsonSchema => text(description, { maxLength: 1_024 })
const remote: JsonSchema = {
  timeout: duration('how long an answer may take', '5s'),
  backoff: {
    type: 'object',
    additionalProperties: false,
    description: 'how long it waits after failures: a time drawn between the least and a limit that doubles',
    default: {},
    properties: {
      min: duration('the least, which is kept to even after the first failure', '1s'),
      max: duration('the most', '12s'),
    },
  },
  auth: {
    description: 'who hubward is there; files are read anew for each question',
    oneOf: [
      {
        type: 'object',
        additionalProperties: false,
        required: ['bearerFile'],
        properties: { bearerFile: secret('a file with a bearer token') },
      },
      {
        type: 'object',
        additionalProperties: false,
        required: ['username', 'passwordFile'],
        properties: { username: secret('the name'), passwordFile: secret('a file with the password') },
      },
    ],
  },
  headers: {
    type: 'array',
    maxItems: 16,
    description: 'further headers, such as X-API-Key; a secret value comes from a file',
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['name'],
      properties: {
        name: text('the header', { pattern: '^[A-Za-z0-9-]{1,64}$' }),
        value: text('its value', { pattern: '^[\\x20-\\x7e]*$' }),
        file: secret('a file with its value'),
      },
      oneOf: [{ required: ['value'] }, { required: ['file'] }],
    },
  },
  tls: {
    type: 'object',
    additionalProperties: false,
    description: 'PEM files',
    properties: {
      caFile: text('who signs the certificate of the server; absent: the authorities that Node knows'),
      certFile: text('our own certificate'),
      keyFile: text('its private key'),
      serverName: text("the name in the server's certificate, where it is not the address's"),
    },
    dependentRequired: { certFile: ['keyFile'], keyFile: ['certFile'] },
  },
}
const entry = (description: string, required: readonly string[], properties: JsonSchema): JsonSchema => ({
  type: 'object',
  description,
  additionalProperties: false,
  required: ['kind', 'name', ...required],
  properties,
})
const httpUrl = (description: string): JsonSchema => text(description, { pattern: '^https?://[^\\s#]+$' })

/** A kind of source. */
export interface FlagKind {
  readonly says: string
  readonly notes: readonly string[]
  readonly schema: JsonSchema
  readonly example: Readonly<Record<string, unknown>>
}

/** Every kind of source of flags. To add one, add a row here, its configuration above and what opens it in flag-sources.ts. */
export const FLAG_KINDS = {
  file: {
    says: 'flagd definitions in a file, or in the JSON and YAML files of a folder',
    notes: [
      'A folder is one source: the files of it are taken together or not at all. It is watched, and looked at for what a watch misses, such as a symlink further up that was swapped. What changes while it is read is read again.',
    ],
    schema: entry('a file or folder', ['file'], {
      ...common('file', duration('how often it is looked at without being told', '2s')),
      file: text('the file, or the folder; relative to this file'),
    }),
    example: { kind: 'file', name: 'flags', file: 'flags', owner: 'routing@example.com' },
  },
  http: {
    says: 'a flagd definition by HTTP',
    notes: [
      'What has not changed is not sent again: ETag and Last-Modified are brought back. Redirects are not followed.',
    ],
    schema: entry('an address', ['url'], {
      ...common('http', duration('how often it is asked', '30s')),
      url: httpUrl('the address of the definition'),
      ...remote,
    }),
    example: {
      kind: 'http',
      name: 'flags-by-http',
      url: 'https://flags.example.com/hubward.json',
      ttl: '10m',
      whenStale: 'keep',
    },
  },
  ofrep: {
    says: 'the answers of an OFREP service to a bulk evaluation',
    notes: [
      'OFREP gives values and no rules. hubward asks for one context, which stands here, and every flag of the answer becomes one that always gives that value: it can switch something for everybody, and carry a kill-switch or an incident; it can not tell tenants, regions or sessions apart, and no rollout can drive it. For targeting take the definitions themselves: `file`, `http` or `flagd-sync`. A flag without a value is off, as is one that could not be evaluated there, which is told.',
    ],
    schema: entry('a service', ['url'], {
      ...common('ofrep', duration('how often it is asked', '10s')),
      url: httpUrl('the address that /ofrep/v1/evaluate/flags follows'),
      context: {
        type: 'object',
        description: 'the context that is asked about, `targetingKey` among it',
        maxProperties: 64,
        default: {},
      },
      ...remote,
    }),
    example: {
      kind: 'ofrep',
      name: 'switches',
      url: 'https://flags.example.com',
      context: { targetingKey: 'hubward', region: 'eu' },
      headers: [{ name: 'X-API-Key', file: '/run/secrets/flags-key' }],
      ttl: '1m',
      whenStale: 'off',
    },
  },
  'flagd-sync': {
    says: 'a stream of flagd.sync.v1, as flagd serves it on port 8015',
    notes: [
      'Whether the other side is still there is asked on the same connection by GetMetadata, whatever it answers, every `poll`: a stream on which nothing changes says nothing by itself, and servers of gRPC end connections with too many pings. Without an answer in `timeout` it connects anew, as it does after `streamDeadline`.',
    ],
    schema: {
      ...entry('a service', [], {
        ...common('flagd-sync', duration('how often it is asked whether it is still there', '10s')),
        address: text('host and port', { pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^:\\s\\[\\]/]+):[0-9]{1,5}$' }),
        socket: text('the path of a unix socket; relative to this file'),
        selector: text('which flags: `flagSetId=…` or `source=…`', { maxLength: 256, pattern: '^[\\x21-\\x7e]+$' }),
        providerId: text('what hubward is called there', { maxLength: 256 }),
        streamDeadline: duration('how long a stream is used', '10m'),
        ...remote,
      }),
      oneOf: [{ required: ['address'] }, { required: ['socket'] }],
    },
    example: {
      kind: 'flagd-sync',
      name: 'flagd',
      address: 'flagd.example.com:8015',
      selector: 'flagSetId=routing',
      tls: { caFile: 'flagd-ca.pem' },
      ttl: '5m',
      whenStale: 'keep',
    },
  },
} as const satisfies Record<string, FlagKind>
