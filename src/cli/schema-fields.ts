/** A JSON Schema as plain data. */
type Schema = Readonly<Record<string, unknown>>

/** A field of a schema: its path, type, default and meaning, as cells of a table. */
type FieldRow = readonly [path: string, type: string, absent: string, says: string]

/** How deep fields of fields are listed. */
const DEPTH_MAX = 8

/** The fields of an object's schema, those of inner objects and lists below it by path, `pools[].models[].name`. */
export const fieldRows = (schema: Schema, defs: Readonly<Record<string, Schema>>, path = '', depth = 0): FieldRow[] => {
  const here = resolved(schema, defs)
  const required = new Set((here.required as readonly string[] | undefined) ?? [])
  return Object.entries((here.properties as Readonly<Record<string, Schema>> | undefined) ?? {}).flatMap(
    ([name, raw]) => {
      const field = resolved(raw, defs)
      const own = `${path}${name}`
      const absent = required.has(name)
        ? 'required'
        : field.default === undefined
          ? ''
          : `\`${JSON.stringify(field.default)}\``
      const row: FieldRow = [
        `\`${own}\``,
        typeOf(raw, defs),
        absent,
        String(raw.description ?? field.description ?? ''),
      ]
      return depth >= DEPTH_MAX ? [row] : [row, ...below(raw, defs, own, depth)]
    },
  )
}

const below = (raw: Schema, defs: Readonly<Record<string, Schema>>, path: string, depth: number): FieldRow[] => {
  // A shared part is described once, at the end of the page.
  if (raw.$ref !== undefined) return []
  const items = raw.items as Schema | undefined
  if (items !== undefined)
    return items.$ref === undefined
      ? [
          ...fieldRows(items, defs, `${path}[].`, depth + 1),
          ...below({ items: items.items }, defs, `${path}[]`, depth + 1),
        ]
      : []
  const more = raw.additionalProperties
  const byName =
    typeof more === 'object' && more !== null ? fieldRows(more as Schema, defs, `${path}.*.`, depth + 1) : []
  const alternatives = ((raw.anyOf ?? raw.oneOf) as readonly Schema[] | undefined) ?? []
  const ofAlternatives = alternatives.flatMap((one) =>
    one.properties === undefined && one.items === undefined
      ? []
      : [...fieldRows(one, defs, `${path}.`, depth + 1), ...below({ items: one.items }, defs, path, depth + 1)],
  )
  return [...fieldRows(raw, defs, `${path}.`, depth + 1), ...byName, ...unique(ofAlternatives)]
}

const unique = (rows: readonly FieldRow[]): FieldRow[] => [...new Map(rows.map((row) => [row[0], row])).values()]

const resolved = (schema: Schema, defs: Readonly<Record<string, Schema>>): Schema => {
  const name = /^#\/\$defs\/(.+)$/.exec(String(schema.$ref ?? ''))?.[1]
  return name === undefined ? schema : { ...defs[name], ...schema }
}

const typeOf = (raw: Schema, defs: Readonly<Record<string, Schema>>): string => {
  const name = /^#\/\$defs\/(.+)$/.exec(String(raw.$ref ?? ''))?.[1]
  if (name !== undefined) return name
  if (raw.enum !== undefined)
    return (raw.enum as readonly unknown[]).length > 12
      ? 'one of a table'
      : (raw.enum as readonly unknown[]).map((one) => `\`${one}\``).join(', ')
  if (raw.const !== undefined) return `\`${raw.const}\``
  if (raw.items !== undefined) return `list of ${typeOf(raw.items as Schema, defs)}`
  const alternatives = (raw.anyOf ?? raw.oneOf) as readonly Schema[] | undefined
  if (raw.type === undefined && alternatives !== undefined)
    return [...new Set(alternatives.map((one) => typeOf(one, defs)))].join(' or ')
  return Array.isArray(raw.type) ? raw.type.join(' or ') : String(raw.type ?? 'anything')
}
