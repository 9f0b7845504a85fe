import type { KindSchema } from './envelope.ts'
import { DEFS, listOf, object, oneOrMore, ref } from './parts.ts'

const band = {
  ...DEFS.band,
  properties: {
    ...(DEFS.band as unknown as { properties: object }).properties,
    max: { type: 'number', description: 'the step holds up to here' },
    min: { type: 'number', description: 'the step holds from here on' },
    resume: { type: 'number', description: 'where it holds again after it was left; absent: 10 % inside' },
    estimated: { type: 'boolean', description: 'true: the bound is a guess; validate lists it' },
  },
}

const word = { type: 'string', minLength: 1, maxLength: 64 } as const

/** A versioned document for one class. */
export const POLICY: KindSchema = {
  kind: 'Policy',
  says: 'For one class of work: requirements, tiers, ranking, and what to do when nothing fits.',
  metadata: {
    version: { type: 'integer', minimum: 1, description: 'counts up with each change of the content' },
    reviewBy: ref('date'),
  },
  metadataRequired: ['name', 'version'],
  spec: object(
    {
      class: ref('name'),
      when: { type: 'string', minLength: 1, maxLength: 4000, description: "CEL over the request's facts" },
      priority: { type: 'integer', minimum: -1_000_000, maximum: 1_000_000, description: 'highest first; absent: 0' },
      residency: {
        enum: ['required', 'unrestricted'],
        description: 'unrestricted: a request that names no residency may go anywhere; absent: required',
      },
      require: object({
        attributes: object({
          gpu: oneOrMore(word, 'one GPU class, or a list of them'),
          cooling: oneOrMore(word, 'one kind of cooling, or a list of them'),
        }),
        signals: { type: 'object', propertyNames: ref('signal'), additionalProperties: ref('threshold') },
        readiness: {
          enum: ['green', 'amber'],
          description: 'the worst readiness that will do; absent: what the Readiness documents admit',
        },
      }),
      bands: {
        type: 'object',
        description: 'an action by the value of a signal, first step that holds',
        propertyNames: ref('signal'),
        additionalProperties: { type: 'array', minItems: 1, items: band },
      },
      rank: {
        type: 'array',
        description: 'what decides between targets of one tier; those within a tolerance tie, and the next one decides',
        items: object(
          {
            signal: ref('signal'),
            prefer: { enum: ['lower', 'higher'] },
            within: { type: 'number', minimum: 0, description: "tolerance in the signal's unit" },
            withinPct: { type: 'number', minimum: 0, maximum: 100, description: 'tolerance in percent of the best' },
          },
          { required: ['signal', 'prefer'] },
        ),
      },
      ladder: {
        description: 'tiers, [[ams], [fra, lon]], or { nearest: 3 }; absent: all targets in one tier',
        type: ['array', 'object'],
        minItems: 1,
        items: { type: 'array', minItems: 1, items: ref('targetRef'), description: 'a tier, which is a list: [ams]' },
        properties: { nearest: { type: 'integer', minimum: 1, maximum: 100 } },
        additionalProperties: false,
        required: ['nearest'],
      },
      keepRoom: {
        type: 'array',
        description: 'room kept for some tiers: other requests go on before the site is full',
        items: object(
          {
            site: ref('targetRef'),
            pct: { type: 'number', exclusiveMinimum: 0, maximum: 100, description: 'the share of its capacity' },
            tiers: listOf(word, { minItems: 1, description: 'values of the fact tier: premium' }),
          },
          { required: ['site', 'pct', 'tiers'] },
        ),
      },
      session: { enum: ['sticky', 'none'], description: 'absent: none' },
      timers: object({
        stableFor: ref('duration'),
        dwell: ref('duration'),
        failBack: ref('duration'),
        cooldown: ref('duration'),
      }),
      degraded: object(
        {
          site: ref('targetRef'),
          model: ref('modelName'),
          rewriteBody: {
            type: 'boolean',
            description: 'true: the model in the body is rewritten; absent: the target answers to an alias',
          },
        },
        { required: ['site', 'model'] },
      ),
      experiments: object(
        {
          cohorts: listOf(ref('cohortRef'), { minItems: 1 }),
        },
        { required: ['cohorts'], description: 'the cohorts that rollouts may take in; absent: nobody' },
      ),
      tenantOverrides: {
        type: 'object',
        description:
          'by tenant, the policy that holds for it instead of this one; such tenants take part in no rollout',
        maxProperties: 1000,
        propertyNames: { type: 'string', minLength: 1, maxLength: 128 },
        additionalProperties: ref('policyRef'),
      },
      otherwise: {
        type: 'array',
        minItems: 1,
        items: ref('action'),
        description:
          'what is done when nothing fits, in this order; absent: degrade where `degraded` is given, then deny',
      },
    },
    { required: ['class'] },
  ),
}

/** Cases that a policy set has to pass. */
export const POLICY_TEST: KindSchema = {
  kind: 'PolicyTest',
  says: 'Cases: given sites and samples, when a request comes, then this is decided.',
  spec: object(
    {
      given: { type: 'object', description: 'what holds for all cases; a case adds to it' },
      cases: {
        type: 'array',
        minItems: 1,
        items: object(
          {
            title: { type: 'string', minLength: 1, maxLength: 300 },
            given: { type: 'object' },
            when: { type: 'object' },
            // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
            then: { type: 'object' },
            steps: {
              type: 'array',
              minItems: 1,
              items: object({
                after: ref('duration'),
                given: { type: 'object' },
                when: { type: 'object' },
                // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
                then: { type: 'object' },
              }),
            },
          },
          { required: ['title'] },
        ),
      },
    },
    { required: ['cases'] },
  ),
}
