import type { DocumentSet } from '../model/documents.ts'
import { FACT_NAMES, type Facts, type FactValue } from '../model/facts.ts'
import { targetName } from '../model/names.ts'
import { WHEN_WORDS } from './case-words.ts'
import { FACT_TYPES } from './condition-check.ts'

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
  const { session, needs, seed, hop } = when
  // Without a key there are no sessions.
  if (typeof session === 'string') known.sessionKey ??= 'case'
  return {
    requestId: 'case',
    seed: typeof seed === 'string' ? seed : '0000000000000000',
    ...known,
    class: String(known.class ?? ''),
    session: typeof session === 'string' ? { verdict: 'valid', target: session } : { verdict: 'none' },
    ...(hop === undefined ? {} : { hop: hopOf(String(hop), set) }),
    ...(needs === undefined ? {} : { needs: needs as NonNullable<Facts['needs']> }),
    extra,
  }
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
