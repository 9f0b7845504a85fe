import type { FlagFindingCode } from '../../src/flags/findings.ts'
import type { LintContext } from '../../src/flags/lint-flags.ts'
import {
  type DocumentSet,
  EMPTY_SET,
  type Policy,
  TIMERS_DEFAULT,
  type WorkloadClass,
} from '../../src/model/documents.ts'
import type { Flag, FlagDefinition, FlagSet, Json, VariantMeaning } from '../../src/model/flag.ts'

/** The time at which flags are looked at here. */
export const NOW = Date.UTC(2026, 10, 28)

const METADATA = {
  purpose: 'keeps chat of EMEA near',
  expires: '2027-02-01',
  reviewBy: '2027-01-01',
  runbook: 'https://runbooks.example.com/near',
}
const NEAR: VariantMeaning = { kind: 'overlay', overlay: { first: ['ams'], maxP95Ms: 120 } }
const NOTHING: VariantMeaning = { kind: 'nothing' }

/** What a test says of a flag; the rest is a flag that nothing is to be said of. */
export interface FlagOver extends Partial<Omit<Flag, 'definition' | 'meanings'>> {
  readonly definition?: Partial<FlagDefinition>
  readonly metadata?: Readonly<Record<string, string | undefined>>
  readonly meanings?: Readonly<Record<string, VariantMeaning>>
}

