import { cidrTrie } from '../math/cidr-trie.ts'
import type { FactSources } from '../model/documents.ts'
import type { PeerCheck, TrustedSource } from './fact-reader.ts'
import type { GeoAnswer } from './geo.ts'
import type { ReadingRules } from './reading.ts'
import { TOKEN_FIELDS } from './tokens.ts'

/** All FactSources documents as one. */
export interface MergedSources {
  readonly sourcesOf: (fact: string) => readonly TrustedSource[]
  /** Facts that some document gives. */
  readonly names: readonly string[]
  readonly residency: readonly TrustedSource[]
  readonly tenantResidency: Readonly<Record<string, string>>
  /** Paths under which work is sent. */
  readonly jobs: readonly string[]
  readonly rules: ReadingRules
}

/** The largest body that is read where no document says: 1 MiB, Envoy's own buffer limit. */
const BODY_BYTES_MAX = 1_048_576

/**
 * Several documents as one, in the order of their names: their lists follow each other, of the numbers the largest holds,
 * because one that is not written is the smallest. Each document's trusted peers are those of its own headers.
 */
export function mergedSources(
  documents: readonly FactSources[],
  geo: ((address: string) => GeoAnswer) | undefined,
): MergedSources {
  const sorted = documents.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const facts = new Map<string, TrustedSource[]>()
  const residency: TrustedSource[] = []
  const tenants = new Map<string, string>()
  const forwarders: PeerCheck[] = []
  const fields = new Set<string>(TOKEN_FIELDS)
  for (const document of sorted) {
    const isTrustedPeer = peerCheck(document.trustedPeers)
    if (document.trustedHops > 0) forwarders.push(isTrustedPeer)
    for (const [fact, sources] of Object.entries(document.facts)) {
      const list = facts.get(fact) ?? []
      facts.set(fact, list)
      for (const source of sources) list.push({ source, isTrustedPeer })
    }
    for (const source of document.residency) residency.push({ source, isTrustedPeer })
    for (const [tenant, name] of Object.entries(document.tenantResidency)) {
      if (!tenants.has(tenant)) tenants.set(tenant, name)
    }
  }
  for (const list of facts.values()) {
    for (const { source } of list) if (source.from === 'body' && source.name !== undefined) fields.add(source.name)
  }
  return {
    sourcesOf: (fact) => facts.get(fact) ?? [],
    names: [...facts.keys()],
    residency,
    tenantResidency: Object.fromEntries(tenants),
    jobs: sorted.flatMap(({ jobs }) => jobs ?? []).map(({ prefix }) => prefix),
    rules: {
      trustedHops: Math.max(0, ...sorted.map((document) => document.trustedHops)),
      isTrustedPeer: (peer) => forwarders.some((check) => check === undefined || check(peer)),
      bodyBytesMax: sorted.length === 0 ? BODY_BYTES_MAX : Math.max(...sorted.map(({ bodyBytesMax }) => bodyBytesMax)),
      bodyFields: fields,
      bodyWhole: new Set(
        (facts.get('needs') ?? []).flatMap(({ source: { from, name } }) =>
          from === 'body' && name !== undefined ? [name] : [],
        ),
      ),
      geo,
    },
  }
}

/** Whether a peer is one of these, and an unknown one is not; undefined where the list is empty and any is. */
function peerCheck(trustedPeers: readonly string[]): PeerCheck {
  if (trustedPeers.length === 0) return undefined
  const trie = cidrTrie(trustedPeers.map((block) => [block, true] as const))
  return (peer) => peer !== undefined && trie.find(peer.address) === true
}
