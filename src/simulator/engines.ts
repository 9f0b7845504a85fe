import { FINISH_REASONS, type Histogram, type Meter, type Series } from './meter.ts'
import type { Family, Labels } from './metrics-text.ts'
import type { EngineName } from './options.ts'
import type { Queue } from './queue.ts'
import { BLOCK_TOKENS } from './tokens.ts'

/** What a site shows of itself, whatever its engine calls it. */
export interface SiteView {
  readonly models: readonly string[]
  readonly engines: number
  readonly queue: Queue
  readonly meter: Meter
  /** Blocks in the cache of one engine. */
  readonly kvBlocks: number
  /** Seconds since the epoch. */
  readonly nowS: number
}

/** One model on one engine, synthetic requests counted with the first model. */
interface Row {
  readonly engine: number
  readonly model: string
  readonly running: number
  readonly waiting: number
  readonly kvRatio: number
  readonly kvBlocks: number
  readonly series: Series
}

/** What a synthetic request occupies in the cache, in tokens. */
const SYNTHETIC_TOKENS = 1_024

const rowsOf = (view: SiteView): Row[] =>
  Array.from({ length: view.engines }, (_, engine) =>
    view.models.map((model, index): Row => {
      const running = index === 0 ? view.queue.syntheticRunning(engine) : 0
      const series = view.meter.of(engine, model)
      return {
        engine,
        model,
        series,
        running: running + view.queue.running(engine, model),
        waiting: (index === 0 ? view.queue.syntheticWaiting(engine) : 0) + view.queue.waiting(engine, model),
        kvRatio: Math.min(1, (series.kvTokens + running * SYNTHETIC_TOKENS) / (view.kvBlocks * BLOCK_TOKENS)),
        kvBlocks: view.kvBlocks,
      }
    }),
  ).flat()

/** Writes families about rows that all carry the same labels. */
const writer = (rows: readonly Row[], labels: (row: Row) => Labels) => ({
  gauge: (name: string, help: string, of: (row: Row) => number, extra: Labels = {}): Family => ({
    name,
    help,
    type: 'gauge',
    series: rows.map((row) => [{ ...labels(row), ...extra }, of(row)]),
  }),
  counter: (name: string, help: string, of: (row: Row) => number): Family => ({
    name,
    help,
    type: 'counter',
    series: rows.map((row) => [labels(row), of(row)]),
  }),
  histogram: (name: string, help: string, of: (row: Row) => Histogram, scale = 1): Family => ({
    name,
    help,
    type: 'histogram',
    scale,
    series: rows.map((row) => [labels(row), of(row)]),
  }),
  finished: (name: string, help: string): Family => ({
    name,
    help,
    type: 'counter',
    series: rows.flatMap((row) =>
      FINISH_REASONS.map(
        (reason) => [{ ...labels(row), finished_reason: reason }, row.series.finished[reason]] as const,
      ),
    ),
  }),
})

const ended = (row: Row): number => FINISH_REASONS.reduce((sum, reason) => sum + row.series.finished[reason], 0)
const served = (row: Row): number => row.series.finished.stop + row.series.finished.length

