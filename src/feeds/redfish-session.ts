import { secretLine } from './credentials.ts'
import { failure } from './failure.ts'
import { fieldsOf, type JsonAnswer, type JsonAttempt, textOf } from './json-reader.ts'

const SESSIONS = '/redfish/v1/SessionService/Sessions'

/**
 * One session of a Redfish service (DSP0266, 13.3.4): logged in when there is none or the last one has run out, its token
 * sent with each request, taken back at the end, for devices have room for few. The password is read anew at each login.
 */
export class RedfishSession {
  readonly #username: string
  readonly #passwordFile: string
  #token: string | undefined
  #location: string | undefined

  constructor({ username, passwordFile }: { readonly username: string; readonly passwordFile: string }) {
    this.#username = username
    this.#passwordFile = passwordFile
  }

  /** A resource, read within the session; a session that has run out is begun anew, once. */
  async json(attempt: JsonAttempt, reference: string): Promise<JsonAnswer> {
    const had = this.#token !== undefined
    const answer = await this.#ask(attempt, reference)
    if (answer.status !== 401) return answer
    this.#token = undefined
    const again = had ? await this.#ask(attempt, reference) : answer
    if (again.status !== 401) return again
    this.#token = undefined
    throw failure('feed/credentials', `the session of ${this.#username} is not accepted`, {
      remedy: 'let the account read ThermalEquipment and Chassis',
    })
  }

  /** Takes the session back; what fails is left to run out there. */
  async logout(attempt: JsonAttempt): Promise<void> {
    const token = this.#token
    if (token === undefined || this.#location === undefined) return
    this.#token = undefined
    const ask = { method: 'DELETE', headers: { 'x-auth-token': token }, statuses: [200, 202, 204] } as const
    await attempt.text(this.#location, ask).catch(() => {})
  }

  async #ask(attempt: JsonAttempt, reference: string): Promise<JsonAnswer> {
    this.#token ??= await this.#login(attempt)
    return await attempt.json(reference, { headers: { 'x-auth-token': this.#token }, statuses: [200, 401] })
  }

  async #login(attempt: JsonAttempt): Promise<string> {
    const Password = await secretLine(this.#passwordFile)
    const answer = await attempt.json(SESSIONS, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ UserName: this.#username, Password }),
      statuses: [200, 201],
    })
    const token = answer.headers['x-auth-token']
    if (token === undefined || token === '') {
      throw failure('feed/credentials', `${SESSIONS} gave no X-Auth-Token`, { remedy: 'use basic authentication' })
    }
    this.#location = textOf(answer.headers.location) ?? textOf(fieldsOf(answer.body)['@odata.id'])
    return token
  }
}
