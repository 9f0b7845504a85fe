import { BAD_EVENTS, ROLLOUT_METRICS } from '../../model/rollout.ts'
import type { KindSchema } from './envelope.ts'
import { listOf, object, ref, type Schema } from './parts.ts'

const pct = (description: string, least = 0): Schema => ({ type: 'number', minimum: least, maximum: 100, description })
const variant = (description: string): Schema => ({ type: 'string', minLength: 1, maxLength: 100, description })
const words = (description: string): Schema => ({ type: 'string', minLength: 1, maxLength: 4000, description })

const metric: Schema = {
  type: 'string',
  pattern: `^(${Object.keys(ROLLOUT_METRICS).join('|').replaceAll('.', '\\.')}|outcome\\.[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?)$`,
  description: `one of ${Object.keys(ROLLOUT_METRICS).join(', ')}, or outcome.<name> for what is reported to POST /v1/outcomes`,
}

const limit: Readonly<Record<string, Schema>> = {
  site: {
    ...ref('targetRef'),
    description: "a site or one of its pools; absent: every target of the treatment's ladder",
  },
  signal: ref('signal'),
  max: { type: 'number', description: 'the largest value that is still good' },
  min: { type: 'number', description: 'the smallest value that is still good' },
}
const oneSide: Schema = { oneOf: [{ required: ['max'] }, { required: ['min'] }] }

const stage = object(
  {
    name: ref('name'),
    cohort: { ...ref('name'), description: 'only requests of this cohort; absent: of all that the policies allow' },
    sharePct: pct("the treatment's share of those that take part; absent: 50 for a stage with a cohort", 0.01),
    tenantsPct: pct('the share of tenants that take part, by their hash; absent: 100', 0.01),
    bake: { ...ref('duration'), description: 'how long it is looked at at least before the next stage' },
  },
  { required: ['name', 'bake'], description: 'one step of exposure' },
)

const criterion = object(
  {
    metric,
    improveBy: {
      type: 'number',
      minimum: 0,
      description: "better by so much at least, in the metric's unit; 0: at all",
    },
    worseByAtMost: { type: 'number', minimum: 0, description: "worse by so much at most, in the metric's unit" },
  },
  {
    required: ['metric'],
    anyOf: [{ required: ['improveBy'] }, { required: ['worseByAtMost'] }],
    description: 'a metric with improveBy, worseByAtMost, or both',
  },
)

/** A staged exposure of a policy version, and what it is judged by. */
export const ROLLOUT: KindSchema = {
  kind: 'Rollout',
  says: 'A staged exposure of a policy version or an overlay: the flag that it drives, its stages, what it is judged by, who answers for it and how it is taken back.',
  spec: object(
    {
      flag: {
        type: 'string',
        minLength: 1,
        maxLength: 200,
        description: 'the flag that it drives, of the layer rollout',
      },
      class: ref('name'),
      policy: {
        type: 'string',
        pattern: '^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?@[0-9]{1,9}$',
        description:
          'the version that the treatment names: name@version; nobody has it by default before the rollout is finished; absent: the treatment is an overlay',
      },
      variants: object(
        { control: variant('absent: control'), treatment: variant('absent: treatment') },
        { description: "the flag's variants for the two arms" },
      ),
      unit: {
        enum: ['request', 'job'],
        description:
          'what is counted; job: a job counts once its success is reported as the outcome job-success; absent: request',
      },
      stages: {
        type: 'array',
        minItems: 1,
        maxItems: 20,
        items: stage,
        description: 'in this order; only the last may be 100 %',
      },
      success: { type: 'array', minItems: 1, maxItems: 16, items: criterion, description: 'what it has to show' },
      guardrails: {
        type: 'array',
        maxItems: BAD_EVENTS.length,
        items: object(
          {
            event: { enum: [...BAD_EVENTS], description: 'a bad event' },
            ratioMax: {
              type: 'number',
              exclusiveMinimum: 1,
              maximum: 100,
              description: 'so many times as frequent as in the control may it be at most; absent: 1.5',
            },
            differenceMax: {
              type: 'number',
              exclusiveMinimum: 0,
              maximum: 1,
              description:
                'or so much more of a share at most, 0.005 for half a point: for events too rare for a ratio; absent: 0.005, none for slower-than events',
            },
          },
          { required: ['event'] },
        ),
        description: 'error, timeout and refused are always among them, and job-failed for jobs',
      },
      siteLimits: {
        type: 'array',
        maxItems: 16,
        items: object(
          {
            ...limit,
            action: { enum: ['hold', 'narrow', 'rollback'], description: 'what crossing it does; absent: hold' },
          },
          { required: ['signal'], ...oneSide, description: '{ site, signal, max or min, action }' },
        ),
        description: 'limits on sites while it runs, whatever the arm',
      },
      narrowWhen: object(limit, {
        required: ['signal'],
        ...oneSide,
        description: 'the pressure under which the share is halved: { site, signal, max or min }',
      }),
      business: {
        type: 'array',
        maxItems: 8,
        items: object(
          { outcome: ref('name'), improve: { enum: ['higher', 'lower'], description: 'which way is better' } },
          { required: ['outcome', 'improve'] },
        ),
        description: 'what the business hopes for, by names that are reported to POST /v1/outcomes',
      },
      freezeWindows: {
        type: 'array',
        maxItems: 64,
        items: object(
          { from: ref('instant'), to: ref('instant'), reason: words('why') },
          { required: ['from', 'to', 'reason'] },
        ),
        description: 'times in which no stage begins; a rollback is never stopped',
      },
      alpha: {
        type: 'number',
        minimum: 0.0001,
        maximum: 0.2,
        description: 'the chance of a false rollback that is accepted, over the whole of it; absent: 0.05',
      },
      unitsMin: {
        type: 'integer',
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'the fewest units of each arm before a stage may pass; absent: 100, 20 for jobs',
      },
      endAfter: {
        ...ref('duration'),
        description: 'ends as no-effect if success is not shown by then; absent: it goes on',
      },
      promotion: {
        enum: ['judge', 'human'],
        description: 'human: each stage waits for a person to promote it; absent: judge',
      },
      differingArtifacts: {
        type: 'boolean',
        description: 'true: the arms may be served by different artifacts of a model; otherwise that holds it',
      },
      rollback: object(
        {
          plan: words('what is done if it has to be taken back by hand'),
          owner: words('who does it: the address of a role'),
        },
        { required: ['plan', 'owner'] },
      ),
      escalation: listOf(words('the address of a role'), {
        minItems: 1,
        maxItems: 16,
        description: 'whom to call, in this order',
      }),
      dashboard: { type: 'string', pattern: '^https?://[^ ]+$', maxLength: 2000, description: 'a link: https://…' },
    },
    { required: ['flag', 'class', 'stages', 'success', 'rollback', 'escalation', 'dashboard'] },
  ),
}
