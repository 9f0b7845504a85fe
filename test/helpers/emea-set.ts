import {
  type DocumentSet,
  type Policy,
  type Site,
  TIMERS_DEFAULT,
  type WorkloadClass,
} from '../../src/model/documents.ts'

/** A site with one pool, `<name>-h100`, at this port of the loopback. */
export const siteAt = (
  name: string,
  jurisdictions: readonly string[],
  port: number,
  more: Partial<Site['pools'][number]> = {},
): Site => ({
  metadata: { name },
  role: 'hub',
  jurisdictions,
  maintenance: [],
  pools: [
    {
      name: 'h100',
      cluster: `${name}-h100`,
      endpoints: [`127.0.0.1:${port}`],
      capacity: 8,
      models: [{ name: 'llama-3.1-70b' }],
      ...more,
    },
  ],
})

/** A workload class that matters only for what becomes of it without hubward. */
export const classOf = (name: string, whenHubwardIsDown: WorkloadClass['whenHubwardIsDown']): WorkloadClass => ({
  metadata: { name },
  critical: false,
  flexibility: 'inflexible',
  whenHubwardIsDown,
  freshness: {},
  whenStale: { action: 'lowest-risk', alert: false },
  panic: 'last-good',
  session: { lifeMs: 1_800_000 },
})

/** A policy with written tiers and no thresholds. */
export const policyOf = (name: string, workload: string, tiers: readonly (readonly string[])[]): Policy => ({
  metadata: { name, version: 1 },
  class: workload,
  priority: 100,
  residency: 'required',
  require: { signals: [] },
  bands: [],
  rank: [],
  ladder: { tiers },
  session: 'none',
  timers: TIMERS_DEFAULT,
  otherwise: [{ action: 'deny' }],
  hash: `sha256:${name}`,
})

/** Amsterdam, Frankfurt, London and Dubai with the ports given (9001 to 9004 where not), chat and jobs. */
export function emeaSet(ports: Readonly<Record<string, number>> = {}): DocumentSet {
  return {
    sites: [
      siteAt('ams', ['NL', 'EU'], ports.ams ?? 9001),
      siteAt('fra', ['DE', 'EU'], ports.fra ?? 9002),
      siteAt('lon', ['UK'], ports.lon ?? 9003),
      siteAt('dxb', ['AE'], ports.dxb ?? 9004),
    ],
    residencies: [
      { metadata: { name: 'eu' }, allows: ['EU'], default: { sites: ['fra', 'ams'] } },
      { metadata: { name: 'uk' }, allows: ['UK', 'EU'], default: { sites: ['lon', 'fra'] } },
      { metadata: { name: 'ae' }, allows: ['AE'] },
    ],
    classes: [classOf('interactive-inference', 'default'), classOf('fine-tuning', 'refuse')],
    policies: [
      policyOf('chat', 'interactive-inference', [['ams'], ['fra'], ['lon']]),
      policyOf('tune', 'fine-tuning', [['fra'], ['ams']]),
    ],
    factSources: [
      {
        metadata: { name: 'facts' },
        trustedHops: 0,
        trustedPeers: [],
        facts: {
          class: [
            { from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' },
            { from: 'value', value: 'interactive-inference' },
          ],
        },
        residency: [{ from: 'header', name: 'x-hubward-residency', trusted: true }],
        tenantResidency: {},
        bodyBytesMax: 1_048_576,
      },
    ],
    readiness: [],
    cohorts: [],
    rollouts: [],
    tests: [],
  }
}
