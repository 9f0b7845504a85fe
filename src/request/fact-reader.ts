import { cidrTrie } from '../math/cidr-trie.ts'
import type { FactSource } from '../model/documents.ts'
import { clientCanSet, SAFETY_FACTS } from '../model/fact-trust.ts'
import { claim } from './claim.ts'
import type { Located } from './client-address.ts'
import { pathMatcher, queryValue } from './path.ts'
import type { Reading } from './reading.ts'
import { regionOf } from './regions.ts'

/** What one source gives for a request: plain JSON as it was written, undefined where it gives nothing. */
export type FactReader = (reading: Reading) => unknown

/** Whether a peer's trusted headers are believed; undefined: whoever it is, and nobody need look who. */
export type PeerCheck = ((peer: Located | undefined) => boolean) | undefined

/** A source and the document's word on which peers set trusted headers. */
export interface TrustedSource {
  readonly source: FactSource
  readonly isTrustedPeer: PeerCheck
}

/**
 * The reader of a source. Undefined for one that this fact must not come from: the document that has it is refused when
 * it is loaded, and if it is here all the same it gives nothing.
 */
export function factReader({ source, isTrustedPeer }: TrustedSource, fact: string): FactReader | undefined {
  if (SAFETY_FACTS.has(fact) && clientCanSet(source, fact)) return undefined
  return mapped(source, originReader(source, fact, isTrustedPeer))
}

function originReader(source: FactSource, fact: string, isTrustedPeer: PeerCheck): FactReader {
  const { name = '', value } = source
  switch (source.from) {
    case 'header':
      return headerReader(name.toLowerCase(), fact, source.trusted === true ? isTrustedPeer : undefined)
    case 'path': {
      const matches = pathMatcher(source.prefix ?? '/')
      return (reading) => (reading.path !== '' && matches(reading.path) ? (value ?? reading.path) : undefined)
    }
    case 'method':
      // With a name it is that method which gives the value; with neither, the method itself.
      return ({ view }) => (name === '' || view.method === name ? view.method : undefined)
    case 'query':
      return ({ view }) => queryValue(view.path, name)
    case 'jwt': {
      const find = claim(name)
      return ({ view }) => find(view.metadata('envoy.filters.http.jwt_authn'))
    }
    case 'attribute':
      return ({ view }) => view.attribute(name)
    case 'context':
      return ({ view: { contextExtensions: all } }) => (all && Object.hasOwn(all, name) ? all[name] : undefined)
    case 'body':
      if (source.trusted !== true || isTrustedPeer === undefined) return ({ body }) => body?.values.get(name)
      return (reading) => {
        const value = reading.body?.values.get(name)
        if (value === undefined || isTrustedPeer(reading.peer)) return value
        reading.problem('request/untrusted-peer', fact)
        return undefined
      }
    case 'geo':
      if (name === 'asn') return ({ geo }) => geo.asn
      if (name === 'region') return ({ geo }) => (geo.country === undefined ? undefined : regionOf(geo.country))
      return ({ geo }) => geo.country
    case 'network': {
      const trie = cidrTrie((source.cidrs ?? []).map((block) => [block, value ?? 'true'] as const))
      return ({ client }) => (client === undefined ? undefined : trie.find(client.address))
    }
    case 'value':
      return () => value
    default:
      return source.from satisfies never
  }
}

function headerReader(name: string, fact: string, isTrustedPeer: PeerCheck): FactReader {
  if (isTrustedPeer === undefined) return ({ view }) => view.header(name)
  return (reading) => {
    const text = reading.view.header(name)
    if (text === undefined || isTrustedPeer(reading.peer)) return text
    reading.problem('request/untrusted-peer', fact)
    return undefined
  }
}

/** The reader with `allow` and `value` put to work: other values are ignored, and `value` stands for what was read. */
function mapped({ allow, value }: FactSource, read: FactReader): FactReader {
  if (allow === undefined && value === undefined) return read
  const allowed = allow === undefined ? undefined : new Set(allow)
  const isAllowed = (item: unknown): boolean => isPlain(item) && (allowed?.has(String(item)) ?? true)
  return (reading) => {
    const raw = read(reading)
    if (raw === undefined || raw === '') return undefined
    const kept = Array.isArray(raw) ? raw.filter(isAllowed) : isAllowed(raw) ? raw : undefined
    if (kept === undefined || (Array.isArray(kept) && kept.length === 0)) return undefined
    return value ?? kept
  }
}

/** Whether it is a text, a number or a truth value. */
export const isPlain = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
