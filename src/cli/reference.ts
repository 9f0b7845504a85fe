import type { Command } from 'commander'
import { ROUTES, type Route } from '../admin/routes.ts'
import { CONFIG_PROBLEMS } from '../config/problems.ts'
import { CONFIG_SCHEMA } from '../config/schema.ts'
import { GIVEN_WORDS, SITE_WORDS, THEN_WORDS, WHEN_WORDS } from '../documents/case-words.ts'
import { CONDITION_FUNCTIONS } from '../documents/condition-functions.ts'
import { DOCUMENT_PROBLEMS } from '../documents/problems.ts'
import { FACT_ORIGINS } from '../documents/schema/fact-sources.ts'
import { SCHEMAS } from '../documents/schema/kinds.ts'
import { DEFS } from '../documents/schema/parts.ts'
import { CHECKS } from '../envoy/doctor/doctor.ts'
import { FEED_PROBLEMS } from '../feeds/failure.ts'
import { REFUSALS } from '../feeds/refusals.ts'
import { ENVOY_ADMIN_SCHEMA } from '../feeds/schemas.ts'
import { FEED_KINDS } from '../feeds/table.ts'
import { unitsFor } from '../feeds/units.ts'
import { XIDS } from '../feeds/xids.ts'
import { FLAG_FINDINGS } from '../flags/findings.ts'
import { FLAG_PROBLEMS } from '../flags/problems.ts'
import { METRICS } from '../metrics/table.ts'
import { FACT_NAMES, NEED_FACTS } from '../model/facts.ts'
import { HEADERS } from '../model/headers.ts'
import { ADVICE_REASONS } from '../model/job.ts'
import { type Admits, READINESS_DEFAULT } from '../model/readiness.ts'
import { CONSTRAINTS, REASONS } from '../model/reason.ts'
import { SIGNALS } from '../model/signal.ts'
import { DIMENSIONS, type Signal } from '../model/signal-row.ts'
import { FLAG_SOURCE_PROBLEMS } from '../openfeature/failure.ts'
import { FLAG_KINDS } from '../openfeature/kinds.ts'
import { FACT_PROBLEMS } from '../request/fact-problems.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { hubwardProgram } from './program.ts'
import { measurementParts } from './reference-measurement.ts'
import { fieldRows } from './schema-fields.ts'
import { TRANSPORT } from './transport-words.ts'
import { yamlText } from './yaml-text.ts'

const cell = (value: unknown): string =>
  String(value ?? '')
    .replaceAll('|', '\\|')
    .replaceAll('\n', ' ')
