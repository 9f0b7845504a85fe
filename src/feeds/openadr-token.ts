import { type HttpAccess, secretLine } from './credentials.ts'
import { failure } from './failure.ts'
import { fieldsOf, type JsonAttempt, JsonReader, textOf } from './json-reader.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** How a VTN gives tokens: OAuth 2.0 client credentials. */
export interface ClientCredentials {
  readonly clientId: string
  readonly clientSecretFile: string
  /** Absent: what the VTN says under /auth/server, else its /auth/token. */
  readonly tokenUrl?: string
  readonly scope?: string
}

/** How long a token is taken to last that does not say so. */
const LIFETIME_S = 300

/** The bearer token of a client, asked for when there is none or it is nearly over; its secret is read anew each time. */
export class ClientToken {
  readonly #auth: ClientCredentials
  readonly #clock: FeedClock
  readonly #elsewhere: JsonReader | undefined
  readonly #base: string
  #token: string | undefined
  #until = 0

  constructor(auth: ClientCredentials, base: string, access: HttpAccess, clock: FeedClock) {
    this.#auth = auth
    this.#base = base
    this.#clock = clock
    if (auth.tokenUrl !== undefined) {
      const place = { url: auth.tokenUrl, ...(access.tls === undefined ? {} : { tls: access.tls }) }
      this.#elsewhere = new JsonReader(place, clock, { bytesMax: 65_536, requestsMax: 1 })
    }
  }

  /** The token to send. Rejects with FeedFailure. */
  async get(attempt: JsonAttempt): Promise<string> {
    if (this.#token === undefined || this.#clock.now() >= this.#until) await this.#renew(attempt)
    return this.#token!
  }

  /** The token was not accepted; the next is a new one. */
  forget(): void {
    this.#token = undefined
  }

  async close(): Promise<void> {
    await this.#elsewhere?.close()
  }

  async #renew(attempt: JsonAttempt): Promise<void> {
    const { clientId, clientSecretFile, scope } = this.#auth
    const asked = this.#elsewhere === undefined ? attempt : this.#elsewhere.attempt(attempt.signal, new SkewEstimate())
    const url = this.#auth.tokenUrl ?? (await this.#tokenUrl(attempt))
    const secret = await secretLine(clientSecretFile)
    const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: secret }
    const answer = await asked.json(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(scope === undefined ? form : { ...form, scope }).toString(),
      statuses: [200, 201],
    })
    const { access_token, expires_in } = fieldsOf(answer.body)
    const token = textOf(access_token)
    if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
      throw failure('feed/credentials', 'the answer to the client credentials has no access_token', {
        remedy: 'check tokenUrl',
      })
    }
    const seconds = typeof expires_in === 'number' && expires_in > 0 ? Math.min(86_400, expires_in) : LIFETIME_S
    this.#token = token
    this.#until = this.#clock.now() + seconds * 900
  }

  /** Where the VTN says that tokens are given. A server elsewhere gets our secret only where it is configured. */
  async #tokenUrl(attempt: JsonAttempt): Promise<string> {
    const { status, body } = await attempt.json(`${this.#base}/auth/server`, { statuses: [200, 401, 403, 404] })
    const told = textOf(fieldsOf(body).tokenURL)
    if (status !== 200 || told === undefined) return `${this.#base}/auth/token`
    if (attempt.addressOf(told) !== undefined) return told
    const remedy = 'set auth.tokenUrl to that address if it is to be trusted with the secret'
    throw failure('feed/credentials', `the VTN names another server for tokens: ${told.slice(0, 200)}`, { remedy })
  }
}
