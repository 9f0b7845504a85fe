/** Anything that two readers of a path could read differently: escapes, backslashes, parameters, empty or dot segments. */
const UNUSUAL = /[%\\;#]|\/\/|\/\.{1,2}(\/|$)/

/** The longest path that facts are taken from; longer ones have no path at all. Envoy's own limit on headers is 60 KiB. */
const PATH_CHARS_MAX = 8_192

/**
 * The path as a server is likely to understand it, query and fragment left off: escapes of visible ASCII decoded once,
 * backslashes turned, parameters after `;` dropped, `//`, `.` and `..` resolved. So `/v1//x/../%66ine_tuning` is
 * `/v1/fine_tuning`, and a class can't be smuggled past its prefix. Undefined for a path too long to look at.
 */
export function normalPath(raw: string): string | undefined {
  const query = raw.indexOf('?')
  const path = query < 0 ? raw : raw.slice(0, query)
  if (path.length > PATH_CHARS_MAX) return undefined
  if (!UNUSUAL.test(path)) return path
  const fragment = path.indexOf('#')
  const decoded = (fragment < 0 ? path : path.slice(0, fragment))
    .replace(/%([2-7][0-9a-f])/gi, (written, hex: string) => (hex.toLowerCase() === '7f' ? written : charOf(hex)))
    .replaceAll('\\', '/')
  const segments: string[] = []
  for (const segment of decoded.split('/')) {
    const semicolon = segment.indexOf(';')
    const name = semicolon < 0 ? segment : segment.slice(0, semicolon)
    if (name === '..') segments.pop()
    else if (name !== '' && name !== '.') segments.push(name)
  }
  return `/${segments.join('/')}${decoded.endsWith('/') && segments.length > 0 ? '/' : ''}`
}

const charOf = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16))

/** Whether a normal path starts with these segments: `/v1/chat` holds `/v1/chat` and `/v1/chat/x`, not `/v1/chatter`. */
export function pathMatcher(prefix: string): (path: string) => boolean {
  const normal = (normalPath(prefix) ?? prefix).replace(/\/+$/, '')
  const inside = `${normal}/`
  return (path) => path === normal || path.startsWith(inside)
}

/** How many parameters, and how many characters of one value, are looked at. */
const PARAMETERS_MAX = 64
const VALUE_CHARS_MAX = 1_024

/** The first value of a query parameter, decoded; undefined where it is absent, too long, or not decodable. */
export function queryValue(raw: string, name: string): string | undefined {
  let start = raw.indexOf('?') + 1
  if (start === 0) return undefined
  for (let count = 0; count < PARAMETERS_MAX && start <= raw.length; count++) {
    const next = raw.indexOf('&', start)
    const end = next < 0 ? raw.length : next
    const equals = raw.indexOf('=', start)
    const nameEnd = equals < 0 || equals > end ? end : equals
    if (nameEnd - start <= 3 * name.length && decoded(raw.slice(start, nameEnd)) === name) {
      const value = raw.slice(Math.min(nameEnd + 1, end), end)
      return value.length > VALUE_CHARS_MAX ? undefined : decoded(value)
    }
    start = end + 1
  }
  return undefined
}

function decoded(text: string): string | undefined {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    // An escape that is not UTF-8 says nothing that a fact could be.
    return undefined
  }
}
