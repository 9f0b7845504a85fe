import type { Site } from '../model/documents.ts'
import type { Programs } from './programs.ts'
import type { Scene } from './scene.ts'

const networks = new WeakMap<Programs, Map<number, readonly ReadonlySet<string>[]>>()

/**
 * The sites near to a client's network, by ASN: those that list it themselves, then those that share an exchange or a
 * meet-me room with one of them.
 */
const sitesTowards = (programs: Programs, asn: number): readonly ReadonlySet<string>[] => {
  let known = networks.get(programs)
  if (known === undefined) {
    known = new Map()
    networks.set(programs, known)
  }
  let found = known.get(asn)
  if (found === undefined) {
    const sites = [...programs.sites.values()].filter(({ network }) => network !== undefined)
    const direct = sites.filter(({ network }) => network!.asns?.includes(asn))
    const places = ({ network }: Site): string[] => [
      ...(network?.exchanges ?? []).map((one) => `exchange ${one}`),
      ...(network?.meetMeRooms ?? []).map((one) => `room ${one}`),
    ]
    const met = new Set(direct.flatMap(places))
    const near = sites.filter((site) => places(site).some((place) => met.has(place)))
    found = direct.length === 0 ? [] : [direct, near].map((of) => new Set(of.map(({ metadata }) => metadata.name)))
    // As many as the documents name; what clients bring beside those is one and the same answer.
    if (found.length > 0) known.set(asn, found)
  }
  return found
}

/** Between ranking and spread: of equals, those whose site's network reaches that of the client. */
export const towardsClient = (scene: Scene, equals: readonly number[]): readonly number[] => {
  const { facts, programs } = scene
  if (facts.asn === undefined || equals.length < 2) return equals
  for (const sites of sitesTowards(programs, facts.asn)) {
    const nearer = equals.filter((index) => sites.has(programs.targets[index]!.site))
    if (nearer.length > 0) return nearer
  }
  return equals
}

/** How a site's network reaches that of a client: it lists it, or it meets one that does; undefined: nobody says. */
export const networkTo = (programs: Programs, asn: number, site: string): 'reaches' | 'meets' | undefined => {
  const [direct, met] = sitesTowards(programs, asn)
  return direct?.has(site) ? 'reaches' : met?.has(site) ? 'meets' : undefined
}
