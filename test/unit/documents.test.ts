import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { CASE_ENGINE } from '../../src/cli/case-engine.ts'
import { type CaseResult, runCase, runCases } from '../../src/documents/cases.ts'
import { checkFreshness, checkSignals } from '../../src/documents/check-feeds.ts'
import { diffDocuments } from '../../src/documents/diff.ts'
import { durationText, parseDuration } from '../../src/documents/duration.ts'
import { junitXml } from '../../src/documents/junit.ts'
import { DOCUMENT_PROBLEMS } from '../../src/documents/problems.ts'
import { readDocuments } from '../../src/documents/read.ts'
import { schemaFiles } from '../../src/documents/schema/kinds.ts'
import { estimatedThresholds, noiseProblems, thresholdText } from '../../src/documents/thresholds.ts'
import type { ReadContext } from '../../src/documents/view.ts'
import { parseInstant } from '../../src/math/instant.ts'
import type { DocumentSet } from '../../src/model/documents.ts'
import type { Problem } from '../../src/model/problem.ts'
import { problemText } from '../../src/model/problem.ts'
import type { SourceStatus } from '../../src/model/source.ts'
import { CODES_OF_ROLLOUTS } from '../helpers/rollout-documents.ts'
import { WRONG_OF_COHORTS } from '../helpers/wrong-cohorts.ts'
import { WRONG_OF_PLANT, type Wrong } from '../helpers/wrong-plant.ts'

const ENGINE = CASE_ENGINE
const HEAD = 'apiVersion: hubward.dev/v1alpha1\n'

const site = (name: string, spec = 'jurisdictions: [EU], models: [{ name: llama }]') =>
  `${HEAD}kind: Site\nmetadata: { name: ${name} }\nspec: { ${spec} }\n`
const chat = (spec = '') =>
  `${HEAD}kind: WorkloadClass\nmetadata: { name: chat }\nspec: { whenHubwardIsDown: default${spec} }\n`
const residency = (spec: string) => `${HEAD}kind: ResidencyClass\nmetadata: { name: eu }\nspec: { ${spec} }\n`
const facts = (spec: string) => `${HEAD}kind: FactSources\nmetadata: { name: f }\nspec: { ${spec} }\n`
const policy = (spec: string, name = 'p', version = 1, more = '') =>
  `${HEAD}kind: Policy\nmetadata: { name: ${name}, version: ${version}${more} }\nspec: { class: chat, ${spec} }\n`

const read = (context: ReadContext, ...documents: string[]) =>
  readDocuments([{ path: 'a.yaml', text: documents.join('---\n') }], context)

/** What is said of these documents beside two sites and the class chat. */
const problemsOf = (document: string, context: ReadContext = {}, ...more: string[]): readonly Problem[] =>
  read(context, document, site('ams'), site('fra'), chat(), ...more).problems

const setOf = (...documents: string[]): DocumentSet => {
  const { set, problems } = read({}, ...documents)
  if (set === null) throw new Error(problems.map(problemText).join('\n'))
  return set
}

const feed = (over: Partial<SourceStatus>): SourceStatus => ({
  name: 'vllm',
  kind: 'model-server',
  where: '',
  version: '',
  nonce: '',
  intervalMs: 2_000,
  timeoutMs: 500,
  lastAcceptedAt: null,
  lastRefusedAt: null,
  refusal: [],
  failuresInARow: 0,
  delivers: ['queue.depth'],
  covers: [],
  ...over,
})

const QUEUE = 'require: { signals: { queue.depth: { max: 40, resume: 32 } } }'
const before = setOf(site('ams'), chat(), policy('priority: 5'))

