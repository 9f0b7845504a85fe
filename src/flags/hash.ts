import { createHash } from 'node:crypto'
import type { FlagDefinition } from '../model/flag.ts'

/** `sha256:…` over a definition, the same for equal ones, however their fields are ordered. */
export const definitionHash = (definition: FlagDefinition): string =>
  `sha256:${createHash('sha256').update(canonical(definition)).digest('hex')}`

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.keys(value)
    .sort()
    .flatMap((name) => {
      const field = (value as Record<string, unknown>)[name]
      return field === undefined ? [] : [`${JSON.stringify(name)}:${canonical(field)}`]
    })
  return `{${fields.join(',')}}`
}
