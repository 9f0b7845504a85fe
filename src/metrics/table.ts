/** What a metric is, and what it is counted by. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  /** Histograms of times that are no times of the request path: their edges are so many times larger. */
  readonly scale?: number
  /** One line for the reference and for `# HELP`. */
  readonly says: string
}

/**
 * Every metric of our own. To add one, add a row. The values of labels come from documents, configuration and tables
 * only; whatever else a request brings is counted under `other`, so the number of series is bounded.
 */
export const METRICS = {
  hubward_decisions_total: {
    type: 'counter',
    labels: ['class', 'action', 'reason', 'target'],
    says: 'decisions; target is empty where none was named',
  },
  hubward_decide_seconds: { type: 'histogram', labels: [], says: 'time that the engine took for one decision' },
  hubward_request_seconds: {
    type: 'histogram',
    labels: [],
    says: 'time from the message of Envoy to our answer, reading of facts and writing included',
  },
  hubward_messages_total: {
    type: 'counter',
    labels: ['transport'],
    says: 'messages of Envoy, by ext_proc or ext_authz',
  },
  hubward_handler_errors_total: {
    type: 'counter',
    labels: ['transport'],
    says: 'requests answered with the default because we made a mistake; must stay 0',
  },
  hubward_unready_requests_total: {
    type: 'counter',
    labels: ['transport'],
    says: 'requests that came before documents were accepted; they got what their route says for a silent hubward',
  },
  hubward_malformed_messages_total: {
    type: 'counter',
    labels: ['transport'],
    says: 'messages that are no messages of the protocol',
  },
  hubward_facts_problems_total: {
    type: 'counter',
    labels: ['code'],
    says: 'what was wrong with values that requests brought',
  },
  hubward_layer_decisions_total: {
    type: 'counter',
    labels: ['class', 'layer'],
    says: 'decisions in which a flag of this layer had its say, and no stronger one before it',
  },
  hubward_flag_failures_total: {
    type: 'counter',
    labels: ['class', 'layer'],
    says: 'flags that should have had a say and could not: an evaluation error, a version that no document has, stale and off',
  },
  hubward_arm_decisions_total: {
    type: 'counter',
    labels: ['rollout', 'arm', 'action'],
    says: 'decisions on requests that take part in a rollout, forced ones left out',
  },
  hubward_rollout_share_ratio: {
    type: 'gauge',
    labels: ['rollout', 'status', 'stage'],
    says: "the treatment's share of those that take part in a rollout: 1 once finished, 0 after any other end",
  },
  hubward_no_policy_total: { type: 'counter', labels: ['class'], says: 'requests that no policy covered' },
  hubward_panic_total: {
    type: 'counter',
    labels: ['class'],
    says: 'requests sent by the last good order because everything looked down',
  },
  hubward_reservations_total: {
    type: 'counter',
    labels: ['class', 'result'],
    says: 'reservations of admitted jobs: made, ended, aged-out, or refused because there are too many',
  },
  hubward_jobs: {
    type: 'gauge',
    labels: ['class', 'state', 'advice'],
    says: 'admitted jobs by state (admitted, running, paused), as they have said it, and by what they are told',
  },
  hubward_reserved_mw: {
    type: 'gauge',
    labels: ['target'],
    says: 'power that admitted jobs hold and have not said to draw yet',
  },
  hubward_job_advice_total: {
    type: 'counter',
    labels: ['class', 'advice', 'because'],
    says: 'changes of what admitted jobs are told',
  },
  hubward_job_streams: { type: 'gauge', labels: [], says: "streams of jobs' events that are open" },
  hubward_flags: { type: 'gauge', labels: ['source'], says: 'flags in force, by the source that they come from' },
  hubward_flags_stale: {
    type: 'gauge',
    labels: ['source', 'consequence'],
    says: 'whether the flags of a source have gone unconfirmed for longer than they may: they stay, or are off (consequence)',
  },
  hubward_flag_streams: {
    type: 'gauge',
    labels: ['protocol'],
    says: 'streams on which changes of flags are told, by ofrep or flagd.sync',
  },
  hubward_ofrep_answers_total: {
    type: 'counter',
    labels: ['route', 'status'],
    says: 'evaluations that OpenFeature SDKs asked for: of one flag or of all (flags)',
  },
  hubward_stale_alerts_total: {
    type: 'counter',
    labels: ['class'],
    says: 'requests decided on stale signals in classes whose whenStale asks for an alert',
  },
  hubward_decision_signal_age_seconds: {
    type: 'histogram',
    labels: ['signal'],
    scale: 1_000,
    says: 'age of the required signals of the chosen target when the decision was made',
  },
  hubward_freshness_violations_total: {
    type: 'counter',
    labels: ['class', 'signal'],
    says: 'decisions for which a required signal of a candidate was older than the class allows, or missing',
  },
  hubward_sessions_total: {
    type: 'counter',
    labels: ['verdict'],
    says: 'requests by what became of their session',
  },
  hubward_session_moves_total: {
    type: 'counter',
    labels: ['class', 'target'],
    says: 'sessions that had to leave the target they were on, by the one they run on now',
  },
  hubward_hops_total: { type: 'counter', labels: ['verdict'], says: 'requests that another hubward had decided' },
  hubward_dispatches_total: { type: 'counter', labels: ['target'], says: 'requests sent to each target' },
  hubward_holds_total: {
    type: 'counter',
    labels: ['class', 'outcome'],
    says: 'requests that their policy holds, by how the wait ended: released, timed-out, cancelled, stopped, failed, or full: there was no room to wait in',
  },
  hubward_hold_seconds: {
    type: 'histogram',
    labels: ['class', 'outcome'],
    scale: 1_000,
    says: 'time that requests were held',
  },
  hubward_held_bytes: { type: 'gauge', labels: [], says: 'bytes of the requests that are held right now' },
  hubward_held: { type: 'gauge', labels: ['class'], says: 'requests held right now' },
  hubward_samples_refused_total: {
    type: 'counter',
    labels: ['why', 'source'],
    says: 'samples that could not be used',
  },
  hubward_feed_attempts_total: {
    type: 'counter',
    labels: ['source', 'result'],
    says: 'attempts to read a feed, by accepted or refused',
  },
  hubward_inbox_dropped_total: {
    type: 'counter',
    labels: ['what'],
    says: 'samples and signs of life that newer ones pushed out before they were looked at',
  },
  hubward_source_changes_total: {
    type: 'counter',
    labels: ['source', 'result'],
    says: 'sets of documents and overrides by accepted or refused',
  },
  hubward_source_last_accepted_age_seconds: {
    type: 'gauge',
    labels: ['source'],
    says: 'time since the source last gave something that was accepted',
  },
  hubward_source_failures: {
    type: 'gauge',
    labels: ['source'],
    says: 'attempts in a row that the source did not answer or was refused',
  },
  hubward_source_clock_skew_seconds: {
    type: 'gauge',
    labels: ['source'],
    says: "the source's clock less ours, estimated",
  },
  hubward_signal_age_max_seconds: {
    type: 'gauge',
    labels: ['signal'],
    says: 'age of the newest sample of the target that has waited longest for one, of those that were ever measured',
  },
  hubward_target_state: {
    type: 'gauge',
    labels: ['target', 'state'],
    says: '1 for the state that the target is in; other states have no series',
  },
  hubward_readiness: {
    type: 'gauge',
    labels: ['target', 'class', 'dimension', 'state'],
    says: '1 for the overall state of a target, and for each dimension of it that is amber or red; class * is what all classes share, a class by itself is told where it differs',
  },
  hubward_readiness_seconds_total: {
    type: 'counter',
    labels: ['site', 'dimension', 'state'],
    says: 'time that a site was amber or red in a dimension, overall meaning the worst of all but procedures',
  },
  hubward_required_signal_stale: {
    type: 'gauge',
    labels: ['class', 'target', 'signal', 'source', 'owner'],
    says: '1 for a signal that a policy of the class requires of the target and that is older than the class allows, or missing; source and owner are who should have told it',
  },
  hubward_source_info: {
    type: 'gauge',
    labels: ['source', 'kind', 'owner'],
    says: 'always 1; who owns each source',
  },
  hubward_forecast_error_seconds: {
    type: 'histogram',
    labels: ['class'],
    scale: 100_000,
    says: 'how far off forecasts were that came about, or a day late did not',
  },
  hubward_gate_transitions_total: {
    type: 'counter',
    labels: ['target', 'signal', 'to'],
    says: 'thresholds that a target failed or passed again',
  },
  hubward_health_transitions_total: { type: 'counter', labels: ['target', 'to'], says: 'changes of health' },
  hubward_overrides_in_force: { type: 'gauge', labels: [], says: 'emergency orders in force' },
  hubward_routing_enabled: { type: 'gauge', labels: [], says: '0 while routing is switched off' },
  hubward_clusters_known: {
    type: 'gauge',
    labels: [],
    says: 'clusters that Envoy is known to have; -1 while nobody asks Envoy',
  },
  hubward_documents_version: { type: 'gauge', labels: [], says: 'sets of documents accepted since the start' },
  hubward_snapshot_revision_total: { type: 'counter', labels: [], says: 'changes of the snapshot since the start' },
  hubward_fold_seconds: { type: 'histogram', labels: [], says: 'time that one change of the snapshot took' },
  hubward_internal_errors_total: {
    type: 'counter',
    labels: ['where'],
    says: 'mistakes of ours outside of requests; must stay 0',
  },
  hubward_journal_records_total: {
    type: 'counter',
    labels: ['stream', 'result'],
    says: 'records of the journal: written, dropped for lack of room, or left out by sampling',
  },
  hubward_journal_failing: { type: 'gauge', labels: ['stream'], says: '1 while the journal cannot be written' },
  hubward_journal_waiting_bytes: { type: 'gauge', labels: ['stream'], says: 'text that waits to be written' },
  hubward_event_loop_delay_max_seconds: {
    type: 'gauge',
    labels: [],
    says: 'longest delay of the event loop since the last scrape',
  },
  hubward_active_calls: { type: 'gauge', labels: [], says: 'streams and calls of Envoy that are open' },
  hubward_ready: { type: 'gauge', labels: [], says: '1 when documents are accepted and every listener is up and warm' },
  hubward_access_log_entries_total: {
    type: 'counter',
    labels: ['result'],
    says: 'requests that Envoy told the end of: joined to their decision, late (it was not kept any more), unknown (none of ours), or again',
  },
  hubward_outcomes_total: {
    type: 'counter',
    labels: ['class', 'target', 'verdict'],
    says: 'requests that have ended, by the target that served them; class is empty where the decision is not known',
  },
  hubward_ttft_seconds: {
    type: 'histogram',
    labels: ['class'],
    scale: 1_000,
    says: 'time to the first byte of the body of requests that were served, as Envoy saw it',
  },
  hubward_response_seconds: {
    type: 'histogram',
    labels: ['class'],
    scale: 1_000,
    says: 'time of whole requests that were served, as Envoy saw it',
  },
  hubward_slo_burn_ratio: {
    type: 'gauge',
    labels: ['class', 'site', 'signal'],
    says: 'how many times too fast a class spends its error budget at a site, by pair of windows, and its locality',
  },
  hubward_decisions_unjoined_total: {
    type: 'counter',
    labels: [],
    says: 'decisions that were overwritten before the end of their request was told; high without an access log',
  },
  hubward_measured_folded_total: {
    type: 'counter',
    labels: [],
    says: 'requests for which there was no room under all of their labels; they are counted under fewer',
  },
  hubward_measured_bytes: { type: 'gauge', labels: [], says: 'bytes of the measurements of the last two days' },
  hubward_reported_outcomes_total: {
    type: 'counter',
    labels: ['result'],
    says: 'outcomes that the business reported: counted, replaced (a day sent anew), again, no-arm, or unknown',
  },
  hubward_processes: {
    type: 'gauge',
    labels: ['state'],
    says: 'processes that decide, the main one included: serving, or starting',
  },
  hubward_process_restarts_total: {
    type: 'counter',
    labels: ['why'],
    says: 'deciding processes that had to be started anew: ended, silent (hung), behind (the feed waits for it), differs (another snapshot than here), late (did not listen in time)',
  },
  hubward_process_decisions_total: {
    type: 'counter',
    labels: ['process'],
    says: 'decisions that the processes beside the main one have handed over; the rest of hubward_decisions_total are its own',
  },
  hubward_process_resident_bytes: {
    type: 'gauge',
    labels: ['process'],
    says: 'memory of the processes beside the main one, whose own is process_resident_memory_bytes',
  },
  hubward_process_cpu_seconds_total: {
    type: 'counter',
    labels: ['process'],
    says: 'CPU of the processes beside the main one, earlier ones in the same place included',
  },
  hubward_process_loop_delay_max_seconds: {
    type: 'gauge',
    labels: ['process'],
    says: 'longest delay of the event loop of a process beside the main one, within a quarter of a second',
  },
  hubward_handover_dropped_total: {
    type: 'counter',
    labels: ['what'],
    says: 'decisions, entries of the access log, and refusals for the gaps, that a process could not hand over because the main one lagged: they are not measured',
  },
  hubward_relayed_total: {
    type: 'counter',
    labels: ['result'],
    says: 'requests for reservations that came to a process that may not make any: relayed to the main one, or refused, as their route says for a silent hubward',
  },
  hubward_build_info: { type: 'gauge', labels: ['version', 'engine', 'instance'], says: 'always 1' },
} as const satisfies Record<string, MetricRow>

/** A key of METRICS. */
export type MetricName = keyof typeof METRICS

/** The metrics of one type. */
export type MetricOf<Type extends MetricRow['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never
}[MetricName]

type Texts<Names extends readonly string[]> = { -readonly [Index in keyof Names]: string }

/** A value for each label of a metric, in the row's order. */
export type LabelsOf<Name extends MetricName> = Texts<(typeof METRICS)[Name]['labels']>
