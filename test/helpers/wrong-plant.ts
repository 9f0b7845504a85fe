import type { DOCUMENT_PROBLEMS } from '../../src/documents/problems.ts'
import type { ReadContext } from '../../src/documents/view.ts'
import type { SourceStatus } from '../../src/model/source.ts'

/** Something wrong in a document, and how it has to be told. */
export interface Wrong {
  readonly what: string
  readonly code: keyof typeof DOCUMENT_PROBLEMS
  readonly text: string
  /** The text that has to stand where a problem of this code points. */
  readonly points?: string
  readonly says?: RegExp
  readonly severity?: 'warning'
  readonly context?: ReadContext
  readonly more?: readonly string[]
}

const meter = (delivers: readonly string[], noise?: Readonly<Record<string, number>>): SourceStatus => ({
  name: 'meter',
  kind: 'file',
  where: '',
  version: '',
  nonce: '',
  intervalMs: 1_000,
  timeoutMs: 500,
  lastAcceptedAt: null,
  lastRefusedAt: null,
  refusal: [],
  failuresInARow: 0,
  delivers,
  covers: [],
  ...(noise === undefined ? {} : { noise }),
})

const HEAD = 'apiVersion: hubward.dev/v1alpha1\n'
const lon = (spec: string) =>
  `${HEAD}kind: Site\nmetadata: { name: lon }\nspec: { jurisdictions: [UK], pools: [{ name: h100, cooling: liquid, models: [{ name: llama }] }], ${spec} }\n`
const ready = (spec: string, name = 'r') => `${HEAD}kind: Readiness\nmetadata: { name: ${name} }\nspec: { ${spec} }\n`
const policy = (spec: string) =>
  `${HEAD}kind: Policy\nmetadata: { name: p, version: 1 }\nspec: { class: chat, ${spec} }\n`
const power = (limits: string) => ready(`limits: { power: { power.headroom_pct: { ${limits} } } }`)
const headroom = (least: number, over = '') =>
  `limits: { power: { power.headroom_pct: { red: { min: ${least} } } } }${over}`

