import type { Family } from '../metrics-text.ts'
import { BLOCK_TOKENS } from '../tokens.ts'
import { ended, type Row, type SiteView, served, writer } from './rows.ts'

/** The metrics of Triton with its TensorRT-LLM backend; each engine is a version of the model. */
export const triton = (view: SiteView, rows: readonly Row[]): Family[] => {
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
