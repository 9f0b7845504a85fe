import { BY_MAX, MEASURED_BY, MEASURED_TIMES } from '../model/measurements.ts'
import type { VERDICTS } from '../model/outcome.ts'

const rows = (head: readonly [string, string], of: Readonly<Record<string, string>>): string =>
  [
    `| ${head.join(' | ')} |`,
    '|---|---|',
    ...Object.entries(of).map(([name, says]) => `| \`${name}\` | ${says} |`),
  ].join('\n')

const VERDICTS_SAY: Readonly<Record<(typeof VERDICTS)[number], string>> = {
  ok: 'the site answered; what the client did wrong (400, 404, 413, 422) is no error of the site, and has no time here',
  error: 'a 5xx or 429, a refused connection, an answer that broke off',
  timeout: 'too slow for the route, or a stream that stood still',
  refused: 'by hubward itself: a delay, a hold that ended, a denial',
  left: 'the client went away',
}

/** The parts of the page about what is measured of ended requests, in the order in which they stand. */
export const measurementParts = (): readonly string[] => [
  "Envoy's access log tells how each request ended (`hubward envoy` writes the configuration of it); hubward joins it to its decision by the header `x-hubward-decision`. `hubward measurements` and `GET /v1/measurements` tell what came of it.",
  '## By what',
  `At most ${BY_MAX} at once, and only those with a value by \`--where\`. A request for which there was no room under all of its labels is \`other\` in some.`,
  rows(['dimension', 'what it is'], MEASURED_BY),
  '## How requests end',
  rows(['verdict', 'when'], VERDICTS_SAY),
  '## Times',
  'Quantiles are of requests that were served, within one percent; below 100, 200 and 1,000 requests p50, p95 and p99 are insufficient and not told. The parts but `response` and `ttft` add up to the whole, less what Envoy and hubward took themselves.',
  rows(['time', 'what it is'], MEASURED_TIMES),
  '## Signals',
  'The last minute of each target is told every five seconds by the source `envoy-access-log`: `ttft.passive_p95_ms`, `response.passive_p95_ms` and `errors.passive_ratio`, and by region of the client `client.ttft_p95_ms`, `client.response_p95_ms` and `client.errors_ratio`. The rows of model servers (`ttft.*`, `response.*`, `errors.ratio`) are filled in where no other source has told them within their hard age. A class with an `slo` has burn rates and its locality at each site, written `slo.burn_1h_ratio@<class>` in snapshots and in the samples of a case; a policy names `slo.burn_1h_ratio` and reads its own class. A hundred requests sent in a row of which none ends for a minute mean that the log is broken: then nothing is told.',
  '## What the business reports',
  '`POST /v1/outcomes` takes numbers by decision, for as long as the decision is known (four times `measure.pending` for those of rollouts), or sums by rollout, arm and day. An outcome of a decision counts once under each name; a day that is sent anew replaces the one before. There are at most 64 names.',
  '## What is kept',
  'The last minute in tens of seconds, two hours in fives of minutes, two days in hours, within `measure.bytesMax`; a restart begins them anew. Counts for burn rates and reported outcomes are kept in `measurements.json` of the state folder, written every minute and at the end. A file that is not whole is put aside as `measurements.json.damaged`, told as `measure/damaged`, and counting starts anew. Each hubward measures what came through it.',
]
