import { type Address, parseAddress } from '../math/address.ts'

/** An address as it was written, and its bytes. */
export interface Located {
  readonly text: string
  readonly address: Address
}

/**
 * The address in `10.0.0.1:443`, `[2001:db8::1]:443`, `2001:db8::1` or `"[2001:db8::1]"`, ports, quotes and zones left
 * off. Undefined for sockets, `unknown`, obfuscated names (RFC 7239, 6.3) and everything malformed.
 */
export function addressOf(written: string): Located | undefined {
  // The longest form is quoted, bracketed, zoned and has a port.
  if (written.length > 100) return undefined
  let text = written.trim()
  if (text.startsWith('"') && text.endsWith('"')) text = text.slice(1, -1)
  if (text.startsWith('[')) {
    const close = text.indexOf(']')
    if (close < 0 || !/^(:[0-9]{1,5})?$/.test(text.slice(close + 1))) return undefined
    text = text.slice(1, close)
  } else if (text.indexOf(':') >= 0 && text.indexOf(':') === text.lastIndexOf(':')) {
    if (!/:[0-9]{1,5}$/.test(text)) return undefined
    text = text.slice(0, text.indexOf(':'))
  }
  const zone = text.indexOf('%')
  if (zone > 0 && zone < text.length - 1) text = text.slice(0, zone)
  const address = parseAddress(text)
  return address === undefined ? undefined : { text, address }
}

/**
 * The client's address: the peer's, or with trusted hops the entry of X-Forwarded-For that many places before the peer's.
 * The peer itself may stand last in the list already, because Envoy appends it where it is the edge. A list that is
 * shorter than the hops gives the peer: the request has not come through them. An entry there that is no address gives
 * none, and nothing further to the left is believed in its place.
 */
export function clientAddress(
  peer: Located | undefined,
  forwardedFor: string | undefined,
  trustedHops: number,
): Located | undefined {
  if (trustedHops === 0 || forwardedFor === undefined) return peer
  let end = forwardedFor.length
  let start = forwardedFor.lastIndexOf(',', end - 1) + 1
  // Without a peer (a socket, or an attribute nobody asked Envoy for) its entry is taken to be the last one.
  const last = addressOf(forwardedFor.slice(start, end))
  let left = peer === undefined || last?.text === peer.text ? trustedHops : trustedHops - 1
  for (; left > 0; left--) {
    if (start === 0) return peer
    end = start - 1
    start = end === 0 ? 0 : forwardedFor.lastIndexOf(',', end - 1) + 1
  }
  return addressOf(forwardedFor.slice(start, end))
}
