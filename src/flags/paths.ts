import { splitPath } from 'json-logic-engine'

/**
 * A field of a value that is its own, or undefined. What values inherit is no data: `constructor` of a context that has
 * no such field is missing, as it is in every other language.
 */
export function ownField(value: unknown, name: string | number): unknown {
  if (value === null || value === undefined || !Object.hasOwn(value as object, name)) return undefined
  const field = (value as Record<string | number, unknown>)[name]
  return typeof field === 'function' ? undefined : field
}

/** The names that lead to a field: `user.name` is two, `user\.name` is one. */
export const pathOf = (written: string): readonly string[] => splitPath(written)
