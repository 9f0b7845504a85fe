import type { KindSchema } from './envelope.ts'
import { listOf, object, ref } from './parts.ts'

/** The places that a fact can be read from, and the fields that each of them understands. */
export const FACT_ORIGINS = {
  header: { required: ['name'], optional: ['trusted', 'allow', 'value'] },
  query: { required: ['name'], optional: ['allow', 'value'] },
  path: { required: ['prefix', 'value'], optional: [] },
  method: { required: [], optional: ['name', 'value', 'allow'] },
  jwt: { required: ['name'], optional: ['allow', 'value'] },
  attribute: { required: ['name'], optional: ['allow', 'value'] },
  context: { required: ['name'], optional: ['allow', 'value'] },
  body: { required: ['name'], optional: ['trusted', 'allow', 'value'] },
  geo: { required: ['name'], optional: ['allow', 'value'] },
  network: { required: ['cidrs', 'value'], optional: [] },
  value: { required: ['value'], optional: [] },
} as const satisfies Record<string, { required: readonly string[]; optional: readonly string[] }>

const source = object(
  {
    from: { enum: Object.keys(FACT_ORIGINS), description: 'where it is read' },
    name: {
      type: 'string',
      minLength: 1,
      maxLength: 200,
      description: 'the header, parameter, claim (dots descend), attribute, body field, or country, region or asn',
    },
    prefix: { type: 'string', pattern: '^/', maxLength: 500, description: 'path: the beginning that has to match' },
    value: {
      type: 'string',
      maxLength: 200,
      description: 'what the source then gives; with allow: what any of the allowed values is read as',
    },
    trusted: {
      type: 'boolean',
      description:
        'header: Envoy or a proxy before it sets it, a client cannot; body: whoever runs the work goes by the same field',
    },
    allow: listOf({ type: 'string' }, { minItems: 1, description: 'any other value is ignored' }),
    cidrs: listOf(
      { type: 'string', pattern: '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$', description: 'a CIDR block: 10.0.0.0/8' },
      { minItems: 1 },
    ),
  },
  { required: ['from'] },
)

const sources = { type: 'array', minItems: 1, items: source, description: 'the first that gives a value wins' }

/** Where facts come from, and whom to believe. */
export const FACT_SOURCES: KindSchema = {
  kind: 'FactSources',
  says: 'Where each fact of a request comes from, and whom to believe.',
  spec: object(
    {
      trustedHops: {
        type: 'integer',
        minimum: 0,
        maximum: 32,
        description: "proxies before this Envoy that are believed in X-Forwarded-For; absent: 0, the peer's address",
      },
      trustedPeers: listOf(
        { type: 'string', pattern: '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$', description: 'a CIDR block: 10.0.0.0/8' },
        { description: 'peers whose trusted headers are believed; absent: any peer' },
      ),
      facts: {
        type: 'object',
        description:
          'class, model, tenant, tier, region, country, sessionKey, deadline, promptTokens, tools, or a name of your own',
        propertyNames: { pattern: '^[A-Za-z][A-Za-z0-9_]{0,63}$', description: 'letters, digits and underscores' },
        additionalProperties: sources,
      },
      residency: { ...sources, minItems: 0, description: 'each that gives something narrows the set' },
      tenantResidency: {
        type: 'object',
        description: 'the residency class of a tenant whose request names none',
        additionalProperties: ref('name'),
      },
      jobs: {
        type: 'array',
        description:
          'paths under which work is sent; below one, /v1/batches/b-1, a request is about work sent before and goes where its session says (policies with session: sticky)',
        items: object(
          { prefix: { type: 'string', pattern: '^/.', maxLength: 500, description: 'the path: /v1/batches' } },
          { required: ['prefix'] },
        ),
      },
      bodyBytesMax: {
        type: 'integer',
        minimum: 0,
        maximum: 16_777_216,
        description: 'the largest body that is read where a route opts in; absent: 1048576',
      },
    },
    { required: ['facts'] },
  ),
}
