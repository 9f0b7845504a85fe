import { parseInstant } from '../math/instant.ts'
import type { Flag } from '../model/flag.ts'
import type { EpochMs } from '../model/names.ts'
import { type FlagFinding, finding } from './findings.ts'

/** How many of a name's words have to say something. */
const WORDS_MIN = 3

/** Words that say nothing of what a flag is for. */
const EMPTY_WORDS: ReadonlySet<string> = new Set(
  (
    'flag flags feature features toggle switch test tests testing temp tmp new old my the a an this that thing things ' +
    'foo bar baz enable enabled disable disabled on off default experiment rollout config setting value misc other todo'
  ).split(' '),
)

/** What a flag says of itself: its name, who answers for it, why it is there, until when, and what holds without it. */
export function lintMetadata(flag: Flag, now: EpochMs): FlagFinding[] {
  const { key, layer, definition } = flag
  const metadata = definition.metadata ?? {}
  const says = (name: string): boolean => typeof metadata[name] === 'string' && metadata[name] !== ''
  const found: FlagFinding[] = [...lintName(key)]
  const lacks = (code: FlagFinding['code'], message: string, remedy: string): void => {
    found.push(finding(code, key, ['metadata'], message, remedy))
  }
  if (flag.owner === undefined || flag.owner === '')
    lacks('flag/no-owner', 'nobody answers for it', 'write metadata.owner, the address of a role')
  if (!says('purpose') && !says('description'))
    lacks('flag/no-purpose', 'nothing says what it is for', 'write metadata.purpose, one sentence')
  // A kill-switch stands by for good; it is looked at again like any other.
  if (flag.expires === undefined && layer !== 'kill-switch')
    lacks('flag/no-expiry', 'nothing says when it should be gone', 'write metadata.expires, a date')
  found.push(...lintDates(flag, now))
  if (
    !says('fallback') &&
    typeof definition.defaultVariant !== 'string' &&
    !Object.hasOwn(definition.variants, 'control')
  )
    lacks(
      'flag/no-fallback',
      'nothing says what holds where it does not match',
      'write metadata.fallback, a defaultVariant, or a variant `control`',
    )
  if ((layer === 'kill-switch' || layer === 'incident') && !says('runbook'))
    lacks('flag/no-runbook', `a flag of the layer ${layer} has no runbook`, 'write metadata.runbook, a link')
  return found
}

function lintName(key: string): FlagFinding[] {
  const words = /^[a-z0-9]+(-[a-z0-9]+)*$/.test(key) ? key.split('-') : []
  const telling = words.filter((word) => !/^[0-9]+$/.test(word) && !EMPTY_WORDS.has(word))
  if (telling.length >= WORDS_MIN) return []
  const message = `the name has to say intent, class and constraint: at least ${WORDS_MIN} words in lower case, joined by dashes, that are no numbers and mean something`
  return [finding('flag/name', key, [], message, 'rename it, such as prefer-nearest-replica-emea')]
}

function lintDates({ key, expires, definition }: Flag, now: EpochMs): FlagFinding[] {
  const found: FlagFinding[] = []
  const { reviewBy, reviewEvery, expires: written } = definition.metadata ?? {}
  if (expires !== undefined && expires < now) {
    const message = `it should have been gone by ${written ?? 'now'}, and still counts`
    found.push(
      finding('flag/expired', key, ['metadata', 'expires'], message, 'delete it, or say until when it is needed'),
    )
  }
  if (reviewBy === undefined && reviewEvery === undefined) {
    const message = 'nothing says when it is looked at again'
    const remedy = 'write metadata.reviewBy, a date, or metadata.reviewEvery, such as 30d'
    found.push(finding('flag/no-review', key, ['metadata'], message, remedy))
  }
  if (reviewEvery !== undefined && !/^[1-9][0-9]{0,3}(d|w|h)$/.test(String(reviewEvery))) {
    const message = `"${reviewEvery}" does not say how often it is looked at`
    found.push(finding('flag/review-due', key, ['metadata', 'reviewEvery'], message, 'write a time such as 30d'))
  }
  if (reviewBy === undefined) return found
  const due = parseInstant(String(reviewBy))
  if (due !== undefined && due >= now) return found
  const message = due === undefined ? `there is no day ${reviewBy}` : `it was to be looked at again by ${reviewBy}`
  const remedy = due === undefined ? 'write a date such as 2027-02-01' : 'look at it and set a new date'
  return [...found, finding('flag/review-due', key, ['metadata', 'reviewBy'], message, remedy)]
}
