import { writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { envoyConfig } from '../../envoy/config/bootstrap.ts'
import type { EnvoyObject } from '../../envoy/config/envoy-object.ts'
import { envoyProblems } from '../../envoy/config/envoy-problems.ts'
import { envoyText } from '../../envoy/config/envoy-text.ts'
import { type IstioPlace, istioEnvoyFilter } from '../../envoy/config/istio.ts'
import { configMap, podPatch, tcpWorkload } from '../../envoy/config/istio-workload.ts'
import { ENVOY_OPTIONS_DEFAULT as D, type EnvoyOptions } from '../../envoy/config/options.ts'
import type { DocumentSet } from '../../model/documents.ts'
import { documentsIn } from '../documents-in.ts'
import {
  type EnvoyFlags,
  envoyOptions,
  parseAddress,
  parseCount,
  parseDuration,
  parsePaths,
  parseProcesses,
  parseResidencyHost,
} from '../envoy-flags.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { complain, problemLines } from '../output.ts'

interface Flags extends EnvoyFlags {
  readonly documents: string
  readonly output?: string
  readonly istio?: 'gateway' | 'sidecar'
  readonly namespace: string
  readonly selector?: Readonly<Record<string, string>>
  readonly vhost?: IstioPlace['hosts']
  readonly workload?: string
  readonly image: string
}

/**
 * `hubward envoy`: Envoy's configuration from the documents, on standard output. Ends with `problems` where the documents
 * or options make none.
 */
export function envoyCommand(program: Command): void {
  const command = program
    .command('envoy')
    .summary('write the Envoy configuration that the documents need')
    .description('Writes an Envoy bootstrap, or an EnvoyFilter for Istio, from the documents.')
    .option('-d, --documents <folder>', 'folder of documents', 'documents')
    .option('-o, --output <file>', 'write here instead of standard output')
    .addOption(
      new Option('--listen <address>', 'where clients connect')
        .argParser(parseAddress)
        .default(D.listener, '0.0.0.0:8080'),
    )
    .addOption(
      new Option('--admin <address>', "Envoy's admin: host:port or unix:/path")
        .argParser(parseAddress)
        .default(D.admin, '127.0.0.1:9901'),
    )
    .addOption(
      new Option('--sidecar <address>', 'where hubward listens: unix:/path or host:port')
        .argParser(parseAddress)
        .default(D.sidecar, 'unix:/run/hubward/envoy.sock'),
    )
    .option('--processes <count>', 'how many processes it has, as `processes` in its configuration', parseProcesses, 1)
    .option('--sidecar-ca <file>', 'who signed its certificate, for TLS')
    .option('--sidecar-name <name>', 'the DNS name in its certificate')
    .option('--sidecar-cert <file>', "Envoy's own certificate, for mutual TLS")
    .option('--sidecar-key <file>', "Envoy's own key")
    .option('--ext-authz', 'ask by ext_authz instead of ext_proc')
    .option('--residency <class>', 'every request of this listener has this residency class')
    .option('--residency-host <class=domain,...>', 'requests to these hosts have it; repeat', parseResidencyHost)
    .option('--unrestricted-default <class>', 'its default also serves requests without residency')
    .addOption(
      new Option('--message-timeout <duration>', 'how long Envoy waits for a decision')
        .argParser(parseDuration)
        .default(D.messageTimeoutMs, '200ms'),
    )
    .addOption(
      new Option('--hold-max <duration>', 'how long a queued request may be held; 0: never')
        .argParser(parseDuration)
        .default(D.holdMsMax, '15s'),
    )
    .option('--body-path <prefix>', 'hubward reads the body of these; repeat', parsePaths)
    .option('--health-path <path>', "the sites' health check, or none", '/health')
    .option('--http2', 'the sites speak HTTP/2')
    .option('--access-log <file>', 'where Envoy writes its log, or none', '/dev/stdout')
    .option('--no-access-log-service', 'do not tell hubward how requests ended')
    .addOption(
      new Option('--log-flush <duration>', 'how long lines for hubward are gathered')
        .argParser(parseDuration)
        .default(D.logFlushMs, '1s'),
    )
    .option('--token-usage', 'tell it the counts of tokens of streamed answers')
    .addOption(
      new Option('--retry-after <duration>', 'what refused jobs are told')
        .argParser(parseDuration)
        .default(D.retryAfterS * 1_000, '30s'),
    )
    .option('--hops', 'let in the signed decisions of other hubwards')
    .option('--force', "let in testers' signed headers, see `hubward force`")
    .option('--no-tell-clients', 'keep site, reason and policy from clients')
    .option('--aggregates-max <count>', 'the most pairs of clusters that heal one another', parseCount, D.aggregatesMax)
    .addOption(new Option('--istio <place>', 'write an EnvoyFilter for').choices(['gateway', 'sidecar']))
    .option('--namespace <name>', 'where the EnvoyFilter goes', 'istio-ingress')
    .option('--selector <label=value,...>', 'the pods that it is for (istio=ingressgateway)', parseLabels)
    .option(
      '--vhost <name[=class]>',
      'a virtual host by its name in Istio, and its residency class; repeat',
      parseVhost,
    )
    .option('--workload <deployment>', 'write the pod (or, over TCP, the workload) that hubward runs in instead')
    .option('--image <name>', "hubward's image", 'hubward:latest')
  command.action((flags: Flags) => {
    process.exitCode = run(flags, command)
  })
}

function run(flags: Flags, command: Command): number {
  const { set, problems } = documentsIn(flags.documents)
  let options: EnvoyOptions
  try {
    options = envoyOptions(flags)
  } catch (error) {
    command.error(`error: ${(error as Error).message}`, { exitCode: EXIT_CODES.usage.code })
  }
  const found = [...problems.filter((one) => one.severity === 'error'), ...(set ? envoyProblems(set, options) : [])]
  for (const problem of found) complain(problemLines(problem))
  if (set === null || found.some((one) => one.severity === 'error')) return EXIT_CODES.problems.code
  if (flags.istio !== undefined && flags.workload === undefined && flags.vhost === undefined) {
    command.error('error: --istio needs --vhost: the hosts that hubward decides for', {
      exitCode: EXIT_CODES.usage.code,
    })
  }
  const text = envoyText(objectsOf(set, options, flags), [`Written by \`hubward envoy\` from ${flags.documents}.`])
  if (flags.output === undefined) process.stdout.write(text)
  else writeFileSync(flags.output, text)
  return EXIT_CODES.ok.code
}

function objectsOf(set: DocumentSet, options: EnvoyOptions, flags: Flags): readonly EnvoyObject[] {
  if (flags.istio === undefined) return [envoyConfig(set, options)]
  const place: IstioPlace = {
    context: flags.istio === 'gateway' ? 'GATEWAY' : 'SIDECAR_OUTBOUND',
    name: 'hubward',
    namespace: flags.namespace,
    labels: flags.selector ?? { istio: 'ingressgateway' },
    hosts: flags.vhost ?? [],
  }
  if (flags.workload === undefined) return [istioEnvoyFilter(set, options, place)]
  const config = configMap(options, place)
  if ('port' in options.sidecar) return [config, ...tcpWorkload(options, place, flags.image)]
  return [config, podPatch(options, place, flags.workload, flags.image)]
}

const parseLabels = (text: string): Record<string, string> => {
  const labels = text.split(',').map((one) => one.split('='))
  if (labels.some((one) => one.length !== 2)) throw new InvalidArgumentError('write label=value,...')
  return Object.fromEntries(labels)
}

const parseVhost = (text: string, before: IstioPlace['hosts'] = []): IstioPlace['hosts'] => {
  const at = text.lastIndexOf('=')
  return [...before, at < 0 ? { name: text } : { name: text.slice(0, at), class: text.slice(at + 1) }]
}
