import type { EnvoyObject } from './envoy-object.ts'

/**
 * The condition of a route on a path and what lies under it, by segments: `/v1/chat` takes `/v1/chat/x` and not
 * `/v1/chatter`, as the facts do. Envoy has resolved escapes, dots and double slashes before; parameters
 * (`/v1;a=b/chat`) it leaves, and a server that drops them must not be given a job that was spelled so.
 */
export function pathMatch(prefix: string, parametersToo: boolean): EnvoyObject {
  const path = prefix.replace(/\/+$/, '')
  if (path === '') return { prefix: '/' }
  if (!parametersToo) return { path_separated_prefix: path }
  const segments = path.slice(1).split('/').map(quoted)
  return { safe_regex: { regex: `/${segments.join('(;[^/]*)?/')}([;/].*)?` } }
}

/** Whether a path lies within another, by segments: `/v1/chat/x` in `/v1/chat`, `/v1/chatter` not. */
export const isWithin = (path: string, prefix: string): boolean =>
  path === prefix || path.startsWith(`${prefix.replace(/\/+$/, '')}/`)

const quoted = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
