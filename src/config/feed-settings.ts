import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { type FieldPath, type Located, placeOf } from '../documents/place.ts'
import { schemaProblems } from '../documents/shape.ts'
import { didYouMean, knownNames } from '../documents/suggest.ts'
import { checkFeeds } from '../feeds/check.ts'
import type { EnvoyAdminConfig } from '../feeds/feeds.ts'
import { ENVOY_ADMIN_SCHEMA, type JsonSchema } from '../feeds/schemas.ts'
import { FEED_KINDS, type FeedConfig } from '../feeds/table.ts'
import type { Problem } from '../model/problem.ts'

/** Feeds and Envoy's admin port as they were written: not yet held against the schemas of their kinds. */
export interface WrittenFeeds {
  readonly feeds: readonly Readonly<Record<string, unknown>>[]
  readonly envoyAdmin?: unknown
}

/** Feeds that are what their kinds ask for. */
export interface FeedSettings {
  readonly feeds: readonly FeedConfig[]
  readonly envoyAdmin: EnvoyAdminConfig | undefined
}

/** The feeds of a configuration, each held against its kind's schema and all against one another. */
export function readFeeds(
  located: Located,
  written: WrittenFeeds,
  absolute: (path: string) => string,
): { readonly settings: FeedSettings; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  for (const [index, feed] of written.feeds.entries()) {
    const at = ['feeds', index]
    const { kind } = feed
    if (typeof kind === 'string' && Object.hasOwn(FEED_KINDS, kind)) {
      const { schema } = FEED_KINDS[kind as keyof typeof FEED_KINDS]
      problems.push(...schemaProblems(located, compiled(kind, schema), feed, at))
    } else problems.push(unknownKind(located, at, kind))
  }
  if (written.envoyAdmin !== undefined) {
    const validate = compiled('envoyAdmin', ENVOY_ADMIN_SCHEMA)
    problems.push(...schemaProblems(located, validate, written.envoyAdmin, ['envoyAdmin']))
  }
  if (problems.length > 0) return { settings: { feeds: [], envoyAdmin: undefined }, problems }
  const feeds = written.feeds.map((feed) => withPaths(feed, absolute)) as unknown as readonly FeedConfig[]
  for (const problem of checkFeeds(feeds)) {
    // It names its entry as feeds[3]; here the entry has a place in a file.
    const index = Number(/\[(\d+)\]/.exec(problem.path ?? '')?.[1] ?? 0)
    problems.push({ ...problem, ...placeOf(located, ['feeds', index]) })
  }
  const envoyAdmin = written.envoyAdmin as EnvoyAdminConfig | undefined
  return { settings: { feeds, envoyAdmin }, problems }
}

function unknownKind(located: Located, at: FieldPath, kind: unknown): Problem {
  const kinds = Object.keys(FEED_KINDS)
  const message =
    typeof kind === 'string' ? `no feed is of kind "${kind}"${didYouMean(kind, kinds)}` : 'the feed has no kind'
  const remedy = knownNames(kinds)
  return { code: 'config/feed-kind', severity: 'error', message, ...placeOf(located, [...at, 'kind']), remedy }
}

/** Kinds whose `path` is one of a file; that of the others is one of HTTP. */
const FILE_KINDS: ReadonlySet<string> = new Set<FeedConfig['kind']>(['file', 'series'])

const namesFile = (field: string, kind: string): boolean =>
  field === 'path' ? FILE_KINDS.has(kind) : field === 'file' || field.endsWith('File')

/** The same with the paths of files made absolute. */
function withPaths(value: unknown, absolute: (path: string) => string, kind = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => withPaths(item, absolute, kind))
  if (typeof value !== 'object' || value === null) return value
  const own = String((value as { kind?: unknown }).kind ?? kind)
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      typeof field === 'string' && namesFile(name, own) ? absolute(field) : withPaths(field, absolute, own),
    ]),
  )
}

const validators = new Map<string, ValidateFunction>()

function compiled(kind: string, schema: JsonSchema): ValidateFunction {
  let validate = validators.get(kind)
  if (validate === undefined) {
    const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: false })
    formats.default(ajv)
    validate = ajv.compile(schema)
    validators.set(kind, validate)
  }
  return validate
}
