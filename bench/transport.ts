import { goPeer, hubwardPeer, inTurns, type PeerRow } from './through-envoy.ts'

/*
 * The two transports with the same handler, the real decision, through a real Envoy in one run, beside the minimal Go
 * server: `node bench/transport.ts [ROUNDS]`. Peers take turns and the medians are shown.
 */

const rounds = Number(process.argv[2] ?? 3)
const go = goPeer()
const rows = await inTurns(
  [...(go === undefined ? [] : [go]), hubwardPeer('grpc-js', 'grpc-js'), hubwardPeer('own', 'own')],
  rounds,
)
const of = (peer: string, concurrency: number): PeerRow | undefined =>
  rows.find((row) => row.peer === peer && row.concurrency === concurrency)

console.log('| transport | concurrency | sidecar CPU us | by grpc-js | by Go | p50 ms | p99 ms | RSS MB | failed |')
console.log('|---|---|---|---|---|---|---|---|---|')
for (const row of rows) {
  const by = (peer: string): string => {
    const other = of(peer, row.concurrency)
    return other === undefined ? '' : (row.sidecarCpuUs / other.sidecarCpuUs).toFixed(2)
  }
  const cells = [
    row.peer,
    row.concurrency,
    row.sidecarCpuUs.toFixed(0),
    by('grpc-js'),
    by('go'),
    row.p50Ms.toFixed(2),
    row.p99Ms.toFixed(2),
    row.sidecarRssMb.toFixed(0),
    row.bad,
  ]
  console.log(`| ${cells.join(' | ')} |`)
}
if (go === undefined) console.log('go: no Go on this machine, or it could not be built')
