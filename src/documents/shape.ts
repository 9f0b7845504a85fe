import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Problem } from '../model/problem.ts'
import { SIGNALS } from '../model/signal.ts'
import { type FieldPath, type Located, placeOf } from './place.ts'
import type { DocumentProblemCode } from './problems.ts'
import { KINDS, type Kind, SCHEMAS } from './schema/kinds.ts'
import { API_VERSION } from './schema/parts.ts'
import { didYouMean, knownNames } from './suggest.ts'

/** How many problems of one document's shape are told; more say nothing new. */
const PROBLEMS_MAX = 50

const compiled = new Map<Kind, ValidateFunction>()

/** The kind of a document, or what is wrong with its envelope. */
export function kindOf(located: Located, value: unknown): Kind | Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const message = `a document is a map of apiVersion, kind, metadata and spec, not ${article(value)}`
    return shapeProblem(located, [], 'schema/wrong-type', message, 'write the four fields')
  }
  const { kind, apiVersion } = value as { kind?: unknown; apiVersion?: unknown }
  if (typeof kind === 'string' && Object.hasOwn(KINDS, kind)) return kind as Kind
  if (kind === undefined) {
    return shapeProblem(located, [], 'schema/missing-field', 'the document has no kind', `write kind: ${names()}`)
  }
  const other = apiVersion === API_VERSION || apiVersion === undefined ? '' : ` (apiVersion ${String(apiVersion)})`
  const message = `there is no kind "${String(kind)}"${other}${didYouMean(String(kind), Object.keys(KINDS))}`
  return shapeProblem(located, ['kind'], 'schema/unknown-kind', message, `write one of ${names()}`)
}

/** What is wrong with a document's shape: fields, types, and values that no other document has a say in. */
export function shapeProblems(located: Located, kind: Kind, value: unknown): Problem[] {
  return schemaProblems(located, validatorOf(kind), value)
}

/** What is wrong with a part of a file, `at` being the way to it, by a schema that was compiled `verbose` with all errors. */
export function schemaProblems(
  located: Located,
  validate: ValidateFunction,
  value: unknown,
  at: FieldPath = [],
): Problem[] {
  if (validate(value)) return []
  const problems = new Map<string, Problem>()
  for (const error of validate.errors ?? []) {
    const problem = told(located, error, at)
    if (problem === null) continue
    const key = `${problem.line}:${problem.column}:${problem.code}:${problem.message}`
    if (problems.size < PROBLEMS_MAX) problems.set(key, problem)
  }
  return [...problems.values()]
}

function validatorOf(kind: Kind): ValidateFunction {
  let validate = compiled.get(kind)
  if (validate === undefined) {
    const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, strictTypes: false, strictRequired: false })
    validate = ajv.compile(SCHEMAS[kind])
    compiled.set(kind, validate)
  }
  return validate
}

