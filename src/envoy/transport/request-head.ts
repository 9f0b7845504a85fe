import { type Field, ROLE } from './field.ts'
import { parseTimeout } from './timeout.ts'

const SEEN = { method: 1, scheme: 2, path: 4, authority: 8 } as const

/**
 * What of a header block a call needs, one block after another: each connection has one, and reads it out before the
 * next block comes. Says whether the block is a good request (RFC 9113, section 8.3) or good trailers.
 */
export class RequestHead {
  readonly #bytesMax: number
  #seen = 0
  #isRegular = false
  #isBad = false
  #bytes = 0
  method = ''
  path = ''
  contentType = ''
  /** Of `grpc-timeout`, in ms; infinite where there is none or it can't be read. */
  timeoutMs = Number.POSITIVE_INFINITY
  /** -1 where it is not said. */
  contentLength = -1

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  reset(): void {
    this.#seen = 0
    this.#isRegular = false
    this.#isBad = false
    this.#bytes = 0
    this.method = ''
    this.path = ''
    this.contentType = ''
    this.timeoutMs = Number.POSITIVE_INFINITY
    this.contentLength = -1
  }

  /** Whether the list is larger than allowed. Its fields are then read no further, but for the table's sake. */
  get isTooLarge(): boolean {
    return this.#bytes > this.#bytesMax
  }

  /** Whether it is a request: all that must be there is, once, and nothing that must not. */
  get isRequest(): boolean {
    if (this.#isBad || (this.#seen & SEEN.method) === 0) return false
    if (this.method === 'CONNECT') return (this.#seen & (SEEN.scheme | SEEN.path)) === 0
    return (this.#seen & (SEEN.scheme | SEEN.path)) === (SEEN.scheme | SEEN.path) && this.path !== ''
  }

  /** Whether it may end a request: no pseudo-headers. */
  get isTrailers(): boolean {
    return !this.#isBad && this.#seen === 0
  }

  field(field: Field): void {
    this.#bytes += field.size
    if (this.#bytes > this.#bytesMax) return
    switch (field.role) {
      case ROLE.method:
        this.method = field.value
        this.#pseudo(SEEN.method)
        return
      case ROLE.scheme:
        this.#pseudo(SEEN.scheme)
        return
      case ROLE.path:
        this.path = field.value
        this.#pseudo(SEEN.path)
        return
      case ROLE.authority:
        this.#pseudo(SEEN.authority)
        return
      case ROLE.malformed:
        this.#isBad = true
        return
    }
    this.#isRegular = true
    if (field.role === ROLE.contentType) this.contentType = field.value
    else if (field.role === ROLE.timeout) this.timeoutMs = parseTimeout(field.value)
    else if (field.role === ROLE.contentLength) this.#length(field.value)
  }

  #pseudo(which: number): void {
    // Each once, and before all others.
    if (this.#isRegular || (this.#seen & which) !== 0) this.#isBad = true
    this.#seen |= which
  }

  #length(text: string): void {
    const length = /^[0-9]{1,15}$/.test(text) ? Number(text) : -1
    if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) this.#isBad = true
    this.contentLength = length
  }
}
