import t from 'tap'
import { accessLogStreams } from '../helpers/access-log-streams.ts'
import { useTransport } from '../helpers/transport.ts'

// Everything that the server on grpc-js has to pass, once more on our own transport.
useTransport('own')
await import('./envoy-servers.test.ts')
await import('./envoy-server-life.test.ts')
t.test('access logs', accessLogStreams)
