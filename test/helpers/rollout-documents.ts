import type { Test } from 'tap'
import { readDocuments } from '../../src/documents/read.ts'

const spec = (over: string): string => `
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ams }
spec: { jurisdictions: [EU], models: [{ name: llama }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Cohort
metadata: { name: internal }
spec: { when: request.tenant == "example" }
---
apiVersion: hubward.dev/v1alpha1
kind: Cohort
metadata: { name: premium }
spec: { when: request.tier == "premium" }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: chat }
spec: { whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: quiet }
spec: { whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 1 }
spec: { class: chat, ladder: [[ams]], otherwise: [{ action: deny }], experiments: { cohorts: [internal] } }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 2 }
spec: { class: chat, ladder: [[ams]], otherwise: [{ action: deny }], experiments: { cohorts: [internal] } }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: quiet, version: 1 }
spec: { class: quiet, ladder: [[ams]], otherwise: [{ action: deny }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Rollout
metadata: { name: trial }
spec:
  flag: prefer-ams-for-chat
  class: chat
  policy: chat@2
  stages: [{ name: own, cohort: internal, bake: 1h }, { name: tenth, sharePct: 10, bake: 1h }, { name: all, sharePct: 100, bake: 1h }]
  success: [{ metric: response.p95_ms, improveBy: 20 }]
  rollback: { plan: switch the flag off, owner: routing@example.com }
  escalation: [on-call@example.com]
  dashboard: https://dashboards.example.com/trial
${over}`

const read = (text: string) => readDocuments([{ path: 'all.yaml', text }])
const without = (field: string): string => spec('').replace(new RegExp(`\\n  ${field}: .*`), '')
const withStages = (stages: string): string => spec('').replace(/ {2}stages: .*/, `  stages: [${stages}]`)

/** What a rollout is refused for: what is changed, the code, and words of the message. */
const REFUSED: readonly (readonly [what: string, text: string, code: string, says: RegExp])[] = [
  ...['success', 'rollback', 'escalation', 'dashboard', 'stages', 'flag', 'class'].map(
    (field) => [`no ${field}`, without(field), 'schema/missing-field', new RegExp(`"${field}" is missing`)] as const,
  ),
  [
    'no owner of the rollback',
    spec('').replace(', owner: routing@example.com', ''),
    'schema/missing-field',
    /"owner" is missing/,
  ],
  ['nobody to call', spec('').replace('[on-call@example.com]', '[]'), 'schema/bad-value', /escalation/],
  [
    'a criterion that asks for nothing',
    spec('').replace(', improveBy: 20', ''),
    'schema/bad-value',
    /improveBy, worseByAtMost/,
  ],
  [
    'a metric that nobody measures',
    spec('').replace('response.p95_ms', 'latency'),
    'schema/bad-value',
    /one of response\.p50_ms/,
  ],
  [
    'a limit on both sides',
    spec('  siteLimits: [{ signal: queue.depth, max: 4, min: 2 }]'),
    'schema/bad-value',
    /max or min/,
  ],
  [
    'an unknown class',
    spec('').replace('  class: chat\n  policy', '  class: chta\n  policy'),
    'rollout/unknown-class',
    /did you mean "chat"/,
  ],
  [
    'an unknown version',
    spec('').replace('policy: chat@2', 'policy: chat@3'),
    'rollout/policy',
    /known: chat@1, chat@2/,
  ],
  [
    'a version of another class',
    spec('').replace('policy: chat@2', 'policy: quiet@1'),
    'rollout/policy',
    /a policy of quiet/,
  ],
  [
    'an unknown site',
    spec('  siteLimits: [{ site: amz, signal: queue.depth, max: 4 }]'),
    'rollout/unknown-site',
    /did you mean "ams"/,
  ],
  [
    'an unknown cohort',
    withStages('{ name: a, cohort: internl, bake: 1h }'),
    'policy/unknown-cohort',
    /did you mean "internal"/,
  ],
  [
    'a cohort that no policy lets in',
    withStages('{ name: a, cohort: premium, bake: 1h }'),
    'rollout/cohort-not-allowed',
    /lets "premium" be experimented on/,
  ],
  [
    'a class that lets nobody in',
    spec('').replace('  class: chat\n  policy: chat@2', '  class: quiet'),
    'rollout/cohort-not-allowed',
    /no policy of quiet/,
  ],
  [
    'a share that does not grow',
    withStages('{ name: a, sharePct: 10, bake: 1h }, { name: b, sharePct: 10, bake: 1h }'),
    'rollout/stages',
    /no more than a before it/,
  ],
  [
    'fewer tenants than before',
    withStages('{ name: a, sharePct: 10, bake: 1h }, { name: b, sharePct: 20, tenantsPct: 50, bake: 1h }'),
    'rollout/stages',
    /no more than a/,
  ],
  [
    'two stages of one name',
    withStages('{ name: a, sharePct: 1, bake: 1h }, { name: a, sharePct: 10, bake: 1h }'),
    'rollout/stages',
    /two stages/,
  ],
  ['a stage without a share', withStages('{ name: a, bake: 1h }'), 'rollout/stages', /does not say which share/],
  [
    'no control before the last stage',
    withStages('{ name: a, sharePct: 100, bake: 1h }'),
    'rollout/no-control',
    /leaves no control/,
  ],
  [
    'a window that ends first',
    spec('  freezeWindows: [{ from: 2026-12-02T00:00:00Z, to: 2026-12-01T00:00:00Z, reason: r }]'),
    'rollout/window',
    /ends before it begins/,
  ],
  [
    'two rollouts of one flag',
    `${spec('')}---${spec('').split('---').at(-1)!.replace('name: trial', 'name: other')}`,
    'rollout/flag-twice',
    /drives the flag/,
  ],
]

