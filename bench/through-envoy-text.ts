import { table } from './table.ts'
import type { PeerRow } from './through-envoy.ts'

/** Who everybody is compared with, and who has targets. */
const GO = 'go'
const OURS = 'hubward, own'

/** At most so many of Go's. */
const TARGETS: readonly (readonly [what: string, most: number, pick: (row: PeerRow) => number])[] = [
  ['sidecar CPU', 0.5, (row) => row.sidecarCpuUs],
  ['p50', 1, (row) => row.p50Ms],
  ['p99', 1, (row) => row.p99Ms],
]

const byGo = (rows: readonly PeerRow[], row: PeerRow, pick: (one: PeerRow) => number): number | undefined => {
  const other = rows.find((one) => one.peer === GO && one.load === row.load)
  return other === undefined || pick(other) === 0 || pick(row) === 0 ? undefined : pick(row) / pick(other)
}

const targets = (rows: readonly PeerRow[]): string =>
  table(
    ['clients', ...TARGETS.map(([what, most]) => `${what} by Go, <= ${most}`)],
    rows
      .filter((row) => row.peer === OURS)
      .map((row) => [
        row.load,
        ...TARGETS.map(([, most, pick]) => {
          const ratio = byGo(rows, row, pick)
          return ratio === undefined ? '' : `${ratio.toFixed(2)} ${ratio <= most ? 'met' : 'missed'}`
        }),
      ]),
  )

/** The peers beside each other, and what has become of the targets. */
export const throughEnvoyText = (rows: readonly PeerRow[]): string => {
  const ratio = (row: PeerRow, pick: (one: PeerRow) => number): string => byGo(rows, row, pick)?.toFixed(2) ?? ''
  const late = Math.max(...rows.filter(({ lateP99Ms }) => lateP99Ms > 0).map(({ lateP99Ms }) => lateP99Ms), 0)
  return `A request goes through Envoy 1.40 with one worker to a site that answers at once. hubward's request path is the one that \`hubward serve\` wires, with journal (1 % kept), measuring and counters, and decides over 50 sites and 20 policies; \`lua\` and \`go\` (bench/go-ext-proc) only write the header. Clients wait for their answers and send the next, or come at a fixed rate whatever has become of the others; then times count from when a request was due. CPU is that of the process by request. A pause is the longest that the event loop was kept, or of Go's the world stopped; what is the longest is so of all rounds.

${targets(rows)}

${table(
  [
    ...[
      'peer',
      'clients',
      'requests/s',
      'sidecar CPU us',
      'by Go',
      'Envoy CPU us',
      'p50 ms',
      'by Go',
      'p99 ms',
      'by Go',
    ],
    ...['longest request ms', 'longest pause ms', 'longest GC ms', 'GC us', 'RSS MB', 'failed', 'failed open'],
  ],
  rows.map((row) => [
    ...[row.peer, row.load, row.perSecond.toFixed(0), row.sidecarCpuUs.toFixed(0)],
    ...[ratio(row, (one) => one.sidecarCpuUs), row.envoyCpuUs.toFixed(0)],
    ...[row.p50Ms.toFixed(2), ratio(row, (one) => one.p50Ms), row.p99Ms.toFixed(2), ratio(row, (one) => one.p99Ms)],
    row.longestMs.toFixed(1),
    ...(row.sidecarCpuUs === 0
      ? ['', '', '', '']
      : [
          (row.loopLongestMs ?? row.gcLongestMs).toFixed(1),
          row.gcLongestMs.toFixed(1),
          row.gcUs.toFixed(1),
          row.sidecarRssMb.toFixed(0),
        ]),
    ...[row.bad, row.failedOpen],
  ]),
)}

Envoy counted ${rows.reduce((sum, { envoySays }) => sum + envoySays, 0)} timeouts, failed streams and requests that its failure mode let pass. Of the open loads the 99th of a hundred requests was sent ${late.toFixed(1)} ms late at most: no connection was free, or the load had no core.`
}
