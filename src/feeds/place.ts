import { poolOf, siteOf, type TargetName } from '../model/names.ts'

/** The site and, where the name has one, the pool that a feed's target names: `ams/h100`, or `ams` for the whole site. */
export const placeOf = (target: TargetName): { site: string; pool?: string } =>
  target.includes('/') ? { site: siteOf(target), pool: poolOf(target) } : { site: target }

/** The address with this path, where it has none of its own. */
export const withPath = (url: string, path: string): string => {
  const parsed = new URL(url)
  if (parsed.pathname === '/') parsed.pathname = path
  return parsed.href
}