/** The codes that these cases provoke; the file that runs them sees to it that they do. */
export const CODES_OF_ROLLOUTS: readonly string[] = [...REFUSED.map(([, , code]) => code), 'rollout/class-twice']

/** Rollouts as documents: what they become, and what they are refused for. */
export const documentCases = async (t: Test): Promise<void> => {
  t.test('are read with their defaults, and guarded against refusing work whether they say so or not', async (t) => {
    const { set, problems } = read(spec('  guardrails: [{ event: slower-than-p95, ratioMax: 2 }]'))
    t.same(
      problems.filter(({ code }) => code.startsWith('rollout/')),
      [],
    )
    t.match(set?.rollouts, [
      {
        variants: { control: 'control', treatment: 'treatment' },
        unit: 'request',
        stages: [
          { cohort: 'internal', shareBp: 5_000, tenantsBp: 10_000, bakeMs: 3_600_000 },
          { shareBp: 1_000 },
          { shareBp: 10_000 },
        ],
        guardrails: [
          { event: 'slower-than-p95', ratioMax: 2, differenceMax: undefined },
          ...['error', 'timeout', 'refused'].map((event) => ({ event, ratioMax: 1.5, differenceMax: 0.005 })),
        ],
        alpha: 0.05,
        unitsMin: 100,
        promotion: 'judge',
      },
    ])
  })
  t.test('of jobs are guarded against failed ones, and ask for twenty', async (t) => {
    const [job] = read(spec('  unit: job')).set!.rollouts
    t.ok(job?.guardrails.some(({ event }) => event === 'job-failed'))
    t.equal(job?.unitsMin, 20)
  })
  t.test('are told where two of them are of one class: a request takes part in one only', async (t) => {
    const other = spec('')
      .split('---')
      .at(-1)!
      .replace('name: trial', 'name: other')
      .replace('prefer-ams-for-chat', 'prefer-fra-for-chat')
    const { set, problems } = read(`${spec('')}---${other}`)
    t.not(set, null)
    t.match(
      problems.filter(({ code }) => code === 'rollout/class-twice'),
      [{ severity: 'warning', path: 'all.yaml', line: Number, remedy: String }],
    )
  })
  for (const [what, text, code, says] of REFUSED)
    t.test(`are refused for ${what}, with its place and a remedy`, async (t) => {
      const { set, problems } = read(text)
      const found = problems.find((one) => one.code === code && says.test(one.message))
      t.ok(found, problems.map((one) => `${one.code} ${one.message}`).join('\n'))
      t.equal(set, null)
      t.match(found, { severity: 'error', path: 'all.yaml', line: Number })
      if (!code.startsWith('schema/bad')) t.ok(found?.remedy)
    })
}
