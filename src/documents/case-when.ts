import type { DocumentSet } from '../model/documents.ts'
import { FACT_NAMES, type Facts, type FactValue, type JobNeeds } from '../model/facts.ts'
import { targetName } from '../model/names.ts'
import { ARMS } from '../model/rollout.ts'
import { NEED_WORDS, WHEN_WORDS } from './case-words.ts'
import { FACT_TYPES } from './condition-check.ts'
import { didYouMean, knownNames } from './suggest.ts'

/** The facts that a written `when` describes. */
export function caseFacts(
  when: Readonly<Record<string, unknown>>,
  set: DocumentSet,
  wrong: (what: string) => void,
): Facts {
  const known: Record<string, unknown> = {}
  const extra: Record<string, FactValue> = {}
  for (const [name, value] of Object.entries(when)) {
    if (Object.hasOwn(WHEN_WORDS, name)) continue
    if ((FACT_NAMES as readonly string[]).includes(name)) known[name] = typed(name, value, wrong)
    else if (['string', 'number', 'boolean'].includes(typeof value) || isTexts(value)) extra[name] = value as FactValue
    else wrong(`when.${name} has to be a text, a number, true or false, or a list of texts`)
  }
  if (known.class === undefined) wrong('when has to name the class of the request')
  const allowed = set.residencies.find(({ metadata }) => metadata.name === known.residencyClass)?.allows
  if (known.residencyClass !== undefined && allowed === undefined)
    wrong(`no residency class is called "${known.residencyClass}"`)
  if (known.residency === undefined && allowed !== undefined) known.residency = allowed
  const { session, needs, seed, hop, followUp, forced } = when
  // Without a key there are no sessions.
  if (typeof session === 'string') known.sessionKey ??= 'case'
  return {
    requestId: 'case',
    seed: typeof seed === 'string' ? seed : '0000000000000000',
    ...known,
    class: String(known.class ?? ''),
    session: typeof session === 'string' ? { verdict: 'valid', target: session } : { verdict: 'none' },
    ...(hop === undefined ? {} : { hop: hopOf(String(hop), set) }),
    ...(followUp === undefined ? {} : { followUp: followUpOf(followUp, wrong) }),
    ...(needs === undefined ? {} : { needs: needsOf(needs, wrong) }),
    ...(forced === undefined ? {} : { forced: forcedOf(forced, set, wrong) }),
    extra,
  }
}

/** What a tester's header forces. A cohort or an arm that is not there would force nothing, without a word. */
function forcedOf(written: unknown, set: DocumentSet, wrong: (what: string) => void): NonNullable<Facts['forced']> {
  const { cohort, arm, ...rest } = (written ?? {}) as Readonly<Record<string, unknown>>
  for (const word of Object.keys(rest)) wrong(`when.forced knows no "${word}"${didYouMean(word, ['cohort', 'arm'])}`)
  const known = (set.cohorts ?? []).map(({ metadata }) => metadata.name)
  if (cohort !== undefined && !known.includes(String(cohort)))
    wrong(`no cohort is called "${cohort}"; ${knownNames(known)}${didYouMean(String(cohort), known)}`)
  const chosen = ARMS.find((name) => name === arm)
  if (arm !== undefined && chosen === undefined) wrong(`when.forced.arm has to be ${ARMS.join(' or ')}`)
  return {
    ...(cohort === undefined ? {} : { cohort: String(cohort) }),
    ...(chosen === undefined ? {} : { arm: chosen }),
  }
}

function followUpOf(written: unknown, wrong: (what: string) => void): NonNullable<Facts['followUp']> {
  if (written !== 'ask' && written !== 'work') wrong('when.followUp has to be ask or work')
  return written === 'work' ? 'work' : 'ask'
}

/** A job's needs, each of the type that it has to be: a need that nobody understands would let everything pass. */
function needsOf(written: unknown, wrong: (what: string) => void): JobNeeds {
  const needs: Record<string, unknown> = {}
  for (const [word, value] of Object.entries((written ?? {}) as Record<string, unknown>)) {
    const type = Object.hasOwn(NEED_WORDS, word) ? NEED_WORDS[word as keyof typeof NEED_WORDS] : undefined
    if (type === undefined) wrong(`when.needs knows no "${word}"${didYouMean(word, Object.keys(NEED_WORDS))}`)
    else if (type === 'list') needs[word] = [value].flat().map(String)
    else if (typeof value === type) needs[word] = value
    else wrong(`when.needs.${word} has to be ${type === 'object' ? 'a map of signals' : `a ${type}`}`)
  }
  return needs as JobNeeds
}

const hopOf = (hop: string, set: DocumentSet): NonNullable<Facts['hop']> => {
  const pools = set.sites.flatMap(({ metadata, pools }) =>
    pools.map(({ name, cluster }) => ({ target: targetName(metadata.name, name), cluster })),
  )
  const chosen = pools.find(({ target }) => target === hop) ?? { target: hop, cluster: hop }
  return { verdict: hop === 'loop' ? 'loop' : 'valid', decision: 'case-before', ...chosen }
}

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string')

function typed(name: string, value: unknown, wrong: (what: string) => void): unknown {
  const type = FACT_TYPES[name as keyof typeof FACT_TYPES]
  if (type === 'list<string>') return [value].flat().map(String)
  const wanted = type === 'double' ? 'number' : type === 'bool' ? 'boolean' : 'string'
  const isRight = typeof value === wanted
  if (!isRight) wrong(`when.${name} has to be a ${wanted === 'string' ? 'text' : wanted}`)
  return isRight ? value : undefined
}
