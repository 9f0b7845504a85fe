import type { FlagDefinition, FlagResult, Json } from '../../src/model/flag.ts'

/** One behaviour of evaluation, as flagd has it. */
export interface FlagCase {
  readonly what: string
  readonly flag: Partial<FlagDefinition>
  readonly context?: Readonly<Record<string, unknown>>
  /** Without `value`: it is the variant's own. */
  readonly gives: Partial<FlagResult>
}

const DECISIONS = { on: { policy: 'emea@2' }, off: {} }
const SUITS = { clubs: '♣', diamonds: '♦', hearts: '♥', spades: '♠' }
const FOUR: Json = [
  ['clubs', 25],
  ['diamonds', 25],
  ['hearts', 25],
  ['spades', 25],
]
const matched = (variant: string): Partial<FlagResult> => ({ reason: 'TARGETING_MATCH', variant })
const unmatched = (variant = 'off'): Partial<FlagResult> => ({ reason: 'DEFAULT', variant })
const general: Partial<FlagResult> = { reason: 'ERROR', errorCode: 'GENERAL' }
const rule = (targeting: Json, more: Partial<FlagDefinition> = {}): Partial<FlagDefinition> => ({ targeting, ...more })
const yesNo = (condition: Json): Partial<FlagDefinition> => rule({ if: [condition, 'on', null] })
const halves = (...key: Json[]): Partial<FlagDefinition> =>
  rule(
    { fractional: [...key, ['on', 1], ['off', 1]] },
    { defaultVariant: 'none', variants: { on: 1, off: 2, none: 3 } },
  )
const none = unmatched('none')

/** When cases are evaluated: 2026-11-28T00:00:00.900Z. */
export const CASE_NOW = 1_795_824_000_900

