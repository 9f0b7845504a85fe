/** What a JSON pointer (RFC 6901) leads to, or how far it led. */
export type Pointed =
  | { readonly found: true; readonly value: unknown }
  | {
      readonly found: false
      /** The pointer of the nearest parent that is there. */
      readonly parent: string
      /** What that parent is and has: `an object with a, b`, `a list of 3`, `a number`. */
      readonly has: string
    }

/** The value at a pointer: `/plant/loops/0/supply`; `~1` is a slash in a name and `~0` a tilde. Only own fields count. */
export function pointed(document: unknown, pointer: string): Pointed {
  let value = document
  let parent = ''
  for (const token of tokensOf(pointer)) {
    const isThere = Array.isArray(value)
      ? /^(0|[1-9][0-9]{0,8})$/.test(token) && Number(token) < value.length
      : typeof value === 'object' && value !== null && Object.hasOwn(value, token)
    if (!isThere) return { found: false, parent: parent === '' ? 'the whole' : parent, has: hasText(value) }
    value = (value as Readonly<Record<string, unknown>>)[token]
    parent = `${parent}/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`
  }
  return { found: true, value }
}

/** Is this a pointer: empty, or names that each follow a slash, with `~` only as `~0` or `~1`? */
export const isPointer = (text: string): boolean => /^(\/([^~/]|~[01])*)*$/.test(text)

const tokensOf = (pointer: string): string[] =>
  pointer === ''
    ? []
    : pointer
        .slice(1)
        .split('/')
        .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))

const NAMES_SHOWN = 12

const hasText = (value: unknown): string => {
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : `a ${typeof value}`
  const names = Object.keys(value)
  const shown = names.slice(0, NAMES_SHOWN).map((name) => name.slice(0, 40))
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : ''
  return names.length === 0 ? 'an empty object' : `an object with ${shown.join(', ')}${more}`
}
