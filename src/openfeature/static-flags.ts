import type { Json, Scalar } from '../model/flag.ts'
import type { Problem } from '../model/problem.ts'
import { flagSourceProblem } from './failure.ts'
import type { FlagText } from './flag-reader.ts'

/**
 * The answer to an OFREP bulk evaluation as a flagd definition. An answer has values and no rules, so each flag becomes
 * one that always gives the value that it had for the context which was asked about: `{"key":"a","value":5,"variant":"x"}`
 * becomes `{"state":"ENABLED","variants":{"x":5},"defaultVariant":"x"}`. One without a value is DISABLED: whoever asks
 * uses its own default. One that could not be evaluated is told and left out, and is therefore off.
 */
export function staticDefinition({ path, text }: FlagText): {
  readonly file: FlagText | null
  readonly problems: readonly Problem[]
} {
  const bad = (message: string) => ({
    file: null,
    problems: [flagSourceProblem('flag-source/bad-answer', message, { path, remedy: 'ask an OFREP 0.3 service' })],
  })
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    return bad('the answer is no JSON')
  }
  if (!isPlain(answer) || !Array.isArray(answer.flags)) return bad('the answer has no list of flags')
  const problems: Problem[] = []
  const flags: [string, Json][] = []
  const seen = new Set<string>()
  for (const [index, flag] of (answer.flags as unknown[]).entries()) {
    if (!isPlain(flag) || typeof flag.key !== 'string' || flag.key === '') return bad(`flags/${index} has no key`)
    if (seen.has(flag.key)) return bad(`"${flag.key.slice(0, 64)}" is there twice`)
    seen.add(flag.key)
    if (typeof flag.errorCode === 'string') {
      const message = `"${flag.key.slice(0, 64)}" could not be evaluated there: ${flag.errorCode.slice(0, 64)}`
      const remedy = 'correct it where it is defined, or give the context that it needs'
      problems.push(flagSourceProblem('flag-source/evaluation', message, { severity: 'warning', path, remedy }))
    } else flags.push([flag.key, staticFlag(flag)])
  }
  const metadata = scalars(answer.metadata)
  // Keys such as __proto__ stay entries of their own.
  const definition = { flags: Object.fromEntries(flags), metadata }
  return { file: { path, text: JSON.stringify(definition) }, problems }
}

function staticFlag({ value, variant, metadata, reason }: Readonly<Record<string, unknown>>): Json {
  const own = scalars(metadata)
  if (value === undefined || value === null || reason === 'DISABLED')
    return { state: 'DISABLED', variants: { off: false }, metadata: own }
  const name = typeof variant === 'string' && variant !== '' ? variant : 'value'
  return { state: 'ENABLED', variants: { [name]: value as Json }, defaultVariant: name, metadata: own }
}

const scalars = (value: unknown): Record<string, Scalar> =>
  isPlain(value)
    ? (Object.fromEntries(
        Object.entries(value).filter(([, one]) => ['string', 'number', 'boolean'].includes(typeof one)),
      ) as Record<string, Scalar>)
    : {}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
