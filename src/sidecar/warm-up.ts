import { checkAnswer, processingAnswer } from '../envoy/answer.ts'
import { createMetrics } from '../metrics.ts'
import type { RequestView } from '../model/request-view.ts'
import { createJudge, type JudgeParts } from './judge.ts'
import { createTally } from './tally.ts'

/** Decisions made before the first request: Node compiles what has run some hundred times, and the first call takes 45 ms. */
const WARM_DECISIONS = 2_000

/**
 * Runs the request path on requests of our own, on the documents in force, with counters that nobody reads. Works in
 * slices, so that whoever asks for metrics meanwhile is answered.
 */
export async function warmUp(parts: JudgeParts): Promise<void> {
  const { sidecars } = parts.tally
  const journal = { wants: () => undefined, keep: () => {} }
  const judge = createJudge({
    ...parts,
    tally: createTally(sidecars),
    metrics: createMetrics(),
    journal,
    onPanic: () => {},
  })
  for (let done = 0; done < WARM_DECISIONS; done++) {
    const { decision, extras } = judge(VIEWS[done % VIEWS.length]!)
    processingAnswer(decision, 'request_headers', extras)
    checkAnswer(decision, extras)
    if (done % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
  }
}

const view = (path: string, headers: Readonly<Record<string, string>>): RequestView => ({
  method: 'POST',
  path,
  authority: 'warm-up',
  header: (name) => headers[name],
  attribute: (name) => (name === 'source.address' ? '192.0.2.1:1' : undefined),
  metadata: () => undefined,
})

const VIEWS: readonly RequestView[] = [
  view('/v1/chat/completions', { 'content-type': 'application/json', 'x-request-id': 'warm-up' }),
  view('/v1/chat/completions?stream=true', { 'x-forwarded-for': '192.0.2.1', 'x-hubward-residency': 'eu' }),
  view('/v1/fine_tuning/jobs', { 'x-hubward-needs': 'gpu=H100', 'x-hubward-session': '1.a.b.c.d' }),
]