const vllm = (view: SiteView, rows: readonly Row[], old: boolean): Family[] => {
  // The label came with vLLM's second engine core; before it, only a deployment of several had to tell them apart.
  const engineLabel = (engine: number): Labels => (old && view.engines === 1 ? {} : { engine: String(engine) })
  const say = writer(rows, (row) => ({ model_name: row.model, ...engineLabel(row.engine) }))
  const cache = old ? 'gpu_prefix_cache' : 'prefix_cache'
  return [
    say.gauge('vllm:num_requests_running', 'Number of requests in model execution batches.', (row) => row.running),
    say.gauge('vllm:num_requests_waiting', 'Number of requests waiting to be processed.', (row) => row.waiting),
    say.gauge(
      old ? 'vllm:gpu_cache_usage_perc' : 'vllm:kv_cache_usage_perc',
      'KV-cache usage. 1 means 100 percent usage.',
      (row) => row.kvRatio,
    ),
    say.counter(
      `vllm:${cache}_queries_total`,
      'Prefix cache queries, in terms of number of queried tokens.',
      (row) => row.series.cacheQueries,
    ),
    say.counter(
      `vllm:${cache}_hits_total`,
      'Prefix cache hits, in terms of number of cached tokens.',
      (row) => row.series.cacheHits,
    ),
    say.counter(
      'vllm:num_preemptions_total',
      'Cumulative number of preemption from the engine.',
      (row) => row.series.preemptions,
    ),
    say.counter('vllm:prompt_tokens_total', 'Number of prefill tokens processed.', (row) => row.series.promptTokens),
    say.counter(
      'vllm:generation_tokens_total',
      'Number of generation tokens processed.',
      (row) => row.series.generationTokens,
    ),
    say.finished('vllm:request_success_total', 'Count of successfully processed requests.'),
    say.histogram(
      'vllm:time_to_first_token_seconds',
      'Histogram of time to first token in seconds.',
      (row) => row.series.ttft,
    ),
    say.histogram(
      old ? 'vllm:time_per_output_token_seconds' : 'vllm:inter_token_latency_seconds',
      'Histogram of inter-token latency in seconds.',
      (row) => row.series.itl,
    ),
    say.histogram(
      'vllm:e2e_request_latency_seconds',
      'Histogram of e2e request latency in seconds.',
      (row) => row.series.e2e,
    ),
    say.histogram(
      'vllm:request_queue_time_seconds',
      'Histogram of time spent in WAITING phase for request.',
      (row) => row.series.queueTime,
    ),
    {
      name: 'vllm:cache_config_info',
      help: 'Information of the LLMEngine CacheConfig',
      type: 'gauge',
      series: Array.from({ length: view.engines }, (_, engine) => [
        { block_size: String(BLOCK_TOKENS), num_gpu_blocks: String(view.kvBlocks), ...engineLabel(engine) },
        1,
      ]),
    },
    {
      name: 'vllm:lora_requests_info',
      help: 'Running stats on lora requests.',
      type: 'gauge',
      series: [[{ max_lora: '4', running_lora_adapters: '', waiting_lora_adapters: '' }, view.nowS]],
    },
  ]
}

const sglang = (view: SiteView, rows: readonly Row[]): Family[] => {
  const say = writer(rows, (row) => ({
    model_name: row.model,
    engine_type: 'unified',
    ...(view.engines > 1 ? { dp_rank: String(row.engine) } : {}),
  }))
  return [
    say.gauge('sglang:num_running_reqs', 'The number of running requests.', (row) => row.running),
    say.gauge('sglang:num_queue_reqs', 'The number of requests in the waiting queue.', (row) => row.waiting),
    say.gauge('sglang:token_usage', 'The token usage.', (row) => row.kvRatio),
    say.gauge(
      'sglang:cache_hit_rate',
      'The prefix cache hit rate.',
      (row) => row.series.cacheHits / Math.max(1, row.series.cacheQueries),
    ),
    say.gauge('sglang:num_retracted_reqs', 'The number of retracted requests.', (row) => row.series.preemptions),
    say.gauge('sglang:cache_config_info', 'Information of the cache.', () => 1, {
      page_size: String(BLOCK_TOKENS),
      num_pages: String(view.kvBlocks),
    }),
    say.counter('sglang:prompt_tokens_total', 'Number of prefill tokens processed.', (row) => row.series.promptTokens),
    say.counter(
      'sglang:generation_tokens_total',
      'Number of generation tokens processed.',
      (row) => row.series.generationTokens,
    ),
    say.counter('sglang:cached_tokens_total', 'Number of cached prompt tokens.', (row) => row.series.cacheHits),
    say.counter('sglang:num_requests_total', 'Number of requests processed.', ended),
    say.counter('sglang:num_aborted_requests_total', 'Number of requests aborted.', (row) => row.series.finished.abort),
    say.histogram(
      'sglang:time_to_first_token_seconds',
      'Histogram of time to first token in seconds.',
      (row) => row.series.ttft,
    ),
    say.histogram(
      'sglang:inter_token_latency_seconds',
      'Histogram of inter-token latency in seconds.',
      (row) => row.series.itl,
    ),
    say.histogram(
      'sglang:e2e_request_latency_seconds',
      'Histogram of End-to-end request latency in seconds',
      (row) => row.series.e2e,
    ),
  ]
}

