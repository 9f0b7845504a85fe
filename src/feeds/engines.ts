/** Where one quantity stands: a metric, and the labels that its series must carry. */
export interface MetricRef {
  readonly name: string
  readonly where?: Readonly<Record<string, string>>
}

/** A histogram and the unit of its bounds. */
export interface HistogramRef {
  readonly name: string
  readonly unit: 's' | 'ms'
}

/** How requests ended: one counter with a reason as label, or counters for success and failure. */
export interface EndingsRef {
  readonly counters: readonly { readonly name: string; readonly label?: string; readonly ends: 'well' | 'badly' }[]
  /** Values of the label that are the server's fault. */
  readonly bad: readonly string[]
  /** Values of the label that say nothing of the server: the client went away. Such requests are not counted at all. */
  readonly ignored: readonly string[]
}

/** What one kind of model server calls its metrics. Of several names the first that is there counts. */
export interface Engine {
  /** The engine is recognised by any metric whose name begins so. */
  readonly mark: string
  readonly modelLabel: string
  /** Where it shows its metrics. */
  readonly path: string
  readonly queued: readonly MetricRef[]
  readonly running: readonly MetricRef[]
  readonly kvUsed: readonly MetricRef[]
  readonly ttft: readonly HistogramRef[]
  readonly itl: readonly HistogramRef[]
  readonly response: readonly HistogramRef[]
  readonly wait: readonly HistogramRef[]
  readonly endings?: EndingsRef
  /** Counters only: the gauges that some engines have of the same thing are no rate. */
  readonly preemptions: readonly MetricRef[]
  /** Tokens that were generated, as a counter. */
  readonly tokens: readonly MetricRef[]
  readonly cacheHits: readonly MetricRef[]
  readonly cacheQueries: readonly MetricRef[]
  /** The hit ratio itself, where there are no counters of it. */
  readonly cacheRatio: readonly MetricRef[]
  /** A gauge that is 0 while the engine sleeps with its weights unloaded. */
  readonly awake?: MetricRef
}

const refs = (...names: string[]): MetricRef[] => names.map((name) => ({ name }))
const seconds = (...names: string[]): HistogramRef[] => names.map((name) => ({ name, unit: 's' }))

const NONE = {
  itl: [],
  response: [],
  wait: [],
  preemptions: [],
  tokens: [],
  cacheHits: [],
  cacheQueries: [],
  cacheRatio: [],
} as const

const TRITON_ENDINGS: EndingsRef = {
  counters: [
    { name: 'nv_inference_request_success', ends: 'well' },
    { name: 'nv_inference_request_failure', label: 'reason', ends: 'badly' },
  ],
  bad: [],
  ignored: ['CANCELED'],
}

/**
 * The model servers that are known, in the order in which they are looked for: Triton shows its own metrics beside those
 * of the backend it runs, so it comes last. Names from the Gateway API inference extension's metric protocol
 * (docs/proposals/003), the engines' own metric loggers and their documentation.
 */
export const ENGINES = {
  vllm: {
    mark: 'vllm:',
    modelLabel: 'model_name',
    path: '/metrics',
    queued: refs('vllm:num_requests_waiting'),
    running: refs('vllm:num_requests_running'),
    // The second name is that of vLLM before 0.10.
    kvUsed: refs('vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'),
    ttft: seconds('vllm:time_to_first_token_seconds'),
    itl: seconds('vllm:inter_token_latency_seconds', 'vllm:time_per_output_token_seconds'),
    response: seconds('vllm:e2e_request_latency_seconds'),
    wait: seconds('vllm:request_queue_time_seconds'),
    endings: {
      counters: [{ name: 'vllm:request_success_total', label: 'finished_reason', ends: 'well' }],
      bad: ['error'],
      ignored: ['abort'],
    },
    preemptions: refs('vllm:num_preemptions_total'),
    tokens: refs('vllm:generation_tokens_total'),
    cacheHits: refs('vllm:prefix_cache_hits_total', 'vllm:gpu_prefix_cache_hits_total'),
    cacheQueries: refs('vllm:prefix_cache_queries_total', 'vllm:gpu_prefix_cache_queries_total'),
    cacheRatio: [],
    awake: { name: 'vllm:engine_sleep_state', where: { sleep_state: 'awake' } },
  },
  sglang: {
    ...NONE,
    mark: 'sglang:',
    modelLabel: 'model_name',
    path: '/metrics',
    queued: refs('sglang:num_queue_reqs'),
    running: refs('sglang:num_running_reqs'),
    kvUsed: refs('sglang:token_usage'),
    ttft: seconds('sglang:time_to_first_token_seconds'),
    itl: seconds('sglang:inter_token_latency_seconds', 'sglang:time_per_output_token_seconds'),
    response: seconds('sglang:e2e_request_latency_seconds'),
    wait: seconds('sglang:queue_time_seconds'),
    preemptions: refs('sglang:num_retracted_requests_total', 'sglang:num_retracted_reqs_total'),
    tokens: refs('sglang:generation_tokens_total'),
    cacheRatio: refs('sglang:cache_hit_rate'),
  },
  trtllm: {
    ...NONE,
    mark: 'trtllm_',
    modelLabel: 'model_name',
    path: '/prometheus/metrics',
    queued: refs('trtllm_num_requests_waiting'),
    running: refs('trtllm_num_requests_running'),
    kvUsed: refs('trtllm_kv_cache_utilization'),
    ttft: seconds('trtllm_time_to_first_token_seconds'),
    itl: seconds('trtllm_time_per_output_token_seconds'),
    response: seconds('trtllm_e2e_request_latency_seconds'),
    wait: seconds('trtllm_request_queue_time_seconds'),
    endings: {
      counters: [{ name: 'trtllm_request_success_total', label: 'finished_reason', ends: 'well' }],
      bad: ['error', 'timeout'],
      ignored: ['abort', 'cancelled'],
    },
    cacheRatio: refs('trtllm_kv_cache_hit_rate'),
  },
  'triton-trtllm': {
    ...NONE,
    mark: 'nv_trt_llm_',
    modelLabel: 'model',
    path: '/metrics',
    queued: [{ name: 'nv_trt_llm_request_metrics', where: { request_type: 'waiting' } }],
    running: [{ name: 'nv_trt_llm_request_metrics', where: { request_type: 'scheduled' } }],
    kvUsed: [{ name: 'nv_trt_llm_kv_cache_block_metrics', where: { kv_cache_block_type: 'fraction' } }],
    ttft: [{ name: 'nv_inference_first_response_histogram_ms', unit: 'ms' }],
    endings: TRITON_ENDINGS,
  },
  triton: {
    ...NONE,
    mark: 'nv_inference_',
    modelLabel: 'model',
    path: '/metrics',
    queued: refs('nv_inference_pending_request_count'),
    // nv_inference_exec_count counts executions since the start: it is no number of running requests.
    running: [],
    kvUsed: [],
    ttft: [{ name: 'nv_inference_first_response_histogram_ms', unit: 'ms' }],
    endings: TRITON_ENDINGS,
  },
} as const satisfies Record<string, Engine>

