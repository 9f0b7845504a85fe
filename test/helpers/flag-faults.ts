import type { FlagProblemCode } from '../../src/flags/problems.ts'

/** A text that is refused, or about which something is told, and the place of it. */
export interface FlagFault {
  readonly code: FlagProblemCode
  readonly text: string
  readonly at: readonly [line: number, column: number]
  readonly says: RegExp
}

const yaml = (...lines: string[]): string => ['flags:', ...lines.map((line) => `  ${line}`)].join('\n')
/** A flag with one more line. */
const flag = (line: string, ...more: string[]): string =>
  yaml('one:', '  state: ENABLED', '  variants: {on: {}, off: {}}', `  ${line}`, ...more)
const layered = (value: string, layer = 'preference'): string =>
  yaml('one:', '  state: ENABLED', `  variants: {on: ${value}}`, `  metadata: {layer: ${layer}, class: training}`)

/** What can be wrong with a definition, by its code. */
export const FLAG_FAULTS: readonly FlagFault[] = [
  { code: 'flags/syntax', text: 'flags: {a: [}', at: [1, 13], says: /./ },
  { code: 'flags/syntax', text: '', at: [1, 1], says: /empty/ },
  { code: 'flags/syntax', text: 'flags: {}\n---\nflags: {}', at: [1, 1], says: /several documents/ },
  { code: 'flags/syntax', text: 'flags: *a', at: [1, 8], says: /no anchor is called "a"/ },
  {
    code: 'flags/field-twice',
    text: 'flags:\n  a: {}\n  b: {}\n  a: {}',
    at: [4, 3],
    says: /"a" is written in line 2 already/,
  },
  { code: 'flags/field-twice', text: '{"flags": {},\n "flags": {}}', at: [2, 2], says: /in line 1 already/ },
  {
    code: 'flags/aliases',
    text: `a: &a [1]\nb: [${'*a,'.repeat(101)}]\nflags: {}`,
    at: [2, 305],
    says: /more than 100 aliases/,
  },
  { code: 'flags/too-deep', text: `{"flags":${'['.repeat(100)}${']'.repeat(100)}}`, at: [1, 1], says: /too deeply/ },
  // None of these is given to the reader of YAML, which takes minutes for them.
  { code: 'flags/too-deep', text: '['.repeat(1_000_000), at: [1, 201], says: /more than 200 levels are open here/ },
  { code: 'flags/too-deep', text: `flags:\n ${'- '.repeat(250_000)}`, at: [2, 402], says: /more than 200 levels/ },
  { code: 'flags/too-deep', text: `${']'.repeat(9_000)}${'{a: '.repeat(90_000)}`, at: [1, 9_801], says: /200 levels/ },
  {
    code: 'flags/too-deep',
    text: `{"flags":${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}}`,
    at: [1, 209],
    says: /200 levels/,
  },
  { code: 'flags/too-large', text: `{"flags":{}}${' '.repeat(4_194_300)}`, at: [1, 1], says: /4194312 bytes/ },
  { code: 'flags/too-large', text: `flags: {}${'\n'.repeat(1_048_576)}`, at: [1, 1], says: /is no JSON/ },
  { code: 'flags/missing-field', text: 'metadata: {}', at: [1, 1], says: /"flags" is missing/ },
  { code: 'flags/missing-field', text: '{"flags":\n [{"state":"ENABLED"}]}', at: [2, 3], says: /without its key/ },
  {
    code: 'flags/missing-field',
    text: '{"flags":{"one":\n {"state":"ENABLED"}}}',
    at: [2, 2],
    says: /"variants" is missing/,
  },
  { code: 'flags/wrong-type', text: '[1]', at: [1, 1], says: /the text is a list/ },
  {
    code: 'flags/wrong-type',
    text: flag('targeting: true'),
    at: [5, 16],
    says: /"targeting" is true; it has to be a map/,
  },
  { code: 'flags/wrong-type', text: flag('metadata: {owners: [a]}'), at: [5, 24], says: /"owners" is a list/ },
  { code: 'flags/wrong-type', text: yaml('one: {state: ENABLED, variants: {a: [1]}}'), at: [2, 39], says: /is a list/ },
  { code: 'flags/wrong-type', text: 'flags: {}\n$evaluators: 5', at: [2, 14], says: /"\$evaluators" is 5/ },
  { code: 'flags/bad-value', text: yaml('one: {state: ON, variants: {a: 1}}'), at: [2, 16], says: /"state" is "ON"/ },
  { code: 'flags/bad-value', text: yaml('one: {state: ENABLED, variants: {}}'), at: [2, 25], says: /fewer than 1/ },
  {
    code: 'flags/bad-value',
    text: '{"flags":{"":{"state":"ENABLED","variants":{"a":1}}}}',
    at: [1, 11],
    says: /1 to 200 characters/,
  },
  { code: 'flags/bad-value', text: '{"flags":{"__proto__":{}}}', at: [1, 11], says: /cannot be a name/ },
  {
    code: 'flags/bad-value',
    text: `{"flags":{"a":{"state":"ENABLED","variants":{${Array.from({ length: 201 }, (_, i) => `"v${i}":1`).join()}}}}}`,
    at: [1, 34],
    says: /more than 200/,
  },
  { code: 'flags/unknown-field', text: flag('tageting: {}'), at: [5, 5], says: /did you mean "targeting"/ },
  {
    code: 'flag/twice',
    text: '{"flags":[{"key":"a","state":"ENABLED","variants":{"on":1}},\n{"key":"a"}]}',
    at: [2, 1],
    says: /stands at flags:1:11 already/,
  },
  {
    code: 'flag/variants-differ',
    text: yaml('one: {state: ENABLED, variants: {a: 1, b: x}}'),
    at: [2, 45],
    says: /"b" is "x", and "a" is 1/,
  },
  { code: 'flag/unknown-variant', text: flag('defaultVariant: onn'), at: [5, 21], says: /did you mean "on"/ },
  {
    code: 'flag/unknown-operator',
    text: flag('targeting: {if: [{equals: [1, 1]}, "on"]}'),
    at: [5, 23],
    says: /no operator "equals"/,
  },
  {
    code: 'flag/unknown-operator',
    text: flag('targeting: {constructor: [1]}'),
    at: [5, 17],
    says: /no operator "constructor"/,
  },
  { code: 'flag/operands', text: flag('targeting: {"==": [1]}'), at: [5, 23], says: /has 1 operands; it takes 2/ },
  { code: 'flag/operands', text: flag('targeting: {"==": 1}'), at: [5, 23], says: /takes a list of 2/ },
  {
    code: 'flag/operands',
    text: flag('targeting: {var: x, if: []}'),
    at: [5, 16],
    says: /several operators, "var", "if"/,
  },
  { code: 'flag/operands', text: flag('targeting: {fractional: [["on", 1.5]]}'), at: [5, 37], says: /whole number/ },
  {
    code: 'flag/operands',
    text: flag('targeting: {fractional: ["seed"]}'),
    at: [5, 29],
    says: /no variants to choose from/,
  },
  {
    code: 'flag/operands',
    text: flag('targeting: {fractional: ["seed", ["on", 1, 2]]}'),
    at: [5, 38],
    says: /3 parts/,
  },
  {
    code: 'flag/operands',
    text: flag('targeting: {fractional: ["seed", "on"]}'),
    at: [5, 38],
    says: /no variant with its weight/,
  },
  {
    code: 'flag/targeting-size',
    text: flag(`targeting: {or: [${'{},'.repeat(1_001)}]}`),
    at: [5, 3_016],
    says: /more than 1000/,
  },
  {
    code: 'flag/targeting-size',
    text: flag(`targeting: ${'{"!":'.repeat(70)}1${'}'.repeat(70)}`),
    at: [5, 341],
    says: /deeper than 64/,
  },
  {
    code: 'flag/unknown-ref',
    text: `$evaluators: {isEmea: {var: x}}\n${flag('targeting: {"$ref": isEmae}')}`,
    at: [6, 25],
    says: /did you mean "isEmea"/,
  },
  {
    code: 'flag/nested-ref',
    text: `$evaluators: {a: {"!": {"$ref": b}}, b: {var: x}}\nflags: {}`,
    at: [1, 24],
    says: /do not refer/,
  },
  {
    code: 'flag/unknown-layer',
    text: flag('metadata: {layer: incidents, class: training}'),
    at: [5, 23],
    says: /did you mean "incident"/,
  },
  { code: 'flag/layer-without-class', text: flag('metadata: {layer: incident}'), at: [5, 15], says: /for which class/ },
  {
    code: 'flag/metadata',
    text: flag('metadata: {layer: incident, class: a, expires: "2026-02-30"}'),
    at: [5, 52],
    says: /"expires" is "2026-02-30"/,
  },
  { code: 'flag/metadata', text: flag('metadata: {layer: incident, class: 5}'), at: [5, 40], says: /"class" is 5/ },
  { code: 'flag/meaning', text: layered('true'), at: [4, 20], says: /name a policy, an overlay or an action/ },
  { code: 'flag/meaning', text: layered('text'), at: [4, 20], says: /"text" says nothing/ },
  { code: 'flag/meaning-field', text: layered('{polcy: a@1}'), at: [4, 21], says: /did you mean "policy"/ },
  {
    code: 'flag/meaning-field',
    text: layered('{prefered_region: ams, max_p95_ms: 5}'),
    at: [4, 21],
    says: /did you mean "preferred_region"/,
  },
  {
    code: 'flag/meaning-field',
    text: layered('{policy: a@1, ladder: [[ams]]}'),
    at: [4, 34],
    says: /no field "ladder"/,
  },
  {
    code: 'flag/meaning-field',
    text: layered('{action: deny, for: 5s}', 'incident'),
    at: [4, 35],
    says: /no field "for"/,
  },
  { code: 'flag/meaning-value', text: layered('{policy: a}'), at: [4, 29], says: /a policy and its version/ },
  { code: 'flag/meaning-value', text: layered('{max_p95_ms: 0}'), at: [4, 33], says: /more than 0/ },
  { code: 'flag/meaning-value', text: layered('{locality: near}'), at: [4, 31], says: /"nearest"/ },
  { code: 'flag/meaning-value', text: layered('{eligible_sites: [ams, ams]}'), at: [4, 43], says: /at most once/ },
  { code: 'flag/meaning-value', text: layered('{ladder: [[ams], [5]]}'), at: [4, 38], says: /"ladder.1.0" is 5/ },
  {
    code: 'flag/meaning-value',
    text: layered('{ladder: [[ams]], fallback_tiers: [[fra]]}'),
    at: [4, 38],
    says: /no use beside "ladder"/,
  },
  { code: 'flag/meaning-value', text: layered('{degraded: {site: ams}}'), at: [4, 31], says: /degraded.model/ },
  {
    code: 'flag/meaning-value',
    text: layered('{action: delay, retryAfter: 500ms}', 'incident'),
    at: [4, 48],
    says: /1s to 7d/,
  },
  {
    code: 'flag/meaning-value',
    text: layered('{action: deny, status: 500}', 'incident'),
    at: [4, 43],
    says: /403, 429, 503/,
  },
  {
    code: 'flag/meaning-value',
    text: layered('{action: route}', 'incident'),
    at: [4, 29],
    says: /"action" is "route"/,
  },
  {
    code: 'flag/action-layer',
    text: layered('{action: deny}', 'rollout'),
    at: [4, 29],
    says: /layer rollout orders "deny"/,
  },
]
