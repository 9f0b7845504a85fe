import type { KindSchema } from './envelope.ts'
import { DEFS, listOf, object, ref, type Schema } from './parts.ts'

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
  gpus: { type: 'integer', minimum: 1, maximum: 10_000_000, description: 'accelerators in it' },
  capacity: { type: 'integer', minimum: 1, maximum: 1_000_000, description: 'requests it runs at once' },
}

const celsius = (description: string): Schema => ({ type: 'number', minimum: -60, maximum: 150, description })

const loop = object(
  {
    name: ref('name'),
    pools: listOf(ref('name'), { minItems: 1, description: 'the pools on it; absent: all' }),
    capacityKw: { type: 'number', exclusiveMinimum: 0, maximum: 1_000_000, description: 'heat it can take away' },
    ratedFlowLpm: { type: 'number', exclusiveMinimum: 0, maximum: 1_000_000, description: 'its flow when all is well' },
    minFlowLpm: {
      type: 'number',
      minimum: 0,
      maximum: 1_000_000,
      description: 'the flow below which nothing is cooled; absent: half the rated',
    },
    supplyLimitC: celsius('the supply temperature past which there is no margin'),
    designSupplyC: celsius('the supply temperature at which all of the margin is there'),
  },
  { required: ['name'] },
)

const derating = object(
  {
    designPue: { type: 'number', minimum: 1, maximum: 10, description: 'total energy by energy of the servers' },
    designCop: { type: 'number', exclusiveMinimum: 0, maximum: 100, description: 'heat taken away by energy spent' },
    designAmbientC: celsius('the outside temperature up to which nothing is lost'),
    ambientPctPerC: {
      type: 'number',
      minimum: 0,
      maximum: 100,
      description: 'what each degree above it takes, in percent of capacity; absent: 1',
    },
  },
  { description: 'what the plant was designed for; measured against it, power and cooling shrink' },
)

const operations = object(
  {
    owner: { type: 'string', minLength: 1, maxLength: 254, description: "who runs it; absent: the document's owner" },
    runbook: { type: 'string', minLength: 1, maxLength: 2000, description: 'by which book: a link' },
    lastGameDay: { ...DEFS.day, description: 'when that was last practised' },
  },
  { description: 'the procedures that readiness asks for' },
)

const word = (description: string): Schema => ({ type: 'string', minLength: 1, maxLength: 200, description })

const network = object(
  {
    asns: listOf(
      { type: 'integer', minimum: 1, maximum: 4_294_967_295, description: 'the number of an autonomous system' },
      { description: 'networks it is in or next to; they break ties towards the ASN of the client' },
    ),
    exchanges: listOf(word('an internet exchange')),
    meetMeRooms: listOf(word('a room in which networks meet')),
  },
  { description: 'how it is connected' },
)

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
      power: object({
        budgetMw: {
          type: 'number',
          exclusiveMinimum: 0,
          maximum: 10_000,
          description: 'the most it may draw; headroom is what is left of it',
        },
      }),
      loops: { type: 'array', minItems: 1, items: loop, description: 'coolant loops; absent: none are told apart' },
      derating,
      operations,
      holds: {
        type: 'array',
        description: 'data and services that are here',
        items: object(
          { name: ref('dataName'), freshSince: { ...DEFS.day, description: 'since when it is what it should be' } },
          { required: ['name'] },
        ),
      },
      network,
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
            pools: listOf(ref('name'), { minItems: 1, description: 'absent, and no loops: the whole site' }),
            loops: listOf(ref('name'), { minItems: 1, description: 'coolant loops: the pools on them' }),
            reason: { type: 'string', maxLength: 500 },
          },
          { required: ['from', 'to'] },
        ),
      },
    },
    { required: ['jurisdictions'] },
  ),
}
