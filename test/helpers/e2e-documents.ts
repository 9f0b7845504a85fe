/** The ports of the sites of an end-to-end test. */
export type SitePorts = Readonly<Record<'ams' | 'fra' | 'lon' | 'dxb', number>>

const site = (name: string, jurisdictions: string, port: number) => `
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ${name}, owner: dc-ops@example.com }
spec:
  jurisdictions: [${jurisdictions}]
  pools:
    - name: h100
      cluster: ${name}-h100
      endpoints: ["127.0.0.1:${port}"]
      capacity: 64
      models: [{ name: llama-3.1-70b }]
`

const rest = (timers: string) => `
apiVersion: hubward.dev/v1alpha1
kind: ResidencyClass
metadata: { name: eu, owner: privacy@example.com }
spec: { allows: [EU], default: { sites: [fra, ams] } }
---
apiVersion: hubward.dev/v1alpha1
kind: ResidencyClass
metadata: { name: uk, owner: privacy@example.com }
spec: { allows: [UK], default: { sites: [lon] } }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: interactive-inference, owner: platform-routing@example.com }
spec: { flexibility: inflexible, whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: summarisation, owner: platform-routing@example.com }
spec: { flexibility: movable, whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: fine-tuning, owner: platform-ml@example.com }
spec: { flexibility: delayable, whenHubwardIsDown: refuse }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 1, owner: platform-routing@example.com }
spec: { class: interactive-inference, ladder: [[ams], [fra], [lon]], ${timers}otherwise: [{ action: deny, retryAfter: 5s }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: summaries, version: 1, owner: platform-routing@example.com }
spec: { class: summarisation, ladder: [[ams, fra], [lon]], ${timers}otherwise: [{ action: deny, retryAfter: 5s }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: tuning, version: 1, owner: platform-ml@example.com }
spec: { class: fine-tuning, ladder: [[lon], [fra]], otherwise: [{ action: delay, retryAfter: 2m }] }
---
apiVersion: hubward.dev/v1alpha1
kind: FactSources
metadata: { name: gateway, owner: platform-routing@example.com }
spec:
  facts:
    class:
      - { from: path, prefix: /v1/fine_tuning, value: fine-tuning }
      - { from: path, prefix: /v1/summaries, value: summarisation }
      - { from: value, value: interactive-inference }
  residency: []
`

/** Timers for tests that wait for a site to come back; far too short for anything else. */
export const SHORT_TIMERS = 'timers: { stableFor: 100ms, dwell: 300ms, failBack: 300ms, cooldown: 100ms }, '

/**
 * The documents of the end-to-end tests: chat goes to ams, then fra, then lon; summaries to ams and fra alike; jobs to
 * lon, then fra. eu and uk are listed classes, dxb lies in neither.
 */
export const e2eDocuments = (ports: SitePorts, timers = ''): string =>
  [
    site('ams', 'NL, EU', ports.ams),
    site('fra', 'DE, EU', ports.fra),
    site('lon', 'UK', ports.lon),
    site('dxb', 'AE', ports.dxb),
    rest(timers),
  ].join('---')
