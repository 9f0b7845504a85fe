import { fold } from '../src/engine/fold.ts'
import type { EngineSnapshot } from '../src/engine/programs.ts'
import { readFlags } from '../src/flags/read-flags.ts'
import type { Change } from '../src/model/change.ts'

const layered = (layer: string, variants: object, targeting: object) => ({
  state: 'ENABLED',
  variants,
  defaultVariant: 'off',
  targeting,
  metadata: { layer, class: 'chat', owner: 'platform-routing@example.com' },
})

const regionIs = (region: string) => ({ '==': [{ var: 'region' }, region] })
const emea = regionIs('R0')

/**
 * A flag in each layer of the class chat, each with targeting: a kill switch and an incident that do not hold, half of
 * the sessions on a preferred site by `fractional`, and a preference that this one shadows.
 */
const FLAGS = {
  'chat-kill-traffic': layered(
    'kill-switch',
    { off: {}, on: { action: 'deny' } },
    { if: [{ in: [{ var: 'tenant' }, ['tenant-a', 'tenant-b']] }, 'on', 'off'] },
  ),
  'chat-incident-latency': layered(
    'incident',
    { off: {}, on: { action: 'delay', retryAfter: '30s' } },
    { if: [{ and: [{ '==': [{ var: 'tier' }, 'free'] }, emea] }, 'on', 'off'] },
  ),
  'chat-nearer-site': layered(
    'rollout',
    { off: {}, on: { preferred_region: 's0', fallback_region: 's2' } },
    { fractional: [{ cat: [{ var: '$flagd.flagKey' }, { var: 'targetingKey' }] }, ['on', 50], ['off', 50]] },
  ),
  'chat-prefers-cheaper-site': layered(
    'preference',
    { off: {}, on: { preferred_region: 's4', max_p95_ms: 150 } },
    { if: [{ starts_with: [{ var: 'model' }, 'lla'] }, 'on', 'off'] },
  ),
}

/** The snapshot with a flag in each of the four layers, so many more that steer nothing, and so many that might. */
export const withLayers = (snapshot: EngineSnapshot, at: number, more = 0, steering = 0): EngineSnapshot =>
  fold(snapshot, flagsChange(at, more, steering)).snapshot

/** The change that brings these flags; those that steer nothing have targeting of this version. */
export const flagsChange = (at: number, more: number, steering: number, version = 1): Change => {
  const ofOthers = Object.fromEntries(
    Array.from({ length: steering }, (_, i) => [
      `chat-of-tenant-${i}`,
      layered(
        i % 2 === 0 ? 'incident' : 'rollout',
        { off: {}, on: { preferred_region: 's0' } },
        { if: [{ in: [{ var: 'tenant' }, [`nobody-${i}`, `no-one-${i}`]] }, 'on', 'off'] },
      ),
    ]),
  )
  const others = Object.fromEntries(
    Array.from({ length: more }, (_, i) => [
      `app-shows-banner-${i}`,
      {
        state: 'ENABLED',
        variants: { on: true, off: false },
        defaultVariant: 'off',
        targeting: i % 10 === 0 ? regionIs(`R${version}`) : emea,
      },
    ]),
  )
  const { set, problems } = readFlags(JSON.stringify({ flags: { ...FLAGS, ...ofOthers, ...others } }), 'flags.json')
  if (set === null) throw new Error(problems.map(({ message }) => message).join('; '))
  const says = { version: String(version), nonce: String(version), set, problems }
  return { kind: 'flags-accepted', at, source: 'flags', ...says, ttlMs: 0, whenStale: 'keep' }
}
