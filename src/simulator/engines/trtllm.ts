import type { Family } from '../metrics-text.ts'
import { BLOCK_TOKENS } from '../tokens.ts'
import { type Row, type SiteView, writer } from './rows.ts'

/** The metrics of trtllm-serve. */
export const trtllm = (view: SiteView, rows: readonly Row[]): Family[] => {
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
