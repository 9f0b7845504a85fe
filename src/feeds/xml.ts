/** An element: its name without the prefix, its own text, and the elements in it. */
export interface XmlElement {
  readonly name: string
  text: string
  readonly children: XmlElement[]
}

const DEPTH_MAX = 32
const TOKEN =
  /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([\w:.-]+)\s*>|<([\w:.-]+)(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>|([^<]+)/y

/**
 * Reads a whole XML text of elements and text. Attributes are passed over; a document type, an entity of its own, more than
 * 32 levels and whatever is not well-formed is refused. Throws SyntaxError with the place.
 */
export function readXml(text: string): XmlElement {
  const top: XmlElement = { name: '', text: '', children: [] }
  const open: XmlElement[] = [top]
  const token = new RegExp(TOKEN)
  token.lastIndex = text.charCodeAt(0) === 0xfeff ? 1 : 0
  const wrong = (what: string) => new SyntaxError(`${what} at character ${token.lastIndex}`)
  while (token.lastIndex < text.length) {
    const at = token.lastIndex
    const found = token.exec(text)
    if (found === null) {
      token.lastIndex = at
      throw wrong(text.startsWith('<!DOCTYPE', at) ? 'a document type is not read' : 'no XML')
    }
    const [, data, closed, opened, isEmpty, words] = found
    const inside = open.at(-1)!
    if (data !== undefined) inside.text += data
    else if (words !== undefined) inside.text += unescaped(words)
    else if (closed !== undefined) {
      if (open.length === 1 || localName(closed) !== inside.name) throw wrong(`</${closed}> closes nothing`)
      open.pop()
    } else if (opened !== undefined) {
      const element: XmlElement = { name: localName(opened), text: '', children: [] }
      inside.children.push(element)
      if (isEmpty === '') open.push(element)
      if (open.length > DEPTH_MAX) throw wrong(`more than ${DEPTH_MAX} levels`)
    }
  }
  const [root, ...more] = top.children
  if (open.length > 1) throw wrong(`<${open.at(-1)!.name}> is not closed`)
  if (root === undefined || more.length > 0 || top.text.trim() !== '') throw wrong('not one element')
  return root
}

/** The text of the first element of this name directly inside; undefined where there is none. */
export const childText = (element: XmlElement, name: string): string | undefined =>
  element.children.find((child) => child.name === name)?.text.trim()

const localName = (name: string): string => name.slice(name.indexOf(':') + 1)

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

const unescaped = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{1,8}));/g, (whole, decimal, hex, name) => {
    const code = decimal !== undefined ? Number(decimal) : hex !== undefined ? Number.parseInt(hex, 16) : undefined
    if (code !== undefined) return code <= 0x10_ff_ff ? String.fromCodePoint(code) : whole
    return Object.hasOwn(NAMED, name) ? NAMED[name]! : whole
  })