const WRONG: readonly Wrong[] = [
  { what: 'broken YAML', points: '---', code: 'yaml/syntax', text: 'a: [1,\n' },
  { what: 'a tab', points: '\t', code: 'yaml/syntax', text: 'kind: Site\nspec:\n\tpools: []\n' },
  { what: 'an unknown alias', points: '*none', code: 'yaml/syntax', text: 'a: *none\n' },
  { what: 'a nest of brackets', points: '[', code: 'yaml/syntax', text: '['.repeat(100_000) },
  {
    what: 'a field written twice',
    points: 'kind:',
    code: 'yaml/duplicate-key',
    text: `${HEAD}kind: Site\nkind: Site\n`,
    says: /"kind"/,
  },
  {
    what: 'a bomb of aliases',
    points: 'a:',
    code: 'yaml/aliases',
    text: `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`,
  },
  { what: 'a file beyond 1 MiB', code: 'yaml/too-large', text: `# ${'x'.repeat(1_048_576)}` },
  {
    what: 'an unknown kind',
    points: 'Polcy',
    code: 'schema/unknown-kind',
    text: `${HEAD}kind: Polcy\n`,
    says: /did you mean "Policy"/,
  },
  {
    what: 'another version',
    points: 'hubward.dev/v1',
    code: 'schema/bad-value',
    text: site('lon').replace('v1alpha1', 'v1'),
  },
  { what: 'no kind', points: 'apiVersion:', code: 'schema/missing-field', text: HEAD, says: /no kind/ },
  { what: 'a list for a document', points: '[1]', code: 'schema/wrong-type', text: '[1]\n' },
  {
    what: 'an unknown field',
    points: 'prioritty:',
    code: 'schema/unknown-field',
    text: policy('prioritty: 3'),
    says: /did you mean "priority"/,
  },
  {
    what: 'an unknown field of metadata',
    points: 'nmae:',
    code: 'schema/unknown-field',
    text: site('lon').replace('name:', 'nmae:'),
  },
  {
    what: 'a field of another action',
    points: 'for:',
    code: 'schema/unknown-field',
    text: policy('otherwise: [{ action: deny, for: 5s }]'),
    says: /does not belong to this action/,
  },
  {
    what: 'a missing field',
    points: '{ name: p }',
    code: 'schema/missing-field',
    text: `${HEAD}kind: Policy\nmetadata: { name: p }\nspec: { class: chat }\n`,
    says: /"version" is missing/,
  },
  { what: 'a text for a number', points: 'high', code: 'schema/wrong-type', text: policy('priority: high') },
  {
    what: 'a duration without its unit',
    points: '60',
    code: 'schema/wrong-type',
    text: policy('timers: { dwell: 60 }'),
    says: /with its unit/,
  },
  {
    what: 'a flat ladder',
    points: 'ams',
    code: 'schema/wrong-type',
    text: policy('ladder: [ams, fra]'),
    says: /a tier, which is a list/,
  },
  { what: 'a bad name', points: 'AMS', code: 'schema/bad-value', text: site('AMS'), says: /lower case/ },
  {
    what: 'a threshold with both bounds',
    points: '{ max: 4, min: 1 } } } }',
    code: 'schema/bad-value',
    text: policy('require: { signals: { queue.depth: { max: 4, min: 1 } } }'),
  },
  {
    what: 'not a number',
    points: '.nan',
    code: 'schema/wrong-type',
    text: policy('require: { signals: { queue.depth: { max: .nan } } }'),
  },
  {
    what: 'a day that does not exist',
    points: '2026-02-30T00:00:00Z',
    code: 'schema/bad-value',
    text: site('lon', 'jurisdictions: [UK], maintenance: [{ from: 2026-02-30T00:00:00Z, to: 2026-03-01T00:00:00Z }]'),
  },
  {
    what: 'the name of our own marker for a cluster',
    points: 'unset',
    code: 'schema/bad-value',
    text: site('lon', 'jurisdictions: [UK], cluster: unset'),
    says: /hubward's own/,
  },
  {
    what: 'an unknown signal',
    points: 'queue.dept:',
    code: 'signal/unknown',
    text: policy('require: { signals: { queue.dept: { max: 4 } } }'),
    says: /did you mean "queue.depth"/,
  },
  {
    what: 'an unknown signal to rank by',
    points: 'power.price',
    code: 'signal/unknown',
    text: policy('rank: [{ signal: power.price, prefer: lower }]'),
  },
  {
    what: 'a latency of nothing',
    points: 'latency.p95_ms:',
    code: 'signal/ambiguous',
    text: policy('require: { signals: { latency.p95_ms: { max: 4 } } }'),
    says: /of what/,
  },
  {
    what: 'a dwell of two days',
    points: '48h',
    code: 'duration/out-of-bounds',
    text: policy('timers: { dwell: 48h }'),
    says: /too long/,
  },
  {
    what: 'a hold of ten minutes',
    points: '10m',
    code: 'duration/out-of-bounds',
    text: policy('otherwise: [{ action: queue, for: 10m }]'),
  },
  {
    what: 'two sites of one name',
    points: 'ams',
    code: 'documents/duplicate-name',
    text: site('ams'),
    says: /already, at a.yaml:3/,
  },
  {
    what: 'a site that another source has',
    points: 'lon',
    code: 'documents/defined-elsewhere',
    text: site('lon'),
    context: { otherSets: [setOf(site('lon'))] },
  },
  {
    what: 'a cluster beside pools',
    points: 'cluster:',
    code: 'site/cluster-beside-pools',
    text: site('lon', 'jurisdictions: [UK], cluster: a, pools: [{ name: a }]'),
  },
  {
    what: 'two pools of one name',
    points: 'a',
    code: 'site/duplicate-pool',
    text: site('lon', 'jurisdictions: [UK], pools: [{ name: a, cluster: x }, { name: a }]'),
  },
  {
    what: 'a model listed twice',
    points: '{ name: b, aliases: [a] ',
    code: 'site/duplicate-model',
    text: site('lon', 'jurisdictions: [UK], models: [{ name: a }, { name: b, aliases: [a] }]'),
  },
  {
    what: 'one cluster for two pools',
    points: '{ jurisdictions: [EU], m',
    code: 'site/cluster-shared',
    text: site('lon', 'jurisdictions: [UK], cluster: ams, models: [{ name: llama }]'),
    says: /could not tell the two apart/,
  },
  {
    what: 'a pool without models',
    points: '{ jurisdictions: [UK] }',
    code: 'site/no-models',
    text: site('lon', 'jurisdictions: [UK]'),
    severity: 'warning',
  },
  {
    what: 'a site that nobody reaches',
    points: 'lon',
    code: 'site/unused',
    text: site('lon', 'jurisdictions: [UK], models: [{ name: llama }]'),
    severity: 'warning',
    more: [policy('ladder: [[ams], [fra]]')],
  },
  {
    what: 'maintenance of a pool that is not there',
    points: 'h100',
    code: 'site/unknown-pool',
    text: site(
      'lon',
      'jurisdictions: [UK], maintenance: [{ from: 2026-12-01T00:00:00Z, to: 2026-12-02T00:00:00Z, pools: [h100] }]',
    ),
    says: /no pool "h100"; known: default/,
  },
  {
    what: 'a window that ends before it begins',
    points: '2026-12-01T00:00:00Z',
    code: 'maintenance/reversed',
    text: site('lon', 'jurisdictions: [UK], maintenance: [{ from: 2026-12-02T00:00:00Z, to: 2026-12-01T00:00:00Z }]'),
  },
  {
    what: 'a default at an unknown site',
    points: 'fra2',
    code: 'residency/unknown-site',
    text: residency('allows: [EU], default: { sites: [fra2] }'),
    says: /no site is called "fra2"; known: ams, fra; did you mean "fra"\?/,
  },
  {
    what: 'a default outside its class',
    points: 'ams',
    code: 'residency/default-outside',
    text: residency('allows: [UK], default: { sites: [ams] }'),
    says: /leave their jurisdiction/,
  },
  {
    what: 'a tenant of an unknown residency class',
    points: 'us',
    code: 'residency/unknown-class',
    text: facts('facts: {}, tenantResidency: { acme: us }'),
  },
  {
    what: 'a class with nothing for the rest',
    points: 'when:',
    code: 'class/no-fallback-policy',
    text: policy('when: request.tier == "a"'),
  },
  {
    what: 'a policy for an unknown class',
    points: 'chta',
    code: 'policy/unknown-class',
    text: policy('priority: 1').replace('class: chat', 'class: chta'),
    says: /did you mean "chat"/,
  },
  {
    what: 'an unknown site on a ladder',
    points: 'fra2',
    code: 'policy/unknown-site',
    text: policy('ladder: [[ams], [fra2]]'),
    says: /no site is called "fra2"; known: ams, fra/,
  },
  {
    what: 'an unknown pool on a ladder',
    points: 'ams/h100',
    code: 'policy/unknown-pool',
    text: policy('ladder: [[ams/h100]]'),
    says: /known: default/,
  },
  {
    what: 'a degraded model that the site does not serve',
    points: 'tiny',
    code: 'policy/unknown-model',
    text: policy('degraded: { site: ams, model: tiny }, otherwise: [{ action: degrade }]'),
  },
  {
    what: 'a condition on a model that nobody serves',
    points: '"gpt"',
    code: 'policy/unknown-model',
    text: policy('when: request.model == "gpt"'),
    severity: 'warning',
    more: [policy('priority: -1', 'rest')],
  },
  {
    what: 'hardware that nobody has',
    points: 'H900',
    code: 'policy/unknown-attribute',
    text: policy('require: { attributes: { gpu: H900 } }'),
    severity: 'warning',
  },
  {
    what: 'a ladder on which nothing fits',
    points: '{ cooling: liquid } } }',
    code: 'policy/nothing-eligible',
    text: policy('require: { attributes: { cooling: liquid } }'),
    severity: 'warning',
  },
  {
    what: 'a condition that cannot be read',
    points: '  }',
    code: 'policy/condition',
    text: policy('when: request.a == "b" && '),
  },
  {
    what: 'a wrong function in quotes',
    points: 'request.path.matches("x"',
    code: 'policy/condition',
    text: policy(`when: 'request.a == "b" || request.path.matches("x")'`),
    says: /forever/,
  },
  {
    what: 'a wrong name in a block of lines',
    points: 'foo',
    code: 'policy/condition',
    text: `${HEAD}kind: Policy\nmetadata: { name: p, version: 1 }\nspec:\n  class: chat\n  when: |\n    request.a == "b" ||\n      foo > 3\n`,
    says: /no "foo"/,
  },
  {
    what: 'a condition beside a wrong field',
    points: 'request.time',
    code: 'policy/condition',
    text: policy('when: request.time > 3, prioritty: 3'),
  },
  {
    what: 'a fact that nothing gives',
    points: 'request.regoin',
    code: 'policy/condition-fact',
    text: policy('when: request.regoin == "EMEA"'),
    says: /did you mean "region"/,
    severity: 'warning',
    more: [policy('priority: -1', 'rest')],
  },
  {
    what: 'two policies for the same requests',
    points: '{ class: chat, priority:',
    code: 'policy/overlap',
    text: policy('priority: 0'),
    more: [policy('priority: 0', 'q')],
  },
  {
    what: 'conditions that may both hold',
    points: 'request.tenant',
    code: 'policy/overlap',
    text: policy('when: request.tier == "a"'),
    more: [policy('when: request.tenant == "b"', 'q'), policy('priority: -1', 'rest')],
  },
  {
    what: 'a policy behind one that takes all',
    points: '1',
    code: 'policy/unreachable',
    text: policy('when: request.tier == "a", priority: 1'),
    severity: 'warning',
    more: [policy('priority: 2', 'rest')],
  },
  {
    what: 'other content under the same version',
    points: '1',
    code: 'policy/version-reused',
    text: policy('priority: 6'),
    says: /p@1 is in force with other content/,
    context: { previous: before },
  },
  {
    what: 'a review that is due',
    points: '2026-01-01',
    code: 'policy/review-due',
    text: policy('priority: 1', 'p', 1, ', reviewBy: 2026-01-01'),
    severity: 'warning',
    context: { now: 1_800_000_000_000 },
  },
  {
    what: 'resume above a maximum',
    points: '50',
    code: 'policy/resume-side',
    text: policy('require: { signals: { queue.depth: { max: 40, resume: 50 } } }'),
    says: /below/,
  },
  {
    what: 'resume below a minimum',
    points: '2',
    code: 'policy/resume-side',
    text: policy('require: { signals: { gpu.free: { min: 8, resume: 2 } } }'),
    says: /above/,
  },
  {
    what: 'a minimum without a distance',
    points: '0',
    code: 'policy/no-hysteresis',
    text: policy('require: { signals: { cooling.margin_c: { min: 0 } } }'),
    severity: 'warning',
  },
  {
    what: 'a ratio in percent',
    points: '5',
    code: 'policy/limit-out-of-range',
    text: policy('require: { signals: { errors.ratio: { max: 5 } } }'),
  },
  {
    what: 'true for a number',
    points: 'true',
    code: 'policy/threshold-kind',
    text: policy('require: { signals: { queue.depth: true } }'),
  },
  {
    what: 'a number for true',
    points: '{ min: 1 } } } }',
    code: 'policy/threshold-kind',
    text: policy('require: { signals: { replica.warm: { min: 1 } } }'),
  },
  {
    what: 'steps of a band out of order',
    points: '{ min: 15, action: deny ',
    code: 'policy/bands-order',
    text: policy('bands: { power.headroom_pct: [{ min: 5, action: route }, { min: 15, action: deny }] }'),
  },
  {
    what: 'a step behind one that always holds',
    points: '{ action: route }, { min',
    code: 'policy/bands-order',
    text: policy('bands: { power.headroom_pct: [{ action: route }, { min: 15, action: deny }] }'),
    says: /always holds/,
  },
  {
    what: 'a site twice on a ladder',
    points: 'ams/default',
    code: 'policy/ladder-twice',
    text: policy('ladder: [[ams], [ams/default]]'),
    says: /already, as ams/,
  },
  {
    what: 'two tolerances',
    points: '{ signal: queue.depth, p',
    code: 'policy/rank-tolerance',
    text: policy('rank: [{ signal: queue.depth, prefer: lower, within: 1, withinPct: 2 }]'),
  },
  {
    what: 'a preference for the worse',
    points: 'higher',
    code: 'policy/prefers-worse',
    text: policy('rank: [{ signal: queue.depth, prefer: higher }]'),
    severity: 'warning',
  },
  {
    what: 'degrade without saying where',
    points: '{ action: degrade }] }',
    code: 'policy/degraded',
    text: policy('otherwise: [{ action: degrade }]'),
  },
  {
    what: 'degraded that nothing does',
    points: 'degraded:',
    code: 'policy/degraded',
    text: policy('degraded: { site: ams, model: llama }, otherwise: [{ action: deny }]'),
    severity: 'warning',
  },
  {
    what: 'a degraded site that answers to no alias',
    points: '{ site: ams, model: llam',
    code: 'policy/degraded-alias',
    text: policy('degraded: { site: ams, model: llama }'),
    severity: 'warning',
  },
  {
    what: 'two revisions of one model',
    points: '[[lon], [dub]] }',
    code: 'model/revision-differs',
    text: policy('ladder: [[lon], [dub]]'),
    severity: 'warning',
    says: /revision a at lon\/default and b at dub\/default/,
    more: [
      site('lon', 'jurisdictions: [UK], models: [{ name: llama, revision: a }]'),
      site('dub', 'jurisdictions: [EU], models: [{ name: llama, revision: b }]'),
    ],
  },
  {
    what: 'a source without what it needs',
    points: '{ from: path, prefix: /v',
    code: 'facts/unknown-origin-field',
    text: facts('facts: { tier: [{ from: path, prefix: /v1 }] }'),
    says: /needs a value/,
  },
  {
    what: 'a source with what it cannot have',
    points: 'prefix:',
    code: 'facts/unknown-origin-field',
    text: facts('facts: { tier: [{ from: jwt, name: plan, prefix: /v1 }] }'),
    says: /no field "prefix"/,
  },
  {
    what: 'no block of addresses',
    points: '10.0.0.0/64',
    code: 'facts/bad-cidr',
    text: facts('facts: {}, trustedPeers: [10.0.0.0/64]'),
  },
  {
    what: 'a tenant on the word of a client',
    points: '{ from: header, name: x-',
    code: 'facts/untrusted-source',
    text: facts('facts: { tenant: [{ from: header, name: x-tenant }] }'),
  },
  {
    what: 'a region on the word of a client',
    points: '{ from: query, name: reg',
    code: 'facts/client-settable',
    text: facts('facts: { region: [{ from: query, name: region }] }'),
    severity: 'warning',
  },
  {
    what: 'a source for what hubward works out',
    points: '[{ from: jwt, name: seed',
    code: 'facts/reserved-name',
    text: facts('facts: { seed: [{ from: jwt, name: seed }] }'),
  },
  {
    what: 'something that no address tells',
    points: '{ from: geo, name: town ',
    code: 'facts/geo-name',
    text: facts('facts: { town: [{ from: geo, name: town }] }'),
  },
  {
    what: 'freshness that a feed cannot meet',
    points: '2s',
    code: 'freshness/unreachable',
    text: chat(', freshness: { queue.depth: 2s }').replace('chat', 'quick'),
    says: /needs 4s500ms/,
    context: { feeds: [feed({})] },
  },
  {
    what: 'a signal that no feed delivers',
    points: 'queue.depth:',
    code: 'signal/no-feed',
    text: policy(QUEUE),
    says: /for fra:/,
    severity: 'warning',
    context: { feeds: [feed({ covers: ['ams'] })] },
  },
  ...WRONG_OF_PLANT,
  ...WRONG_OF_COHORTS,
]

