import type { Writer } from './writer.ts'

/** Headers as name and value; a name may come more than once. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** HeaderValueOption.append_action OVERWRITE_IF_EXISTS_OR_ADD. */
const OVERWRITE = 2

/**
 * Writes a header to set as core.v3.HeaderValueOption. The value goes into one field alone, because ext_proc reads only
 * raw_value (3) and ext_authz only value (2), each taking the other as empty. The action is always said: what it means
 * to leave it out hangs on a deprecated field.
 */
export const writeHeaderOption = (
  writer: Writer,
  field: number,
  valueField: 2 | 3,
  name: string,
  value: string,
): void => {
  writer.message(field, () => {
    writer.message(1, () => writer.text(1, name).text(valueField, value))
    writer.varint(3, OVERWRITE)
  })
}
