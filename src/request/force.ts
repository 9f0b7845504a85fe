import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import { ARMS } from '../model/rollout.ts'
import { isSameMac, MAC_CHARS, macOf, type SigningKeys } from './signing-keys.ts'

/** What a tester asks for: to count as of a cohort, to be in an arm, or both. */
export type Forced = NonNullable<Facts['forced']>

/** What a force header's signature covers. */
interface Payload {
  readonly at: EpochMs
  readonly lifeMs: number
  readonly cohort?: unknown
  readonly arm?: unknown
}

const VERSION = '1'
const FORCE_CHARS_MAX = 512
/** The longest life: a tester's day. What is signed for longer is not believed either. */
export const FORCE_LIFE_MAX_MS = 86_400_000
/** A header of ours read by a host whose clock is behind: so much is forgiven. */
const SKEW_MS = 60_000
const PURPOSE = 'hubward force\n'
const COHORT = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/

/**
 * The header for a tester: `1.key.payload.signature`. It is bound to nobody, so whoever has it is forced until it ends.
 * Undefined where it would force nothing, or for longer than a day.
 */
export function issueForce(keys: SigningKeys, forced: Forced, lifeMs: number, now: EpochMs): string | undefined {
  const key = keys.secrets.get(keys.current)
  const payload: Payload = { at: Math.round(now), lifeMs, ...forced }
  if (key === undefined || wordsOf(payload) === undefined) return undefined
  const signed = `${VERSION}.${keys.current}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
  return `${signed}.${macOf(key, PURPOSE + signed)}`
}

/** What the header asks for; undefined where it is not ours, has ended, or has not begun. */
export function verifyForce(keys: SigningKeys, header: string, now: EpochMs): Forced | undefined {
  if (header.length > FORCE_CHARS_MAX) return undefined
  const parts = header.split('.', 5)
  if (parts.length !== 4 || parts[0] !== VERSION || parts[3]!.length !== MAC_CHARS) return undefined
  const key = keys.secrets.get(parts[1]!)
  const signed = header.slice(0, -MAC_CHARS - 1)
  if (key === undefined || !isSameMac(macOf(key, PURPOSE + signed), parts[3]!)) return undefined
  // Whoever signed this has our key, so the text is JSON of our making. What it may ask for is looked at all the same.
  const payload = JSON.parse(Buffer.from(parts[2]!, 'base64url').toString()) as Payload
  const isNow = payload.at - now <= SKEW_MS && now - payload.at <= payload.lifeMs
  return isNow ? wordsOf(payload) : undefined
}

function wordsOf({ lifeMs, cohort, arm }: Payload): Forced | undefined {
  const chosen = ARMS.find((name) => name === arm)
  const isNamed = typeof cohort === 'string' && COHORT.test(cohort)
  if ((cohort !== undefined && !isNamed) || (arm !== undefined && chosen === undefined)) return undefined
  if ((!isNamed && chosen === undefined) || !(lifeMs >= 1 && lifeMs <= FORCE_LIFE_MAX_MS)) return undefined
  return { ...(isNamed ? { cohort } : {}), ...(chosen === undefined ? {} : { arm: chosen }) }
}
