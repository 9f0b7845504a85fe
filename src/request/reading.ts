import type { EpochMs } from '../model/names.ts'
import type { RequestView } from '../model/request-view.ts'
import { type BodyFields, bodyFields } from './body.ts'
import { addressOf, clientAddress, type Located } from './client-address.ts'
import type { FactProblem, FactProblemCode } from './fact-problems.ts'
import type { GeoAnswer } from './geo.ts'
import { normalPath } from './path.ts'

/** What is the same for every request until the documents change. */
export interface ReadingRules {
  readonly trustedHops: number
  /** Whether a peer's X-Forwarded-For is believed. */
  readonly isTrustedPeer: (peer: Located | undefined) => boolean
  readonly bodyBytesMax: number
  readonly bodyFields: ReadonlySet<string>
  /** Fields of the body that are kept whole, whatever they hold. */
  readonly bodyWhole: ReadonlySet<string>
  readonly geo: ((address: string) => GeoAnswer) | undefined
}

/** One request while its facts are read: what several sources need is worked out once, and only if one needs it. */
export class Reading {
  readonly view: RequestView
  readonly now: EpochMs
  problems: FactProblem[] | undefined = undefined
  readonly #rules: ReadingRules
  #path: string | undefined = undefined
  #peer: Located | undefined | null = null
  #client: Located | undefined | null = null
  #geo: GeoAnswer | undefined = undefined
  #body: BodyFields | undefined | null = null

  constructor(view: RequestView, now: EpochMs, rules: ReadingRules) {
    this.view = view
    this.now = now
    this.#rules = rules
  }

  problem(code: FactProblemCode, fact: string): void {
    this.problems ??= []
    if (!this.problems.some((known) => known.code === code && known.fact === fact)) this.problems.push({ code, fact })
  }

  /** The normal path; empty where it is too long. */
  get path(): string {
    if (this.#path === undefined) {
      const path = normalPath(this.view.path)
      if (path === undefined) this.problem('request/path-too-long', 'path')
      this.#path = path ?? ''
    }
    return this.#path
  }

  /** Who is connected to Envoy, as far as Envoy says; undefined for a socket. */
  get peer(): Located | undefined {
    if (this.#peer === null) {
      const written = this.view.attribute('source.address')
      this.#peer = typeof written === 'string' ? addressOf(written) : undefined
    }
    return this.#peer
  }

  /** Whose request it is, as far as X-Forwarded-For is believed. */
  get client(): Located | undefined {
    if (this.#client === null) {
      const peer = this.peer
      const hops = this.#rules.isTrustedPeer(peer) ? this.#rules.trustedHops : 0
      this.#client = clientAddress(peer, hops === 0 ? undefined : this.view.header('x-forwarded-for'), hops)
      if (this.#client === undefined && hops > 0) this.problem('request/client-address', 'country')
    }
    return this.#client
  }

  get geo(): GeoAnswer {
    if (this.#geo === undefined) {
      const client = this.#rules.geo === undefined ? undefined : this.client
      this.#geo = client === undefined ? NOWHERE : this.#rules.geo!(client.text)
    }
    return this.#geo
  }

  /** The body's fields; undefined where there is none, or none that can be read. */
  get body(): BodyFields | undefined {
    if (this.#body === null) {
      const bytes = this.view.body
      this.#body = undefined
      if (bytes !== undefined && bytes.byteLength > this.#rules.bodyBytesMax) {
        this.problem('request/body-too-large', 'model')
      } else if (bytes !== undefined && bytes.byteLength > 0) {
        this.#body = bodyFields(bytes, this.#rules.bodyFields, this.#rules.bodyWhole)
        if (this.#body === undefined) this.problem('request/body-unreadable', 'model')
      }
    }
    return this.#body
  }
}

const NOWHERE: GeoAnswer = {}
