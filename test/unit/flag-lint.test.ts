import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { answerOf } from '../../src/cli/asked.ts'
import { CASE_ENGINE } from '../../src/cli/case-engine.ts'
import { decisionLines } from '../../src/cli/commands/decide.ts'
import { documentsIn } from '../../src/cli/documents-in.ts'
import { flagFindings, flagsIn } from '../../src/cli/flags-in.ts'
import { runCase } from '../../src/documents/cases.ts'
import { readDocuments } from '../../src/documents/read.ts'
import { armText, type Explanation, layerText } from '../../src/engine/explain.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { FLAG_FINDINGS, type FlagFindingCode } from '../../src/flags/findings.ts'
import { changeInSteps, lintChange } from '../../src/flags/lint-change.ts'
import { lintFlags, lintInSteps } from '../../src/flags/lint-flags.ts'
import type { Json } from '../../src/model/flag.ts'
import { HEADERS } from '../../src/model/headers.ts'
import { problemText } from '../../src/model/problem.ts'
import { FORCE_LIFE_MAX_MS, issueForce, verifyForce } from '../../src/request/force.ts'
import { issueHop, verifyHop } from '../../src/request/hop.ts'
import { macOf, signingKeys } from '../../src/request/signing-keys.ts'
import { DOCUMENTS, FOUND, flagOf, GOOD, NOW, setOf } from '../helpers/lint-cases.ts'
import { codesOf, NOW as REQUEST_NOW, read } from '../helpers/requests.ts'
import { childEnvironment } from '../helpers/running-envoy.ts'

const EXAMPLES = documentsIn(join(import.meta.dirname, '../../envoy/examples/documents')).set!

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

