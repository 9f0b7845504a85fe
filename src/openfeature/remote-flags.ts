import type { FlagIntake } from './flag-intake.ts'
import { type HttpAsker, type HttpQuestion, shownAddress } from './http-ask.ts'
import type { HttpFlagsConfig, OfrepFlagsConfig } from './kinds.ts'

/** One attempt to read a source. */
export type FlagAttempt = (signal: AbortSignal) => Promise<void>

/** Asks for a flagd definition by HTTP. */
export const httpAttempt = ({ url }: HttpFlagsConfig, asker: HttpAsker, intake: FlagIntake): FlagAttempt =>
  conditional({ url, method: 'GET', headers: {} }, asker, intake)

/** Asks an OFREP service for all flags in the one context of the source. */
export const ofrepAttempt = ({ url, context }: OfrepFlagsConfig, asker: HttpAsker, intake: FlagIntake): FlagAttempt =>
  conditional(
    {
      url: ofrepUrl(url),
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ context }),
    },
    asker,
    intake,
  )

/** Where a service evaluates all flags. */
export const ofrepUrl = (base: string): string => `${base.replace(/\/+$/, '')}/ofrep/v1/evaluate/flags`

/** Asks with what the last answer said of itself, so that an unchanged one is not sent again. */
function conditional(question: HttpQuestion, asker: HttpAsker, intake: FlagIntake): FlagAttempt {
  const path = shownAddress(question.url)
  let etag = ''
  let lastModified = ''
  return async (signal) => {
    const known = intake.isJudged
    const headers = {
      ...question.headers,
      ...(known && etag !== '' ? { 'if-none-match': etag } : {}),
      ...(known && etag === '' && lastModified !== '' ? { 'if-modified-since': lastModified } : {}),
    }
    const answer = await asker.ask({ ...question, headers }, signal)
    if (answer.text === null) {
      intake.unchanged()
      return
    }
    await intake.take([{ path, text: answer.text }], signal)
    // Of a set that was given up half read nothing is known: it is to come once more.
    if (signal.aborted) return
    etag = answer.etag
    lastModified = answer.lastModified
  }
}
