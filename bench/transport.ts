import { goPeer, hubwardPeer } from './peers.ts'
import { table } from './table.ts'
import { inTurns, type PeerRow } from './through-envoy.ts'

/*
 * The two transports with the same handler, the real decision, through a real Envoy in one run, beside the minimal Go
 * server: `node bench/transport.ts [ROUNDS]`. Peers take turns and the medians are shown.
 */

const go = goPeer()
if (go === undefined) {
  console.error('peer and load are programs in Go, and there is none on this machine')
  process.exit(1)
}
const peers = [go, hubwardPeer('grpc-js', 'grpc-js'), hubwardPeer('own', 'own')]
const rows = await inTurns(peers, Number(process.argv[2] ?? 3))
const by = (peer: string, row: PeerRow): string => {
  const other = rows.find((one) => one.peer === peer && one.load === row.load)
  return other === undefined ? '' : (row.sidecarCpuUs / other.sidecarCpuUs).toFixed(2)
}
console.log(
  table(
    ['transport', 'clients', 'sidecar CPU us', 'by grpc-js', 'by Go', 'p50 ms', 'p99 ms', 'RSS MB', 'failed'],
    rows.map((row) => [
      ...[row.peer, row.load, row.sidecarCpuUs.toFixed(0), by('grpc-js', row), by('go', row)],
      ...[row.p50Ms.toFixed(2), row.p99Ms.toFixed(2), row.sidecarRssMb.toFixed(0), row.bad],
    ]),
  ),
)
