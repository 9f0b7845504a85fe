import type { VariantMeaning } from '../../src/model/flag.ts'

/** What variants of a flag in the layer `incident` mean. */
export const FLAG_MEANINGS: readonly (readonly [value: unknown, meaning: VariantMeaning])[] = [
  [{}, { kind: 'nothing' }],
  [false, { kind: 'nothing' }],
  [null, { kind: 'nothing' }],
  [{ policy: 'emea-interactive@4' }, { kind: 'policy', policy: 'emea-interactive@4' }],
  [
    { preferred_region: 'ams', fallback_region: 'fra', max_p95_ms: 120 },
    { kind: 'overlay', overlay: { first: ['ams', 'fra'], maxP95Ms: 120 } },
  ],
  [
    { fallback_region: 'fra', preferred_region: 'ams' },
    { kind: 'overlay', overlay: { first: ['ams', 'fra'] } },
  ],
  [{ fallback_region: 'New York' }, { kind: 'overlay', overlay: { first: ['New York'] } }],
  [{ locality: 'any' }, { kind: 'overlay', overlay: { locality: 'any' } }],
  [{ locality: 'nearest' }, { kind: 'overlay', overlay: { locality: { nearest: 100 } } }],
  [{ locality: { nearest: 3 } }, { kind: 'overlay', overlay: { locality: { nearest: 3 } } }],
  [{ eligible_sites: ['ams/h100'] }, { kind: 'overlay', overlay: { eligibleSites: ['ams/h100'] } }],
  [{ ladder: ['ams', ['fra', 'lon']] }, { kind: 'overlay', overlay: { ladder: [['ams'], ['fra', 'lon']] } }],
  [{ fallback_tiers: [['fra']] }, { kind: 'overlay', overlay: { fallbackTiers: [['fra']] } }],
  [
    { degraded: { site: 'edge-ams', model: 'llama-3.2-3b' } },
    { kind: 'overlay', overlay: { degraded: { site: 'edge-ams', model: 'llama-3.2-3b', rewriteBody: false } } },
  ],
  [
    { action: 'delay', retryAfter: '1m30s', until: 'off-peak' },
    { kind: 'action', action: { action: 'delay', retryAfterMs: 90_000, until: 'off-peak' } },
  ],
  [
    { action: 'deny', status: 429 },
    { kind: 'action', action: { action: 'deny', status: 429 } },
  ],
  [
    { action: 'queue', for: '5s' },
    { kind: 'action', action: { action: 'queue', forMs: 5_000 } },
  ],
  [{ action: 'degrade' }, { kind: 'action', action: { action: 'degrade' } }],
]