for (const { what, code, text, points, says, severity = 'error', context, more = [] } of WRONG) {
  t.test(`${what} is told as ${code}, with its place and a way out`, async (t) => {
    const problems = problemsOf(text, context, ...more)
    const found = problems.filter((problem) => problem.code === code)
    t.ok(found.length > 0, `instead: ${problems.map(problemText).join('\n')}`)
    t.ok(found.every((problem) => problem.severity === severity && problem.path === 'a.yaml'))
    const lines = [text, site('ams'), site('fra'), chat(), ...more].join('---\n').split('\n')
    const pointed = found.map(({ line, column }) => (lines[(line ?? 0) - 1] ?? '').slice((column ?? 0) - 1))
    if (points !== undefined)
      t.ok(
        pointed.some((rest) => rest.startsWith(points)),
        `points at ${pointed.join(' | ')}`,
      )
    if (says !== undefined)
      t.ok(
        found.some((problem) => says.test(problemText(problem))),
        found.map(problemText).join('\n'),
      )
    const others = problems.filter((problem) => problem.severity === 'error' && problem.code !== code)
    if (severity === 'warning') t.same(others, [], 'nothing else is wrong')
  })
}

t.test('every code of the table is provoked by a test', async (t) => {
  const byFolder = [
    'documents/more',
    'documents/empty',
    'documents/from-disk',
    'documents/not-kept',
    'documents/unreadable',
    'yaml/too-many',
  ]
  const provoked = new Set([...WRONG.map(({ code }) => code as string), ...CODES_OF_ROLLOUTS, ...byFolder])
  t.same(
    Object.keys(DOCUMENT_PROBLEMS).filter((code) => !provoked.has(code)),
    [],
  )
})

