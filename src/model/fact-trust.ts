import type { FactSource, FactSources } from './documents.ts'
import type { Problem } from './problem.ts'

/** Facts that decide what a request may do or where its data may go: a client's own word for one is never taken. */
export const SAFETY_FACTS: ReadonlySet<string> = new Set(['class', 'tenant', 'tier', 'residency'])

/** Facts about where a client is: its own word is taken, with a warning, because it only moves the client itself. */
const PLACE_FACTS: ReadonlySet<string> = new Set(['region', 'country', 'asn'])

/** Facts that hubward works out by itself; a source for one would be ignored. */
const RESERVED_FACTS: ReadonlySet<string> = new Set([
  ...['requestId', 'seed', 'method', 'path', 'residency', 'residencyClass', 'session', 'hop'],
  ...['deadlineMs', 'contextTokens', 'extra', 'forced'],
])

/** What a `geo` source can be asked for. */
export const GEO_NAMES = ['country', 'region', 'asn'] as const

/** A problem with one source, and where in the document's spec it stands. */
export interface FactSourceProblem extends Problem {
  readonly at: readonly (string | number)[]
}

/**
 * Whether a client can make this source say what it likes. A path or method is the client's choice too, but also what
 * the server will do, so for the class it is the truth. Envoy's `request.*` attributes repeat the client's headers.
 */
export function clientCanSet(source: FactSource, fact: string): boolean {
  switch (source.from) {
    case 'header':
      return source.trusted !== true
    case 'query':
      return true
    case 'body':
      // Whoever runs the job goes by the same field, so for the class it is the truth; which values count is written down.
      return fact !== 'class' || source.trusted !== true || source.allow === undefined
    case 'path':
    case 'method':
      return fact !== 'class'
    case 'attribute':
      return source.name?.startsWith('request.') === true
    case 'jwt':
    case 'context':
    case 'geo':
    case 'network':
    case 'value':
      return false
    default:
      return source.from satisfies never
  }
}

/** Whether sources can be given for a fact of this name: not if hubward works it out, nor if every object has one (`constructor`). */
export const isFactName = (name: string): boolean =>
  /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name) && !(name in {}) && !RESERVED_FACTS.has(name)

/**
 * What is wrong with whom the document believes. Gives `facts/untrusted-source` and `facts/reserved-name` (errors),
 * `facts/client-settable` (a warning) and `facts/geo-name` (an error).
 */
export function factSourceProblems(document: FactSources): FactSourceProblem[] {
  const problems: FactSourceProblem[] = []
  for (const [fact, sources] of Object.entries(document.facts)) {
    const at = ['facts', fact]
    if (!isFactName(fact)) problems.push(reservedName(fact, at))
    for (const [index, source] of sources.entries()) problems.push(...sourceProblems(source, fact, [...at, index]))
  }
  for (const [index, source] of document.residency.entries()) {
    problems.push(...sourceProblems(source, 'residency', ['residency', index]))
  }
  return problems
}

function sourceProblems(source: FactSource, fact: string, at: FactSourceProblem['at']): FactSourceProblem[] {
  const problems: FactSourceProblem[] = []
  const place = `${source.from}${source.name === undefined ? '' : ` "${source.name}"`}`
  if (clientCanSet(source, fact) && SAFETY_FACTS.has(fact)) {
    problems.push({
      code: 'facts/untrusted-source',
      severity: 'error',
      message: `a client can set the ${place}, so ${fact} must not come from it`,
      remedy:
        source.from === 'header'
          ? 'have Envoy set the header and declare it `trusted: true`, or take a jwt claim, an attribute or a context extension'
          : source.from === 'body' && fact === 'class'
            ? 'if whoever runs the work goes by the same field, declare it `trusted: true` and list the classes under allow'
            : 'take it from a jwt claim, an attribute, a context extension or a header that Envoy sets',
      at,
    })
  } else if (clientCanSet(source, fact) && PLACE_FACTS.has(fact)) {
    problems.push({
      code: 'facts/client-settable',
      severity: 'warning',
      message: `a client can set the ${place}, and with it which policies its ${fact} leads to`,
      remedy: 'declare the header `trusted: true` if Envoy or a proxy before it sets it, or take geo',
      at,
    })
  }
  if (source.from === 'geo' && !GEO_NAMES.some((name) => name === source.name)) {
    problems.push({
      code: 'facts/geo-name',
      severity: 'error',
      message: `geo knows no "${source.name ?? ''}"`,
      remedy: `write one of ${GEO_NAMES.join(', ')}`,
      at,
    })
  }
  return problems
}

const reservedName = (fact: string, at: FactSourceProblem['at']): FactSourceProblem => ({
  code: 'facts/reserved-name',
  severity: 'error',
  message: `"${fact}" is not a fact that a source can give`,
  remedy: fact === 'residency' ? 'write its sources under spec.residency' : 'give the fact another name',
  at,
})
