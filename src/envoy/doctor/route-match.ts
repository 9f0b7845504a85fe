import type { HeaderMatch, RouteForm, StringMatch, VirtualHostForm } from './admin-forms.ts'

/** A request as routes see it; header names in lower case. */
export interface Probe {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

// Conditions that are read here. Any other (a runtime fraction, a CEL matcher, a client certificate) is not guessed at.
const KNOWN = ['prefix', 'path', 'path_separated_prefix', 'safe_regex', 'case_sensitive', 'headers', 'query_parameters']

/**
 * The route that Envoy would choose for this request: the first of the host's that matches. `unknown` if a route in
 * front of it has a condition that can't be judged from outside.
 */
export function routeFor(host: VirtualHostForm, probe: Probe): RouteForm | 'unknown' | undefined {
  for (const route of host.routes ?? []) {
    const match = route.match ?? {}
    if (Object.keys(match).some((field) => !KNOWN.includes(field))) return 'unknown'
    // The probes carry no query, so a route that asks for a parameter is not theirs.
    if (((match.query_parameters as readonly unknown[] | undefined) ?? []).length > 0) continue
    if (pathMatches(match, probe.path) && (match.headers ?? []).every((one) => headerMatches(one, probe.headers))) {
      return route
    }
  }
  return undefined
}

function pathMatches(match: NonNullable<RouteForm['match']>, path: string): boolean {
  const fold = (text: string) => (match.case_sensitive === false ? text.toLowerCase() : text)
  const wanted = fold(path)
  if (match.prefix !== undefined) return wanted.startsWith(fold(match.prefix))
  if (match.path !== undefined) return wanted === fold(match.path)
  if (match.path_separated_prefix !== undefined) {
    const prefix = fold(match.path_separated_prefix)
    return wanted === prefix || wanted.startsWith(`${prefix}/`)
  }
  return regexMatches(match.safe_regex?.regex, path)
}

function headerMatches(match: HeaderMatch, headers: Readonly<Record<string, string>>): boolean {
  const value = headers[(match.name ?? '').toLowerCase()] ?? (match.treat_missing_header_as_empty ? '' : undefined)
  const wanted = stringOf(match)
  if (wanted === undefined)
    return ((match.present_match ?? true) === (value !== undefined)) !== (match.invert_match ?? false)
  // An absent header matches no condition on its value, and the inverse of none either.
  if (value === undefined) return false
  return stringMatches(wanted, value) !== (match.invert_match ?? false)
}

function stringOf(match: HeaderMatch): StringMatch | undefined {
  if (match.string_match !== undefined) return match.string_match
  if (match.exact_match !== undefined) return { exact: match.exact_match }
  if (match.prefix_match !== undefined) return { prefix: match.prefix_match }
  if (match.safe_regex_match !== undefined) return { safe_regex: match.safe_regex_match }
  return undefined
}

/** Whether Envoy's string matcher takes this text. */
export function stringMatches(match: StringMatch, text: string): boolean {
  const fold = (one: string) => (match.ignore_case ? one.toLowerCase() : one)
  const value = fold(text)
  if (match.exact !== undefined) return value === fold(match.exact)
  if (match.prefix !== undefined) return value.startsWith(fold(match.prefix))
  if (match.suffix !== undefined) return value.endsWith(fold(match.suffix))
  if (match.contains !== undefined) return value.includes(fold(match.contains))
  return regexMatches(match.safe_regex?.regex, text)
}

/** Whether Envoy's regex takes the whole text; false for one that RE2 knows and JavaScript doesn't. */
export function regexMatches(regex: string | undefined, text: string): boolean {
  if (regex === undefined) return false
  try {
    return new RegExp(`^(?:${regex})$`, 's').test(text)
  } catch {
    return false
  }
}