/** A flag that is as it should be, but for what the test says. */
export function flagOf({ definition, metadata = {}, meanings, ...over }: FlagOver = {}): Flag {
  const known = { ...METADATA, ...metadata }
  const said = Object.fromEntries(
    Object.entries(known).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  const means = meanings ?? { off: NOTHING, near: NEAR }
  const variants = Object.fromEntries(Object.keys(means).map((name) => [name, {}]))
  const written: FlagDefinition = { state: 'ENABLED', variants, defaultVariant: 'off', ...definition, metadata: said }
  return {
    key: 'prefer-nearest-replica-emea',
    hash: JSON.stringify(written),
    layer: 'preference',
    class: 'chat',
    owner: 'routing@example.com',
    expires: Date.UTC(2027, 1, 1),
    ...over,
    definition: written,
    meanings: means,
  }
}

/** A set of these flags. */
export const setOf = (...flags: readonly Flag[]): FlagSet => ({
  flags: Object.fromEntries(flags.map((one) => [one.key, one])),
  metadata: {},
})

const workload = (name: string): WorkloadClass => ({
  metadata: { name },
  critical: false,
  flexibility: 'inflexible',
  whenHubwardIsDown: 'default',
  freshness: {},
  whenStale: { action: 'lowest-risk', alert: false },
  panic: 'last-good',
  session: { lifeMs: 1 },
})

const policy = (name: string, className: string, over: Partial<Policy> = {}): Policy => ({
  metadata: { name, version: 1 },
  class: className,
  priority: 0,
  residency: 'unrestricted',
  require: { signals: [] },
  bands: [],
  rank: [],
  ladder: { all: true },
  session: 'none',
  timers: TIMERS_DEFAULT,
  otherwise: [{ action: 'deny' }],
  hash: name,
  ...over,
})

/** Documents with the classes chat, whose internal people may be experimented on, and jobs, where nobody may. */
export const DOCUMENTS: DocumentSet = {
  ...EMPTY_SET,
  sites: [
    {
      metadata: { name: 'ams' },
      role: 'hub',
      place: { metro: 'Amsterdam', country: 'NL', region: 'EMEA' },
      jurisdictions: ['EU'],
      pools: [{ name: 'h100', cluster: 'ams-h100', models: [], capacity: 1 }],
      maintenance: [],
    },
  ],
  classes: [workload('chat'), workload('jobs')],
  policies: [policy('near', 'chat', { experiments: { cohorts: ['internal'] } }), policy('cheap', 'jobs')],
  cohorts: [
    { metadata: { name: 'internal' }, when: 'request.tier == "internal"' },
    { metadata: { name: 'premium' }, when: 'request.tier == "premium"' },
  ],
}

const targeted = (targeting: Json): Pick<FlagOver, 'definition'> => ({ definition: { targeting } })
const is = (name: string, value: string): Json => ({ '==': [{ var: name }, value] })
const overlay = (one: Extract<VariantMeaning, { kind: 'overlay' }>['overlay']) => ({
  off: NOTHING,
  on: { kind: 'overlay', overlay: one } as const,
})
const names = (ref: string) => ({ off: NOTHING, on: { kind: 'policy', policy: ref } as const })
const cohort = (name: string): Json => ({ if: [{ in: [name, { var: 'cohorts' }] }, 'near', 'off'] })

/** Flags of which something is to be said: what, where, and how often. */
export const FOUND: readonly {
  readonly what: string
  readonly code: FlagFindingCode
  readonly flags: readonly Flag[]
  readonly at?: string
  readonly says?: RegExp
  readonly context?: Partial<LintContext>
}[] = [
  ...['flag_42', 'flag-42-7', 'new-feature-flag', 'Prefer-Nearest-Ams', 'prefer-nearest', 'prefer--nearest-ams'].map(
    (key) => ({ what: `the name ${key}`, code: 'flag/name' as const, flags: [flagOf({ key })], at: key }),
  ),
  { what: 'no owner', code: 'flag/no-owner', flags: [flagOf({ owner: '' })], at: 'metadata' },
  { what: 'no purpose', code: 'flag/no-purpose', flags: [flagOf({ metadata: { purpose: undefined } })] },
  {
    what: 'no expiry',
    code: 'flag/no-expiry',
    flags: [(({ expires: _, ...rest }) => rest)(flagOf())],
  },
  {
    what: 'an expiry that has passed',
    code: 'flag/expired',
    flags: [flagOf({ expires: NOW - 1 })],
    at: 'metadata/expires',
    says: /by 2027-02-01/,
  },
  { what: 'no review', code: 'flag/no-review', flags: [flagOf({ metadata: { reviewBy: undefined } })] },
  {
    what: 'a review that has passed',
    code: 'flag/review-due',
    flags: [flagOf({ metadata: { reviewBy: '2026-11-27' } })],
    at: 'metadata/reviewBy',
  },
  {
    what: 'a review on no day',
    code: 'flag/review-due',
    flags: [flagOf({ metadata: { reviewBy: '2027-02-30' } })],
    says: /there is no day 2027-02-30/,
  },
  {
    what: 'a review every now and then',
    code: 'flag/review-due',
    flags: [flagOf({ metadata: { reviewBy: undefined, reviewEvery: 'often' } })],
    at: 'metadata/reviewEvery',
  },
  { what: 'no fallback', code: 'flag/no-fallback', flags: [flagOf({ definition: { defaultVariant: null } })] },
  {
    what: 'an incident flag without a runbook',
    code: 'flag/no-runbook',
    flags: [flagOf({ layer: 'incident', metadata: { runbook: undefined } })],
    says: /layer incident/,
  },
  {
    what: 'a flag of latency and of eligible sites',
    code: 'flag/several-constraints',
    flags: [flagOf({ meanings: overlay({ maxP95Ms: 120, eligibleSites: ['ams'] }) })],
    says: /latency, which sites are eligible/,
  },
  {
    what: 'a flag whose variants steer locality and the smaller model',
    code: 'flag/several-constraints',
    flags: [
      flagOf({
        meanings: {
          ...overlay({ locality: 'any' }),
          small: { kind: 'overlay', overlay: { degraded: { site: 'ams', model: 'm', rewriteBody: false } } },
        },
      }),
    ],
    says: /locality, the smaller model/,
  },
  {
    what: 'a rule behind one that always matches',
    code: 'flag/shadowed-rule',
    flags: [flagOf(targeted({ if: [true, 'near', is('region', 'EMEA'), 'off', null] }))],
    at: 'targeting/if/3',
    says: /always matches.*"off"/,
  },
  {
    what: 'a rule asked for twice',
    code: 'flag/shadowed-rule',
    flags: [flagOf(targeted({ if: [is('region', 'EMEA'), 'near', is('region', 'EMEA'), 'off', 'off'] }))],
    at: 'targeting/if/3',
  },
  {
    what: 'a tenant that a list before has taken',
    code: 'flag/shadowed-rule',
    flags: [
      flagOf(
        targeted({
          if: [{ in: [{ var: 'tenant' }, ['a', 'b']] }, 'near', { '==': ['b', { var: 'tenant' }] }, 'off', 'off'],
        }),
      ),
    ],
    at: 'targeting/if/3',
  },
  {
    what: 'a rule that never holds, inside another',
    code: 'flag/shadowed-rule',
    flags: [
      flagOf(targeted({ if: [is('region', 'EMEA'), { if: [{ and: [false, is('a', 'b')] }, 'near', 'off'] }, 'near'] })),
    ],
    at: 'targeting/if/1/if/1',
    says: /never holds/,
  },
  {
    what: 'a variant that no rule gives',
    code: 'flag/unreachable-variant',
    flags: [flagOf(targeted({ if: [is('region', 'EMEA'), 'off', null] }))],
    at: 'variants/near',
  },
  {
    what: 'a flag behind one that always speaks',
    code: 'flag/shadowed-flag',
    flags: [
      flagOf({ key: 'prefer-amsterdam-for-chat', definition: { defaultVariant: 'near' } }),
      flagOf({ key: 'prefer-frankfurt-for-chat' }),
    ],
    at: 'prefer-frankfurt-for-chat',
    says: /prefer-amsterdam-for-chat comes before it/,
  },
  {
    what: 'a flag behind one whose rules all speak',
    code: 'flag/shadowed-flag',
    flags: [
      flagOf({
        key: 'prefer-amsterdam-for-chat',
        meanings: { near: NEAR, far: NEAR },
        definition: {
          defaultVariant: 'far',
          targeting: {
            fractional: [
              ['near', 1],
              ['far', 9],
            ],
          },
        },
      }),
      flagOf({ key: 'prefer-frankfurt-for-chat' }),
    ],
  },
  {
    what: 'a ninth flag of a class',
    code: 'flag/too-many',
    flags: [...'abcdefghi'].map((letter) => flagOf({ key: `prefer-near-${letter}` })),
    at: 'prefer-near-i',
    says: /9 flags steer chat/,
  },
  {
    what: 'a third flag where two are enough',
    code: 'flag/too-many',
    flags: [...'abc'].map((letter) => flagOf({ key: `prefer-near-${letter}` })),
    context: { flagsPerClassMax: 2 },
  },
  {
    what: 'a class that is not there',
    code: 'flag/unknown-class',
    flags: [flagOf({ class: 'chatt' })],
    at: 'metadata/class',
    says: /did you mean "chat"/,
  },
  {
    what: 'a policy that is not there',
    code: 'flag/unknown-policy',
    flags: [flagOf({ meanings: names('near@2') })],
    at: 'variants/on',
    says: /did you mean "near@1"/,
  },
  {
    what: 'a policy of another class',
    code: 'flag/other-class',
    flags: [flagOf({ meanings: names('cheap@1') })],
    says: /a policy of jobs, and the flag steers chat/,
  },
  {
    what: 'a site that is not there',
    code: 'flag/unknown-site',
    flags: [
      flagOf({
        meanings: overlay({
          ladder: [
            ['ams', 'EMEA'],
            ['ams/h100', 'Amstredam'],
          ],
        }),
      }),
    ],
    at: 'variants/on',
    says: /did you mean "Amsterdam"/,
  },
  {
    what: 'a cohort that is not there',
    code: 'flag/unknown-cohort',
    flags: [flagOf(targeted(cohort('internl')))],
    says: /did you mean "internal"/,
  },
  {
    what: 'a rollout where nobody may be experimented on',
    code: 'flag/no-experiments',
    flags: [flagOf({ layer: 'rollout', class: 'jobs' })],
  },
  {
    what: 'a rollout to a cohort that may not be experimented on',
    code: 'flag/outside-experiments',
    flags: [flagOf({ layer: 'rollout', ...targeted(cohort('premium')) })],
    says: /ask for one of internal/,
  },
]

/** Flags of which nothing is to be said. */
export const GOOD: Readonly<Record<string, readonly Flag[]>> = {
  'a preference with everything that it needs': [flagOf()],
  'the overlay of a preferred region, its fallback and a latency': [
    flagOf({ meanings: overlay({ first: ['ams', 'EMEA'], maxP95Ms: 120 }) }),
  ],
  'a flag without a layer, whatever it is called': [
    (({ layer: _, class: __, owner: ___, expires: ____, ...rest }) => rest)(
      flagOf({ key: 'flag_42', metadata: { purpose: undefined, reviewBy: undefined } }),
    ),
  ],
  'a kill-switch that stands by without an end': [
    (({ expires: _, ...rest }) => rest)(flagOf({ key: 'stop-chat-everywhere', layer: 'kill-switch' })),
  ],
  'a review every ninety days': [flagOf({ metadata: { reviewBy: undefined, reviewEvery: '90d' } })],
  'a variant that an expression may give': [flagOf(targeted({ var: 'wanted' }))],
  'two flags of one class, the first of which leaves somebody to the second': [
    flagOf({ key: 'prefer-amsterdam-for-chat', ...targeted({ if: [is('region', 'EMEA'), 'near', null] }) }),
    flagOf({ key: 'prefer-frankfurt-for-chat' }),
  ],
  'a rollout of a cohort that may be experimented on': [
    flagOf({
      layer: 'rollout',
      ...targeted({ in: ['internal', { var: 'cohorts' }] }),
      meanings: { true: NEAR, false: NOTHING },
    }),
  ],
}
