/** Deeper nesting than this is refused; the deepest Kubernetes objects have about twenty levels. */
const DEPTH_MAX = 64

/** A body that is no JSON, or nests too deep. What reads it answers with its status. */
export class BodyError extends Error {
  override readonly name = 'BodyError'
  readonly statusCode = 400
}

/** The value that a body holds; an empty one holds none. Throws a BodyError that says what is wrong. */
export function jsonOf(body: Buffer): unknown {
  if (body.length === 0) return undefined
  if (isDeep(body)) throw new BodyError(`the body nests deeper than ${DEPTH_MAX} levels; write it flatter`)
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new BodyError(`the body is no JSON: ${(error as Error).message.slice(0, 200)}`)
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

function isDeep(body: Buffer): boolean {
  let depth = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]!
    if (byte === QUOTE) {
      for (at++; at < body.length && body[at] !== QUOTE; at++) if (body[at] === BACKSLASH) at++
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > DEPTH_MAX) return true
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return false
}
