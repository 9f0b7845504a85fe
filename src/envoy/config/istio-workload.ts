import { Document } from 'yaml'
import { processPort } from '../../model/process-address.ts'
import type { EnvoyObject } from './envoy-object.ts'
import type { IstioPlace } from './istio.ts'
import type { EnvoyOptions } from './options.ts'

const SOCKET_VOLUME = 'hubward-socket'

/** Longer than Envoy's own drain: what still comes in until then is decided and not sent to the default. */
const GRACE_S = 60

/** What the proxy must be told at its start: show the counters of ext_proc and of the log, and close without a reset. */
const PROXY_CONFIG = [
  'proxyStatsMatcher:',
  '  inclusionRegexps: [".*ext_proc.*", ".*ext_authz.*", "access_logs\\\\..*", "cluster\\\\.hubward-sidecar\\\\..*"]',
  'runtimeValues:',
  '  envoy.reloadable_features.ext_proc_graceful_grpc_close: "true"',
  '',
].join('\n')

/** What the first process may take, and each further one. */
const MEMORY_MI = [512, 448] as const

const container = (image: string, processes: number, user: EnvoyObject, more: EnvoyObject): EnvoyObject => ({
  name: 'hubward',
  image,
  args: ['serve', '--config', `${CONFIG_DIR}/hubward.yaml`],
  resources: {
    requests: { cpu: '250m', memory: '128Mi' },
    limits: { memory: `${MEMORY_MI[0] + (processes - 1) * MEMORY_MI[1]}Mi` },
  },
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

// Beside each other and not one inside the other: nothing can be mounted into a ConfigMap.
const CONFIG_DIR = '/etc/hubward'
const DOCUMENTS_DIR = '/etc/hubward-documents'
const volumes: readonly EnvoyObject[] = [
  { name: 'hubward', configMap: { name: 'hubward' } },
  { name: 'hubward-documents', configMap: { name: 'hubward-documents' } },
  { name: 'hubward-state', emptyDir: {} },
]
const mounts: readonly EnvoyObject[] = [
  { name: 'hubward', mountPath: CONFIG_DIR, readOnly: true },
  { name: 'hubward-documents', mountPath: DOCUMENTS_DIR, readOnly: true },
  { name: 'hubward-state', mountPath: '/var/lib/hubward' },
]

/** The ConfigMap with hubward's own configuration. Feeds are added by whoever knows where the sites' metrics are. */
export const configMap = (options: EnvoyOptions, place: IstioPlace): EnvoyObject => {
  const isLocal = 'path' in options.sidecar
  const listener =
    'path' in options.sidecar ? { socket: options.sidecar.path } : { address: `0.0.0.0:${options.sidecar.port}` }
  const config = {
    listeners: [listener],
    ...(options.processes === 1 ? {} : { processes: options.processes }),
    documents: [{ name: 'documents', dir: DOCUMENTS_DIR }],
    // The proxy's admin port, for the clusters that it has. From another pod it can't be reached, and all are believed.
    ...(isLocal ? { envoyAdmin: { address: '127.0.0.1:15000' } } : {}),
    drain: '45s',
  }
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'hubward', namespace: place.namespace },
    data: { 'hubward.yaml': new Document(config).toString() },
  }
}

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
    options.processes,
    { runAsUser: PROXY_USER, runAsGroup: PROXY_USER },
    {
      restartPolicy: 'Always',
      volumeMounts: [socket, ...mounts],
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
              volumes: [...volumes, shared],
            }
          : { ...common, volumes },
      },
    },
  }
}

/** hubward as a workload of its own, for an Envoy that reaches it over TCP: a Service and a Deployment. */
export const tcpWorkload = (options: EnvoyOptions, place: IstioPlace, image: string): EnvoyObject[] => {
  const port = 'port' in options.sidecar ? options.sidecar.port : 50051
  const labels = { app: 'hubward' }
  const ports = Array.from({ length: options.processes }, (_, index) => ({
    name: index === 0 ? 'grpc-hubward' : `grpc-hubward-${index}`,
    port: processPort(port, index),
  }))
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'hubward', namespace: place.namespace, labels },
      // The port's name tells Istio that it is HTTP/2.
      spec: { selector: labels, ports: ports.map((one) => ({ ...one, targetPort: one.port })) },
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
                options.processes,
                {},
                {
                  ports: ports.map((one) => ({ name: one.name, containerPort: one.port })),
                  readinessProbe: { grpc: { port }, periodSeconds: 2 },
                  volumeMounts: mounts,
                },
              ),
            ],
            volumes,
          },
        },
      },
    },
  ]
}
