import { poolOf, siteOf } from '../model/names.ts'
import { siteNamed, siteNames } from './names.ts'
import type { FieldPath } from './place.ts'
import type { DocumentProblemCode } from './problems.ts'
import { didYouMean, knownNames } from './suggest.ts'
import { isBroken, type Report, type View } from './view.ts'

/** Reports a name of a site or pool that nobody knows. */
export function checkEntry(
  view: View,
  entry: string,
  path: FieldPath,
  report: Report,
  code: DocumentProblemCode = 'policy/unknown-site',
): void {
  const name = siteOf(entry)
  const site = siteNamed(view, name)
  if (site === undefined) {
    if (isBroken(view, 'Site', name)) return
    const known = siteNames(view)
    const message = `no site is called "${name}"; ${knownNames(known)}${didYouMean(name, known)}`
    report(path, { code, message, remedy: 'add a Site document, or correct the name' })
    return
  }
  if (!entry.includes('/') || site.pools.some((pool) => pool.name === poolOf(entry))) return
  const pools = knownNames(site.pools.map((pool) => pool.name))
  const message = `the site ${name} has no pool "${poolOf(entry)}"; ${pools}`
  report(path, { code: 'policy/unknown-pool', message, remedy: 'add the pool to the site, or correct the name' })
}
