import { RESIDENCY_CLASS, WORKLOAD_CLASS } from './classes.ts'
import { COHORT } from './cohort.ts'
import { envelope, fileName, type KindSchema } from './envelope.ts'
import { FACT_SOURCES } from './fact-sources.ts'
import { DEFS, type Schema } from './parts.ts'
import { POLICY, POLICY_TEST } from './policy.ts'
import { READINESS } from './readiness.ts'
import { ROLLOUT } from './rollout.ts'
import { SITE } from './site.ts'

/** Every kind of document. To add one, add its schema here and its reader in read-kinds.ts. */
export const KINDS = {
  Site: SITE,
  ResidencyClass: RESIDENCY_CLASS,
  WorkloadClass: WORKLOAD_CLASS,
  Policy: POLICY,
  Readiness: READINESS,
  Cohort: COHORT,
  Rollout: ROLLOUT,
  PolicyTest: POLICY_TEST,
  FactSources: FACT_SOURCES,
} as const satisfies Record<string, KindSchema>

/** The name of a kind of document. */
export type Kind = keyof typeof KINDS

/** The JSON Schema of each kind. */
export const SCHEMAS: Readonly<Record<Kind, Schema>> = Object.fromEntries(
  Object.entries(KINDS).map(([kind, schema]) => [kind, envelope(schema)]),
) as Record<Kind, Schema>

/** The schema files as they are shipped: one for each kind, and hubward.schema.json, which takes any of them. */
export function schemaFiles(): { readonly path: string; readonly text: string }[] {
  const text = (schema: Schema) => `${JSON.stringify(schema, null, 2)}\n`
  // Everything is inside one file: an editor that met a reference to another would look for it on the network.
  const any: Schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'hubward document',
    type: 'object',
    required: ['kind'],
    properties: { kind: { enum: Object.keys(KINDS) } },
    oneOf: Object.keys(KINDS).map((kind) => ({ $ref: `#/$defs/${kind}` })),
    $defs: { ...DEFS, ...Object.fromEntries(Object.entries(SCHEMAS).map(([kind, schema]) => [kind, inner(schema)])) },
  }
  return [
    ...Object.entries(SCHEMAS).map(([kind, schema]) => ({ path: fileName(kind), text: text(schema) })),
    { path: 'hubward.schema.json', text: text(any) },
  ]
}

/** A kind's schema without what only the root of a file has. */
function inner({ $schema: _schema, $id: _id, $defs: _defs, ...schema }: Schema): Schema {
  return schema
}
