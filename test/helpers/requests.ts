import type { FactSources, ResidencyClass } from '../../src/model/documents.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { compileFacts, type FactsOptions, type FactsRead } from '../../src/request/facts.ts'

/** The time of every request here. */
export const NOW = Date.UTC(2026, 10, 22, 10, 0, 0)
/** What was drawn for every request here. */
export const RANDOM = { seed: '00f067aa0ba902b7', requestId: 'drawn-at-the-edge' }

/** A request as a test writes it; what is left out is a chat request without anything. */
export interface Written extends Partial<Pick<RequestView, 'method' | 'path' | 'contextExtensions'>> {
  headers?: Record<string, string>
  attributes?: Record<string, string>
  claims?: Record<string, unknown>
  body?: string | Uint8Array
}

/** The view that a transport would make of it. `claims` are a payload that Envoy has verified. */
export function view({ headers = {}, attributes = {}, claims, body, ...rest }: Written = {}): RequestView {
  return {
    method: 'POST',
    path: '/v1/chat/completions',
    authority: 'chat.example.com',
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
    attribute: (name) => (Object.hasOwn(attributes, name) ? attributes[name] : undefined),
    metadata: (namespace) =>
      claims && namespace === 'envoy.filters.http.jwt_authn' ? { jwt_payload: claims } : undefined,
    ...rest,
    ...(body === undefined ? {} : { body: Buffer.from(body) }),
  }
}

/** A FactSources document with its defaults. */
export const sources = (spec: Partial<FactSources>): FactSources => ({
  metadata: { name: 'test' },
  trustedHops: 0,
  trustedPeers: [],
  facts: {},
  residency: [],
  tenantResidency: {},
  bodyBytesMax: 1_048_576,
  ...spec,
})

/** A ResidencyClass document. */
export const residency = (name: string, ...allows: string[]): ResidencyClass => ({ metadata: { name }, allows })

/** The residency classes of every test here. */
export const RESIDENCIES = [residency('eu', 'EU'), residency('dach', 'DE', 'AT', 'CH'), residency('gulf', 'AE')]

/** What one document reads out of one request. */
export function read(spec: Partial<FactSources>, written: Written, options: FactsOptions = {}): FactsRead {
  return compileFacts([sources(spec)], RESIDENCIES, options)(view(written), NOW, RANDOM)
}

/** Its facts. */
export const factsOf = (spec: Partial<FactSources>, written: Written, options: FactsOptions = {}): Facts =>
  read(spec, written, options).facts

/** Its problems' codes. */
export const codesOf = ({ problems = [] }: FactsRead): string[] => problems.map(({ code }) => code)
