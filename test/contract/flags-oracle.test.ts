import { FlagdCore } from '@openfeature/flagd-core'
import t from 'tap'
import { createFlagCompiler } from '../../src/flags/compile-flag.ts'
import { readFlags } from '../../src/flags/read-flags.ts'
import { meansTheSameCompiled } from '../../src/flags/whole-if.ts'
import { murmur3 } from '../../src/math/murmur3.ts'
import type { EvaluateFlag, FlagDefinition, FlagResult } from '../../src/model/flag.ts'
import { CASE_NOW, definitionOf, FLAG_CASES } from '../helpers/flag-cases.ts'
import { drawContext, drawFlag, drawHalf, drawing } from '../helpers/flag-generator.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

type Context = Readonly<Record<string, unknown>>

/** The same definitions in the library and in ours; asked for one flag, both answer. */
function pair(flags: Readonly<Record<string, unknown>>) {
  const core = new FlagdCore(undefined, SILENT)
  core.setConfigurations(JSON.stringify({ flags }))
  const compiler = createFlagCompiler()
  const programs = new Map<string, EvaluateFlag>()
  for (const [key, flag] of Object.entries(flags))
    programs.set(key, compiler.compile({ key, definition: flag as FlagDefinition, hash: JSON.stringify(flag) }))
  return {
    library: (key: string, context: Context): FlagResult => {
      const flag = core.getFlag(key)!
      if (flag.state === 'DISABLED') return { reason: 'DISABLED' }
      const { reason, variant, value, errorCode } = flag.evaluate(context as never, SILENT)
      return { reason, variant, value, errorCode } as FlagResult
    },
    ours: (key: string, context: Context): FlagResult => programs.get(key)!(context, Date.now()),
  }
}

const text = ({ reason, variant, value, errorCode }: FlagResult): string =>
  JSON.stringify([reason, variant ?? null, value ?? null, errorCode ?? null])

/** Asks both of them everything; how often which outcome came, and where they differ. */
function compared(flags: Readonly<Record<string, unknown>>, contexts: readonly Context[]) {
  const { library, ours } = pair(flags)
  const outcomes: Record<string, number> = {}
  const differing: string[] = []
  for (const key of Object.keys(flags)) {
    for (const context of contexts) {
      const wanted = library(key, context)
      const result = ours(key, context)
      const outcome = `${wanted.reason} ${wanted.errorCode ?? ''}`
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      if (text(wanted) === text(result)) continue
      differing.push(`${JSON.stringify([flags[key], context])}: ${text(wanted)}, ours ${text(result)}`)
    }
  }
  return { outcomes, differing }
}

const drawn = (count: number, draw: (index: number) => unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`flag-${index}`, draw(index)]))

t.test('2,000 definitions in 50 contexts each come out as the library has it', async (t) => {
  const contexts = Array.from({ length: 50 }, (_, index) => drawContext(drawing(index + 7_777)))
  const { outcomes, differing } = compared(
    drawn(2_000, (index) => drawFlag(drawing(index + 1))),
    contexts,
  )
  t.strictSame(differing.slice(0, 5), [])
  const seen = ['STATIC ', 'DEFAULT ', 'TARGETING_MATCH ', 'DISABLED ', 'ERROR GENERAL', 'ERROR PARSE_ERROR']
  t.strictSame(
    seen.filter((outcome) => (outcomes[outcome] ?? 0) < 2_000),
    [],
    JSON.stringify(outcomes),
  )
})

t.test('rules without else come out as the library has them, compiled or not', async (t) => {
  const flags = drawn(600, (index) => drawHalf(drawing(index + 1)))
  const isWhole = (flag: unknown): boolean => meansTheSameCompiled((flag as FlagDefinition).targeting)
  const whole = Object.values(flags).filter(isWhole).length
  t.ok(whole > 100 && whole < 500, `${whole} of them are compiled`)
  const contexts = Array.from({ length: 30 }, (_, index) => drawContext(drawing(index + 7_777)))
  t.strictSame(compared(flags, contexts).differing.slice(0, 5), [])
})

t.test('our own cases come out as the library has them', async (t) => {
  const cases = FLAG_CASES.map((one, index) => [`case-${index}`, one] as const)
  // The library hashes other bytes for what is not ASCII, lets no time be given, and makes texts of askers.
  const known = /UTF-8|timestamp is whole seconds|an asker that is no text/
  const { library, ours } = pair(Object.fromEntries(cases.map(([key, one]) => [key, definitionOf(one)])))
  const compared = cases.filter(([, { what }]) => !known.test(what))
  t.ok(compared.length > 60)
  for (const [key, { what, context = {} }] of compared)
    t.equal(text(ours(key, context)), text(library(key, context)), what)
})

