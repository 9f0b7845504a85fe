import { secretLine } from './credentials.ts'
import { failure } from './failure.ts'
import { fieldsOf, type JsonAttempt, JsonReader, textOf } from './json-reader.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** A login by basic authentication that answers `{ "token": … }`, as WattTime has it. */
export interface LoginAuth {
  readonly loginUrl: string
  readonly username: string
  readonly passwordFile: string
}

/** Tokens that do not say how long they last are asked for anew after so long; WattTime's last half an hour. */
const LIFETIME_MS = 25 * 60_000

/** The token of a login, kept until it is nearly over; its password is read anew each time. */
export class LoginToken {
  readonly #auth: LoginAuth
  readonly #clock: FeedClock
  readonly #reader: JsonReader
  #token: string | undefined
  #until = 0

  constructor(auth: LoginAuth, clock: FeedClock) {
    this.#auth = auth
    this.#clock = clock
    this.#reader = new JsonReader({ url: auth.loginUrl }, clock, { bytesMax: 65_536, requestsMax: 1 })
  }

  /** The token to send. Rejects with FeedFailure. */
  async get({ signal }: JsonAttempt): Promise<string> {
    if (this.#token !== undefined && this.#clock.now() < this.#until) return this.#token
    const pair = `${this.#auth.username}:${await secretLine(this.#auth.passwordFile)}`
    const headers = { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
    const answer = await this.#reader.attempt(signal, new SkewEstimate()).json(this.#auth.loginUrl, { headers })
    const token = textOf(fieldsOf(answer.body).token)
    if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
      throw failure('feed/credentials', `${this.#reader.where} gave no token`, { remedy: 'check loginUrl' })
    }
    this.#token = token
    this.#until = this.#clock.now() + LIFETIME_MS
    return token
  }

  /** The token was not accepted; the next is a new one. */
  forget(): void {
    this.#token = undefined
  }

  close(): Promise<void> {
    return this.#reader.close()
  }
}

/** A part of the address behind the question mark; a value that is secret comes from a file. */
export type QueryPart = { readonly name: string } & ({ readonly value: string } | { readonly file: string })

const DAY_MS = 86_400_000

/**
 * The address to ask now: `{from}` and `{to}` stand for today's first moment and that of the day after tomorrow, UTC, in
 * ISO 8601; `{from:compact}` and `{to:compact}` for the same as 202611230000. Rejects where a secret can't be read.
 */
export async function addressNow(url: string, query: readonly QueryPart[], now: number): Promise<string> {
  const from = Math.floor(now / DAY_MS) * DAY_MS
  const filled = (text: string): string =>
    text.replace(/\{(from|to)(:compact)?\}/g, (_, name, compact) => {
      const iso = new Date(name === 'from' ? from : from + 2 * DAY_MS).toISOString()
      return compact === undefined ? `${iso.slice(0, 19)}Z` : iso.slice(0, 16).replace(/[-:T]/g, '')
    })
  const address = new URL(filled(url))
  for (const part of query) {
    address.searchParams.set(part.name, 'file' in part ? await secretLine(part.file) : filled(part.value))
  }
  return address.href
}
