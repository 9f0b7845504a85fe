import { ENVOY_ADMIN_SCHEMA } from '../feeds/schemas.ts'
import { FEED_KINDS } from '../feeds/table.ts'
import { LOG_LEVELS } from '../log.ts'
import { PROCESSES_MAX } from '../model/process-address.ts'
import { FLAG_KINDS } from '../openfeature/kinds.ts'

/** A JSON Schema, or a part of one. */
export type Schema = { readonly [keyword: string]: unknown }

const object = (
  description: string,
  properties: Readonly<Record<string, Schema>>,
  required: string[] = [],
): Schema => ({
  type: 'object',
  description,
  additionalProperties: false,
  properties,
  ...(required.length === 0 ? {} : { required }),
})
/** An object that is there with its defaults though nobody wrote it. */
const section = (description: string, properties: Readonly<Record<string, Schema>>): Schema => ({
  ...object(description, properties),
  default: {},
})
const text = (description: string, more: Schema = {}): Schema => ({
  type: 'string',
  minLength: 1,
  maxLength: 4_096,
  description,
  ...more,
})
const file = (description: string): Schema => text(`${description}; relative to this file`)
const duration = (description: string, absent?: string): Schema => ({
  type: 'string',
  pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$',
  description: `${description}, such as 30s`,
  ...(absent === undefined ? {} : { default: absent }),
})
const whole = (description: string, minimum: number, maximum: number, absent?: number): Schema => ({
  type: 'integer',
  minimum,
  maximum,
  description,
  ...(absent === undefined ? {} : { default: absent }),
})
const name = text('a name of its own: letters, digits, dots and dashes', {
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
})
const owner = text('who answers for it: the address of a role')
const address = (description: string): Schema =>
  text(description, { pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^:\\s\\[\\]]+):[0-9]{1,5}$' })
const tls = (more: Readonly<Record<string, Schema>> = {}): Schema =>
  object('PEM files', { certFile: file('the certificate and its chain'), keyFile: file('its private key'), ...more }, [
    'certFile',
    'keyFile',
  ])

const listener = object('a unix socket or a TCP address; both speak ext_proc, ext_authz and gRPC health', {
  socket: text('the path of a unix socket'),
  mode: text('who may use the socket, in octal', { pattern: '^0?[0-7]{3}$' }),
  uid: whole('the owner of the socket', 0, 4_294_967_294),
  gid: whole('the group of the socket', 0, 4_294_967_294),
  address: address('host and port, such as 127.0.0.1:50051; port 0 is any free one'),
  tls: tls({ clientCaFile: file('who signs the certificates of clients, which are then asked for one') }),
})

