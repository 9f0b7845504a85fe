/** What docs/architecture.md says about the code. */
export interface Architecture {
  /** By folder of src (or file, without its ending): what it may import from ours, and what it may use. */
  readonly rows: ReadonlyMap<
    string,
    { readonly ours: (unit: string) => boolean; readonly uses: readonly string[] | null }
  >
  /** The folders that the tree marks as pure. */
  readonly pure: readonly string[]
  /** Files of pure folders that may touch the outside, from src. */
  readonly impure: readonly string[]
}

const words = (cell: string): string[] =>
  cell
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')

const oursOf = (cell: string): ((unit: string) => boolean) => {
  const but = /^all but (.+)$/.exec(cell)
  if (but !== null) return (unit) => !words(but[1]!).includes(unit)
  const list = cell === 'nothing' ? [] : words(cell)
  return (unit) => list.includes(unit)
}

/** Reads the table of imports, the pure folders and their exceptions out of the document; throws if it finds no table. */
export const readArchitecture = (text: string): Architecture => {
  const section = text.split(/^## /m).find((part) => part.startsWith('Who may import whom'))
  const lines = section?.split('\n').filter((line) => line.startsWith('|')) ?? []
  if (section === undefined || lines.length < 3) throw new Error('docs/architecture.md has no table of imports')
  const rows: [string, { ours: (unit: string) => boolean; uses: string[] | null }][] = []
  for (const line of lines.slice(2)) {
    const [folders = '', ours = '', uses = ''] = line
      .slice(1)
      .split('|')
      .map((cell) => cell.trim())
    for (const folder of words(folders))
      rows.push([folder, { ours: oursOf(ours), uses: uses === '' ? null : uses === 'nothing' ? [] : words(uses) }])
  }
  const pure = [...text.matchAll(/^ {2}(\w+)\/ .*\[pure\]/gm)].map((match) => match[1]!)
  if (pure.length === 0) throw new Error('docs/architecture.md marks no folder as [pure]')
  const exceptions = /pure folders contain no[\s\S]*?\n\n/.exec(`${section}\n\n`)?.[0] ?? ''
  const impure = [...exceptions.matchAll(/`([\w/-]+\.ts)`/g)].map((match) => match[1]!)
  return { rows: new Map(rows), pure, impure }
}