t.test('all that is wrong is told at once, in the order of the files, and nothing is taken', async (t) => {
  const files = [
    { path: 'b.yaml', text: `${policy('prioritty: 3')}---\n${policy('ladder: [[xyz]]', 'q')}` },
    { path: 'a.yaml', text: site('AMS') },
    { path: 'c.json', text: '{"kind": ' },
  ]
  const { set, problems } = readDocuments(files)
  t.equal(set, null)
  t.same(
    problems.filter(({ severity }) => severity === 'error').map(({ path, code }) => `${path} ${code}`),
    [
      'a.yaml schema/bad-value',
      'b.yaml schema/unknown-field',
      'b.yaml policy/unknown-class',
      'b.yaml policy/unknown-site',
      'c.json yaml/syntax',
    ],
  )
})

t.test('a text with a hundred thousand mistakes does not make as many problems', async (t) => {
  const nest = readDocuments([{ path: 'a.yaml', text: '['.repeat(100_000) }]).problems
  t.ok(nest.length <= 20, `${nest.length}`)
  const many = readDocuments(
    Array.from({ length: 200 }, (_, index) => ({ path: `${index}.yaml`, text: 'a: 1\n---\n'.repeat(50) })),
  )
  t.equal(many.problems.length, 1_001)
  t.match(many.problems.at(-1), { code: 'documents/more', message: /9000 more/ })
})