/** The configuration of `hubward serve`: what it is, what it takes and what holds where nobody says otherwise. */
export const CONFIG_SCHEMA: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'https://hubward.dev/schemas/config.schema.json',
  title: 'hubward configuration',
  ...object(
    'What one hubward listens on, reads and writes. Documents and orders are not in here: they change while it runs.',
    {
      $schema: text('for editors'),
      instance: text('what this hubward is called in hops, logs and metrics; absent: the name of the host'),
      stateDir: text('where last good documents, keys and the journal are kept; relative to this file', {
        default: '/var/lib/hubward',
      }),
      log: section('what is said on the standard error', {
        level: { enum: [...LOG_LEVELS], description: 'the least that is said', default: 'info' },
      }),
      listeners: {
        type: 'array',
        minItems: 1,
        maxItems: 16,
        items: listener,
        description: 'where Envoy asks',
        default: [{ socket: '/run/hubward/envoy.sock' }],
      },
      transport: {
        enum: ['grpc-js', 'own'],
        description:
          'what carries gRPC on the listeners: the HTTP/2 server of hubward, or @grpc/grpc-js, which takes three times the CPU',
        default: 'own',
      },
      processes: whole(
        'how many processes decide, each on listeners of its own: the first on those written here, the others on `socket.1` or the next port and so on; `hubward envoy --processes` must say the same',
        1,
        PROCESSES_MAX,
        1,
      ),
      documents: {
        type: 'array',
        minItems: 1,
        maxItems: 64,
        description: 'folders of documents, each a source of its own that holds up no other',
        items: object(
          'a folder',
          {
            name,
            dir: file('the folder'),
            owner,
            poll: duration('how often it is looked at without being told', '2s'),
          },
          ['name', 'dir'],
        ),
      },
      overrides: section('the file of emergency orders, which `hubward override` writes', {
        name: { ...name, default: 'overrides' },
        file: file('the file; absent: overrides.json in stateDir'),
        owner,
        poll: duration('how often it is looked at without being told', '1s'),
      }),
      journal: section('what was decided and changed, in lines of JSON', {
        dir: file('the folder; absent: journal in stateDir'),
        share: {
          type: 'number',
          minimum: 0,
          maximum: 1,
          description: 'the share of decisions that is kept where nothing else keeps them',
          default: 0.01,
        },
        movedPerSecond: whole(
          'decisions of one class and reason that are kept in a second because they are not the first choice; of more the share is kept, and refusals are kept always',
          0,
          1_000_000,
          100,
        ),
        fileBytesMax: whole('a file this large is closed and the next one begun', 4_096, 17_179_869_184, 67_108_864),
        changeFilesMax: whole('files of changes that are kept', 1, 100_000, 100),
        decisionFilesMax: whole('files of decisions that are kept', 1, 100_000, 20),
        fsync: {
          enum: ['never', 'changes', 'always'],
          description: 'what is flushed to the disk itself after each batch',
          default: 'changes',
        },
        hide: {
          type: 'array',
          items: text('the name of a fact'),
          description: 'further facts that are written as a keyed hash; the session key always is',
          default: [],
        },
      }),
      admin: section('HTTP for operators and programs', {
        address: { ...address('host and port; others than loopback need tokensFile'), default: '127.0.0.1:9470' },
        tokensFile: file('bearer tokens as `name sha256-of-the-token`, one a line; absent: no token is asked for'),
        tls: tls(),
        hosts: {
          type: 'array',
          items: text('a host name'),
          description: 'names by which it may be asked, beside its own address and localhost',
          default: [],
        },
        waitersMax: whole('how many may wait for a new snapshot at once', 1, 10_000, 64),
        admissionOpen: {
          type: 'boolean',
          description:
            'whether Kubernetes may ask for admission without a token, where its API server can not be given one; keep others off the port',
          default: false,
        },
      }),
      jobs: section('admitted jobs and what they hold', {
        reservationLife: duration('how long a reservation holds without a word from its job, a day at most', '2h'),
        listenersMax: whole('how many may listen to the events of jobs at once', 1, 10_000, 64),
      }),
      measure: section("what came of requests, by Envoy's access log", {
        pending: whole(
          'decisions that are kept until their requests have ended, some 250 bytes each; beyond it the oldest go',
          1_024,
          4_194_304,
          65_536,
        ),
        cellsMax: whole(
          'combinations of site, class, tier, model, arm and the other labels that are told apart at once',
          64,
          4_096,
          4_096,
        ),
        bytesMax: whole(
          'bytes of the measurements of the last two days; beyond it the oldest hours go',
          1_048_576,
          1_073_741_824,
          33_554_432,
        ),
      }),
      hold: section('requests that wait here because their policy says `queue`', {
        max: duration(
          'the longest that one is held; 0s: none is. Envoy must allow a second more (max_message_timeout)',
          '10s',
        ),
        countMax: whole(
          'how many are held at once. If hubward died they would all go on to the default of their residency at the same moment: no more than that can take as a burst',
          0,
          100_000,
          256,
        ),
        bytesMax: whole('bytes of the requests that are held at once', 0, 1_073_741_824, 67_108_864),
      }),
      feeds: {
        type: 'array',
        maxItems: 10_000,
        // Each is held against the schema of its kind alone, so that a problem is told once and where it is.
        items: { type: 'object', required: ['kind', 'name'], description: 'a feed: its kind, its name and its fields' },
        description: 'where samples come from',
        default: [],
      },
      flags: {
        type: 'array',
        maxItems: 64,
        // As with feeds: each is held against the schema of its kind alone.
        items: {
          type: 'object',
          required: ['kind', 'name'],
          description: 'a source: its kind, its name and its fields',
        },
        description: 'where flags come from, each a source of its own that is taken whole or refused whole',
        default: [],
      },
      fractionalVersion: {
        enum: [2, 3],
        description:
          'the version of the algorithm by which `fractional` shares out: 2 as flagd does it; 3 where the other evaluators of the same flags have it already',
        default: 2,
      },
      openfeature: section('flags and routing decisions for OpenFeature SDKs', {
        origins: {
          type: 'array',
          maxItems: 64,
          items: text('an origin', { pattern: '^https?://[^/\\s*]+$' }),
          description: 'web pages that may ask for evaluations, such as https://console.example.com; nobody else may',
          default: [],
        },
        streamsMax: whole(
          'how many may listen for changes of flags at once, by OFREP and by flagd.sync each',
          1,
          10_000,
          64,
        ),
        sync: {
          ...listener,
          description: 'where flagd.sync.v1 is served: a unix socket or a TCP address; absent: nowhere',
        },
      }),
      envoyAdmin: {
        type: 'object',
        description: "Envoy's admin port: which clusters it has, and how its connections go; absent: nobody asks it",
      },
      geo: section('where addresses are', {
        countryFile: file('an mmdb file with countries; absent: the one that hubward brings along'),
        asnFile: file('an mmdb file with autonomous systems; absent: no request has an ASN'),
      }),
      keys: section("what session tokens, hops and testers' headers are signed with; several hubwards need the same", {
        sessionFile: file('keys of session tokens, `id secret` a line, the first one signs; absent: made in stateDir'),
        hopFile: file('keys of hops; absent: no hop is believed, none is signed'),
        forceFile: file("keys of testers' headers, see `hubward force`; absent: none is believed"),
      }),
      hops: {
        type: 'boolean',
        description: 'whether decisions are handed on, signed, to another hubward on the way; needs keys.hopFile',
        default: false,
      },
      sidecars: whole('how many hubwards send to the same sites: own dispatches count that many times', 1, 10_000, 1),
      drain: duration('how long requests are still answered after SIGTERM, for Envoy to drain', '30s'),
    },
    ['documents'],
  ),
}

