import fc from 'fast-check'
import t from 'tap'
import { FLAG_FINDINGS, type FlagFindingCode } from '../../src/flags/findings.ts'
import { lintChange } from '../../src/flags/lint-change.ts'
import { lintFlags } from '../../src/flags/lint-flags.ts'
import type { Json } from '../../src/model/flag.ts'
import { problemText } from '../../src/model/problem.ts'
import { DOCUMENTS, FOUND, flagOf, GOOD, NOW, setOf } from '../helpers/lint-cases.ts'

t.test('every flag that something is to be said of is told by its code, with a place and a way out', async (t) => {
  for (const { what, code, flags, at, says, context } of FOUND) {
    const found = lintFlags(setOf(...flags), { now: NOW, documents: DOCUMENTS, ...context })
    const ours = found.filter((one) => one.code === code)
    t.ok(ours.length > 0, `${what}: instead ${found.map(problemText).join('\n')}`)
    t.ok(
      ours.every((one) => one.severity === FLAG_FINDINGS[code].severity && (one.remedy ?? '') !== ''),
      what,
    )
    if (says !== undefined) t.match(ours.map(problemText).join('\n'), says, what)
    if (at === undefined) continue
    const places = ours.map((one) => one.at.slice(1).join('/'))
    t.ok(
      places.some((place) => place === at || place.endsWith(`/${at}`)),
      `${what}: ${places}`,
    )
  }
})

t.test('of a flag that is as it should be nothing is said', async (t) => {
  for (const [what, flags] of Object.entries(GOOD))
    t.strictSame(lintFlags(setOf(...flags), { now: NOW, documents: DOCUMENTS }), [], what)
})

t.test('every code of findings is provoked by a test', async (t) => {
  const provoked = new Set<FlagFindingCode>([...FOUND.map(({ code }) => code), 'flag/moves-users'])
  t.strictSame(
    Object.keys(FLAG_FINDINGS).filter((code) => !provoked.has(code as FlagFindingCode)),
    [],
  )
})

t.test('names that flags take from documents are looked at only beside documents', async (t) => {
  const [stray] = [flagOf({ class: 'chatt' })]
  t.strictSame(lintFlags(setOf(stray), { now: NOW }), [])
})

const split = (arms: readonly (readonly [string, number])[], key?: Json): Json => ({
  fractional: [...(key === undefined ? [] : [key]), ...arms.map(([name, weight]) => [name, weight])],
})
const dealt = (arms: readonly (readonly [string, number])[], key?: Json) =>
  setOf(flagOf({ definition: { targeting: split(arms, key) } }))
const codes = (before: Parameters<typeof dealt>, after: Parameters<typeof dealt>): readonly string[] =>
  lintChange(dealt(...before), dealt(...after)).map(({ code }) => code)

t.test('a change of three arms that moves a whole arm is told with how many it moves', async (t) => {
  const three = (c: number, a: number, b: number) =>
    [
      ['c', c],
      ['a', a],
      ['b', b],
    ] as const
  const [found] = lintChange(dealt(three(98, 1, 1)), dealt(three(80, 10, 10)))
  t.match(found, { code: 'flag/moves-users', severity: 'warning', message: /100 % of the users of "a"/ })
  t.strictSame(found?.at, ['flags', 'prefer-nearest-replica-emea', 'targeting', 'fractional'])
  t.strictSame(codes([three(98, 1, 1)], [three(97, 2, 1)]), [], 'a takes from its neighbour alone')
  t.strictSame(codes([three(98, 1, 1)], [three(97, 1, 2)]), ['flag/moves-users'], 'a is pushed by the last arm')
  t.strictSame(codes([three(98, 1, 1)], [three(49, 0.5, 0.5)]), [], 'the same shares in other words')
})

t.test('another key to hash deals everybody out anew, and is told', async (t) => {
  const arms = [
    ['near', 50],
    ['off', 50],
  ] as const
  t.strictSame(codes([arms, { var: 'tenant' }], [arms, { var: 'email' }]), ['flag/moves-users'])
  t.strictSame(codes([arms, { var: 'tenant' }], [arms, { var: 'tenant' }]), [])
})

t.test('two arms move nobody for nothing, whatever their shares become', async () => {
  const share = fc.integer({ min: 0, max: 10_000 })
  fc.assert(
    fc.property(share, share, (before, after) => {
      const arms = (near: number) =>
        [
          ['near', near],
          ['off', 10_000 - near],
        ] as const
      return codes([arms(before)], [arms(after)]).length === 0
    }),
  )
})

t.test(
  'arms are found to move exactly where a count of all buckets finds somebody who moved for nothing',
  async () => {
    const weights = fc
      .array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 4 })
      .filter((all) => all.some(Boolean))
    const total = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0)
    // Buckets as many as both totals divide: each lies in one arm before and in one after.
    const armsOf = (all: readonly number[], buckets: number): number[] =>
      all.flatMap((weight, arm) => Array.from({ length: (weight * buckets) / total(all) }, () => arm))
    fc.assert(
      fc.property(weights, weights, (before, after) => {
        const buckets = total(before) * total(after)
        const [old, fresh] = [armsOf(before, buckets), armsOf(after, buckets)]
        const needless = before.some((_, arm) => {
          const [had, has] = [old, fresh].map((all) => all.filter((one) => one === arm).length) as [number, number]
          const left = old.filter((one, bucket) => one === arm && fresh[bucket] !== arm).length
          return left > Math.max(0, had - has)
        })
        const named = (all: readonly number[]) => all.map((weight, arm) => [`arm${arm}`, weight] as const)
        return codes([named(before)], [named(after)]).length === (needless ? 1 : 0)
      }),
    )
  },
)