const trtllm = (view: SiteView, rows: readonly Row[]): Family[] => {
  const say = writer(rows, (row) => ({
    model_name: row.model,
    engine_type: 'trtllm',
    ...(view.engines > 1 ? { rank: String(row.engine) } : {}),
  }))
  return [
    say.gauge('trtllm_num_requests_running', 'Number of requests being processed.', (row) => row.running),
    say.gauge('trtllm_num_requests_waiting', 'Number of requests waiting.', (row) => row.waiting),
    say.gauge('trtllm_kv_cache_utilization', 'KV cache utilization.', (row) => row.kvRatio),
    say.gauge(
      'trtllm_kv_cache_hit_rate',
      'KV cache hit rate.',
      (row) => row.series.cacheHits / Math.max(1, row.series.cacheQueries),
    ),
    say.gauge('trtllm_kv_cache_tokens_per_block', 'Tokens in a block.', () => BLOCK_TOKENS),
    say.gauge('trtllm_kv_cache_max_blocks', 'Blocks in the cache.', (row) => row.kvBlocks),
    say.finished('trtllm_request_success_total', 'Count of successfully processed requests.'),
    say.histogram(
      'trtllm_time_to_first_token_seconds',
      'Histogram of time to first token in seconds.',
      (row) => row.series.ttft,
    ),
    say.histogram(
      'trtllm_time_per_output_token_seconds',
      'Histogram of time per output token in seconds.',
      (row) => row.series.itl,
    ),
    say.histogram(
      'trtllm_e2e_request_latency_seconds',
      'Histogram of end to end request latency in seconds.',
      (row) => row.series.e2e,
    ),
    say.histogram(
      'trtllm_request_queue_time_seconds',
      'Histogram of time spent in WAITING phase for request.',
      (row) => row.series.queueTime,
    ),
  ]
}

const triton = (view: SiteView, rows: readonly Row[]): Family[] => {
  const say = writer(rows, (row) => ({ model: row.model, version: String(row.engine + 1) }))
  const spread = (
    name: string,
    help: string,
    label: string,
    values: Readonly<Record<string, (row: Row) => number>>,
  ): Family => ({
    name,
    help,
    type: 'gauge',
    series: rows.flatMap((row) =>
      Object.entries(values).map(
        ([value, of]) => [{ model: row.model, version: String(row.engine + 1), [label]: value }, of(row)] as const,
      ),
    ),
  })
  return [
    spread('nv_trt_llm_request_metrics', 'TRT LLM request metrics', 'request_type', {
      waiting: (row) => row.waiting,
      scheduled: (row) => row.running,
      active: (row) => row.running + row.waiting,
    }),
    spread('nv_trt_llm_kv_cache_block_metrics', 'TRT LLM KV cache block metrics', 'kv_cache_block_type', {
      fraction: (row) => row.kvRatio,
      used: (row) => Math.round(row.kvRatio * view.kvBlocks),
      free: (row) => view.kvBlocks - Math.round(row.kvRatio * view.kvBlocks),
      max: () => view.kvBlocks,
      tokens_per: () => BLOCK_TOKENS,
    }),
    say.counter('nv_inference_request_success', 'Number of successful inference requests, all batch sizes', served),
    say.counter(
      'nv_inference_request_failure',
      'Number of failed inference requests, all batch sizes',
      (row) => row.series.finished.error + row.series.finished.abort,
    ),
    say.counter(
      'nv_inference_exec_count',
      'Number of model executions performed (does not include cached requests)',
      ended,
    ),
    say.gauge(
      'nv_inference_pending_request_count',
      'Instantaneous number of pending requests awaiting execution per-model.',
      (row) => row.waiting,
    ),
    say.histogram(
      'nv_inference_first_response_histogram_ms',
      'Duration from request to first response in milliseconds',
      (row) => row.series.ttft,
      1_000,
    ),
  ]
}

/** Everything a site tells of itself, in the names of its engine. */
export const familiesOf = (engine: EngineName, view: SiteView): Family[] => {
  const rows = rowsOf(view)
  switch (engine) {
    case 'vllm':
      return vllm(view, rows, false)
    case 'vllm-old':
      return vllm(view, rows, true)
    case 'sglang':
      return sglang(view, rows)
    case 'trtllm':
      return trtllm(view, rows)
    case 'triton':
      return triton(view, rows)
  }
}