t.test('a name of a document that cannot be read is known all the same', async (t) => {
  const broken = site('lon').replace('jurisdictions', 'jurisdiction')
  const problems = problemsOf(policy('ladder: [[lon]]'), {}, broken)
  t.notOk(problems.some(({ code }) => code === 'policy/unknown-site'))
})

t.test('policies that compare one fact with different values may have one priority', async (t) => {
  const others = [policy(`when: 'request.tier in ["b", "c"]'`, 'q'), policy('priority: -1', 'rest')]
  t.same(problemsOf(policy('when: request.tier == "a" && request.region == "EMEA"'), {}, ...others), [])
})

t.test('only the newest version of a policy has to give way to others', async (t) => {
  t.same(problemsOf(policy('priority: 0'), {}, policy('priority: 0', 'p', 2)), [])
})

t.test('what is not written is filled in', async (t) => {
  const set = setOf(site('ams'), chat(), policy(QUEUE))
  t.match(set.sites, [{ role: 'hub', pools: [{ name: 'default', cluster: 'ams', capacity: 1 }], maintenance: [] }])
  t.match(set.classes, [
    {
      critical: false,
      flexibility: 'inflexible',
      freshness: {},
      panic: 'last-good',
      whenStale: { action: 'lowest-risk' },
      session: { lifeMs: 1_800_000 },
    },
  ])
  t.match(set.policies, [
    {
      priority: 0,
      residency: 'required',
      session: 'none',
      ladder: { all: true },
      timers: { stableForMs: 10_000, dwellMs: 60_000, failBackMs: 300_000, cooldownMs: 120_000 },
      otherwise: [{ action: 'deny' }],
    },
  ])
})

t.test('a resume value that is not written lies 10 % inside, and says so', async (t) => {
  const signals =
    'queue.depth: { max: 40 }, power.headroom_mw: { min: -2 }, replica.warm: true, leak.detected: false, gpu.healthy_ratio: { min: 0.95 }'
  const [p] = setOf(site('ams'), chat(), policy(`require: { signals: { ${signals} } }`)).policies
  t.same(
    p?.require.signals.map(({ threshold }) => threshold),
    [
      { op: 'max', limit: 40, resume: 36, derived: true },
      { op: 'min', limit: -2, resume: -1.8, derived: true },
      { op: 'min', limit: 1, resume: 1 },
      { op: 'max', limit: 0, resume: 0 },
      { op: 'min', limit: 0.95, resume: 1, derived: true },
    ],
  )
})

t.test('what a site says of its plant, and a readiness document of its limits, is read as it is meant', async (t) => {
  const [day, hour] = [1_790_812_800_000, 3_600_000]
  const ams = site(
    'ams',
    'jurisdictions: [EU], models: [{ name: llama }], gpus: 8, loops: [{ name: cdu-1, supplyLimitC: 40 }], ' +
      'operations: { runbook: https://example.com/book, lastGameDay: 2026-10-01 }, ' +
      'holds: [{ name: vectors, freshSince: "2026-10-01T02:00:00+01:00" }], network: { asns: [1136] }',
  ).replace('{ name: ams }', '{ name: ams, owner: dc@example.com }')
  const ready =
    'limits: { power: { power.headroom_pct: { amber: { min: 20 }, red: { min: 8, resume: 9 }, estimated: true } }, ' +
    'cooling: { leak.detected: { red: false } } }, ' +
    'admits: { power: { amber: { critical: true }, red: none, unknown: all } }, gameDayMax: 90d'
  const set = setOf(ams, `${HEAD}kind: Readiness\nmetadata: { name: house }\nspec: { ${ready} }\n`)
  t.match(set.sites[0], {
    pools: [{ name: 'default', gpus: 8 }],
    loops: [{ name: 'cdu-1', supplyLimitC: 40 }],
    operations: { owner: 'dc@example.com', runbook: 'https://example.com/book', lastGameDay: day },
    holds: [{ name: 'vectors', freshSince: day + hour }],
    network: { asns: [1136] },
  })
  const nobody = { flexibility: [], critical: false, classes: [] }
  t.strictSame(set.readiness, [
    {
      metadata: { name: 'house' },
      limits: {
        power: [
          {
            signal: 'power.headroom_pct',
            amber: { op: 'min', limit: 20, resume: 22, derived: true },
            red: { op: 'min', limit: 8, resume: 9 },
            estimated: true,
          },
        ],
        cooling: [{ signal: 'leak.detected', red: { op: 'max', limit: 0, resume: 0 }, estimated: false }],
      },
      admits: { power: { amber: { ...nobody, critical: true }, red: nobody, unknown: 'all' } },
      gameDayMaxMs: 90 * 24 * hour,
    },
  ])
})

