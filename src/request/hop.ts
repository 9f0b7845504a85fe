import type { HopFact } from '../model/facts.ts'
import type { ClusterName, EpochMs, PolicyRef, TargetName } from '../model/names.ts'
import { isSameMac, MAC_CHARS, macOf, type SigningKeys } from './signing-keys.ts'

/** What is handed on of a decision. */
export interface HopDecision {
  readonly id: string
  readonly target: TargetName
  readonly cluster: ClusterName
  readonly policy: PolicyRef | null
}

/** What a hop's signature covers. */
interface Payload {
  readonly at: EpochMs
  /** Ids of the hubwards that the request has been through, the first first. */
  readonly via: readonly string[]
  readonly decision: string
  readonly target: TargetName
  readonly cluster: ClusterName
  readonly policy: PolicyRef | null
}

const VERSION = '1'
const HOP_CHARS_MAX = 2_048
/** A request that has been through so many hubwards is going round, whatever their names. */
export const HOPS_MAX = 8
/** A hop is made for the request it travels with: long enough for a held one, too short to be collected. */
export const HOP_LIFE_MS = 60_000
const SKEW_MS = 60_000
const PURPOSE = 'hubward hop\n'
const INVALID: HopFact = { verdict: 'invalid' }

/**
 * The header that tells the next hubward what this one decided. `incoming` is the header that came with the request: its
 * way is carried on if it holds. Undefined where the request has been through HOPS_MAX of us already.
 */
export function issueHop(
  keys: SigningKeys,
  hop: { readonly instance: string; readonly decision: HopDecision; readonly incoming?: string | undefined },
  now: EpochMs,
): string | undefined {
  const key = keys.secrets.get(keys.current)
  if (key === undefined) return undefined
  const before = hop.incoming === undefined ? undefined : payloadOf(keys, hop.incoming, now)
  const via = [...(before?.via ?? []), hop.instance]
  if (via.length > HOPS_MAX) return undefined
  const { id, target, cluster, policy } = hop.decision
  const payload: Payload = { at: now, via, decision: id, target, cluster, policy }
  const text = Buffer.from(JSON.stringify(payload)).toString('base64url')
  const signed = `${VERSION}.${keys.current}.${text}`
  const header = `${signed}.${macOf(key, PURPOSE + signed)}`
  return header.length > HOP_CHARS_MAX ? undefined : header
}

/** What the header says: a decision to keep, a loop through this instance, or nothing that can be believed. */
export function verifyHop(keys: SigningKeys, header: string, instance: string, now: EpochMs): HopFact {
  const payload = payloadOf(keys, header, now)
  if (payload === undefined) return INVALID
  const { via, decision, target, cluster, policy } = payload
  const isLoop = via.includes(instance) || via.length >= HOPS_MAX
  const fact: HopFact = { verdict: isLoop ? 'loop' : 'valid', decision, target, cluster }
  return policy === null ? fact : { ...fact, policy }
}

function payloadOf(keys: SigningKeys, header: string, now: EpochMs): Payload | undefined {
  if (header.length > HOP_CHARS_MAX) return undefined
  const parts = header.split('.', 5)
  if (parts.length !== 4 || parts[0] !== VERSION || parts[3]!.length !== MAC_CHARS) return undefined
  const key = keys.secrets.get(parts[1]!)
  const signed = header.slice(0, -MAC_CHARS - 1)
  if (key === undefined || !isSameMac(macOf(key, PURPOSE + signed), parts[3]!)) return undefined
  // Whoever signed this has our key, so the text has the shape that we gave it.
  const payload = JSON.parse(Buffer.from(parts[2]!, 'base64url').toString()) as Payload
  return now - payload.at > HOP_LIFE_MS || payload.at - now > SKEW_MS ? undefined : payload
}