t.test('a text with shared parts and metadata is read as the library reads it', async (t) => {
  const definition = JSON.stringify({
    $evaluators: {
      isEmea: { in: [{ var: 'region' }, ['EMEA', 'NL']] },
      isInternal: { ends_with: [{ var: 'email' }, '@example.com'] },
    },
    metadata: { flagSetId: 'routing', version: '7', owner: 'platform@example.com' },
    flags: {
      nearest: {
        state: 'ENABLED',
        variants: { on: { preferred_region: 'ams' }, off: {} },
        defaultVariant: 'off',
        targeting: { if: [{ and: [{ $ref: 'isEmea' }, { '!': [{ $ref: 'isInternal' }] }] }, 'on', null] },
        metadata: { owner: 'routing@example.com', ticket: 4711 },
      },
      plain: { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' },
      gone: { state: 'DISABLED', variants: { on: true, off: false }, defaultVariant: 'on' },
    },
  })
  const core = new FlagdCore(undefined, SILENT)
  core.setConfigurations(definition)
  const { set, problems } = readFlags(definition, 'flags.json')
  t.strictSame(problems, [])
  t.strictSame(set!.metadata, core.getFlagSetMetadata())
  const compiler = createFlagCompiler()
  for (const context of [{ region: 'EMEA' }, { region: 'NL', email: 'a@example.com' }, { region: 'US' }, {}])
    for (const flag of Object.values(set!.flags)) {
      const result = compiler.compile(flag)(context, CASE_NOW)
      const wanted =
        flag.key === 'nearest'
          ? core.resolveObjectEvaluation(flag.key, {}, context, SILENT)
          : core.resolveBooleanEvaluation(flag.key, false, context, SILENT)
      t.equal(result.reason, wanted.reason)
      t.equal(result.variant, wanted.variant)
      if (result.variant !== undefined) t.strictSame(result.value, wanted.value)
      t.strictSame(flag.definition.metadata, wanted.flagMetadata)
    }
})

t.test('the library hashes UTF-16, flagd and we UTF-8: some keys come into other arms', async (t) => {
  const halves = { fractional: [{ var: 'tenant' }, ['a', 1], ['b', 1]] }
  const { library, ours } = pair({ f: { state: 'ENABLED', variants: { a: 1, b: 2 }, targeting: halves } })
  const armOf = (hash: number): string => (hash < 0x80000000 ? 'a' : 'b')
  // Hashes by flagd and by the library, from the reference implementation and from imurmurhash.
  const hashes: [string, number, number][] = [['tenant-München', 0xeb19ec76, 0x6516ecc8]]
  for (const [tenant, right, wrong] of hashes) {
    t.equal(murmur3(tenant), right)
    t.equal(ours('f', { tenant }).variant, armOf(right))
    t.equal(library('f', { tenant }).variant, armOf(wrong))
  }
  const names = Array.from({ length: 200 }, (_, index) => `租户-${index}`)
  t.ok(names.every((tenant) => ours('f', { tenant }).variant === armOf(murmur3(tenant))))
  t.ok(names.some((tenant) => ours('f', { tenant }).variant !== library('f', { tenant }).variant))
  const ascii = Array.from({ length: 200 }, (_, index) => `tenant-${index}`)
  t.ok(ascii.every((tenant) => ours('f', { tenant }).variant === library('f', { tenant }).variant))
})

t.test('where the library is at fault for other reasons, ours does what flagd says', async (t) => {
  const flag = (targeting: unknown) => ({
    state: 'ENABLED',
    variants: { on: 1, off: 2, falseB: 3 },
    defaultVariant: 'off',
    targeting,
  })
  const faults = {
    // Its operators of flagd look for their log in the item.
    'an operator of flagd for each item': [
      flag({ if: [{ some: [{ var: 'groups' }, { starts_with: [{ var: '' }, 'ad'] }] }, 'on', null] }),
      { groups: ['admin'] },
      'on',
      undefined,
    ],
    // Its code for `or` has no brackets around it, and `+` binds closer.
    'a choice inside of cat': [
      flag({ cat: [{ '==': [1, { var: 'one' }] }, { or: [{ var: 'b' }, 'x'] }] }),
      { one: 2, b: 'B' },
      'falseB',
      undefined,
    ],
    // It takes an item that is 0 for each of its fields, where it interprets.
    'a field of an item that is 0': [
      flag({ if: [{ some: [{ var: 'scores' }, { '===': [{ cat: [{ var: 'a.b' }, ''] }, '0'] }] }, 'on'] }),
      { scores: [0] },
      'off',
      'on',
    ],
    // It makes a text of whoever asks.
    'an asker that is a number': [flag({ fractional: [['on', 1]] }), { targetingKey: 5 }, 'off', 'on'],
    // It goes on to what objects inherit.
    'a field that nobody wrote': [
      flag({ if: [{ '==': [{ var: 'constructor.name' }, 'Object'] }, 'on', null] }),
      {},
      'off',
      'on',
    ],
  } as const
  for (const [what, [definition, context, right, wrong]] of Object.entries(faults)) {
    const { library, ours } = pair({ f: definition })
    t.equal(ours('f', context).variant, right, what)
    t.equal(library('f', context).variant, wrong, `${what}, in the library`)
  }
})
