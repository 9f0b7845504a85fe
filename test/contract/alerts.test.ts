import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { METRICS } from '../../src/metrics/table.ts'
import { e2eDocuments } from '../helpers/e2e-documents.ts'
import { prometheusProgram } from '../helpers/prometheus.ts'
import { ask, childEnvironment, startEnvoy } from '../helpers/running-envoy.ts'

const FILE = join(import.meta.dirname, '../../envoy/prometheus/alerts.yml')
const rules = (
  parse(readFileSync(FILE, 'utf8')) as {
    groups: {
      rules: { alert: string; expr: string; annotations: { summary: string }; labels: { severity: string } }[]
    }[]
  }
).groups.flatMap((group) => group.rules)

t.test("every alert asks for metrics that exist, ours in the table and Envoy's in a running Envoy", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-alerts-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const { set } = readDocuments([{ path: 'all.yaml', text: e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 }) }])
  const envoy = await startEnvoy(
    envoyConfig(set!, {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: join(folder, 's.sock') },
      accessLog: undefined,
      residency: { by: 'listener', class: 'eu' },
    }),
  )
  t.teardown(() => envoy.stop())
  await ask(await envoy.port(), '/v1/chat/completions', { body: '{}' })
  const { body } = await ask(envoy.adminPort, '/stats/prometheus')
  t.ok(rules.length >= 10)
  for (const rule of rules) {
    const names = rule.expr.match(/\b(hubward|envoy)_[a-z0-9_]+/g) ?? []
    t.ok(names.length > 0, `${rule.alert} asks for something`)
    for (const name of names)
      t.ok(name.startsWith('hubward_') ? name in METRICS : body.includes(`\n${name}{`), `${rule.alert}: ${name}`)
    t.ok(
      rule.annotations.summary.length > 0 && ['page', 'ticket'].includes(rule.labels.severity),
      `${rule.alert} says what it is and how urgent`,
    )
  }
  t.match(
    body,
    /envoy_http_ext_proc_hubward_failure_mode_allowed\{[^}]*\} 1/,
    'with nobody on the socket the first alert would fire',
  )
})

/** A series that is what it is for hours. */
const steady = (series: string, value: number) => ({ series, values: `${value}+0x720` })
const AT = 'job="hubward",instance="a"'
const INFO = steady(`hubward_source_info{${AT},source="ams-cdu",kind="redfish",owner="dc-ams@example.com"}`, 1)
const staleLabels =
  'class="training",target="ams/h100",signal="cooling.margin_c",source="ams-cdu",owner="dc-ams@example.com"'

