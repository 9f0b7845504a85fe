import type { Because, Decision } from '../model/decision.ts'
import type { LayerTrace } from '../model/flag.ts'
import { siteOf } from '../model/names.ts'
import type { TargetReadiness } from '../model/readiness.ts'
import { DIMENSIONS, type Dimension } from '../model/signal-row.ts'
import { THEN_WORDS } from './case-words.ts'
import { durationText, parseDuration } from './duration.ts'
import { didYouMean } from './suggest.ts'

/** The readiness of a target for the class of the request; undefined for an unknown target. */
export type ReadinessOf = (target: string) => TargetReadiness | undefined

/**
 * What of a written `then` the decision does not meet, as sentences; empty if all is met. Readiness is not part of a
 * decision: who cannot tell it passes nothing, and is not to be asked for it.
 */
export function unmet(
  then: Readonly<Record<string, unknown>>,
  decision: Decision,
  readinessOf?: ReadinessOf,
): string[] {
  const failures: string[] = []
  const seen = visible(decision)
  for (const [word, wanted] of Object.entries(then)) {
    if (!Object.hasOwn(THEN_WORDS, word)) {
      failures.push(`then knows no "${word}"${didYouMean(word, Object.keys(THEN_WORDS))}`)
    } else if (word === 'because') {
      failures.push(...unmetBecause([wanted].flat() as Partial<Because>[], decision.because))
    } else if (word === 'layers') {
      failures.push(...unmetLayers([wanted].flat() as Partial<LayerTrace>[], decision.layers))
    } else if (word === 'policy') {
      const names = [decision.policy, decision.policy?.split('@')[0]]
      if (!names.includes(String(wanted))) failures.push(told('policy', wanted, decision.policy))
    } else if (word === 'readiness') {
      failures.push(...unmetReadiness(wanted as Wanted, readinessOf))
    } else if (word === 'forecast') {
      failures.push(...unmetForecast(wanted as Wanted, decision))
    } else if (word === 'suggest') {
      for (const [what, value] of Object.entries(wanted as Wanted)) {
        const seen = (decision.suggest as Wanted | undefined)?.[what]
        if (seen !== value) failures.push(told(`suggest.${what}`, value, seen))
      }
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
  return {
    ...decision,
    arm: decision.arm ?? 'none',
    forced: decision.forced ?? false,
    ...(target === undefined ? {} : { site: siteOf(target) }),
  }
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

function unmetLayers(wanted: readonly Partial<LayerTrace>[], layers: readonly LayerTrace[]): string[] {
  const meets = (entry: LayerTrace, [field, value]: [string, unknown]): boolean => {
    const seen = entry[field as keyof LayerTrace]
    return value === false ? seen === undefined : seen === value
  }
  return wanted
    .filter((one) => !layers.some((entry) => Object.entries(one).every((pair) => meets(entry, pair))))
    .map((one) => `layers has no ${JSON.stringify(one)}; it has ${JSON.stringify(layers)}`)
}

const told = (word: string, wanted: unknown, seen: unknown): string =>
  `${word} is ${seen === undefined || seen === null ? 'none' : String(seen)}, not ${[wanted].flat().join(' or ')}`

type Wanted = Readonly<Record<string, unknown>>

function unmetReadiness(wanted: Wanted, readinessOf: ReadinessOf | undefined): string[] {
  if (readinessOf === undefined) return ['readiness cannot be told here']
  return Object.entries(wanted).flatMap(([target, states]) => {
    const seen = readinessOf(target)
    if (seen === undefined) return [`readiness: no target is called "${target}"`]
    return Object.entries(states as Wanted).flatMap(([word, state]) => {
      if (word !== 'overall' && !(DIMENSIONS as readonly string[]).includes(word))
        return [`readiness knows no "${word}"${didYouMean(word, ['overall', ...DIMENSIONS])}`]
      const one = word === 'overall' ? { state: seen.overall, says: '' } : seen.dimensions[word as Dimension]
      if (one.state === state) return []
      return [`readiness of ${target}: ${told(word, state, one.state)}${one.says === '' ? '' : ` (${one.says})`}`]
    })
  })
}

function unmetForecast(wanted: Wanted, { forecast, at: now }: Decision): string[] {
  if (forecast === undefined) return ['there is no forecast']
  const seen: Wanted = {
    in: forecast.at === null ? 'never' : durationText(forecast.at - now),
    waitsFor: forecast.waitsFor,
    target: forecast.target,
  }
  return Object.entries(wanted).flatMap(([word, value]) => {
    const ms = word === 'in' ? parseDuration(String(value)) : undefined
    const expected = ms === undefined ? value : durationText(ms)
    return seen[word] === expected ? [] : [told(`forecast.${word}`, expected, seen[word])]
  })
}
