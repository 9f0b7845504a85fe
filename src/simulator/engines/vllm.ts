import type { Family, Labels } from '../metrics-text.ts'
import { BLOCK_TOKENS } from '../tokens.ts'
import { type Row, type SiteView, writer } from './rows.ts'

/** vLLM's metrics, as vllm/v1/metrics/loggers.py names them; `old` is a vLLM before 0.10. */
export const vllm = (view: SiteView, rows: readonly Row[], old: boolean): Family[] => {
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