/** Every behaviour that the format's notes list, one case each. A flag is `case`, enabled, on or off, by default off. */
export const FLAG_CASES: readonly FlagCase[] = [
  {
    what: 'a text names the variant',
    flag: rule({ if: [true, 'on', 'off'] }),
    gives: { ...matched('on'), value: DECISIONS.on },
  },
  {
    what: 'true names the variant "true"',
    flag: rule({ '==': [1, 1] }, { variants: { true: 1, false: 2 } }),
    gives: { ...matched('true'), value: 1 },
  },
  {
    what: 'false names the variant "false"',
    flag: rule({ '==': [1, 2] }, { variants: { true: 1, false: 2 } }),
    gives: matched('false'),
  },
  {
    what: 'a number names the variant that is written so',
    flag: rule({ '+': [1, 1] }, { variants: { 2: 'two' } }),
    gives: matched('2'),
  },
  { what: 'null is the default variant', flag: rule({ if: [false, 'on', null] }), gives: unmatched() },
  { what: 'a missing field is null', flag: rule({ var: 'nowhere' }), gives: unmatched() },
  {
    what: 'a variant that is none is an error',
    flag: rule({ if: [true, 'onn', 'off'] }),
    gives: { ...general, errorMessage: '"case" has no variant "onn"' },
  },
  { what: 'an empty text is a variant that is none', flag: rule({ if: [true, '', 'off'] }), gives: general },
  { what: '{} is no targeting', flag: rule({}), gives: { reason: 'STATIC', variant: 'off', value: {} } },
  { what: 'no targeting is static', flag: {}, gives: { reason: 'STATIC', variant: 'off' } },
  {
    what: 'without targeting and default the asker has its own',
    flag: { defaultVariant: null },
    gives: { reason: 'DEFAULT' },
  },
  {
    what: 'unmatched and without default the asker has its own',
    flag: rule({ if: [false, 'on', null] }, { defaultVariant: null }),
    gives: { reason: 'DEFAULT' },
  },
  {
    what: 'a disabled flag has neither variant nor value',
    flag: { state: 'DISABLED', ...rule({ if: [true, 'on'] }) },
    gives: { reason: 'DISABLED' },
  },
  {
    what: 'a disabled flag is not even compiled',
    flag: { state: 'DISABLED', ...rule({ nonsense: [] }) },
    gives: { reason: 'DISABLED' },
  },
  {
    what: 'an operator that is none is a parse error',
    flag: rule({ nonsense: [1] }),
    gives: { reason: 'ERROR', errorCode: 'PARSE_ERROR' },
  },
  {
    what: 'operands that can never be right are a parse error',
    flag: rule({ if: [{ '+': ['a', 1] }, 'on', 'off'] }),
    gives: { reason: 'ERROR', errorCode: 'PARSE_ERROR' },
  },
  {
    what: 'operands that are wrong now are an error now',
    flag: rule({ if: [{ '+': [{ var: 'a' }, 1] }, 'on', 'off'] }),
    context: { a: {} },
    gives: general,
  },
  {
    what: 'what is chosen by a hash is a match, never a split',
    flag: rule({ fractional: [['on']] }),
    context: { targetingKey: 'u' },
    gives: matched('on'),
  },
  {
    what: '$flagd.flagKey is the key',
    flag: yesNo({ '===': [{ var: '$flagd.flagKey' }, 'case'] }),
    gives: matched('on'),
  },
  {
    what: '$flagd.timestamp is whole seconds',
    flag: yesNo({ '===': [{ var: '$flagd.timestamp' }, 1_795_824_000] }),
    gives: matched('on'),
  },
  {
    what: "a context's own $flagd does not count",
    flag: yesNo({ '===': [{ var: '$flagd.flagKey' }, 'case'] }),
    context: { $flagd: { flagKey: 'forged' } },
    gives: matched('on'),
  },
  {
    what: 'the whole context holds $flagd too',
    flag: yesNo({ some: [{ merge: [{ var: '' }] }, { '===': [{ var: '$flagd.flagKey' }, 'case'] }] }),
    gives: matched('on'),
  },
  {
    what: '$flagd is there for missing',
    flag: yesNo({ '!': { missing: ['$flagd.timestamp'] } }),
    gives: matched('on'),
  },
  {
    what: 'targetingKey is a field like others',
    flag: yesNo({ '===': [{ var: 'targetingKey' }, 'u'] }),
    context: { targetingKey: 'u' },
    gives: matched('on'),
  },
  {
    what: 'a path descends',
    flag: yesNo({ '===': [{ var: 'user.address.0' }, 'a'] }),
    context: { user: { address: ['a'] } },
    gives: matched('on'),
  },
  {
    what: 'a default of var counts for what is missing',
    flag: yesNo({ '===': [{ var: ['x', 'd'] }, 'd'] }),
    gives: matched('on'),
  },
  {
    what: 'an item sees what is around it',
    flag: yesNo({ some: [{ var: 'groups' }, { '===': [{ var: '' }, { var: '../../mine' }] }] }),
    context: { groups: ['a', 'b'], mine: 'b' },
    gives: matched('on'),
  },

  {
    what: 'sem_ver takes a leading v',
    flag: yesNo({ sem_ver: [{ var: 'v' }, '=', '1.2.3'] }),
    context: { v: 'V1.2.3' },
    gives: matched('on'),
  },
  {
    what: 'sem_ver fills up what is short',
    flag: yesNo({ sem_ver: [{ var: 'v' }, '>=', '1.2'] }),
    context: { v: 2 },
    gives: matched('on'),
  },
  {
    what: 'sem_ver ranks what comes before a version',
    flag: yesNo({ sem_ver: ['1.0.0-rc.2', '<', '1.0.0-rc.10'] }),
    gives: matched('on'),
  },
  {
    what: 'sem_ver does not count what is behind a plus',
    flag: yesNo({ sem_ver: ['1.0.0+a', '=', '1.0.0+b'] }),
    gives: matched('on'),
  },
  {
    what: 'sem_ver ^ is the same major version',
    flag: yesNo({ sem_ver: ['1.9.0', '^', '1.2.3'] }),
    gives: matched('on'),
  },
  {
    what: 'sem_ver ~ is the same minor version',
    flag: yesNo({ sem_ver: ['1.9.0', '~', '1.2.3'] }),
    gives: unmatched(),
  },
  {
    what: 'sem_ver of what is no version is null',
    flag: rule({ sem_ver: [{ var: 'v' }, '>=', '1.0.0'] }),
    context: { v: '2.0.0.0' },
    gives: unmatched(),
  },
  {
    what: 'sem_ver by what is no operator is null',
    flag: rule({ sem_ver: ['1.0.0', '=>', '1.0.0'] }),
    gives: unmatched(),
  },
  {
    what: 'starts_with compares beginnings',
    flag: yesNo({ starts_with: [{ var: 't' }, 'te'] }),
    context: { t: 'tenant' },
    gives: matched('on'),
  },
  {
    what: 'ends_with compares ends',
    flag: yesNo({ ends_with: [{ var: 't' }, 'nt'] }),
    context: { t: 'tenant' },
    gives: matched('on'),
  },
  {
    what: 'starts_with of what is no text is null',
    flag: rule({ starts_with: [{ var: 't' }, 'te'] }),
    context: { t: 5 },
    gives: unmatched(),
  },
  { what: 'ends_with with one operand is null', flag: rule({ ends_with: ['te'] }), gives: unmatched() },

  ...(
    [
      ['ejOoVL', 'on', 'hash 0'],
      ['bY9fO-', 'on', 'hash 1'],
      ['SI7p-', 'on', 'hash 2^31 - 1'],
      ['6LvT0', 'off', 'hash 2^31'],
      ['ceQdGm', 'off', 'hash 2^32 - 1'],
    ] as const
  ).map(([key, variant, what]) => ({
    what: `fractional puts ${what} into its bucket`,
    flag: rule({ fractional: [{ var: 'targetingKey' }, ['on', 50], ['off', 50]] }),
    context: { targetingKey: key },
    gives: matched(variant),
  })),
  ...Object.entries({ jack: 'hearts', queen: 'spades', ten: 'clubs', nine: 'diamonds' }).map(([name, variant]) => ({
    what: `fractional puts the text of another implementation's vector, ${name}, where that has it`,
    flag: rule({ fractional: [{ cat: ['fractional-flag', { var: 'name' }] }, ...FOUR] }, { variants: SUITS }),
    context: { name },
    gives: matched(variant),
  })),
  ...Object.entries({ seven: 'hearts', eight: 'diamonds', nine: 'clubs', two: 'spades' }).map(([name, variant]) => ({
    what: `fractional puts two flags with one seed into the same bucket, ${name}`,
    flag: rule({ fractional: [{ cat: ['shared-seed', { var: 'name' }] }, ...FOUR] }, { variants: SUITS }),
    context: { name },
    gives: matched(variant),
  })),
  {
    what: 'fractional hashes UTF-8: München',
    flag: rule({ fractional: [{ var: 't' }, ['on', 1], ['off', 1]] }),
    context: { t: 'tenant-München' },
    gives: matched('off'),
  },
  {
    what: 'fractional without key hashes flag and asker',
    flag: rule({
      fractional: [
        ['on', 1],
        ['off', 1],
      ],
    }),
    context: { targetingKey: 'u1' },
    gives: matched('off'),
  },
  { what: 'fractional without key and asker is null', flag: halves(), gives: none },
  {
    what: 'fractional without key and an empty asker is null',
    flag: halves(),
    context: { targetingKey: '' },
    gives: none,
  },
  {
    what: 'fractional without key and an asker that is no text is null',
    flag: halves(),
    context: { targetingKey: 5 },
    gives: none,
  },
  {
    what: 'fractional by a number is null',
    flag: halves({ var: 'age' }),
    context: { age: 5, targetingKey: 'u' },
    gives: none,
  },
  { what: 'fractional by nothing is null', flag: halves({ var: 'age' }), context: { targetingKey: 'u' }, gives: none },
  { what: 'fractional takes one variant', flag: rule({ fractional: ['k', ['on', 5]] }), gives: matched('on') },
  {
    what: 'fractional counts a weight that is missing as 1',
    flag: rule({ fractional: ['ceQdGm', ['off', 1], ['on']] }),
    gives: matched('on'),
  },
  {
    what: 'fractional counts a negative weight as 0',
    flag: rule({ fractional: ['ejOoVL', ['off', -5], ['on', 1]] }),
    gives: matched('on'),
  },
  {
    what: 'fractional with a weight that is no whole number is null',
    flag: rule({ fractional: ['k', ['on', 1.5]] }),
    gives: unmatched(),
  },
  {
    what: 'fractional with a weight that is text is null',
    flag: rule({ fractional: ['k', ['on', '5']] }),
    gives: unmatched(),
  },
  {
    what: 'fractional with a sum of 0 is null',
    flag: rule({ fractional: ['k', ['on', 0], ['on', -1]] }),
    gives: unmatched(),
  },
  {
    what: 'fractional takes a sum of 2^31 - 1',
    flag: rule({ fractional: ['k', ['on', 2_147_483_646], ['on', 1]] }),
    gives: matched('on'),
  },
  {
    what: 'fractional with a larger sum is null',
    flag: rule({ fractional: ['k', ['on', 2_147_483_647], ['on', 1]] }),
    gives: unmatched(),
  },
  {
    what: 'fractional works its weights out',
    flag: rule({ fractional: ['ceQdGm', ['off', { '-': [{ var: 'w' }, 1] }], ['on', { var: 'w' }]] }),
    context: { w: 1 },
    gives: matched('on'),
  },
  {
    what: 'fractional works its variants out',
    flag: rule({ fractional: ['k', [{ if: [{ var: 'x' }, 'on', 'off'] }, 1]] }),
    context: { x: true },
    gives: matched('on'),
  },
  {
    what: 'fractional with a variant of null is the default',
    flag: rule({ fractional: ['k', [null, 1]] }),
    gives: unmatched(),
  },
  {
    what: 'fractional with an entry that is no list is null',
    flag: rule({ fractional: ['k', 'on'] }),
    gives: unmatched(),
  },
]

/** The definition of a case, whole. */
export const definitionOf = ({ flag }: FlagCase): FlagDefinition => ({
  state: 'ENABLED',
  variants: DECISIONS,
  ...('defaultVariant' in flag || (flag.variants !== undefined && !('off' in flag.variants))
    ? {}
    : { defaultVariant: 'off' }),
  ...flag,
})
