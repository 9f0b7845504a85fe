import type { DocumentSet } from '../../model/documents.ts'
import { envoyConfig } from './bootstrap.ts'
import type { EnvoyObject } from './envoy-object.ts'
import { envoyText } from './envoy-text.ts'
import { type IstioPlace, istioEnvoyFilter } from './istio.ts'
import { configMap, podPatch, tcpWorkload } from './istio-workload.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from './options.ts'

const CLASSES = ['emea', 'eu', 'uk', 'ae'] as const

/** The options of the shipped examples: a host for each residency class, and jobs whose body hubward reads. */
export const EXAMPLE_OPTIONS: EnvoyOptions = {
  ...ENVOY_OPTIONS_DEFAULT,
  bodyPaths: ['/v1/jobs'],
  residency: {
    by: 'vhost',
    hosts: CLASSES.map((name) => ({ domains: [`${name}.llm.example.com`, `${name}.llm.example.com:*`], class: name })),
  },
}

const TCP: EnvoyOptions = {
  ...EXAMPLE_OPTIONS,
  sidecar: { host: 'hubward.istio-ingress.svc.cluster.local', port: 50051 },
}

const GATEWAY: IstioPlace = {
  context: 'GATEWAY',
  name: 'hubward',
  namespace: 'istio-ingress',
  labels: { istio: 'ingressgateway' },
  hosts: CLASSES.map((name) => ({ name: `${name}.llm.example.com:443`, class: name })),
}

const SIDECAR: IstioPlace = {
  context: 'SIDECAR_OUTBOUND',
  name: 'hubward',
  namespace: 'assistant',
  labels: { app: 'assistant' },
  hosts: [{ name: 'llm.models.svc.cluster.local:80', class: 'emea' }],
}

const FEEDS = "hubward's own configuration; add feeds for the sites' metrics, see `hubward schema config`."

/** The image that the examples name. */
const IMAGE = 'hubward:latest'

/** The files under envoy/ that are generated from envoy/examples/documents: their paths there, and their text. */
export function exampleFiles(set: DocumentSet): { readonly path: string; readonly text: string }[] {
  const file = (path: string, says: readonly string[], objects: readonly EnvoyObject[]) => ({
    path,
    text: envoyText(objects, [...says, 'Generated from envoy/examples/documents; a test holds it fresh.']),
  })
  const apply =
    'Patches on what Istio generates, with meshConfig.pathNormalization.normalization: DECODE_AND_MERGE_SLASHES.\n' +
    '# Check the result with `istioctl proxy-config routes -o json` and `hubward doctor`.'
  const documents = 'kubectl create configmap hubward-documents --from-file <the folder of documents>'
  const patchOf = (deployment: string, config: string) => [
    `kubectl apply -f ${config}; ${documents}`,
    `kubectl patch deployment ${deployment} --patch-file <this file>`,
  ]
  return [
    file(
      'envoy.yaml',
      ['A whole Envoy for the example sites, with hubward on a unix socket: envoy -c envoy.yaml'],
      [envoyConfig(set, EXAMPLE_OPTIONS)],
    ),
    file(
      'istio/gateway-uds.yaml',
      ['hubward in the pod of the ingress gateway.', apply],
      [istioEnvoyFilter(set, EXAMPLE_OPTIONS, GATEWAY)],
    ),
    file(
      'istio/gateway-uds-pod.yaml',
      [
        'hubward as a native sidecar of the ingress gateway.',
        ...patchOf('istio-ingressgateway', 'gateway-uds-config.yaml'),
      ],
      [podPatch(EXAMPLE_OPTIONS, GATEWAY, 'istio-ingressgateway', IMAGE)],
    ),
    file('istio/gateway-uds-config.yaml', [FEEDS], [configMap(EXAMPLE_OPTIONS, GATEWAY)]),
    file(
      'istio/gateway-tcp.yaml',
      ['hubward beside the ingress gateway, as a workload of its own.', apply],
      [istioEnvoyFilter(set, TCP, GATEWAY)],
    ),
    file(
      'istio/gateway-tcp-workload.yaml',
      ['hubward as a workload of its own.', documents],
      [configMap(TCP, GATEWAY), ...tcpWorkload(TCP, GATEWAY, IMAGE)],
    ),
    file(
      'istio/sidecar-uds.yaml',
      ['hubward in the pod of a workload that calls models.', apply],
      [istioEnvoyFilter(set, EXAMPLE_OPTIONS, SIDECAR)],
    ),
    file(
      'istio/sidecar-uds-pod.yaml',
      ['hubward as a native sidecar of that workload.', ...patchOf('assistant', 'sidecar-uds-config.yaml')],
      [podPatch(EXAMPLE_OPTIONS, SIDECAR, 'assistant', IMAGE)],
    ),
    file('istio/sidecar-uds-config.yaml', [FEEDS], [configMap(EXAMPLE_OPTIONS, SIDECAR)]),
    file(
      'istio/sidecar-tcp.yaml',
      ['hubward as a workload of its own for the sidecar of a workload that calls models.', apply],
      [istioEnvoyFilter(set, TCP, SIDECAR)],
    ),
  ]
}

/**
 * The Envoy of docker-compose.yml, from envoy/demo/documents: a host for each residency class, and an admin port that
 * the compose file publishes to the loopback only.
 */
export function composeFile(demo: DocumentSet): { readonly path: string; readonly text: string } {
  const hosts = demo.residencies.map(({ metadata: { name } }) => ({
    domains: [`${name}.demo.example`, `${name}.demo.example:*`],
    class: name,
  }))
  const options: EnvoyOptions = {
    ...ENVOY_OPTIONS_DEFAULT,
    admin: { host: '0.0.0.0', port: 9901 },
    residency: { by: 'vhost', hosts },
  }
  const says = [
    'The Envoy of docker-compose.yml. Requests name their residency class by their host: emea.demo.example.',
    'Generated from envoy/demo/documents; a test holds it fresh.',
  ]
  return { path: 'compose/envoy.yaml', text: envoyText([envoyConfig(demo, options)], says) }
}
