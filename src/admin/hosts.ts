import { isIP } from 'node:net'

/**
 * Whether a Host header names this server. A page from elsewhere can have its own name resolve to a loopback address
 * (DNS rebinding) and would then read what is here; it can't make a browser send another name than its own, so numbers,
 * `localhost` and names that are configured are let in, and nothing else.
 */
export function isOwnHost(header: string | undefined, names: ReadonlySet<string>): boolean {
  if (header === undefined) return false
  const host = /^(\[[^\]]*\]|[^:]*)(:\d+)?$/.exec(header)?.[1]?.toLowerCase()
  if (host === undefined) return false
  return host === 'localhost' || isIP(host.replace(/^\[|\]$/g, '')) !== 0 || names.has(host)
}
