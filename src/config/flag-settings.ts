import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { parseDuration } from '../documents/duration.ts'
import { type FieldPath, type Located, placeOf } from '../documents/place.ts'
import { schemaProblems } from '../documents/shape.ts'
import { didYouMean, knownNames } from '../documents/suggest.ts'
import type { Problem } from '../model/problem.ts'
import { FLAG_KINDS, type FlagSourceConfig } from '../openfeature/kinds.ts'

/** What the configuration says of flags, as it was written: entries are not yet held against the schemas of their kinds. */
export interface WrittenFlags {
  readonly flags: readonly Readonly<Record<string, unknown>>[]
  readonly fractionalVersion: 2 | 3
}

/** An entry with the defaults of its kind. */
interface WrittenSource {
  readonly kind: string
  readonly ttl: string
  readonly poll: string
  readonly timeout?: string
  readonly streamDeadline?: string
  readonly backoff?: { readonly min: string; readonly max: string }
}

/** Less than this is nobody's wish: a source is not asked without rest. */
const LEAST_MS = 10

/** The sources of flags of a configuration, each held against its kind's schema. */
export function readFlagSources(
  located: Located,
  written: WrittenFlags,
  absolute: (path: string) => string,
): { readonly flags: readonly FlagSourceConfig[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const flags: FlagSourceConfig[] = []
  for (const [index, entry] of written.flags.entries()) {
    const at = ['flags', index]
    const { kind } = entry
    if (typeof kind !== 'string' || !Object.hasOwn(FLAG_KINDS, kind)) {
      problems.push(unknownKind(located, at, kind))
      continue
    }
    const filled = structuredClone(entry)
    const wrong = schemaProblems(located, validatorOf(kind as keyof typeof FLAG_KINDS), filled, at)
    problems.push(...wrong)
    if (wrong.length === 0) flags.push(sourceOf(filled as unknown as WrittenSource, absolute))
  }
  return { flags, problems }
}

function sourceOf(
  { ttl, poll, timeout, streamDeadline, backoff, ...rest }: WrittenSource,
  absolute: (path: string) => string,
): FlagSourceConfig {
  const ms = (text: string): number => Math.max(LEAST_MS, parseDuration(text) ?? 0)
  return {
    ...(withPaths(rest, absolute) as object),
    ttlMs: parseDuration(ttl) ?? 0,
    pollMs: ms(poll),
    ...(timeout === undefined ? {} : { timeoutMs: ms(timeout) }),
    ...(streamDeadline === undefined ? {} : { streamDeadlineMs: Math.max(1_000, ms(streamDeadline)) }),
    ...(backoff === undefined ? {} : { backoffMs: { min: ms(backoff.min), max: ms(backoff.max) } }),
  } as FlagSourceConfig
}

/** The same with the paths of files made absolute. A context is the asker's own and has no paths. */
function withPaths(value: unknown, absolute: (path: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => withPaths(item, absolute))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (name === 'context') return [name, field]
      const isPath = name === 'file' || name === 'socket' || name.endsWith('File')
      return [name, isPath && typeof field === 'string' ? absolute(field) : withPaths(field, absolute)]
    }),
  )
}

function unknownKind(located: Located, at: FieldPath, kind: unknown): Problem {
  const kinds = Object.keys(FLAG_KINDS)
  const message =
    typeof kind === 'string'
      ? `no source of flags is of kind "${kind}"${didYouMean(kind, kinds)}`
      : 'the source of flags has no kind'
  const remedy = knownNames(kinds)
  return { code: 'config/flag-kind', severity: 'error', message, ...placeOf(located, [...at, 'kind']), remedy }
}

const validators = new Map<string, ValidateFunction>()

function validatorOf(kind: keyof typeof FLAG_KINDS): ValidateFunction {
  let validate = validators.get(kind)
  if (validate === undefined) {
    const ajv = new Ajv2020({ allErrors: true, verbose: true, useDefaults: true, strict: false })
    validate = ajv.compile(FLAG_KINDS[kind].schema)
    validators.set(kind, validate)
  }
  return validate
}
