import { API_VERSION, DEFS, object, ref, type Schema } from './parts.ts'

/** What `metadata` may hold for every kind. */
export const METADATA: Readonly<Record<string, Schema>> = {
  name: ref('name'),
  owner: { type: 'string', minLength: 1, maxLength: 254, description: 'who answers for it: the address of a role' },
  description: { type: 'string', maxLength: 4000, description: 'for people; nothing reads it' },
  labels: {
    type: 'object',
    description: 'names and values of your own',
    additionalProperties: { type: 'string', maxLength: 254 },
  },
}

/** What a kind adds to the envelope. */
export interface KindSchema {
  readonly kind: string
  readonly says: string
  readonly spec: Schema
  /** More fields of metadata, and which of all of them must be there. */
  readonly metadata?: Readonly<Record<string, Schema>>
  readonly metadataRequired?: readonly string[]
}

/** The whole schema of one kind: apiVersion, kind, metadata and spec. */
export function envelope(kind: KindSchema): Schema {
  const schema = object(
    {
      $schema: { type: 'string', description: 'for editors' },
      apiVersion: { const: API_VERSION },
      kind: { const: kind.kind },
      metadata: object({ ...METADATA, ...kind.metadata }, { required: kind.metadataRequired ?? ['name'] }),
      spec: kind.spec,
    },
    { required: ['apiVersion', 'kind', 'metadata', 'spec'] },
  )
  const used = usedDefs(schema)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `https://hubward.dev/schemas/${fileName(kind.kind)}`,
    title: kind.kind,
    description: kind.says,
    ...schema,
    $defs: Object.fromEntries(Object.entries(DEFS).filter(([name]) => used.has(name))),
  }
}

/** The file that a kind's schema is written to: `workload-class.schema.json`. */
export const fileName = (kind: string): string => `${kind.replace(/[a-z](?=[A-Z])/g, '$&-').toLowerCase()}.schema.json`

/** The names under `$defs` that a schema reaches, also through one another. */
function usedDefs(schema: Schema, found: Set<string> = new Set()): Set<string> {
  for (const [, name] of JSON.stringify(schema).matchAll(/#\/\$defs\/([A-Za-z]+)/g)) {
    if (name === undefined || found.has(name)) continue
    found.add(name)
    usedDefs(DEFS[name as keyof typeof DEFS], found)
  }
  return found
}
