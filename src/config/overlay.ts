import { Ajv2020 } from 'ajv/dist/2020.js'
import { didYouMean, knownNames } from '../documents/suggest.ts'
import type { Problem } from '../model/problem.ts'
import type { ConfigProblemCode } from './problems.ts'
import { CONFIG_LEAVES, type Leaf } from './schema.ts'

/**
 * A configuration with what the environment and the command line say laid over it, the latter last. Variables that are
 * no field's are let be: Kubernetes sets HUBWARD_PORT and its like for a Service of that name.
 */
export function overlay(
  value: unknown,
  environment: Readonly<Record<string, string | undefined>>,
  settings: readonly string[],
): { readonly value: unknown; readonly problems: readonly Problem[] } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { value, problems: [] }
  const problems: Problem[] = []
  const result = structuredClone(value) as Record<string, unknown>
  const take = (leaf: Leaf, text: string, where: string, code: ConfigProblemCode): void => {
    const given = readValue(leaf, text)
    if (given === undefined || !ajv.validate(leaf.schema, given)) {
      const wanted = String(leaf.schema.description ?? '')
      const allowed = Array.isArray(leaf.schema.enum) ? `: ${leaf.schema.enum.join(', ')}` : ''
      problems.push(problem(code, `"${text}" is no value for ${leaf.path}: ${wanted}`, where, `correct it${allowed}`))
    } else put(result, leaf.path.split('.'), given)
  }
  for (const leaf of CONFIG_LEAVES) {
    const text = environment[leaf.variable]
    if (text !== undefined && text !== '') take(leaf, text, leaf.variable, 'config/environment')
  }
  for (const setting of settings) {
    const equals = setting.indexOf('=')
    const path = equals < 0 ? setting : setting.slice(0, equals)
    const leaf = CONFIG_LEAVES.find((one) => one.path === path)
    const paths = CONFIG_LEAVES.map((one) => one.path)
    if (leaf === undefined) {
      const message = `no field is called "${path}"${didYouMean(path, paths)}`
      problems.push(problem('config/setting', message, '--set', knownNames(paths)))
    } else if (equals < 0) {
      problems.push(problem('config/setting', `${path} has no value`, '--set', `write --set ${path}=…`))
    } else take(leaf, setting.slice(equals + 1), '--set', 'config/setting')
  }
  return { value: result, problems }
}

const ajv = new Ajv2020({ strictTypes: false })

function readValue({ schema }: Leaf, text: string): unknown {
  if (schema.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined
  if (schema.type !== 'integer' && schema.type !== 'number') return text
  return text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text)
}

function put(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [first, ...rest] = path
  if (rest.length === 0) {
    target[first!] = value
    return
  }
  const inner = target[first!]
  // A section that is no map stays as it was written: the schema tells where it stands.
  if (inner !== undefined && (typeof inner !== 'object' || inner === null || Array.isArray(inner))) return
  target[first!] ??= {}
  put(target[first!] as Record<string, unknown>, rest, value)
}

const problem = (code: ConfigProblemCode, message: string, path: string, remedy: string): Problem => ({
  code,
  severity: 'error',
  message,
  path,
  remedy,
})