/** What can be wrong in what sites say of their plant, and in readiness documents. */
export const WRONG_OF_PLANT: readonly Wrong[] = [
  {
    what: 'a coolant loop that cools an unknown pool',
    points: 'h200',
    code: 'site/unknown-pool',
    text: lon('loops: [{ name: cdu-1, pools: [h200] }]'),
    says: /known: h100/,
  },
  {
    what: 'two coolant loops of one name',
    points: 'cdu-1 }]',
    code: 'site/duplicate-loop',
    text: lon('loops: [{ name: cdu-1 }, { name: cdu-1 }]'),
  },
  {
    what: 'maintenance of an unknown loop',
    points: 'cdu-2',
    code: 'site/unknown-loop',
    text: lon(
      'loops: [{ name: cdu-1 }], maintenance: [{ from: 2026-12-01T22:00:00Z, to: 2026-12-02T02:00:00Z, loops: [cdu-2] }]',
    ),
    says: /known: cdu-1/,
  },
  {
    what: 'a loop designed for what its limit forbids',
    points: '45',
    code: 'site/loop-limits',
    text: lon('loops: [{ name: cdu-1, designSupplyC: 45, supplyLimitC: 40 }]'),
  },
  {
    what: 'a loop that needs more than it is rated for',
    points: '900',
    code: 'site/loop-limits',
    text: lon('loops: [{ name: cdu-1, ratedFlowLpm: 800, minFlowLpm: 900 }]'),
  },
  {
    what: 'a design temperature without its limit',
    points: 'designSupplyC',
    code: 'site/loop-limits',
    text: lon('loops: [{ name: cdu-1, designSupplyC: 30 }]'),
    severity: 'warning',
  },
  {
    what: 'a liquid-cooled pool on no loop',
    points: 'loops',
    code: 'site/pool-without-loop',
    text: lon('loops: [{ name: cdu-1, pools: [] }]')
      .replace('pools: []', 'pools: [l40s]')
      .replace('pools: [{', 'pools: [{ name: l40s, cooling: air, cluster: l40s, models: [{ name: llama }] }, {'),
    severity: 'warning',
  },
  {
    what: 'the same holding twice',
    points: 'vectors }]',
    code: 'site/duplicate-holding',
    text: lon('holds: [{ name: vectors }, { name: vectors }]'),
  },
  {
    what: 'a game day in the future',
    points: '2030-01-01',
    code: 'site/day-to-come',
    text: lon('operations: { lastGameDay: 2030-01-01 }'),
    severity: 'warning',
    context: { now: 1_790_000_000_000 },
  },
  {
    what: 'a game day that no calendar has',
    points: '2026-02-30',
    code: 'schema/bad-value',
    text: lon('operations: { lastGameDay: 2026-02-30 }'),
  },
  {
    what: 'a need that no site meets',
    points: 'vektors',
    code: 'class/held-nowhere',
    text: `${HEAD}kind: WorkloadClass\nmetadata: { name: rag }\nspec: { whenHubwardIsDown: default, near: [vektors] }\n`,
    says: /did you mean "vectors"/,
    severity: 'warning',
    more: [lon('holds: [{ name: vectors }]')],
  },
  {
    what: 'room kept at an unknown site',
    points: 'par',
    code: 'policy/unknown-site',
    text: policy('keepRoom: [{ site: par, pct: 10, tiers: [premium] }]'),
  },
  {
    what: 'room kept where the policy sends nothing',
    points: 'fra, pct',
    code: 'policy/keep-room',
    text: policy('ladder: [[ams]], keepRoom: [{ site: fra, pct: 10, tiers: [premium] }]'),
    severity: 'warning',
  },
  {
    what: 'more room kept than there is',
    points: '60, tiers: [b]',
    code: 'policy/keep-room',
    text: policy('keepRoom: [{ site: ams, pct: 50, tiers: [a] }, { site: ams, pct: 60, tiers: [b] }]'),
    says: /110 %/,
  },
  {
    what: 'a limit on a link',
    points: 'client.rtt_p95_ms',
    code: 'policy/link-signal',
    text: policy('require: { signals: { client.rtt_p95_ms: { max: 50 } } }'),
    says: /path.cost_ms/,
  },
  {
    what: 'a band by the way of a request',
    points: 'path.cost_ms',
    code: 'policy/link-signal',
    text: policy('bands: { path.cost_ms: [{ max: 50, action: route }, { action: deny }] }'),
    says: /under require.signals/,
  },
  {
    what: 'a way that has to be long',
    points: 'path.cost_ms',
    code: 'policy/link-signal',
    text: policy('require: { signals: { path.cost_ms: { min: 5 } } }, rank: [{ signal: path.cost_ms, prefer: lower }]'),
  },
  {
    what: 'a ranking by a link',
    points: 'site.rtt_ms',
    code: 'policy/link-signal',
    text: policy('rank: [{ signal: site.rtt_ms, prefer: lower }]'),
  },
  {
    what: 'readiness of an unknown site',
    points: 'amsterdam',
    code: 'readiness/unknown-site',
    text: ready('sites: [amsterdam]'),
  },
  {
    what: 'readiness for an unknown class',
    points: 'chatt',
    code: 'readiness/unknown-class',
    text: ready('admits: { power: { red: { classes: [chatt] } } }'),
    says: /did you mean "chat"/,
  },
  {
    what: 'a signal under the wrong dimension',
    points: 'queue.depth',
    code: 'readiness/dimension',
    text: ready('limits: { power: { queue.depth: { red: { max: 9 } } } }'),
    says: /put it under queue/,
  },
  {
    what: 'an unknown dimension',
    points: 'colling',
    code: 'schema/unknown-field',
    text: ready('limits: { colling: { leak.detected: { red: false } } }'),
    says: /did you mean "cooling".*\n.*power/,
  },
  {
    what: 'a word that admits nobody knows',
    points: 'some',
    code: 'schema/bad-value',
    text: ready('admits: { power: { red: some } }'),
    says: /all, none, or/,
  },
  {
    what: 'readiness by a link',
    points: 'client.rtt_p95_ms',
    code: 'readiness/dimension',
    text: ready('limits: { latency: { client.rtt_p95_ms: { red: { max: 9 } } } }'),
    says: /each end of a link/,
  },
  {
    what: 'red before amber',
    points: '{ min: 20 }',
    code: 'readiness/limits',
    text: power('amber: { min: 15 }, red: { min: 20 }'),
    says: /below 15/,
  },
  { what: 'a signal without limits', points: 'power.headroom_pct', code: 'readiness/limits', text: power('') },
  {
    what: 'a limit on the good side',
    points: '{ max: 5 }',
    code: 'readiness/wrong-side',
    text: power('red: { max: 5 }'),
    says: /\{ min: 5 \}/,
  },
  {
    what: 'a resume value on the wrong side of red',
    points: '3',
    code: 'policy/resume-side',
    text: power('red: { min: 5, resume: 3 }'),
  },
  {
    what: 'a resume value that no sample can reach',
    points: '120',
    code: 'policy/limit-out-of-range',
    text: power('red: { min: 5, resume: 120 }'),
  },
  {
    what: 'a safety signal without red',
    points: 'power.headroom_pct',
    code: 'readiness/no-red',
    text: power('amber: { min: 15 }'),
    says: /red: \{ min: [0-9]+, resume: [0-9]+ \}/,
    severity: 'warning',
  },
  {
    what: 'flexible work let in at red',
    points: 'all',
    code: 'readiness/admits-at-red',
    text: ready('admits: { cooling: { red: all } }'),
    severity: 'warning',
  },
  {
    what: 'two readiness documents that differ about one site',
    points: 'power.headroom_pct',
    code: 'readiness/contradiction',
    text: [ready(headroom(5, ', sites: [ams, fra]')), ready(headroom(6, ', sites: [fra]'), 's')].join('---\n'),
    says: /r says something else of power.headroom_pct at fra/,
  },
  {
    what: 'a site of which too little is known',
    points: 'lon',
    code: 'site/lacks-minimum',
    text: lon('power: { budgetMw: 4 }, operations: { owner: lon@example.com }').replace(
      '{ name: h100,',
      '{ name: h100, gpu: H100,',
    ),
    says: /no feed tells of lon: cooling margin, latency to major origins, GPU health; lon@example.com answers for it/,
    severity: 'warning',
    context: { feeds: [meter(['queue.depth', 'power.draw_mw'])], minimum: true },
  },
  {
    what: 'a resume value inside the noise',
    points: '{ min: 15, resume: 16 }',
    code: 'threshold/noisy',
    text: power('amber: { min: 15, resume: 16 }, red: { min: 5, resume: 10 }'),
    says: /1 % lie between 15 and 16, and samples that mean the same lie 2 apart(.|\n)*resume: 19/,
    severity: 'warning',
    context: { feeds: [meter(['power.headroom_pct'], { 'power.headroom_pct': 2 })] },
  },
]
