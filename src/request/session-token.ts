import { hash } from 'node:crypto'
import type { SessionFact } from '../model/facts.ts'
import type { ClassName, EpochMs, TargetName } from '../model/names.ts'
import { isSameMac, MAC_CHARS, macOf, type SigningKeys } from './signing-keys.ts'

/** What a session is bound to: a token brought along with anything else is a mismatch. */
export interface SessionBinding {
  readonly sessionKey: string
  readonly tenant?: string | undefined
  readonly class: ClassName
  /** In any order. */
  readonly residency?: readonly string[] | undefined
}

const VERSION = '1'
const TOKEN_CHARS_MAX = 512
/** A token of ours read by a host whose clock is behind: so much is forgiven. */
const SKEW_MS = 60_000
/** Signatures of one kind of token never fit another. */
const PURPOSE = 'hubward session\n'

/**
 * A token that keeps a session on a target: `1.key.issued.binding.target.signature`, safe in a header and a cookie. It
 * holds a hash of the session key, never the key. Undefined where the target's name can't be written in one.
 */
export function issueSession(
  keys: SigningKeys,
  binding: SessionBinding & { readonly target: TargetName },
  now: EpochMs,
): string | undefined {
  const key = keys.secrets.get(keys.current)
  if (key === undefined || !/^[\x21-\x7e]{1,200}$/.test(binding.target)) return undefined
  const signed = `${VERSION}.${keys.current}.${Math.round(now).toString(36)}.${bindingOf(binding)}.${binding.target}`
  return `${signed}.${macOf(key, PURPOSE + signed)}`
}

/** What a token says to a request with this binding. `expired` counts from its issue, however often it was used. */
export function verifySession(
  keys: SigningKeys,
  token: string,
  binding: SessionBinding,
  now: EpochMs,
  lifeMs: number,
): SessionFact {
  if (token.length > TOKEN_CHARS_MAX || !token.startsWith(`${VERSION}.`)) return INVALID
  const macAt = token.length - MAC_CHARS
  if (macAt < 1 || token.charCodeAt(macAt - 1) !== DOT) return INVALID
  const signed = token.slice(0, macAt - 1)
  const keyEnd = signed.indexOf('.', 2)
  const issuedEnd = signed.indexOf('.', keyEnd + 1)
  const bindingEnd = signed.indexOf('.', issuedEnd + 1)
  if (keyEnd < 0 || issuedEnd < 0 || bindingEnd < 0) return INVALID
  const key = keys.secrets.get(signed.slice(2, keyEnd))
  if (key === undefined || !isSameMac(macOf(key, PURPOSE + signed), token.slice(macAt))) return INVALID
  const issuedAt = Number.parseInt(signed.slice(keyEnd + 1, issuedEnd), 36)
  if (!(issuedAt <= now + SKEW_MS)) return INVALID
  if (signed.slice(issuedEnd + 1, bindingEnd) !== bindingOf(binding)) return MISMATCH
  return now - issuedAt > lifeMs ? EXPIRED : { verdict: 'valid', target: signed.slice(bindingEnd + 1) }
}

const DOT = 46
const INVALID: SessionFact = { verdict: 'invalid' }
const MISMATCH: SessionFact = { verdict: 'mismatch' }
const EXPIRED: SessionFact = { verdict: 'expired' }

/** 128 bits of SHA-256 over what a session is bound to. JSON keeps apart what plain joining would run together. */
function bindingOf({ sessionKey, tenant, class: name, residency }: SessionBinding): string {
  const jurisdictions = residency === undefined ? null : residency.length < 2 ? residency : residency.toSorted()
  return hash('sha256', JSON.stringify([sessionKey, tenant ?? null, name, jurisdictions]), 'base64url').slice(0, 22)
}
