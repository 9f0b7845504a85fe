import { createHash } from 'node:crypto'

/** JSON with the keys of every object in order, so that equal content has one text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`
}

/** `sha256:…` over a text. */
export const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`

/** `sha256:…` over a value's canonical JSON. */
export const contentHash = (value: unknown): string => sha256(canonicalJson(value))
