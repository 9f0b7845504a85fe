import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PAGES } from '../src/cli/reference.ts'

/* `npm run docs` writes docs/reference anew; with the name of a page it prints that one. */

const folder = join(import.meta.dirname, '..', 'docs', 'reference')
const [name] = process.argv.slice(2)

if (name !== undefined) {
  const make = PAGES[name]
  if (make === undefined) throw new Error(`no page is called ${name}; there are ${Object.keys(PAGES).join(', ')}`)
  process.stdout.write(make())
} else {
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(folder)) if (!(file.replace(/\.md$/, '') in PAGES)) rmSync(join(folder, file))
  for (const [page, make] of Object.entries(PAGES)) writeFileSync(join(folder, `${page}.md`), make())
  console.log(`${Object.keys(PAGES).length} pages written to docs/reference`)
}