t.test('the hash of a policy is of its content, not of how it is written or who owns it', async (t) => {
  const hashOf = (text: string) => setOf(site('ams'), chat(), text).policies[0]?.hash
  const plain = hashOf(policy(`${QUEUE}, timers: { dwell: 60s }`))
  t.match(plain, /^sha256:[0-9a-f]{64}$/)
  t.equal(
    hashOf(policy(`timers: { dwell: 1m }, ${QUEUE}`, 'p', 1, ', owner: a@example.com, reviewBy: 2031-01-01')),
    plain,
  )
  t.not(hashOf(policy(`${QUEUE}, timers: { dwell: 61s }`)), plain)
  t.not(hashOf(policy(`${QUEUE}, timers: { dwell: 60s }`, 'p', 2)), plain)
})

t.test('the same documents are the same set, however they are spread over files', async (t) => {
  const texts = [site('ams'), site('fra'), chat(), policy('ladder: [[ams], [fra]]')]
  const whole = readDocuments([{ path: 'a.yaml', text: texts.join('---\n') }])
  const spread = readDocuments(texts.map((text, index) => ({ path: `${index}.yaml`, text })).reverse())
  t.equal(spread.hash, whole.hash)
  t.not(spread.version, whole.version)
  const json = parseAllDocuments(texts.join('---\n')).map((document, index) => ({
    path: `${index}.json`,
    text: JSON.stringify(document.toJS(), null, '\t'),
  }))
  t.equal(readDocuments(json).hash, whole.hash, 'also as JSON')
})

t.test('durations and times are read as they are meant, and nothing else is', async (t) => {
  t.same(
    ['500ms', '10s', '1m30s', '0.5h', '2d', '0s'].map(parseDuration),
    [500, 10_000, 90_000, 1_800_000, 172_800_000, 0],
  )
  t.same(['10', '-1s', '1 s', 's', '1y', ''].map(parseDuration), new Array(6).fill(undefined))
  fc.assert(fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => parseDuration(durationText(ms)) === ms))
  const dates = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  })
  fc.assert(fc.property(dates, (date) => parseInstant(date.toISOString()) === date.getTime()))
  t.equal(parseInstant('2026-12-01T23:00:00+01:00'), Date.parse('2026-12-01T22:00:00Z'))
  t.same(
    ['2026-02-29', '2026-13-01', '2026-01-01T24:00:00Z', '2026-01-01T00:00:00', 'now'].map(parseInstant),
    new Array(5).fill(undefined),
  )
})

t.test('feeds are held against the set also where no text is at hand', async (t) => {
  const set = setOf(site('ams'), chat(), policy(QUEUE))
  t.same(checkFreshness(set, [feed({})]), [])
  t.match(
    checkFreshness(set, [feed({ intervalMs: 3_000 })]),
    [{ code: 'freshness/unreachable', severity: 'error' }],
    "the signal's own limit of 5 s",
  )
  t.same(
    checkFreshness(set, [feed({ intervalMs: 3_000 }), feed({ intervalMs: 1_000 })]),
    [],
    'the quickest feed counts',
  )
  t.match(checkSignals(set, []), [{ code: 'signal/no-feed', message: /p@1 requires queue.depth.*ams/ }])
  t.same(checkSignals(set, [feed({ covers: ['ams/default'] })]), [])
})

const folder = (name: string) => {
  const dir = new URL(`../../envoy/${name}/documents/`, import.meta.url)
  return readdirSync(dir).map((path) => ({ path, text: readFileSync(new URL(path, dir), 'utf8') }))
}

t.test('a signal that is worked out is delivered by whatever meters it follows from', async (t) => {
  const limits =
    'power.headroom_mw: { min: 2 }, cooling.margin_c: { min: 2, resume: 4 }, cooling.margin_pct: { min: 10 }'
  const loop = '{ name: cdu-1, supplyLimitC: 45, designSupplyC: 32 }'
  const plant = site('ams', `jurisdictions: [EU], models: [{ name: llama }], power: { budgetMw: 4 }, loops: [${loop}]`)
  const asks = policy(`require: { signals: { ${limits} } }`)
  const missing = (delivers: string[], ...documents: string[]) =>
    read({ feeds: [feed({ delivers })] }, chat(), asks, ...documents).problems.map(({ message }) => message)
  t.same(missing(['power.draw_mw', 'cooling.supply_c'], plant), [])
  t.match(missing(['power.draw_mw'], plant), [/requires cooling.margin_c,/, /requires cooling.margin_pct,/])
  t.match(missing(['power.draw_mw', 'cooling.supply_c'], site('ams')), [
    /power.headroom_mw,/,
    /cooling.margin_c,/,
    /cooling.margin_pct,/,
  ])
  const old = chat(', freshness: { power.headroom_mw: 3s }')
  const { problems } = read({ feeds: [feed({ delivers: ['power.draw_mw', 'cooling.supply_c'] })] }, old, asks, plant)
  t.match(problems, [{ code: 'freshness/unreachable' }], 'it is as old as its meter')
  const prices = feed({ kind: 'calendar', intervalMs: 3_600_000, delivers: ['tariff.off_peak'] })
  const night = policy('require: { signals: { tariff.off_peak: true } }')
  t.same(read({ feeds: [prices] }, chat(', freshness: { default: 5m }'), night, plant).problems, [], 'hours do not age')
})