t.test('flags are looked at one by one, so that nobody waits for the whole of a large set', async (t) => {
  const flags = Array.from({ length: 50 }, (_, i) => flagOf({ key: `prefer-nearest-replica-x${i}`, class: 'chatt' }))
  const dealtAnew = flags.map((one) => ({ ...one, hash: `${one.hash}#` }))
  const context = { now: NOW, documents: DOCUMENTS }
  for (const [steps, whole] of [
    [lintInSteps(setOf(...flags), context), lintFlags(setOf(...flags), context)],
    [changeInSteps(setOf(...flags), setOf(...dealtAnew)), lintChange(setOf(...flags), setOf(...dealtAnew))],
  ] as const) {
    let count = 0
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) count++
    t.strictSame(step.value, whole)
    t.ok(count >= flags.length, `${count} steps`)
  }
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

t.test('arms are found to move exactly where a count of all buckets finds somebody who moved for nothing', async () => {
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
})

const SECRET = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const KEYS = signingKeys([['k1', SECRET(1)]])
const HOUR_MS = 3_600_000
const forcedBy = (header: string, now = NOW, keys = KEYS) => verifyForce(keys, header, now)

t.test("a tester's header forces what it was signed for, as long as it was signed for and no longer", async (t) => {
  const header = issueForce(KEYS, { cohort: 'internal', arm: 'treatment' }, HOUR_MS, NOW)!
  t.match(header, /^[\x21-\x7e]{1,512}$/)
  t.strictSame(forcedBy(header), { cohort: 'internal', arm: 'treatment' })
  t.strictSame(forcedBy(header, NOW + HOUR_MS), { cohort: 'internal', arm: 'treatment' })
  t.equal(forcedBy(header, NOW + HOUR_MS + 1), undefined, 'it has ended')
  t.ok(forcedBy(header, NOW - 60_000), 'a clock behind')
  t.equal(forcedBy(header, NOW - 60_001), undefined, 'it has not begun')
  t.ok(
    forcedBy(
      header,
      NOW,
      signingKeys([
        ['k2', SECRET(2)],
        ['k1', SECRET(1)],
      ]),
    ),
    'an older key',
  )
  t.equal(forcedBy(header, NOW, signingKeys([['k1', SECRET(9)]])), undefined, 'another secret')
  t.equal(forcedBy(header, NOW, signingKeys([['k2', SECRET(1)]])), undefined, 'a key that is gone')
  t.strictSame(forcedBy(issueForce(KEYS, { arm: 'control' }, 1, NOW)!), { arm: 'control' })
  t.ok(issueForce(KEYS, { arm: 'control' }, FORCE_LIFE_MAX_MS, NOW))
})

t.test("a tester's header is not made for nothing, for nobody or for longer than a day", async (t) => {
  t.equal(issueForce(KEYS, {}, HOUR_MS, NOW), undefined)
  t.equal(issueForce(KEYS, { cohort: 'In ternal' }, HOUR_MS, NOW), undefined)
  t.equal(issueForce(KEYS, { arm: 'both' as 'control' }, HOUR_MS, NOW), undefined)
  t.equal(issueForce(KEYS, { arm: 'control' }, FORCE_LIFE_MAX_MS + 1, NOW), undefined)
  t.equal(issueForce(KEYS, { arm: 'control' }, 0, NOW), undefined)
  t.equal(issueForce(signingKeys([]), { arm: 'control' }, HOUR_MS, NOW), undefined)
  // Signed by our own key, and asking for more than anybody may have.
  const signed = (payload: object): string => {
    const text = `1.k1.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
    return `${text}.${macOf(KEYS.secrets.get('k1')!, `hubward force\n${text}`)}`
  }
  t.ok(forcedBy(signed({ at: NOW, lifeMs: HOUR_MS, arm: 'control' })), 'the test signs as we do')
  t.equal(forcedBy(signed({ at: NOW, lifeMs: FORCE_LIFE_MAX_MS + 1, arm: 'control' })), undefined)
  t.equal(forcedBy(signed({ at: NOW, lifeMs: HOUR_MS, arm: 'both' })), undefined)
  t.equal(forcedBy(signed({ at: NOW, lifeMs: 'long', arm: 'control' })), undefined)
})

t.test("a tester's header that is forged, of another kind or oversized forces nothing", async (t) => {
  const header = issueForce(KEYS, { cohort: 'internal' }, HOUR_MS, NOW)!
  for (let i = 0; i < header.length; i++) {
    const forged = header.slice(0, i) + (header[i] === 'A' ? 'B' : 'A') + header.slice(i + 1)
    if (forcedBy(forged) !== undefined) t.fail(`character ${i} changed is believed`)
  }
  const hop = issueHop(KEYS, { instance: 'a', decision: { id: '1', target: 'a/b', cluster: 'c', policy: null } }, NOW)!
  for (const text of ['', '...', '1.k1..', hop, header.repeat(9), `${header}.`, `x${header}`])
    t.equal(forcedBy(text), undefined, text.slice(0, 20))
  t.equal(verifyHop(KEYS, header, 'b', NOW).verdict, 'invalid', 'nor is it a hop')
})

t.test(
  "facts have a tester's word where the keys are there and it holds; else it is counted and left out",
  async (t) => {
    const header = issueForce(KEYS, { cohort: 'internal' }, HOUR_MS, REQUEST_NOW)!
    const said = (value: string, options = { forceKeys: KEYS }) =>
      read({}, { headers: { [HEADERS.force]: value } }, options)
    t.strictSame(said(header).facts.forced, { cohort: 'internal' })
    t.strictSame(codesOf(said(header)), [])
    t.notOk('forced' in said('1.k1.x.y').facts)
    t.strictSame(codesOf(said('1.k1.x.y')), ['request/bad-force'])
    for (const nothing of ['', '-']) t.strictSame(codesOf(said(nothing)), [])
    const without = read({}, { headers: { [HEADERS.force]: header } })
    t.notOk('forced' in without.facts, 'without keys nobody is believed')
    t.strictSame(codesOf(without), [])
  },
)

t.test("Envoy lets a tester's header in where it was told to, and no site ever sees it", async (t) => {
  const text = (force: boolean): string => JSON.stringify(envoyConfig(EXAMPLES, { ...ENVOY_OPTIONS_DEFAULT, force }))
  t.notMatch(text(false), HEADERS.force, 'by default it goes the way of every header of ours')
  const config = text(true)
  t.match(config, `{"append":{"header":{"key":"${HEADERS.force}","value":"%REQ(carried-${HEADERS.force})%"}`)
  t.match(config, /"header":"x-hubward-force","on_header_present":\{[^}]*\},"remove":true/)
  t.match(config, /"disallow_expression":\{"regex":"[^"]*x-hubward-force/, 'nor does hubward set it')
})

t.test('cohorts, promises and whom policies let be experimented on have their normal form', async (t) => {
  const head = 'apiVersion: hubward.dev/v1alpha1\n'
  const policy = (more: string): string =>
    `${head}kind: Policy\nmetadata: { name: near, version: 1 }\nspec: { class: chat${more} }\n`
  const read = (...texts: string[]) => {
    const { set, problems } = readDocuments([{ path: 'a.yaml', text: texts.join('---\n') }])
    if (set === null) throw new Error(problems.map(problemText).join('\n'))
    return set
  }
  const slo = 'slo: { objectivePct: 99.5, ttft: 500ms, response: 30s, locality: { objectivePct: 95, budget: 300ms } }'
  const rest = [
    `${head}kind: Site\nmetadata: { name: ams }\nspec: { jurisdictions: [EU], models: [{ name: m }] }\n`,
    `${head}kind: WorkloadClass\nmetadata: { name: chat }\nspec: { whenHubwardIsDown: default, ${slo} }\n`,
    `${head}kind: Cohort\nmetadata: { name: internal, owner: a@example.com }\nspec: { when: request.tier == "internal" }\n`,
    `${head}kind: Policy\nmetadata: { name: own, version: 3 }\nspec: { class: chat, priority: -1 }\n`,
  ]
  const set = read(policy(', experiments: { cohorts: [internal, "*"] }, tenantOverrides: { acme: own@3 }'), ...rest)
  t.strictSame(set.cohorts, [
    { metadata: { name: 'internal', owner: 'a@example.com' }, when: 'request.tier == "internal"' },
  ])
  t.strictSame(set.classes[0]?.slo, {
    ...{ objectivePct: 99.5, ttftMs: 500, responseMs: 30_000, windowMs: 30 * 86_400_000 },
    locality: { objectivePct: 95, budgetMs: 300 },
  })
  const near = set.policies.find(({ metadata }) => metadata.name === 'near')!
  t.strictSame(near.experiments, { cohorts: ['internal', '*'] })
  t.strictSame(near.tenantOverrides, { acme: 'own@3' })
  const hashes = ['', ', experiments: { cohorts: [internal] }', ', tenantOverrides: { acme: own@3 }'].map(
    (more) => read(policy(more), ...rest).policies[0]!.hash,
  )
  t.equal(new Set([...hashes, near.hash]).size, 4, 'all of it is part of the hash')
  const { problems } = readDocuments([
    { path: 'a.yaml', text: [policy(', tenantOverrides: { acme: own@3 }'), ...rest].join('---\n') },
  ])
  t.strictSame(
    problems.map(({ code }) => code),
    [],
    'a policy for single tenants needs no room among the others',
  )
  const alone = readDocuments([{ path: 'a.yaml', text: [policy(''), ...rest].join('---\n') }])
  t.strictSame(
    alone.problems.map(({ code }) => code),
    ['policy/unreachable'],
  )
})

t.test('a case that forces or gives what is not there says so', async (t) => {
  const run = (given: object, when: object) =>
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    runCase(EXAMPLES, CASE_ENGINE, { title: 'x', given: { ...given }, when: { class: 'training', ...when }, then: {} })
      .failures
  t.strictSame(run({}, { forced: { cohort: 'internal', arm: 'control' } }), [])
  t.match(run({}, { forced: { cohort: 'internl' } }), [/no cohort is called "internl".*did you mean "internal"/])
  t.match(run({}, { forced: { arm: 'both' } }), [/when\.forced\.arm has to be control or treatment/])
  t.match(run({}, { forced: { cohrt: 'x' } }), [/when\.forced knows no "cohrt"; did you mean "cohort"/])
  t.match(run({ flags: [] }, {}), [/given\.flags has to be a flagd definition/])
  t.match(run({ flags: { 'a-b-c': { variants: { a: 1, b: 'x' } } } }, {}), [/^given\.flags: /])
  const { readFlags: _, ...unable } = CASE_ENGINE
  const { failures } = runCase(EXAMPLES, unable, {
    ...{ title: 'x', given: { flags: {} }, when: { class: 'training' } },
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    then: { arm: 'treatment', forced: true, layers: [{ layer: 'incident' }] },
  })
  t.match(failures, [
    /flags cannot be read here/,
    /arm is none, not treatment/,
    /forced is false, not true/,
    /layers has no \{"layer":"incident"\}; it has \[\]/,
  ])
})

t.test('a decision tells in words what each flag said, and in which arm it is', async (t) => {
  const flag = { layer: 'incident', flag: 'hold-chat-while-cooling' } as const
  t.equal(
    layerText({ ...flag, variant: 'hold' }),
    'The incident flag hold-chat-while-cooling gave "hold", and had its say',
  )
  t.match(layerText({ ...flag, variant: 'hold', shadowed: true }), /and a stronger one spoke before it$/)
  t.match(layerText({ ...flag, variant: '', error: 'PARSE_ERROR' }), /said nothing: PARSE_ERROR$/)
  t.match(layerText({ ...flag, variant: 'hold', stale: true }), /; its source has been silent for too long$/)
  t.equal(
    armText({ arm: 'treatment', rollout: 'frankfurt-first' }),
    'It is in the treatment arm of the rollout frankfurt-first',
  )
  t.match(
    armText({ arm: 'control', forced: true }),
    /control arm, because a tester forced it, so nothing of it is measured/,
  )
})

const folder = mkdtempSync(join(tmpdir(), 'hubward-flags-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const written = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const near = (weights: string, sites = '') => `flags:
  chat-emea-prefers-frankfurt:
    state: ENABLED
    variants: { "off": {}, fra: { preferred_region: fra, max_p95_ms: 120 }, lon: { preferred_region: lon${sites} } }
    defaultVariant: "off"
    targeting: { if: [{ in: [internal, { var: cohorts }] }, { fractional: ${weights} }, null] }
    metadata: { layer: preference, class: interactive-inference, owner: a@example.com, purpose: p, expires: 2027-02-01, reviewEvery: 30d }
`

t.test('findings are told at the line of the file that they are about, in maps and in lists of flags', async (t) => {
  const context = { now: NOW, documents: EXAMPLES }
  const map = written('map.yaml', near('[[fra, 50], [lon, 50]]', ', eligible_sites: [frra]'))
  const findings = flagFindings(flagsIn([map]), context)
  const pointed = findings.map(({ code, path = '', line = 0, column = 0 }) => {
    return [
      code,
      readFileSync(path, 'utf8')
        .split('\n')
        [line - 1]?.slice(column - 1),
    ]
  })
  t.match(pointed, [
    ['flag/several-constraints', /^\{ "off": \{\}, fra:/],
    ['flag/unknown-site', /^\{ preferred_region: lon, eligible_sites: \[frra\]/],
  ])
  const variants = { a: { preferred_region: 'ams' } }
  const metadata = { layer: 'preference', class: 'interactive-inference' }
  const list = written(
    'list.json',
    JSON.stringify({ flags: [{ key: 'flag_42', state: 'ENABLED', variants, metadata }] }, null, 1),
  )
  const [name] = flagFindings(flagsIn([list]), context)
  t.match(name, { code: 'flag/name', severity: 'error', line: 3, path: /list\.json$/ })
  t.match(flagsIn([join(folder, 'nowhere')]), { set: null, problems: [{ code: 'documents/unreadable' }] })
  mkdirSync(join(folder, 'empty'))
  t.match(flagsIn([join(folder, 'empty')]).problems, [{ message: /no file of flags/ }])
  t.match(flagsIn([map, folder]).problems, [{ code: 'flag/twice' }])
})

t.test('decide and explain ask with the flags of a file, and with a tester s word', async (t) => {
  const file = written('near.yaml', near('[[fra, 100], [lon, 0]]'))
  const asked = (over: object) =>
    answerOf({
      documents: [join(import.meta.dirname, '../../envoy/examples/documents')],
      class: 'interactive-inference',
      region: 'EMEA',
      residency: 'EU,UK',
      flags: [file],
      ...over,
    })
  const decisionOf = (over: object) => (asked(over) as { explanation: Explanation }).explanation
  t.match(decisionOf({}).decision, { target: 'ams/h100', layers: [] })
  const told = decisionOf({ asCohort: 'internal' })
  t.match(told.decision, { target: 'fra/h100', forced: true, layers: [{ variant: 'fra' }] })
  t.match(told.text.join('\n'), /The preference flag chat-emea-prefers-frankfurt gave "fra", and had its say\./)
  t.match(decisionLines(told.decision).join('\n'), /layer +The preference flag chat-emea-prefers-frankfurt gave "fra"/)
  t.match(asked({ asCohort: 'internl' }), { wrong: [/did you mean "internal"/] })
})

t.test(
  'validate reads flags beside documents, and against those in force; its exit code says what it found',
  async (t) => {
    const before = written('before.yaml', near('[["off", 98], [fra, 1], [lon, 1]]'))
    const after = written('after.yaml', near('[["off", 80], [fra, 10], [lon, 10]]'))
    const bad = written('bad.yaml', near('[[fra, 1]]').replace('chat-emea-prefers-frankfurt', 'flag_42'))
    const validate = (...args: string[]) =>
      new Promise<{ status: number | null; stdout: string }>((resolve) => {
        const child = execFile(
          process.execPath,
          ['src/cli/hubward.ts', 'validate', 'envoy/examples/documents', ...args],
          { cwd: join(import.meta.dirname, '../..'), env: childEnvironment() },
          (_error, stdout) => resolve({ status: child.exitCode, stdout }),
        )
      })
    const [moved, refused] = await Promise.all([
      validate('--flags', after, '--flags-in-force', before),
      validate('--flags', bad),
    ])
    t.match(moved, { status: 0, stdout: /after\.yaml:6:\d+ +flag\/moves-users .*100 % of the users of "fra"/ })
    t.match(refused, { status: 3, stdout: /bad\.yaml:2:3 +flag\/name/ })
  },
)
