import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'

/** The options of a command that asks a running hubward. */
export interface AdminFlags {
  readonly admin: string
  readonly tokenFile?: string
}

/** Gives a command the options that say where a hubward is asked, and with which token. */
export const withAdminFlags = (command: Command): Command =>
  command
    .addOption(
      new Option('-a, --admin <url>', 'where hubward is asked').env('HUBWARD_ADMIN').default('http://127.0.0.1:9470'),
    )
    .addOption(new Option('--token-file <file>', 'a bearer token in a file').env('HUBWARD_TOKEN_FILE'))

/** What a running hubward answered. */
export interface AdminAnswer {
  readonly status: number
  readonly json: unknown
}

/** How long an answer may take. */
const TIMEOUT_MS = 10_000

/** Nobody answers there, or somebody who is no hubward. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/**
 * Asks a running hubward, or posts a body to it. Throws an Unreachable that says what to do where none answers, and an
 * Error where it does not know us.
 */
export async function askAdmin({ admin, tokenFile }: AdminFlags, path: string, body?: object): Promise<AdminAnswer> {
  const base = /^https?:\/\//.test(admin) ? admin : `http://${admin}`
  const headers: Record<string, string> = {}
  if (tokenFile !== undefined) headers.authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  const post = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  let answer: Response
  let text: string
  try {
    answer = await fetch(new URL(path, base), { ...post, headers, signal: AbortSignal.timeout(TIMEOUT_MS) })
    text = await answer.text()
  } catch (error) {
    const cause = (error as { cause?: Error }).cause ?? (error as Error)
    throw new Unreachable(
      `no hubward answers at ${base}: ${cause.message}; start one, or name its address with --admin`,
    )
  }
  if (answer.status === 401) throw new Error(`${base} asks who you are; bring a token with --token-file`)
  try {
    return { status: answer.status, json: JSON.parse(text) }
  } catch {
    throw new Unreachable(`what answers at ${base} is no hubward: ${text.slice(0, 80).replace(/\s+/g, ' ')}`)
  }
}