t.test('thresholds that are a guess are listed, wherever they stand', async (t) => {
  const set = setOf(
    site('ams'),
    chat(),
    policy(
      'require: { signals: { queue.depth: { max: 40, resume: 32, estimated: true }, ttft.p95_ms: { max: 900 } } }, ' +
        'bands: { power.headroom_pct: [{ min: 15, estimated: true, action: route }, { action: deny }] }',
    ),
    `${HEAD}kind: Readiness\nmetadata: { name: house }\nspec: { limits: { cooling: { cooling.margin_c: ` +
      '{ amber: { min: 2, resume: 4, estimated: true }, red: { min: 0, resume: 1 } }, ' +
      'cooling.margin_pct: { amber: { min: 10 }, red: { min: 0, resume: 5 }, estimated: true } } } }\n',
  )
  t.strictSame(estimatedThresholds(set).map(thresholdText), [
    'Policy/p@1  queue.depth  limit above 40 requests until 32',
    'Policy/p@1  power.headroom_pct  band below 15 % until 16.5',
    'Readiness/house  cooling.margin_c  amber below 2 Cel until 4',
    'Readiness/house  cooling.margin_pct  amber below 10 % until 11',
    'Readiness/house  cooling.margin_pct  red below 0 % until 5',
  ])
  const noisy = noiseProblems(set, { 'queue.depth': 9, 'ttft.p95_ms': 10, 'cooling.margin_c': 1 })
  t.match(noisy, [
    { code: 'threshold/noisy', message: /Policy\/p@1 limit of queue.depth: 8 requests/, remedy: /resume: 22/ },
  ])
})

