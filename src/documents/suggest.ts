import { nearestName } from '../math/nearest-name.ts'

/** `known: ams, fra, lon`, cut after a dozen names. */
export function knownNames(known: Iterable<string>): string {
  const names = [...known].sort()
  if (names.length === 0) return 'none is known'
  const shown = names.slice(0, 12).join(', ')
  return names.length > 12 ? `known: ${shown} and ${names.length - 12} more` : `known: ${shown}`
}

/** ` did you mean "region"?`, or nothing. */
export function didYouMean(written: string, known: Iterable<string>): string {
  const name = nearestName(written, known)
  return name === undefined ? '' : `; did you mean "${name}"?`
}
