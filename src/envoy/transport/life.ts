import type { Limits } from './limits.ts'

/** What the clock may have to do to a connection. */
export interface Mortal {
  readonly isOpen: () => boolean
  readonly hasPreface: () => boolean
  readonly streams: () => number
  /** Bytes that left, and bytes that wait for the socket. */
  readonly sent: () => number
  readonly queued: () => number
  readonly ping: () => void
  readonly settingsTimeout: () => void
  readonly shutdown: () => void
  readonly lastWord: () => void
  /** Streams that wait too long are ended. */
  readonly sweep: (now: number) => void
  readonly destroy: () => void
}

/**
 * Time as it passes for one connection. The engine calls `tick` about once a second; between, frames leave only marks
 * here, so that no frame asks what time it is.
 */
export class Life {
  readonly #limits: Limits
  readonly #of: Mortal
  readonly #openedAt: number
  /** Marks: something was read, a stream was opened. */
  wasRead = false
  hadStream = false
  settingsAcked = false
  #readAt: number
  #streamAt: number
  #pingAt = Number.POSITIVE_INFINITY
  #sentAt: number
  #sent = 0
  #drainAt = Number.POSITIVE_INFINITY
  #closedAt = Number.POSITIVE_INFINITY

  constructor(of: Mortal, limits: Limits, now: number) {
    this.#of = of
    this.#limits = limits
    this.#openedAt = now
    this.#readAt = now
    this.#streamAt = now
    this.#sentAt = now
  }

  /** The first GOAWAY of a drain was sent. */
  draining(now: number): void {
    this.#drainAt = now
  }

  /** Ends the connection at once. */
  end(): void {
    this.#of.destroy()
  }

  tick(now: number): void {
    const { isOpen, hasPreface, streams, ping, settingsTimeout, shutdown, lastWord, sweep, destroy } = this.#of
    const limits = this.#limits
    if (!isOpen()) {
      // It has said GOAWAY and waits for the peer to hang up.
      if (this.#closedAt === Number.POSITIVE_INFINITY) this.#closedAt = now
      if (now - this.#closedAt >= limits.lingerMs) destroy()
      return
    }
    if (!hasPreface()) {
      if (now - this.#openedAt >= limits.prefaceMs) destroy()
      return
    }
    if (this.wasRead) {
      this.wasRead = false
      this.#readAt = now
      this.#pingAt = Number.POSITIVE_INFINITY
    }
    if (this.#isStuck(now) || now - this.#pingAt >= limits.keepaliveTimeoutMs) {
      destroy()
      return
    }
    if (!this.settingsAcked && now - this.#openedAt >= limits.settingsAckMs) {
      settingsTimeout()
      return
    }
    if (now - this.#readAt >= limits.keepaliveMs && this.#pingAt === Number.POSITIVE_INFINITY) {
      this.#pingAt = now
      ping()
    }
    if (this.hadStream || streams() > 0) {
      this.hadStream = false
      this.#streamAt = now
    } else if (now - this.#streamAt >= limits.idleMs && this.#drainAt === Number.POSITIVE_INFINITY) shutdown()
    if (now - this.#drainAt >= limits.drainPingMs) lastWord()
    sweep(now)
  }

  /** Whether the socket has taken nothing for too long. */
  #isStuck(now: number): boolean {
    const sent = this.#of.sent()
    if (this.#of.queued() === 0 || sent !== this.#sent) {
      this.#sent = sent
      this.#sentAt = now
      return false
    }
    return now - this.#sentAt >= this.#limits.writeStallMs
  }
}
