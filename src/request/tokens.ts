import type { Reading } from './reading.ts'

/** Body fields that say how long an answer may get, the newest name first. */
const ANSWER_FIELDS = ['max_completion_tokens', 'max_tokens', 'max_output_tokens'] as const

/** Body fields that are always looked for. */
export const TOKEN_FIELDS: readonly string[] = ['model', 'tools', ...ANSWER_FIELDS]

/**
 * Bytes of UTF-8 a token has: about four in English. Other scripts have fewer characters but more bytes each, so counting
 * bytes errs less than counting characters would.
 */
const BYTES_PER_TOKEN = 4

/**
 * The reader of how much context a request takes: what is declared for the prompt, else an estimate from the body's
 * text, plus the longest answer the body asks for. Undefined where neither is known.
 */
export function tokensReader(
  declared: (reading: Reading) => number | undefined,
): (reading: Reading) => number | undefined {
  return (reading) => {
    const body = reading.body
    const prompt = declared(reading) ?? (body === undefined ? undefined : Math.ceil(body.textBytes / BYTES_PER_TOKEN))
    let answer: number | undefined
    for (const field of ANSWER_FIELDS) {
      const asked = body?.values.get(field)
      if (typeof asked === 'number' && asked >= 0) {
        answer = Math.ceil(asked)
        break
      }
    }
    return prompt === undefined && answer === undefined ? undefined : (prompt ?? 0) + (answer ?? 0)
  }
}
