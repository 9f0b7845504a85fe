import type { Because, Decision } from '../model/decision.ts'
import { siteOf } from '../model/names.ts'
import { THEN_WORDS } from './case-words.ts'
import { durationText, parseDuration } from './duration.ts'
import { didYouMean } from './suggest.ts'

/** What of a written `then` the decision does not meet, as sentences; empty if all is met. */
export function unmet(then: Readonly<Record<string, unknown>>, decision: Decision): string[] {
  const failures: string[] = []
  const seen = visible(decision)
  for (const [word, wanted] of Object.entries(then)) {
    if (!Object.hasOwn(THEN_WORDS, word)) {
      failures.push(`then knows no "${word}"${didYouMean(word, Object.keys(THEN_WORDS))}`)
    } else if (word === 'because') {
      failures.push(...unmetBecause([wanted].flat() as Partial<Because>[], decision.because))
    } else if (word === 'policy') {
      const names = [decision.policy, decision.policy?.split('@')[0]]
      if (!names.includes(String(wanted))) failures.push(told('policy', wanted, decision.policy))
    } else if (word === 'retryAfter') {
      const ms = parseDuration(String(wanted))
      const retryAfterMs = 'retryAfterMs' in decision ? decision.retryAfterMs : undefined
      if (ms !== retryAfterMs)
        failures.push(told(word, wanted, retryAfterMs === undefined ? 'none' : durationText(retryAfterMs)))
    } else if (![wanted].flat().includes(seen[word])) failures.push(told(word, wanted, seen[word]))
  }
  return failures
}

function visible(decision: Decision): Record<string, unknown> {
  const target = 'target' in decision ? decision.target : undefined
  return { ...decision, ...(target === undefined ? {} : { site: siteOf(target) }) }
}

function unmetBecause(wanted: readonly Partial<Because>[], because: readonly Because[]): string[] {
  const meets = (entry: Because, one: Partial<Because>) =>
    Object.entries(one).every(([field, value]) => entry[field as keyof Because] === value)
  return wanted
    .filter((one) => !because.some((entry) => meets(entry, one)))
    .map((one) => {
      const shown = because.map(({ target, constraint, measured, limit }) => ({ target, constraint, measured, limit }))
      return `because has no ${JSON.stringify(one)}; it has ${JSON.stringify(shown)}`
    })
}

const told = (word: string, wanted: unknown, seen: unknown): string =>
  `${word} is ${seen === undefined || seen === null ? 'none' : String(seen)}, not ${[wanted].flat().join(' or ')}`