/** One ajv error as a problem; null for those that only repeat another one. */
function told(located: Located, error: ErrorObject, at: FieldPath): Problem | null {
  const path = [...at, ...pointerPath(error.instancePath)]
  const field = fieldName(path)
  const says = (error.parentSchema as { description?: string } | undefined)?.description
  // Errors from inside a branch of anyOf or oneOf say less than the one about the whole.
  if (/\/(anyOf|oneOf)\/\d+\//.test(error.schemaPath) && !error.propertyName) return null
  switch (error.keyword) {
    case 'if':
    case 'propertyNames':
      return null
    case 'additionalProperties': {
      const name = String(error.params.additionalProperty)
      return unknownField(located, [...path, name], Object.keys((error.parentSchema as Properties).properties ?? {}))
    }
    case 'required': {
      const name = String(error.params.missingProperty)
      return shapeProblem(located, path, 'schema/missing-field', `"${name}" is missing here`, `write ${name}: …`)
    }
    case 'type': {
      const wanted = says ?? String(error.params.type)
      const message = `"${field}" is ${article(error.data)}; it has to be ${wanted}`
      return shapeProblem(located, path, 'schema/wrong-type', message, undefined)
    }
  }
  if (error.propertyName !== undefined) return badKey(located, [...path, error.propertyName], error, says)
  if (error.keyword === 'enum' || error.keyword === 'const') return notAllowed(located, path, error)
  const wanted = says ?? error.message ?? 'something else'
  const message = `"${field}" is ${shown(error.data)}; it has to be ${range(error) ?? wanted}`
  return shapeProblem(located, path, 'schema/bad-value', message, undefined)
}

interface Properties {
  readonly properties?: Readonly<Record<string, unknown>>
}

function notAllowed(located: Located, path: FieldPath, error: ErrorObject): Problem {
  const field = fieldName(path)
  const allowed = (error.params.allowedValues as unknown[] | undefined) ?? [error.params.allowedValue]
  if (allowed.length > 20 && typeof error.data === 'string') return unknownSignal(located, path, 'value', error.data)
  const words = allowed.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
  const meant = typeof error.data === 'string' ? didYouMean(error.data, words) : ''
  const message = `"${field}" is ${shown(error.data)}${meant}`
  return shapeProblem(
    located,
    path,
    'schema/bad-value',
    message,
    `write ${words.join(', ').replace(/, ([^,]*)$/, ' or $1')}`,
  )
}

function badKey(located: Located, path: FieldPath, error: ErrorObject, says: string | undefined): Problem | null {
  const name = String(path.at(-1))
  if (error.keyword === 'anyOf') return unknownSignal(located, path, 'key', name)
  if (error.keyword === 'enum') {
    const allowed = error.params.allowedValues as string[]
    if (allowed.length > 20) {
      return /\/anyOf\//.test(error.schemaPath) ? null : unknownSignal(located, path, 'key', name)
    }
    if (!allowed.includes('action')) return unknownField(located, path, allowed)
    // The names that an action may carry, by what it is.
    const fields = allowed.filter((name) => Object.hasOwn((error.data ?? {}) as object, name) || isActionField(name))
    return unknownField(located, path, fields, 'does not belong to this action')
  }
  if (error.keyword === 'const') return null
  const message = `"${name}" cannot be a name here; it has to be ${says ?? error.message}`
  return shapeProblem(located, path, 'schema/bad-value', message, undefined, 'key')
}

function unknownSignal(located: Located, path: FieldPath, want: 'key' | 'value', name: string): Problem {
  const known = Object.keys(SIGNALS)
  if (/^latency\b/.test(name)) {
    const remedy = 'name what is measured: network.rtt_p95_ms (gateway to site), ttft.p95_ms or response.p95_ms'
    return shapeProblem(located, path, 'signal/ambiguous', `"${name}" does not say of what`, remedy, want)
  }
  const message = `no signal is called "${name}"${didYouMean(name, known)}`
  const area = known.filter((signal) => signal.split('.')[0] === name.split('.')[0])
  return shapeProblem(located, path, 'signal/unknown', message, knownNames(area.length > 0 ? area : known), want)
}

function unknownField(located: Located, path: FieldPath, known: readonly string[], why = 'is not known here'): Problem {
  const name = String(path.at(-1))
  const message = `the field "${name}" ${why}${didYouMean(name, known)}`
  const fields = known.filter((field) => field !== '$schema')
  const remedy = fields.length === 0 ? 'leave it out' : knownNames(fields)
  return shapeProblem(located, path, 'schema/unknown-field', message, remedy, 'key')
}

function shapeProblem(
  located: Located,
  path: FieldPath,
  code: DocumentProblemCode,
  message: string,
  remedy: string | undefined,
  want: 'key' | 'value' = 'value',
): Problem {
  const place = placeOf(located, path, want)
  return { code, severity: 'error', message, ...place, ...(remedy === undefined ? {} : { remedy }) }
}

const isActionField = (name: string): boolean => ['for', 'until', 'retryAfter', 'status'].includes(name)

const names = (): string => Object.keys(KINDS).join(', ')

/** How a field is called in a message: its name, or which entry of a list it is. */
function fieldName(path: FieldPath): string {
  const last = String(path.at(-1) ?? 'the document')
  const lists = path.slice(0, -1).findLast((part) => !/^\d+$/.test(String(part)))
  return /^\d+$/.test(last) && lists !== undefined ? `${lists}[${last}]` : last
}

const pointerPath = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))

const article = (value: unknown): string =>
  value === null ? 'empty' : Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'a map' : shown(value)

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** `at least 1`, for the keywords that bound a number, a text or a list. */
function range(error: ErrorObject): string | undefined {
  const limit = String(error.params.limit ?? '')
  switch (error.keyword) {
    case 'minimum':
      return `at least ${limit}`
    case 'maximum':
      return `at most ${limit}`
    case 'exclusiveMinimum':
      return `more than ${limit}`
    case 'minItems':
      return `a list of at least ${limit}`
    case 'minLength':
      return 'a text that is not empty'
    case 'maxLength':
      return `at most ${limit} characters long`
    case 'uniqueItems':
      return 'a list in which nothing stands twice'
    default:
      return undefined
  }
}
