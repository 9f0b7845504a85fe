import type { DocumentSet, Pool } from '../../model/documents.ts'
import { processPort, processSocket } from '../../model/process-address.ts'
import {
  type Address,
  discoveryOf,
  type EnvoyObject,
  endpointAddress,
  loadAssignment,
  seconds,
  typed,
} from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'

/** The name of the cluster that hubward itself is: not a place that the routing header may name. */
export const SIDECAR_CLUSTER = 'hubward-sidecar'

/** The name of the cluster of the main process alone, where hubward has several: what came of requests is told to it. */
export const MAIN_CLUSTER = 'hubward-main'

/** Where the access log goes: to the process that measures. */
export const logCluster = ({ processes }: Pick<EnvoyOptions, 'processes'>): string =>
  processes === 1 ? SIDECAR_CLUSTER : MAIN_CLUSTER

/** One cluster for each pool whose endpoints the documents name. */
export const poolClusters = (set: DocumentSet, options: EnvoyOptions): EnvoyObject[] =>
  set.sites
    .flatMap((site) => site.pools)
    .filter((pool) => pool.endpoints !== undefined && pool.endpoints.length > 0)
    .map((pool) => poolCluster(pool, options))

function poolCluster(pool: Pool, options: EnvoyOptions): EnvoyObject {
  const addresses = (pool.endpoints ?? []).map(endpointAddress)
  return {
    name: pool.cluster,
    ...discoveryOf(addresses),
    connect_timeout: seconds(options.connectTimeoutMs),
    lb_policy: 'LEAST_REQUEST',
    // Envoy must never send to a host that it knows to be dead: hubward ranks the alternatives, not chance.
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    circuit_breakers: {
      thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096, max_retries: 64 }],
    },
    // Only what goes wrong on the way there counts: a site's own 5xx is for hubward's signals to judge.
    outlier_detection: {
      split_external_local_origin_errors: true,
      consecutive_local_origin_failure: 3,
      enforcing_consecutive_local_origin_failure: 100,
      enforcing_consecutive_5xx: 0,
      enforcing_consecutive_gateway_failure: 0,
      enforcing_success_rate: 0,
      enforcing_local_origin_success_rate: 0,
      interval: '1s',
      base_ejection_time: '5s',
      max_ejection_time: '30s',
      max_ejection_percent: 100,
    },
    ...(options.healthPath === undefined ? {} : { health_checks: [siteHealth(options.healthPath, options)] }),
    ...httpOptions(options.upstreamHttp === 2 ? { http2_protocol_options: keepAlive } : { http_protocol_options: {} }),
    load_assignment: loadAssignment(pool.cluster, addresses),
  }
}

const siteHealth = (path: string, options: EnvoyOptions): EnvoyObject => ({
  timeout: '2s',
  interval: seconds(options.healthIntervalMs),
  // Without it a cluster that nobody uses is asked once a minute, and the defaults are used when it matters most.
  no_traffic_interval: seconds(options.healthIntervalMs),
  unhealthy_threshold: 2,
  healthy_threshold: 2,
  http_health_check: {
    path,
    ...(options.upstreamHttp === 2 ? { codec_client_type: 'HTTP2' } : {}),
  },
})

const keepAlive: EnvoyObject = { connection_keepalive: { interval: '10s', timeout: '2s' } }

const httpOptions = (protocol: EnvoyObject, common: EnvoyObject = {}): EnvoyObject => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
      'extensions.upstreams.http.v3.HttpProtocolOptions',
      { ...common, explicit_http_config: protocol },
    ),
  },
})

/**
 * Envoy keeps about this much for a stream that hubward does not read, besides the message that passes it. Left to
 * itself it keeps sixteen times as much: the log of a hung hubward, once for each worker.
 */
const STREAM_BYTES = 1_048_576

/**
 * The clusters that hubward is: one with all of its processes, and the main one alone where there are several. Envoy ends
 * every ext_proc stream with RST_STREAM, and servers on Node's HTTP/2 answer about 1,000 of those on one connection with
 * GOAWAY. hubward bears them, on either transport; a connection is given 800 all the same, so that new TLS files are in
 * use soon. A hung hubward costs every request the whole message_timeout; an active health check with no panic brings that
 * down to about a millisecond.
 */
export const sidecarClusters = (options: EnvoyOptions): EnvoyObject[] =>
  options.processes === 1
    ? [sidecarCluster(SIDECAR_CLUSTER, options, 1)]
    : [sidecarCluster(SIDECAR_CLUSTER, options, options.processes), sidecarCluster(MAIN_CLUSTER, options, 1)]

function sidecarCluster(name: string, options: EnvoyOptions, processes: number): EnvoyObject {
  const addresses = Array.from({ length: processes }, (_, index) => processAddress(options.sidecar, index))
  return {
    name,
    ...discoveryOf(addresses),
    connect_timeout: '0.25s',
    // Of two processes the one with fewer open streams: one that collects garbage or folds a change gets none meanwhile.
    ...(processes === 1 ? {} : { lb_policy: 'LEAST_REQUEST' }),
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    circuit_breakers: {
      thresholds: [{ max_connections: 1024, max_pending_requests: 10_000, max_requests: 10_000, max_retries: 100 }],
    },
    health_checks: [
      {
        timeout: '0.5s',
        interval: '1s',
        no_traffic_interval: '1s',
        unhealthy_threshold: 2,
        healthy_threshold: 1,
        grpc_health_check: {},
      },
    ],
    ...httpOptions(
      { http2_protocol_options: { ...keepAlive, initial_stream_window_size: STREAM_BYTES } },
      { common_http_protocol_options: { max_requests_per_connection: 800 } },
    ),
    ...(options.sidecarTls === undefined ? {} : { transport_socket: sidecarTls(options.sidecarTls) }),
    load_assignment: loadAssignment(name, addresses),
  }
}

const processAddress = (address: Address, index: number): Address =>
  'path' in address
    ? { path: processSocket(address.path, index) }
    : { host: address.host, port: processPort(address.port, index) }

const sidecarTls = (tls: NonNullable<EnvoyOptions['sidecarTls']>): EnvoyObject => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: typed('extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    sni: tls.serverName,
    common_tls_context: {
      alpn_protocols: ['h2'],
      ...(tls.certFile === undefined || tls.keyFile === undefined
        ? {}
        : {
            tls_certificates: [
              { certificate_chain: { filename: tls.certFile }, private_key: { filename: tls.keyFile } },
            ],
          }),
      validation_context: {
        trusted_ca: { filename: tls.caFile },
        match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: tls.serverName } }],
      },
    },
  }),
})