const table = (head: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`),
  ].join('\n')
const page = (title: string, says: string, ...parts: readonly string[]): string =>
  `# ${title}\n\n${says} Written by \`npm run docs\` from the tables that the code runs on.\n\n${parts.join('\n\n')}\n`
const words = (rows: Readonly<Record<string, string>>, head: readonly [string, string] = ['word', 'meaning']): string =>
  table(
    head,
    Object.entries(rows).map(([word, says]) => [`\`${word}\``, says]),
  )
/** Past which value the built-in readiness calls a signal amber or red, and where that ends. */
const limitText = (signal: string, state: 'amber' | 'red'): string => {
  const limit = Object.values(READINESS_DEFAULT.limits)
    .flat()
    .find((one) => one.signal === signal)?.[state]
  if (limit === undefined) return ''
  return `${limit.op === 'max' ? 'above' : 'below'} ${limit.limit} until ${limit.resume}`
}
const admitsText = (admits: Admits): string => {
  if (admits === 'all') return 'all'
  const who = [...admits.flexibility, ...(admits.critical ? ['critical classes'] : []), ...admits.classes]
  return who.length === 0 ? 'nobody' : who.join(', ')
}
const fieldsOf = (fields: Readonly<Record<string, string>> = {}): string =>
  Object.entries(fields)
    .map(([name, says]) => `\`${name}\`: ${says}`)
    .join('; ')
const FIELDS = ['field', 'type', 'default', 'meaning'] as const

/** Every generated page of docs/reference by name. To add one, add a row. */
export const PAGES: Readonly<Record<string, () => string>> = {
  signals: () =>
    page(
      'Signals',
      'Every quantity that feeds deliver and policies compare.',
      table(
        ['signal', 'unit', 'of', 'worse', 'range', 'hard age', 'least events', 'amber', 'red', 'what it is'],
        Object.entries(SIGNALS as Readonly<Record<string, Signal>>).map(([name, row]) => [
          `\`${name}\`${row.byModel ? ' (also by model)' : row.byClass ? ' (by class)' : ''}`,
          row.unit,
          row.scope,
          row.worseWhen,
          row.range.join(' … '),
          row.staleAfterMs === undefined ? "the class's default" : `${row.staleAfterMs / 1_000} s`,
          row.countMin ?? '',
          limitText(name, 'amber'),
          limitText(name, 'red'),
          row.says,
        ]),
      ),
      "A sample is `fresh` up to its hard age (the class's `freshness` for the signal, else the hard age above, else the class's `default`), then `stale`; `missing` was never measured; `insufficient` has fewer events behind it than the least, and satisfies a requirement, so that an idle fallback can take traffic. A site's signal holds for each of its pools.",
    ),
  transport: () =>
    page('Transport', TRANSPORT.opening, table(...TRANSPORT.limits), TRANSPORT.patience, table(...TRANSPORT.costs)),
  reasons: () =>
    page(
      'Reasons and constraints',
      'The words in which every decision explains itself.',
      words(REASONS, ['reason', 'meaning']),
      'What can stand between a request and a target, by the step of the order of judgement it belongs to. Thresholds and bands are named by their signal.',
      table(
        ['constraint', 'step'],
        Object.entries(CONSTRAINTS).map(([name, step]) => [`\`${name}\``, step]),
      ),
    ),
  documents: () =>
    page(
      'Documents',
      'Every field of every kind of document, in YAML or JSON, one or many in a file; a folder is read recursively.',
      'A folder is one source: it is taken whole or refused whole, with every problem listed, and its last good set stays in force and on disk. Swap a folder by symlink, or use a ConfigMap, so that nobody reads a half of it. `# yaml-language-server: $schema=…/schemas/policy.schema.json` gives editors the same rules.',
      ...Object.entries(SCHEMAS).flatMap(([kind, schema]) =>
        [`## ${kind}`, String(schema.description ?? ''), table(FIELDS, fieldRows(schema, DEFS))].filter(
          (part) => part !== '',
        ),
      ),
      '## Readiness where no document speaks',
      'The limits of the built-in document. One of your own replaces it signal by signal; the more particular of two goes first: for a class at a site, for a site, for a class, for all.',
      table(
        ['dimension', 'signal', 'amber', 'red'],
        Object.entries(READINESS_DEFAULT.limits).flatMap(([dimension, limits]) =>
          limits.map(({ signal }) => [
            dimension,
            `\`${signal}\``,
            limitText(signal, 'amber'),
            limitText(signal, 'red'),
          ]),
        ),
      ),
      table(
        ['dimension', 'state', 'lets in'],
        Object.entries(READINESS_DEFAULT.admits).flatMap(([dimension, states]) =>
          Object.entries(states).map(([state, admits]) => [dimension, state, admitsText(admits)]),
        ),
      ),
      'Every other state lets everybody in.',
      '## Shared parts',
      table(
        ['part', 'meaning'],
        Object.entries(DEFS).map(([name, part]) => [name, (part as { description?: string }).description ?? '']),
      ),
    ),
  conditions: () =>
    page(
      'Conditions',
      'What `when` of a policy may say: CEL over the facts of the request, and nothing else.',
      `Facts: ${FACT_NAMES.map((name) => `\`request.${name}\``).join(', ')}, ${NEED_FACTS.map((name) => `\`request.${name}\``).join(', ')} as a job's needs state them, and \`request.x\` for a fact x of your own. A fact that the request does not have makes the condition false, unless \`has(request.x)\` asks for it first or \`||\` has another side that is true. \`matches\` is refused, because its regular expressions can be made to run for ever; \`re2match\` can't.`,
      table(
        ['function', 'meaning'],
        Object.entries(CONDITION_FUNCTIONS).map(([name, row]) => [`\`${name}\``, row.says]),
      ),
    ),
  facts: () =>
    page(
      'Facts and where they come from',
      'The sources that a FactSources document may name.',
      table(
        ['from', 'needs', 'may have'],
        Object.entries(FACT_ORIGINS).map(([name, row]) => [
          `\`${name}\``,
          row.required.join(', '),
          row.optional.join(', '),
        ]),
      ),
      'A client sets its headers, query, path, method and body as it likes. Class, tenant, tier and residency are only read from what it can not set: `jwt` (claims that Envoy has verified), `attribute`, `context`, `network`, `geo`, `value`, a `path`, or a header that is `trusted` and comes from a trusted peer.',
      '## Facts of your own',
      'Any other name under `facts` is a fact of your own: conditions, cohorts and flags read it as `request.name`, and as `name` in the context of a flag. One is known to measurement: `promptType`, what kind of prompt a request has, by which durations, tokens and errors are split. Its values come from a list, so that a client can not make up new ones:',
      '```yaml\nfacts:\n  promptType:\n    - { from: header, name: x-prompt-type, allow: [chat, summary, code, retrieval] }\n    - { from: path, prefix: /v1/embeddings, value: embedding }\n    - { from: value, value: other }\n```',
      'What may be wrong with what a request brings, as `hubward_facts_problems_total` counts it:',
      words(FACT_PROBLEMS, ['code', 'meaning']),
    ),
  'policy-test': () =>
    page(
      'Policy tests',
      'The words of a case: given, when, then, and steps in time.',
      'A case states only what matters: every site is up, every signal that a policy asks for is good, and the request belongs to nobody, unless the case says otherwise.',
      '## given',
      words(GIVEN_WORDS),
      '### of a site or pool',
      words(SITE_WORDS),
      '## when',
      `Facts by name, and:`,
      words(WHEN_WORDS),
      '## then',
      words(THEN_WORDS),
      '## steps',
      'Each step may say `after` (a duration that goes by), `given`, `when` and `then`; what it does not say stays as it was. Ten minutes go by in steps of a second or less, with samples in each; hours in larger ones, until their last five minutes.',
      '## What is assumed',
      'A signal that some policy, Readiness document or overlay of a flag limits is on the good side of the strictest of them. A site stands idle: all of its power budget is headroom, and its coolant has all of its margin, until meters (`power.draw_mw`, `cooling.supply_c`, …) or the case say otherwise. Of headroom in megawatts and in percent the case says one, and the other follows from the budget. `envoy/examples/documents/tests-placement.yaml` has a case for each rule of placement.',
    ),
  configuration: () =>
    page(
      'Configuration',
      'Every field of the file that `hubward serve --config` reads.',
      table(FIELDS, fieldRows(CONFIG_SCHEMA, {})),
    ),
  feeds: () =>
    page(
      'Feeds',
      'Every kind of feed, and what an entry of `feeds` says for it.',
      ...Object.entries(FEED_KINDS).flatMap(([kind, row]) => [
        `## ${kind}`,
        `${row.says}.`,
        ...('notes' in row ? row.notes : []),
        ['```yaml', yamlText([row.example]).trimEnd(), '```'].join('\n'),
        table(FIELDS, fieldRows(row.schema, {})),
      ]),
      '## envoyAdmin',
      "Envoy's admin port: which clusters it has, and which connections fail.",
      table(FIELDS, fieldRows(ENVOY_ADMIN_SCHEMA, {})),
      '## Units',
      'A value may come in any of the units beside that of its signal; a margin in degrees is a difference, so 9 degF are 5 Cel. Money in another currency needs its `rate` to EUR.',
      table(
        ['unit of the signal', 'taken too'],
        [...new Set(Object.values(SIGNALS).map(({ unit }) => unit))]
          .map((unit) => [unit, unitsFor(unit).filter((other) => other !== unit)] as const)
          .filter(([, others]) => others.length > 0)
          .map(([unit, others]) => [`\`${unit}\``, others.map((other) => `\`${other}\``).join(', ')]),
      ),
      '## What is refused at the edge',
      'A sample is refused, counted in `hubward_samples_refused_total`, and shown under /sources with its place, value and the owner to ask, for one of these reasons:',
      words(REFUSALS, ['reason', 'meaning']),
      '## XIDs',
      "What `gpu.healthy_ratio` makes of the last XID of an accelerator. `technician` makes it unhealthy until the exporter shows 0 again, whatever an application adds meanwhile; so does an XID that is not here, unless it is among `harmlessXids`. 13, 31, 43, 45 and 68 are as in NVIDIA's Kubernetes device plugin; the others are our reading, to be held against NVIDIA's Xid catalog (https://docs.nvidia.com/deploy/xid-errors/).",
      table(
        ['XID', 'meaning', 'needs'],
        Object.entries(XIDS).map(([xid, { says, needs }]) => [xid, says, needs]),
      ),
    ),
  metrics: () =>
    page(
      'Metrics',
      'Everything under /metrics that is ours.',
      table(
        ['metric', 'type', 'labels', 'meaning'],
        Object.entries(METRICS).map(([name, row]) => [`\`${name}\``, row.type, row.labels.join(', '), row.says]),
      ),
    ),
  http: () =>
    page(
      'HTTP for operators and programs',
      'Every route of the admin port. What is GET changes nothing. Errors are problem+json (RFC 9457); of a body that can not be used `problems` names each field by its JSON pointer.',
      table(
        ['route', 'meaning', 'query', 'body', 'answers', 'open'],
        Object.values(ROUTES as Readonly<Record<string, Route>>).map((row) => [
          `\`${row.method ?? 'GET'} ${row.path}\``,
          row.says,
          fieldsOf(row.query),
          `${fieldsOf(row.body)}${row.bodyBytesMax === undefined ? '' : ` (at most ${row.bodyBytesMax / 1_024} KiB)`}`,
          Object.entries(row.answers)
            .map(([status, says]) => `${status} ${says}`)
            .join('; '),
          row.open ? 'without a token, then without details' : '',
        ]),
      ),
      '## What an admitted job is told',
      'An admitted job (a class whose `whenHubwardIsDown` is `refuse`, asked with `reserve`, or routed through Envoy with needs) holds what it declares until it reports its end or its reservation ages out. It is told `run`, `pause`, `resume` or `move`, with a reason, the number behind it and a deadline where one is known; whoever runs the job does it. Several hubwards know only their own reservations: until they share a store, each can give away the same headroom once.',
      words(ADVICE_REASONS, ['reason', 'meaning']),
    ),
  measurement: () => page('Measurement', 'What came of requests, and what follows from it.', ...measurementParts()),
  planning: () =>
    page(
      'Readiness, guesses and gaps',
      'What `hubward readiness`, `hubward status` and `hubward gaps` show, and how it is counted.',
      '## Readiness',
      'A target is green, amber, red or unknown for a class in each dimension, and overall as its worst one. Limits and whom each state lets in come from Readiness documents; where none speaks, from the built-in one (amber and red in [signals](signals.md)).',
      words(
        {
          ...Object.fromEntries(
            DIMENSIONS.map((dimension) => [
              dimension,
              (READINESS_DEFAULT.limits[dimension] ?? []).map(({ signal }) => `\`${signal}\``).join(', '),
            ]),
          ),
          observability: 'whether every signal that the policies of the class require is fresh',
          procedures: 'owner, runbook, and a game day that is not too long ago',
        },
        ['dimension', 'by'],
      ),
      '## Guesses',
      'A threshold marked `estimated: true` is listed with what its targets measured in the last 6 to 12 hours. Proposed are the value that a twentieth of the time was beyond, and the one that three quarters of it were within, once there are 200 values of an hour. Red limits of power and cooling get no proposal: they come from the plant, not from good days.',
      '## Gaps',
      'The ledger counts by the hour and is kept for 35 days in `gaps.jsonl` of the state folder, written every minute and at the end, so a crash loses a minute. A file that is not whole is put aside as `gaps.jsonl.damaged`, told as `gaps/damaged`, and counting starts anew. Each hubward keeps its own: of several, hours of sites are the same in each, work is what came through that one.',
      words(
        {
          'amber, red hours':
            'time that was lived through while a target of the site was in that state, the worst counting; time in which hubward did not run, or the machine slept, is in no sum',
          chronic: 'not green for a tenth of the watched time in that dimension, once an hour has been watched',
          answers:
            'delays and refusals for want of room; what is wrong with a request itself (its residency, its model, its form) is not counted',
          work: "pieces of work behind them: a job with a key of its asker's counts once a day and site, without a key each answer is one",
          'mwh, gpu-hours':
            "declared MW and accelerators times the declared `hours`, else the class's `usualHours`; `sized` is how many pieces said both",
          site: 'every site that the answer names as having turned the work away, each with the first thing that stood in the way there; under all sites each piece stands once, with what stood in its way at the place it would have gone to first',
        },
        ['column', 'meaning'],
      ),
    ),
  headers: () =>
    page(
      'Headers',
      "The headers that hubward speaks in. What of them a client sends is removed before a route is chosen, but for the signed session token, what a job needs and, where Envoy was told to let it in, a tester's signed word.",
      words(HEADERS, ['for', 'header']),
    ),
  commands: () =>
    page(
      'Commands',
      'What `hubward` can be told.',
      ...commandParts(hubwardProgram()),
      '## Exit codes',
      table(
        ['code', 'meaning'],
        Object.values(EXIT_CODES).map(({ code, says }) => [code, says]),
      ),
    ),
  doctor: () =>
    page(
      'What the doctor looks for',
      'Every check of `hubward doctor`.',
      table(
        ['check', 'severity', 'remedy'],
        CHECKS.map((check) => [`\`${check.code}\``, check.severity, check.remedy]),
      ),
    ),
  problems: () =>
    page(
      'Problems',
      'Every code that documents, configuration, feeds, flags and their sources can give.',
      '## Documents',
      words(DOCUMENT_PROBLEMS, ['code', 'meaning']),
      '## Configuration',
      words(CONFIG_PROBLEMS, ['code', 'meaning']),
      '## Feeds',
      words(FEED_PROBLEMS, ['code', 'meaning']),
      '## Sources of flags',
      words(FLAG_SOURCE_PROBLEMS, ['code', 'meaning']),
      '## Flags',
      'What reading a definition can find.',
      words(FLAG_PROBLEMS, ['code', 'meaning']),
      'What is found in flags that have a layer, when a set is taken and by `hubward validate --flags`. Errors refuse the set.',
      table(
        ['code', 'severity', 'meaning'],
        Object.entries(FLAG_FINDINGS).map(([code, { severity, says }]) => [`\`${code}\``, severity, says]),
      ),
    ),
  openfeature: () =>
    page(
      'OpenFeature, both ways',
      'Where flags come from, and how they and routing decisions are served.',
      '## Sources',
      'Entries of `flags` in the configuration. Each is taken whole or refused whole, with every problem told; the last good set stays in force and on disk. With a `ttl` its flags are stale when it has not been heard for so long, also over a restart, and `whenStale` says what becomes of them. A flag that no source reports is off.',
      ...Object.entries(FLAG_KINDS).flatMap(([kind, row]) => [
        `### ${kind}`,
        `${row.says[0]!.toUpperCase()}${row.says.slice(1)}.`,
        ...row.notes,
        ['```yaml', yamlText([row.example]).trimEnd(), '```'].join('\n'),
        table(FIELDS, fieldRows(row.schema, {})),
      ]),
      '## OFREP',
      'The server for operators answers OFREP 0.3 under `/ofrep/v1`, with its tokens, as `Authorization: Bearer` or as `X-API-Key`; pages of `openfeature.origins` may ask too. Reasons are those of OFREP, which has none for a default or a stale value: both are UNKNOWN, the latter with `stale` in the metadata. The ETag is a hash of the whole answer, so it covers the context.',
      'The flag `route` is the routing decision for the `class` that the context names, and `route.<class>` the one of a class: `action`, `target`, `site`, `cluster`, `reason`, `policy`, `arm`, `retryAfterMs` and `because`, the variant being the target, else the action. Names of facts in the context are facts, `targetingKey` is the session, other values are facts of your own. Nothing is counted, kept or reserved: ask `POST /v1/decide` to send work.',
      'Rollouts are in the definitions: exposure by the hash of `tenant`, the arm by that of `targetingKey`. Whoever brings the same context gets the arm that requests through Envoy get, where `targetingKey` is the session key.',
      '## flagd.sync.v1',
      'With `openfeature.sync` every provider of flagd can follow, in process: it gets all definitions as they are in force, rollouts included, and again whenever they change. `flagSetId=…` or `source=…`, in the header `flagd-selector` or in the request, ask for some of them. Cohorts that documents define are not in a context by themselves: a provider that evaluates by itself gives them as `cohorts`, OFREP works them out.',
    ),
}

const commandParts = (program: Command, name = 'hubward'): string[] =>
  program.commands
    .filter((command) => command.name() !== 'help')
    .flatMap((command) => {
      const full = `${name} ${command.name()}`
      const options = command.options.map((option) => [
        `\`${option.flags}\``,
        option.description,
        option.defaultValue === undefined ? '' : option.defaultValue,
      ])
      return [
        `## ${full}`,
        `${command.description() || command.summary()}`,
        ...(command.registeredArguments.length === 0
          ? []
          : [
              `Arguments: ${command.registeredArguments.map((one) => `\`${one.name()}\` ${one.description}`).join('; ')}`,
            ]),
        ...(options.length === 0 ? [] : [table(['option', 'meaning', 'default'], options)]),
        ...commandParts(command, full),
      ]
    })
