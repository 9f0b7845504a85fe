import type { EnvoyObject } from './envoy-object.ts'
import type { IstioPlace } from './istio.ts'
import type { EnvoyOptions } from './options.ts'

const SOCKET_VOLUME = 'hubward-socket'

/** Longer than Envoy's own drain: what still comes in until then is decided and not sent to the default. */
const GRACE_S = 60

/** What the proxy must be told at its start: show ext_proc's counters, and close its streams without a reset. */
const PROXY_CONFIG = [
  'proxyStatsMatcher:',
  '  inclusionRegexps: [".*ext_proc.*", ".*ext_authz.*", "cluster\\\\.hubward-sidecar\\\\..*"]',
  'runtimeValues:',
  '  envoy.reloadable_features.ext_proc_graceful_grpc_close: "true"',
  '',
].join('\n')

const container = (image: string, user: EnvoyObject, more: EnvoyObject): EnvoyObject => ({
  name: 'hubward',
  image,
  args: ['serve', '--config', '/etc/hubward/hubward.yaml'],
  resources: { requests: { cpu: '250m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  securityContext: {
    runAsNonRoot: true,
    ...user,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  },
  ...more,
})

/** The user of istio-proxy: the socket is for both of them, and for nobody else in the pod. */
const PROXY_USER = 1337

const documents: EnvoyObject = { name: 'hubward', configMap: { name: 'hubward' } }
const state: EnvoyObject = { name: 'hubward-state', emptyDir: {} }

/**
 * A patch for the Deployment whose pods get hubward beside their Envoy, over a socket in a shared volume. A native
 * sidecar: it starts before the proxy and ends after it. It has no readiness probe, because an unready hubward would
 * take the whole pod out of its Service, and chat goes on without it; Envoy asks for its health by itself.
 */
export const podPatch = (options: EnvoyOptions, place: IstioPlace, deployment: string, image: string): EnvoyObject => {
  const folder = 'path' in options.sidecar ? options.sidecar.path.replace(/\/[^/]*$/, '') : '/run/hubward'
  const socket = { name: SOCKET_VOLUME, mountPath: folder }
  const hubward = container(
    image,
    { runAsUser: PROXY_USER, runAsGroup: PROXY_USER },
    {
      restartPolicy: 'Always',
      volumeMounts: [
        socket,
        { name: 'hubward', mountPath: '/etc/hubward', readOnly: true },
        { name: 'hubward-state', mountPath: '/var/lib/hubward' },
      ],
    },
  )
  const common = { terminationGracePeriodSeconds: GRACE_S, initContainers: [hubward] }
  const shared = { name: SOCKET_VOLUME, emptyDir: {} }
  const isGateway = place.context === 'GATEWAY'
  // A gateway's own proxy is in its Deployment and mounts like any container; an injected one mounts by annotation.
  const injected = {
    'sidecar.istio.io/userVolume': JSON.stringify([shared]),
    'sidecar.istio.io/userVolumeMount': JSON.stringify([socket]),
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: deployment, namespace: place.namespace },
    spec: {
      template: {
        metadata: { annotations: { ...(isGateway ? {} : injected), 'proxy.istio.io/config': PROXY_CONFIG } },
        spec: isGateway
          ? {
              ...common,
              containers: [{ name: 'istio-proxy', volumeMounts: [socket] }],
              volumes: [documents, state, shared],
            }
          : { ...common, volumes: [documents, state] },
      },
    },
  }
}

/** hubward as a workload of its own, for an Envoy that reaches it over TCP: a Service and a Deployment. */
export const tcpWorkload = (options: EnvoyOptions, place: IstioPlace, image: string): EnvoyObject[] => {
  const port = 'port' in options.sidecar ? options.sidecar.port : 50051
  const labels = { app: 'hubward' }
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'hubward', namespace: place.namespace, labels },
      // The port's name tells Istio that it is HTTP/2.
      spec: { selector: labels, ports: [{ name: 'grpc-hubward', port, targetPort: port }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'hubward', namespace: place.namespace, labels },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          // A proxy in front of the processor stalls its streams, and Envoy's own cluster here speaks no mesh TLS.
          metadata: { labels: { ...labels, 'sidecar.istio.io/inject': 'false' } },
          spec: {
            terminationGracePeriodSeconds: GRACE_S,
            containers: [
              container(
                image,
                {},
                {
                  ports: [{ name: 'grpc-hubward', containerPort: port }],
                  readinessProbe: { grpc: { port }, periodSeconds: 2 },
                  volumeMounts: [
                    { name: 'hubward', mountPath: '/etc/hubward', readOnly: true },
                    { name: 'hubward-state', mountPath: '/var/lib/hubward' },
                  ],
                },
              ),
            ],
            volumes: [documents, state],
          },
        },
      },
    },
  ]
}
