/** Codes of gRPC that this transport gives by itself. */
export const STATUS = {
  ok: 0,
  unknown: 2,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

/** The longest message that is sent along with a status, before it is encoded. */
const MESSAGE_CHARACTERS_MAX = 1_024

/** A status message as `grpc-message` has it: UTF-8, and all but visible ASCII and blanks as %XX. */
export const encodeStatusMessage = (message: string): string => {
  const short = message.length > MESSAGE_CHARACTERS_MAX ? message.slice(0, MESSAGE_CHARACTERS_MAX) : message
  if (/^[\x20-\x24\x26-\x7e]*$/.test(short)) return short.trim() === short ? short : encoded(short)
  return encoded(short)
}

const encoded = (text: string): string => {
  let out = ''
  for (const byte of Buffer.from(text)) {
    out += byte > 0x20 && byte < 0x7f && byte !== 0x25 ? String.fromCharCode(byte) : `%${hex(byte)}`
  }
  return out
}

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0')
