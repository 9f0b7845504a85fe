import type { KindSchema } from './envelope.ts'
import { listOf, object, ref, type Schema } from './parts.ts'

const model = object(
  {
    name: ref('modelName'),
    aliases: listOf(ref('modelName'), { description: 'further names it answers to' }),
    revision: { type: 'string', maxLength: 200, description: 'the artifact: a tag or digest' },
    maxContextTokens: { type: 'integer', minimum: 1, description: 'prompt and answer together; absent: not checked' },
    tools: { type: 'boolean', description: 'whether it can call tools; absent: not checked' },
  },
  { required: ['name'] },
)

const accelerators: Readonly<Record<string, Schema>> = {
  gpu: { type: 'string', minLength: 1, maxLength: 64, description: 'the GPU class: H100' },
  cooling: { type: 'string', minLength: 1, maxLength: 64, description: 'liquid, air, …' },
  cluster: ref('clusterName'),
  endpoints: listOf(
    {
      type: 'string',
      pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[^:\\s/]+):[0-9]{1,5}$',
      description: '`host:port`',
    },
    { description: 'where the pool listens; `hubward envoy` makes the cluster from it' },
  ),
  models: { type: 'array', items: model, description: 'what it serves' },
  capacity: { type: 'integer', minimum: 1, maximum: 1_000_000, description: 'requests it runs at once' },
}

/** A place where workloads can run. */
export const SITE: KindSchema = {
  kind: 'Site',
  says: 'A place where workloads can run. Without pools it has one, `default`, described here.',
  spec: object(
    {
      role: { enum: ['hub', 'edge', 'campus', 'cloud'], description: 'absent: hub' },
      place: object({
        metro: { type: 'string', maxLength: 100 },
        country: { type: 'string', maxLength: 64 },
        region: { type: 'string', maxLength: 64 },
        latitude: { type: 'number', minimum: -90, maximum: 90 },
        longitude: { type: 'number', minimum: -180, maximum: 180 },
      }),
      jurisdictions: listOf(ref('jurisdiction'), {
        minItems: 1,
        description: 'whose law it is under; a request fits if one of its own is among them',
      }),
      power: object({ budgetMw: { type: 'number', exclusiveMinimum: 0 } }),
      pools: {
        type: 'array',
        minItems: 1,
        items: object({ name: ref('name'), ...accelerators }, { required: ['name'] }),
      },
      ...accelerators,
      maintenance: {
        type: 'array',
        items: object(
          {
            from: ref('instant'),
            to: ref('instant'),
            pools: listOf(ref('name'), { minItems: 1, description: 'absent: the whole site' }),
            reason: { type: 'string', maxLength: 500 },
          },
          { required: ['from', 'to'] },
        ),
      },
    },
    { required: ['jurisdictions'] },
  ),
}