/** The same with the schema of every kind of feed in its place, for editors and readers. */
export const CONFIG_SCHEMA_WHOLE: Schema = {
  ...CONFIG_SCHEMA,
  properties: {
    ...(CONFIG_SCHEMA.properties as Record<string, Schema>),
    feeds: {
      ...((CONFIG_SCHEMA.properties as Record<string, Schema>).feeds as Schema),
      items: { anyOf: Object.values(FEED_KINDS).map(({ says, schema }) => ({ description: says, ...schema })) },
    },
    flags: {
      ...((CONFIG_SCHEMA.properties as Record<string, Schema>).flags as Schema),
      items: { anyOf: Object.values(FLAG_KINDS).map(({ says, schema }) => ({ description: says, ...schema })) },
    },
    envoyAdmin: {
      ...((CONFIG_SCHEMA.properties as Record<string, Schema>).envoyAdmin as Schema),
      ...ENVOY_ADMIN_SCHEMA,
    },
  },
}

/** A field with one value that has a fixed place: the environment and `--set` can give it. */
export interface Leaf {
  /** Its place, names joined by dots: `admin.address`. */
  readonly path: string
  /** Its variable: `HUBWARD_ADMIN_ADDRESS`. */
  readonly variable: string
  readonly schema: Schema
}

/** Every such field. */
export const CONFIG_LEAVES: readonly Leaf[] = leavesOf(CONFIG_SCHEMA, [])

function leavesOf(schema: Schema, path: readonly string[]): Leaf[] {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, Schema>>
  return Object.entries(properties).flatMap(([field, part]) => {
    const place = [...path, field]
    if (field === '$schema' || field === 'envoyAdmin' || part.type === 'array') return []
    if (part.type === 'object') return path.length === 0 ? leavesOf(part, place) : []
    const words = place.map((word) => word.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase())
    return [{ path: place.join('.'), variable: `HUBWARD_${words.join('_')}`, schema: part }]
  })
}