/** By alert: series that fire it, series that don't, and what it says. */
const FIRES: Readonly<Record<string, { on: object[]; off: object[]; after: string; says: RegExp }>> = {
  HubwardSiteRed: {
    on: [steady('hubward_readiness{target="ams/h100",class="*",dimension="cooling",state="red"}', 1)],
    off: [
      steady('hubward_readiness{target="ams/h100",class="*",dimension="queue",state="red"}', 1),
      steady('hubward_readiness{target="ams/h100",class="*",dimension="cooling",state="amber"}', 1),
    ],
    after: '1m',
    says: /ams\/h100 is red for cooling/,
  },
  HubwardSiteChronic: {
    on: [
      {
        series: `hubward_readiness_seconds_total{${AT},site="ams",dimension="power",state="amber"}`,
        values: '0+31x720',
      },
    ],
    off: [
      {
        series: `hubward_readiness_seconds_total{${AT},site="ams",dimension="power",state="amber"}`,
        values: '0+29x720',
      },
      {
        series: `hubward_readiness_seconds_total{${AT},site="ams",dimension="procedures",state="amber"}`,
        values: '0+60x720',
      },
    ],
    after: '6h',
    says: /ams has been amber for power/,
  },
  HubwardWorkWaitsForTelemetry: {
    on: [
      {
        series: `hubward_decisions_total{${AT},class="training",action="delay",reason="stale",target=""}`,
        values: '0+1x60',
      },
    ],
    off: [
      {
        series: `hubward_decisions_total{${AT},class="training",action="delay",reason="no-target",target=""}`,
        values: '0+1x60',
      },
      {
        series: `hubward_decisions_total{${AT},class="chat",action="route",reason="lowest-risk",target="ams/a"}`,
        values: '0+1x60',
      },
    ],
    after: '6m',
    says: /Work of class training is delayed/,
  },
  HubwardProcessLags: {
    on: [{ series: `hubward_handover_dropped_total{${AT},what="decisions"}`, values: '0+3x60' }],
    off: [steady(`hubward_handover_dropped_total{${AT},what="decisions"}`, 7)],
    after: '5m',
    says: /decisions in ten minutes found no room/,
  },
  HubwardJobsNotRelayed: {
    on: [{ series: `hubward_relayed_total{${AT},result="refused"}`, values: '0+1x60' }],
    off: [
      steady(`hubward_relayed_total{${AT},result="refused"}`, 7),
      { series: `hubward_relayed_total{${AT},result="relayed"}`, values: '0+9x60' },
    ],
    after: '5m',
    says: /got what their route says for a hubward that is down/,
  },
  HubwardRequiredSignalStale: {
    on: [steady(`hubward_required_signal_stale{${staleLabels}}`, 1)],
    off: [{ series: `hubward_required_signal_stale{${staleLabels}}`, values: '1 1 _x60' }],
    after: '10m',
    says: /cooling\.margin_c of ams\/h100 is stale.*dc-ams@example\.com/,
  },
  HubwardFeedFails: {
    on: [steady(`hubward_source_failures{${AT},source="ams-cdu"}`, 6), INFO],
    off: [steady(`hubward_source_failures{${AT},source="ams-cdu"}`, 5), INFO],
    after: '5m',
    says: /ams-cdu has failed 6 times in a row; it is dc-ams@example\.com's/,
  },
  HubwardFlagsStale: {
    on: [steady(`hubward_flags_stale{${AT},source="flags",consequence="off"}`, 1)],
    off: [steady(`hubward_flags_stale{${AT},source="flags",consequence="off"}`, 0)],
    after: '10m',
    says: /in force: off.*flags of flags have not been confirmed/,
  },
  HubwardFlagFails: {
    on: [{ series: `hubward_flag_failures_total{${AT},class="chat",layer="incident"}`, values: '0+1x60' }],
    off: [steady(`hubward_flag_failures_total{${AT},class="chat",layer="incident"}`, 7)],
    after: '20m',
    says: /layer incident that should steer chat/,
  },
  HubwardRolloutRolledBack: {
    on: [steady(`hubward_rollout_share_ratio{${AT},rollout="nearer",status="rolled-back",stage="10 %"}`, 0)],
    off: [steady(`hubward_rollout_share_ratio{${AT},rollout="nearer",status="running",stage="10 %"}`, 0.1)],
    after: '5m',
    says: /rollout nearer was rolled back/,
  },
  HubwardBudgetBurns: {
    on: [steady(`hubward_slo_burn_ratio{${AT},class="chat",site="ams",signal="slo.burn_1h_ratio"}`, 20)],
    off: [
      steady(`hubward_slo_burn_ratio{${AT},class="chat",site="ams",signal="slo.burn_1h_ratio"}`, 14),
      steady(`hubward_slo_burn_ratio{${AT},class="chat",site="ams",signal="slo.burn_1d_ratio"}`, 20),
    ],
    after: '5m',
    says: /chat at ams spends its error budget 20 times too fast/,
  },
  HubwardMeasuresNothing: {
    on: [
      {
        series: `hubward_decisions_total{${AT},class="chat",action="route",reason="first-choice",target="ams/a"}`,
        values: '0+60x60',
      },
    ],
    off: [
      {
        series: `hubward_decisions_total{${AT},class="chat",action="route",reason="first-choice",target="ams/a"}`,
        values: '0+60x60',
      },
      { series: `hubward_access_log_entries_total{${AT},result="joined"}`, values: '0+59x60' },
    ],
    after: '30m',
    says: /Envoy tells nothing of how they end/,
  },
  HubwardSensorRefused: {
    on: [{ series: `hubward_samples_refused_total{${AT},source="ams-cdu",why="frozen"}`, values: '0+1x60' }, INFO],
    off: [
      { series: `hubward_samples_refused_total{${AT},source="ams-cdu",why="out-of-order"}`, values: '0+1x60' },
      INFO,
    ],
    after: '11m',
    says: /ams-cdu is not believed: its values are frozen; it is dc-ams@example\.com's/,
  },
}

t.test(
  "Prometheus's own tool takes the rules, and each about readiness and telemetry fires when it should and only then",
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'hubward-alerts-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const promtool = prometheusProgram('promtool')
    const tool = (...args: string[]) => spawnSync(promtool, args, { encoding: 'utf8', env: childEnvironment() })
    const checked = tool('check', 'rules', FILE)
    t.equal(checked.status, 0, checked.stderr)
    /** Whether an alert fires on these series, by a test that says it never does. */
    const fires = (alertname: string, series: readonly object[], eval_time: string) => {
      const file = join(folder, 'case.json')
      const test = { interval: '1m', input_series: series, alert_rule_test: [{ eval_time, alertname, exp_alerts: [] }] }
      writeFileSync(file, JSON.stringify({ rule_files: [FILE], evaluation_interval: '1m', tests: [test] }))
      const { status, stdout, stderr } = tool('test', 'rules', file)
      const told = `${stdout}${stderr}`
      // A case that is wrong itself fails too, and says nothing of what it got.
      if (status !== 0 && !/got:\s*\[/.test(told)) throw new Error(told)
      return { fired: status !== 0, told }
    }
    for (const [name, { on, off, after, says }] of Object.entries(FIRES)) {
      const fired = fires(name, on, after)
      t.ok(fired.fired, `${name} fires`)
      t.match(fired.told.replaceAll(/\s+/g, ' '), says)
      t.notOk(fires(name, off, after).fired, `${name} keeps quiet`)
    }
    const names = Object.keys(FIRES)
    t.ok(names.every((name) => rules.some((rule) => rule.alert === name)))
  },
)
