import { FACT_NAMES, NEED_FACTS } from '../model/facts.ts'
import { conditionConjuncts, conditionFacts, conditionProblems } from './conditions.ts'
import { allCandidates, serves } from './names.ts'
import { didYouMean } from './suggest.ts'
import type { Report, View } from './view.ts'

/** Whose `when` it is: the area of its problem codes, and the word for it in messages. */
type Area = 'policy' | 'cohort'

const PATH = ['spec', 'when']

/** All that is wrong with the `when` of a document, at the character that is. */
export function checkWhen(view: View, when: string, area: Area, report: Report): void {
  checkCondition(when, area, report)
  checkConditionFacts(view, when, area, report)
  const conjuncts = conditionConjuncts(when)
  for (const [fact, { values, offset }] of conjuncts) {
    if (values.size > 0) continue
    const message = `request.${fact} would have to have two values at once, so the ${area} never applies`
    const remedy = 'correct the condition'
    report(PATH, { code: `${area}/condition`, message, offset, remedy, severity: 'warning' })
  }
  const model = conjuncts.get('model')
  for (const name of model?.values ?? []) {
    if (typeof name !== 'string' || allCandidates(view).some(({ pool }) => serves(pool, name))) continue
    const message = `no pool serves a model "${name}", so the ${area} never applies`
    const remedy = 'add the model to a pool, or correct the name'
    report(PATH, { code: 'policy/unknown-model', message, remedy, offset: model!.offset, severity: 'warning' })
  }
}

/** Reports what is wrong with a `when` by itself, whatever the documents around it. */
export function checkCondition(when: string, area: Area, report: Report): void {
  for (const { message, offset, remedy } of conditionProblems(when)) {
    report(PATH, { code: `${area}/condition`, message, offset, ...(remedy === undefined ? {} : { remedy }) })
  }
}

/** A fact that nothing gives is missing in every request, and the condition is then false without a word. */
function checkConditionFacts(view: View, when: string, area: Area, report: Report): void {
  const given = view.all.factSources.flatMap(({ facts }) => Object.keys(facts))
  const known = [...FACT_NAMES, ...NEED_FACTS, ...given]
  for (const [fact, offset] of conditionFacts(when)) {
    if (known.includes(fact)) continue
    const message = `nothing gives the fact "${fact}", so it is missing in every request${didYouMean(fact, known)}`
    const remedy = 'name a source for it in a FactSources document, or correct the name'
    report(PATH, { code: `${area}/condition-fact`, message, remedy, offset, severity: 'warning' })
  }
}