t.test('the shipped schemas are those of the code, and take the shipped documents', async (t) => {
  for (const { path, text } of schemaFiles()) {
    const file = new URL(`../../schemas/${path}`, import.meta.url)
    if (process.env.TAP_SNAPSHOT === '1') writeFileSync(file, text)
    t.equal(readFileSync(file, 'utf8'), text, `${path}: write it with npx tap --snapshot test/unit/documents.test.ts`)
  }
  const ajv = new Ajv2020({ strict: false })
  const validate = ajv.compile(JSON.parse(schemaFiles().find(({ path }) => path === 'hubward.schema.json')!.text))
  for (const { path, text } of [...folder('demo'), ...folder('examples')]) {
    t.match(text, /^# yaml-language-server: \$schema=\.\.\/\.\.\/\.\.\/schemas\/hubward\.schema\.json\n/, path)
    for (const document of parseAllDocuments(text)) t.ok(validate(document.toJS()), JSON.stringify(validate.errors))
  }
  t.notOk(validate({ kind: 'Site', apiVersion: 'hubward.dev/v1alpha1', metadata: { name: 'a' }, spec: {} }))
})

t.test('the shipped documents have nothing wrong with them, and name the same sites', async (t) => {
  const [demo, examples] = [readDocuments(folder('demo')), readDocuments(folder('examples'))]
  t.same(demo.problems, [])
  t.same(examples.problems, [])
  const hubs = ({ set }: typeof demo) =>
    set?.sites.filter(({ role }) => role === 'hub').map(({ metadata }) => metadata.name)
  t.same(hubs(demo), hubs(examples))
})

t.test('any damage to the shipped documents is told with a place, and never throws', async (t) => {
  const files = folder('examples')
  const all = files.map(({ text }) => text).join('---\n')
  const pieces = fc.constantFrom(
    '',
    ' ',
    '\t',
    '{',
    '}',
    '[',
    ']',
    ':',
    '- ',
    '&a ',
    '*a',
    '"',
    "'",
    '|\n',
    '---\n',
    '\u0000',
    '9e999',
    'null',
    '~',
  )
  let refused = 0
  fc.assert(
    fc.property(fc.nat(all.length), fc.nat(12), pieces, (at, length, piece) => {
      const { set, problems } = readDocuments([
        { path: 'a.yaml', text: all.slice(0, at) + piece + all.slice(at + length) },
      ])
      if (set === null) refused++
      return (
        (set === null) === problems.some(({ severity }) => severity === 'error') &&
        problems.every(({ line }) => (line ?? 0) > 0)
      )
    }),
    { numRuns: 250, seed: 4 },
  )
  t.ok(refused > 50, `${refused} were refused`)
})

t.test('what came, changed and went between two sets is named', async (t) => {
  const old = setOf(site('ams'), site('fra'), chat(), policy('priority: 1'))
  const fresh = setOf(
    site('ams', 'jurisdictions: [NL], models: [{ name: llama }]'),
    site('lon'),
    chat(),
    policy('priority: 1', 'p', 2),
  )
  t.same(diffDocuments(old, fresh), {
    added: ['Site/lon', 'Policy/p@2'],
    changed: ['Site/ams'],
    removed: ['Site/fra', 'Policy/p@1'],
  })
})

t.test('the cases beside the shipped documents pass', async (t) => {
  const { set } = readDocuments(folder('examples'))
  const results = runCases(set!, ENGINE)
  t.ok(results.length >= 15)
  for (const { title, failures } of results) t.same(failures, [], title)
})

const world = setOf(
  site('ams'),
  site('fra'),
  chat(),
  policy(`${QUEUE}, ladder: [[ams], [fra]], residency: unrestricted`),
)
const asked = { class: 'chat' }

t.test('a case that is not met says what came instead', async (t) => {
  const given = { sites: { ams: { 'queue.depth': 41 } } }
  const { ok, failures } = runCase(world, ENGINE, {
    title: 'x',
    given,
    when: asked,
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    then: { site: 'ams', because: { target: 'fra/default' } },
  })
  t.equal(ok, false)
  t.match(failures, [
    /^site is fra, not ams$/,
    /because has no .*it has \[{"target":"ams\/default","constraint":"queue.depth","measured":41,"limit":40}]/,
  ])
})

t.test('a word that no case knows is told, not passed over', async (t) => {
  const given = { sites: { ams: { 'queue.dept': 3 } }, cluters: [] }
  const { failures } = runCase(world, ENGINE, {
    title: 'x',
    given,
    when: { class: 'chat', asn: 'x' },
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    then: { actoin: 'route' },
  })
  for (const word of [
    /knows no "cluters"/,
    /no signal is called "queue.dept"/,
    /when.asn has to be a number/,
    /knows no "actoin"; did you mean "action"/,
  ]) {
    t.ok(
      failures.some((failure) => word.test(failure)),
      String(word),
    )
  }
})

t.test('what a case says of places, links, hours, reservations and needs that do not exist is told', async (t) => {
  const loops = 'jurisdictions: [EU], models: [{ name: llama }], loops: [{ name: cdu-1 }]'
  type Words = Record<string, unknown>
  const wrong: [given: Words, when: Words, then: Words, says: RegExp][] = [
    [{ sites: { 'ams/h200': { down: true } } }, {}, {}, /no such pool; known: ams\/default/],
    [{ sites: { 'ams@cdu-2': { 'cooling.supply_c': 30 } } }, {}, {}, /no such coolant loop; known: cdu-1/],
    [{ sites: { 'ams@cdu-1': { drained: true } } }, {}, {}, /only values can be said/],
    [{ sites: { ams: { 'client.rtt_p95_ms': 3 } } }, {}, {}, /write from:/],
    [{ sites: { ams: { from: { EMEA: { 'client.rtt_p95_ms': 3 } } } } }, {}, {}, /"EMEA" is no end of a link/],
    [
      { sites: { ams: { from: { 'region:EMEA': { 'queue.depth': 3 } } } } },
      {},
      {},
      /"queue.depth" is no signal of a link/,
    ],
    [{ sites: { ams: { prices: { soon: 3 } } } }, {}, {}, /"soon" is no duration/],
    [{ sites: { ams: { prices: { '0h': 'cheap' } } } }, {}, {}, /has to have a number at each time/],
    [{ sites: { ams: { offPeak: { from: '6h', to: '5h' } } } }, {}, {}, /has to go on in time/],
    [{ sites: { ams: { series: { 'carbon.g': { '0h': 3 } } } } }, {}, {}, /no signal is called "carbon.g"/],
    [{ reservations: [{ target: 'ams/h200', mw: 1 }] }, {}, {}, /no target is called "ams\/h200"/],
    [{ reservations: [{ target: 'ams/default' }] }, {}, {}, /has to name a target, and its mw/],
    [{}, { needs: { gpu: 'H100', megawatts: 2 } }, {}, /when.needs knows no "megawatts"/],
    [{}, { needs: { mw: 'two' } }, {}, /when.needs.mw has to be a number/],
    [{}, {}, { readiness: { 'ams/h200': { overall: 'green' } } }, /no target is called "ams\/h200"/],
    [{}, {}, { readiness: { 'ams/default': { powr: 'green' } } }, /readiness knows no "powr"; did you mean "power"/],
    [{}, {}, { readiness: { 'ams/default': { power: 'red' } } }, /power is unknown, not red/],
    [{}, {}, { forecast: { in: '3h' } }, /there is no forecast/],
    [{}, {}, { suggest: { gpus: 8 } }, /suggest.gpus is none, not 8/],
  ]
  const set = setOf(site('ams', loops), chat(), policy('residency: unrestricted'))
  for (const [given, when, then, says] of wrong) {
    const { failures } = runCase(set, ENGINE, { title: 'x', given, when: { ...asked, ...when }, then })
    t.ok(
      failures.some((failure) => says.test(failure)),
      `${says}: ${failures.join('; ')}`,
    )
  }
})

t.test('a case without a request fails rather than pass unseen', async (t) => {
  const nothing = { title: 'x', given: {}, when: {} }
  t.match(runCase(world, ENGINE, nothing as never), { ok: false, failures: [/asks nothing/] })
})

t.test('a case may bring its own documents, and sites that are only named', async (t) => {
  const document = {
    apiVersion: 'hubward.dev/v1alpha1',
    kind: 'Policy',
    metadata: { name: 'own', version: 1 },
    spec: { class: 'new', ladder: [['osl'], ['ams']], residency: 'unrestricted' },
  }
  const given = { documents: [document], sites: { osl: { drained: true } } }
  const one = {
    title: 'x',
    given,
    when: { class: 'new', model: 'anything' },
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    then: { because: [{ target: 'osl/default', constraint: 'drain' }] },
  }
  t.same(runCase(world, ENGINE, one).failures, [])
})

t.test('every word that can be said of a site keeps it away, and its signal states are told apart', async (t) => {
  const words: Record<string, [given: object, constraint: string]> = {
    down: [{ down: true }, 'health.state'],
    drained: [{ drained: true }, 'drain'],
    maintenance: [{ maintenance: true }, 'maintenance'],
    stale: [{ stale: ['queue.depth'] }, 'freshness'],
    missing: [{ missing: 'queue.depth' }, 'freshness'],
  }
  for (const [word, [place, constraint]] of Object.entries(words)) {
    const one = {
      title: word,
      given: { sites: { ams: place } },
      when: asked,
      // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
      then: { target: 'fra/default', because: [{ target: 'ams/default', constraint }] },
    }
    t.same(runCase(world, ENGINE, one as never).failures, [], word)
  }
})

t.test('JUnit carries suites, cases and failures, and survives any text', async (t) => {
  const results: CaseResult[] = [
    { test: 'a', title: 'good', ok: true, failures: [], decisions: [] },
    { test: 'a', title: 'bad <&"\'> \u0007', ok: false, failures: ['x < y', 'second'], decisions: [] },
  ]
  t.equal(
    junitXml(results),
    `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="hubward" tests="2" failures="1" errors="0">
  <testsuite name="a" tests="2" failures="1" errors="0" skipped="0">
    <testcase classname="a" name="good"/>
    <testcase classname="a" name="bad &lt;&amp;&quot;&apos;&gt; ">
      <failure message="x &lt; y">x &lt; y
second</failure>
    </testcase>
  </testsuite>
</testsuites>
`,
  )
})
