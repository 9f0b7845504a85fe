import { type Admits, type ReadinessDocument, SAFETY_DIMENSIONS } from '../model/readiness.ts'
import type { Dimension } from '../model/signal-row.ts'
import { checkEntry } from './check-entry.ts'
import { canonicalJson } from './hash.ts'
import type { FieldPath } from './place.ts'
import { didYouMean, knownNames } from './suggest.ts'
import { isBroken, type Report, type View } from './view.ts'

/** Readiness documents: known sites and classes, and no two of equal standing that say different things of one signal. */
export function checkReadiness(view: View): void {
  for (const document of view.own.readiness) {
    const report = view.about(document)
    for (const [index, site] of (document.sites ?? []).entries())
      checkEntry(view, site, ['spec', 'sites', index], report, 'readiness/unknown-site')
    checkClassNames(view, document.classes ?? [], ['spec', 'classes'], report)
    checkAdmits(view, document, report)
  }
  checkContradictions(view)
}

function checkClassNames(view: View, names: readonly string[], path: FieldPath, report: Report): void {
  const known = view.all.classes.map(({ metadata }) => metadata.name)
  for (const [index, name] of names.entries()) {
    if (known.includes(name) || isBroken(view, 'WorkloadClass', name)) continue
    const message = `no class is called "${name}"; ${knownNames(known)}${didYouMean(name, known)}`
    const remedy = 'add a WorkloadClass document, or correct the name'
    report([...path, index], { code: 'readiness/unknown-class', message, remedy })
  }
}

function checkAdmits(view: View, document: ReadinessDocument, report: Report): void {
  for (const [name, states] of Object.entries(document.admits)) {
    for (const [state, admits] of Object.entries(states)) {
      const path = ['spec', 'admits', name, state]
      if (admits !== 'all') checkClassNames(view, admits.classes, [...path, 'classes'], report)
      if (state !== 'red' || !SAFETY_DIMENSIONS.includes(name as Dimension) || !letsFlexible(admits)) continue
      const message = `while ${name} is red, work that could wait is let in`
      const remedy = 'let in critical classes at most: { critical: true }, or none'
      report(path, { code: 'readiness/admits-at-red', message, remedy, severity: 'warning' })
    }
  }
}

const letsFlexible = (admits: Admits): boolean =>
  admits === 'all' || admits.flexibility.some((word) => word === 'delayable' || word === 'pausable')

/** One thing that a document says: where it stands, what it is about, and what it says. */
interface Said {
  readonly key: string
  readonly path: FieldPath
  readonly about: string
  readonly content: string
}

function* sayings(document: ReadinessDocument): Generator<Said> {
  for (const [dimension, limits] of Object.entries(document.limits))
    for (const { signal, ...rest } of limits)
      yield {
        key: `${dimension} ${signal}`,
        path: ['spec', 'limits', dimension, signal],
        about: signal,
        content: canonicalJson(rest),
      }
  for (const [dimension, states] of Object.entries(document.admits))
    for (const [state, admits] of Object.entries(states)) {
      const about = `whom ${state} ${dimension} lets in`
      yield { key: about, path: ['spec', 'admits', dimension, state], about, content: canonicalJson(admits) }
    }
  if (document.gameDayMaxMs !== undefined)
    yield {
      key: 'gameDayMax',
      path: ['spec', 'gameDayMax'],
      about: 'gameDayMax',
      content: String(document.gameDayMaxMs),
    }
}

/**
 * A document for a class at a site stands above one for a site, that above one for a class, that above one for all. Two
 * of equal standing that meet in a site and a class must not differ: which of them counted would be chance.
 */
function checkContradictions(view: View): void {
  const documents = [...view.all.readiness]
  for (const [index, one] of documents.entries()) {
    for (const other of documents.slice(index + 1)) {
      const [site, className] = [meet(one.sites, other.sites), meet(one.classes, other.classes)]
      if (site === undefined || className === undefined) continue
      // Reported where there is a place for it: at one's own document, the later of two.
      const [at, against] = view.own.readiness.includes(other) ? [other, one] : [one, other]
      if (!view.own.readiness.includes(at)) continue
      const before = new Map([...sayings(against)].map((said) => [said.key, said]))
      for (const { key, path, about, content } of sayings(at)) {
        const said = before.get(key)
        if (said === undefined || said.content === content) continue
        const where = [site === '' ? '' : ` at ${site}`, className === '' ? '' : ` for ${className}`].join('')
        const message = `${against.metadata.name} says something else of ${about}${where}`
        const remedy = 'say it in one of them, or for fewer sites or classes in the one that is to count'
        view.about(at)(path, { code: 'readiness/contradiction', message, remedy, want: 'key' })
      }
    }
  }
}

/** A name in both; '' where both are about all; undefined where they don't meet or do not stand on one level. */
const meet = (one: readonly string[] | undefined, other: readonly string[] | undefined): string | undefined => {
  if (one === undefined && other === undefined) return ''
  return one?.find((name) => other?.includes(name) === true)
}
