import type { Family } from '../metrics-text.ts'
import { BLOCK_TOKENS } from '../tokens.ts'
import { ended, type Row, type SiteView, writer } from './rows.ts'

/** SGLang's metrics. */
export const sglang = (view: SiteView, rows: readonly Row[]): Family[] => {
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
