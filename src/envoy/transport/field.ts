/** What a header field means to a request. Found once for a field, also where the peer's table gives it again and again. */
export const ROLE = {
  other: 0,
  malformed: 1,
  method: 2,
  scheme: 3,
  path: 4,
  authority: 5,
  contentType: 6,
  timeout: 7,
  contentLength: 8,
} as const

/** One header field. Of a field of role `other` the value may be left out: nobody looks at it. */
export interface Field {
  readonly name: string
  readonly value: string
  readonly role: number
  /** What it counts in lists and tables: both lengths and 32 (RFC 7541, section 4.1). */
  readonly size: number
}

const NAMES: ReadonlyMap<string, number> = new Map<string, number>([
  [':method', ROLE.method],
  [':scheme', ROLE.scheme],
  [':path', ROLE.path],
  [':authority', ROLE.authority],
  ['content-type', ROLE.contentType],
  ['content-length', ROLE.contentLength],
  ['grpc-timeout', ROLE.timeout],
  // Of one connection, which HTTP/2 has no place for (RFC 9113, section 8.2.2).
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map(
    (name) => [name, ROLE.malformed] as const,
  ),
])

/** By byte: whether a name may have it. Capitals it may not. */
const IN_NAMES = new Uint8Array(256)
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") IN_NAMES[char.charCodeAt(0)] = 1

/** The role that a name gives its field. */
export const roleOfName = (name: string): number => {
  const known = NAMES.get(name)
  if (known !== undefined) return known
  if (name.length === 0) return ROLE.malformed
  for (let at = 0; at < name.length; at++) {
    if (IN_NAMES[name.charCodeAt(at)] !== 1) return ROLE.malformed
  }
  return ROLE.other
}

const TAB = 9
const SPACE = 32

/** Whether bytes may be a value: no zero, no end of line, no blank around it (RFC 9113, section 8.2.1). */
export const isValue = (bytes: Uint8Array, start: number, end: number): boolean => {
  if (start === end) return true
  const [first, last] = [bytes[start]!, bytes[end - 1]!]
  if (first === SPACE || first === TAB || last === SPACE || last === TAB) return false
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte <= 13 && (byte === 0 || byte === 10 || byte === 13)) return false
  }
  return true
}

/** The role of a whole field: `te` may say nothing but `trailers`. */
export const roleOf = (nameRole: number, name: string, value: string, isGood: boolean): number =>
  isGood && (name !== 'te' || value === 'trailers') ? nameRole : ROLE.malformed

/** A field whose value is known to be good. */
export const fieldOf = (name: string, value: string): Field => ({
  name,
  value,
  role: roleOf(roleOfName(name), name, value, true),
  size: name.length + value.length + 32,
})
