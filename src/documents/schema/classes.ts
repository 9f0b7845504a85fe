import type { KindSchema } from './envelope.ts'
import { DEFS, listOf, object, ref } from './parts.ts'

/** A named set of jurisdictions, and its default. */
export const RESIDENCY_CLASS: KindSchema = {
  kind: 'ResidencyClass',
  says: 'A named set of jurisdictions that requests may be bound to, and where they go when hubward does not answer.',
  spec: object(
    {
      allows: listOf(ref('jurisdiction'), { minItems: 1, description: 'any of these will do' }),
      default: object(
        { sites: listOf(ref('name'), { minItems: 1, description: 'in this order' }) },
        { required: ['sites'], description: 'absent: nothing serves this class without hubward' },
      ),
    },
    { required: ['allows'] },
  ),
}

/** A promise in percent. All of it would leave no budget to burn. */
const percentage = (description: string) => ({ type: 'number', exclusiveMinimum: 0, maximum: 99.9999, description })

/** A kind of AI work, and what it can bear. */
export const WORKLOAD_CLASS: KindSchema = {
  kind: 'WorkloadClass',
  says: 'A kind of AI work, and what it can bear.',
  spec: object(
    {
      critical: { type: 'boolean', description: 'true: sessions stay on a pool that is red for safety' },
      flexibility: { enum: ['inflexible', 'movable', 'delayable', 'pausable'], description: 'absent: inflexible' },
      whenHubwardIsDown: {
        enum: ['default', 'refuse'],
        description: "default: on to the residency class's default, for interactive work; refuse: 503, for jobs",
      },
      freshness: {
        type: 'object',
        description: 'how old a signal may be; `default` is for signals that have no limit of their own',
        properties: { default: ref('duration') },
        propertyNames: { anyOf: [{ const: 'default' }, ref('signal')] },
        additionalProperties: ref('duration'),
      },
      whenStale: {
        ...DEFS.whenStale,
        properties: {
          ...(DEFS.whenStale as unknown as { properties: object }).properties,
          alert: { type: 'boolean' },
        },
        description: 'what is done when every pool left has a stale required signal; absent: lowest-risk',
      },
      panic: { enum: ['last-good', 'deny'], description: 'when all is down on our own evidence; absent: last-good' },
      delayTolerance: ref('duration'),
      reservationLife: {
        ...ref('duration'),
        description:
          'how long an admitted job holds what it declares without a word; absent: as the configuration says',
      },
      usualHours: {
        type: 'number',
        exclusiveMinimum: 0,
        maximum: 100_000,
        description:
          'how many hours its work usually takes, where a job does not say; `hubward gaps` counts energy by it',
      },
      near: listOf(ref('dataName'), {
        minItems: 1,
        description: 'data and services that its work needs near, as sites name them under holds',
      }),
      slo: object(
        {
          objectivePct: percentage('the share of requests that ends well and in time'),
          ttft: { ...ref('duration'), description: 'in time: the first token within this; absent: any time' },
          response: { ...ref('duration'), description: 'in time: the whole answer within this; absent: any time' },
          window: { ...ref('duration'), description: 'the window of the error budget; absent: 30d' },
          locality: object(
            {
              objectivePct: percentage('the share that the first choice serves within its budget'),
              budget: { ...ref('duration'), description: 'to the first token, at the first choice' },
            },
            {
              required: ['objectivePct', 'budget'],
              description: 'how much should be served near; absent: not promised',
            },
          ),
        },
        { required: ['objectivePct'], description: 'what its users are promised; absent: nothing' },
      ),
      session: object({ life: ref('duration') }, { description: 'how long a session stays at most; absent: 30m' }),
    },
    { required: ['whenHubwardIsDown'] },
  ),
}