/** The name of a model server in ENGINES. */
export type EngineName = keyof typeof ENGINES

/** All engine names, in the order in which they are looked for. */
export const ENGINE_NAMES = Object.keys(ENGINES) as EngineName[]

/** The engine with this name. */
export const engineOf = (name: EngineName): Engine => ENGINES[name]

/** Labels that tell the parts of one model replica apart which all report the same requests (tensor, pipeline and expert parallel ranks). */
export const MIRROR_LABELS: ReadonlySet<string> = new Set(['tp_rank', 'pp_rank', 'moe_ep_rank'])

/** The names of all metrics that an engine's row speaks of; histograms by their buckets. */
export const namesOf = (engine: Engine): string[] => [
  ...[engine.queued, engine.running, engine.kvUsed, engine.preemptions, engine.tokens].flat().map(({ name }) => name),
  ...[engine.cacheHits, engine.cacheQueries, engine.cacheRatio].flat().map(({ name }) => name),
  ...[engine.ttft, engine.itl, engine.response, engine.wait].flat().map(({ name }) => `${name}_bucket`),
  ...(engine.endings?.counters ?? []).map(({ name }) => name),
  ...(engine.awake === undefined ? [] : [engine.awake.name]),
]

const ALL_NAMES: ReadonlySet<string> = new Set(ENGINE_NAMES.flatMap((name) => namesOf(ENGINES[name])))

/** Is this metric in any engine's row? The reader keeps no other. */
export const isEngineMetric = (name: string): boolean => ALL_NAMES.has(name)

/** Which engine these metric names are of; undefined for none that is known. */
export const detectEngine = (names: Iterable<string>): EngineName | undefined => {
  const all = [...names]
  return ENGINE_NAMES.find((name) => all.some((metric) => metric.startsWith(ENGINES[name].mark)))
}

/** The signals that an engine's metrics give, all of theirs where the engine is not known yet. */
export const engineSignals = (name?: EngineName): string[] => {
  const engines: readonly Engine[] = name === undefined ? ENGINE_NAMES.map(engineOf) : [engineOf(name)]
  const has = (part: (engine: Engine) => readonly unknown[]) => engines.some((engine) => part(engine).length > 0)
  const rows: [boolean, string[]][] = [
    [has((e) => e.queued), ['queue.depth']],
    [has((e) => e.running), ['queue.running']],
    [has((e) => e.wait), ['queue.wait_p50_ms', 'queue.wait_p95_ms']],
    [has((e) => e.kvUsed), ['kv.used_ratio']],
    [has((e) => e.ttft), ['ttft.p50_ms', 'ttft.p95_ms', 'ttft.p99_ms']],
    [has((e) => e.itl), ['itl.p50_ms', 'itl.p95_ms']],
    [has((e) => e.response), ['response.p50_ms', 'response.p95_ms', 'response.p99_ms']],
    [has((e) => e.endings?.counters ?? []), ['errors.ratio']],
    [has((e) => e.preemptions), ['preemptions.per_s']],
    [has((e) => e.tokens), ['tokens.per_s']],
    [has((e) => [...e.cacheQueries, ...e.cacheRatio]), ['cache.hit_ratio', 'cache.warm']],
    [true, ['replica.warm']],
  ]
  return rows.flatMap(([given, signals]) => (given ? signals : []))
}
