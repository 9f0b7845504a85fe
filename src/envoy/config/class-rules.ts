import type { DocumentSet, FactSource } from '../../model/documents.ts'
import type { ClassName } from '../../model/names.ts'
import type { Problem } from '../../model/problem.ts'
import type { EnvoyObject } from './envoy-object.ts'

/** Which requests belong to a class as far as a route can see it, and what becomes of them without hubward. */
export interface ClassRule {
  /** One, or the several that one header or parameter tells apart. */
  readonly classes: readonly ClassName[]
  readonly whenDown: 'default' | 'refuse'
  /** A path prefix; `/` where the rule has none. */
  readonly prefix: string
  /** The other conditions of an Envoy RouteMatch. */
  readonly match: EnvoyObject
}

/**
 * The fact sources for the class as conditions on routes, first match first. A path or a method can't be forged, so it
 * may lead to the default; a header or query parameter can, so it may only lead to a refusal. What a route can't see (a
 * claim, a body) is told as a problem if a class that must be refused hangs on it.
 */
export function classRules(set: DocumentSet): { readonly rules: ClassRule[]; readonly problems: Problem[] } {
  const refused = new Set(
    set.classes.filter((one) => one.whenHubwardIsDown === 'refuse').map((one) => one.metadata.name),
  )
  const rules: ClassRule[] = []
  const problems: Problem[] = []
  const seen = new Set<ClassName>()
  const add = (classes: readonly ClassName[], prefix: string, match: EnvoyObject) => {
    for (const name of classes) seen.add(name)
    rules.push({ classes, whenDown: classes.some((name) => refused.has(name)) ? 'refuse' : 'default', prefix, match })
  }
  for (const source of set.factSources.flatMap((one) => one.facts.class ?? [])) {
    if (source.from === 'path' && source.value !== undefined) add([source.value], source.prefix ?? '/', {})
    else if (source.from === 'method' && source.value !== undefined) add([source.value], '/', methodMatch(source))
    else if (source.from === 'value' && source.value !== undefined) add([source.value], '/', {})
    else if (source.from === 'header' || source.from === 'query') {
      const names = [...refused].filter((name) => source.allow === undefined || source.allow.includes(name))
      if (names.length > 0) add(names, '/', valueMatch(source, names))
    }
  }
  for (const name of refused) {
    if (seen.has(name)) continue
    problems.push({
      code: 'envoy/class-without-route',
      severity: 'warning',
      message: `class ${name} is refused while hubward is down, but no route can tell its requests from others`,
      remedy: 'name it in FactSources by path, method, header or query, so that Envoy can refuse it by itself',
    })
  }
  return { rules: withoutIdleRules(rules), problems }
}

// A rule that leads to the default only matters in front of a rule that refuses; behind the last refusal, and behind a
// rule that takes everything, nothing needs to be said.
function withoutIdleRules(rules: readonly ClassRule[]): ClassRule[] {
  const all = rules.findIndex((rule) => rule.prefix === '/' && Object.keys(rule.match).length === 0)
  const reached = all < 0 ? rules : rules.slice(0, all + 1)
  return reached.slice(0, reached.findLastIndex((rule) => rule.whenDown === 'refuse') + 1)
}

const methodMatch = (source: FactSource): EnvoyObject =>
  source.name === undefined ? {} : { headers: [{ name: ':method', string_match: { exact: source.name } }] }

// The names of classes are letters, digits and dashes: nothing in them means anything to a regex.
const oneOf = (values: readonly string[]): EnvoyObject =>
  values.length === 1 ? { exact: values[0] } : { safe_regex: { regex: values.join('|') } }

const valueMatch = (source: FactSource, values: readonly string[]): EnvoyObject =>
  source.from === 'header'
    ? { headers: [{ name: source.name?.toLowerCase(), string_match: oneOf(values) }] }
    : { query_parameters: [{ name: source.name, string_match: oneOf(values) }] }
