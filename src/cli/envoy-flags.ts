import { InvalidArgumentError } from 'commander'
import { parseDuration as durationOf } from '../documents/duration.ts'
import type { Address } from '../envoy/config/envoy-object.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions, type ResidencySource } from '../envoy/config/options.ts'
import { adminAddress } from '../envoy/doctor/admin.ts'
import { PROCESSES_MAX } from '../model/process-address.ts'

/** The options of `hubward envoy` as commander gives them. */
export interface EnvoyFlags {
  readonly listen: Address
  readonly admin: Address
  readonly sidecar: Address
  readonly processes: number
  readonly sidecarCa?: string
  readonly sidecarName?: string
  readonly sidecarCert?: string
  readonly sidecarKey?: string
  readonly extAuthz?: true
  readonly residency?: string
  readonly residencyHost?: readonly ResidencyHost[]
  readonly unrestrictedDefault?: string
  readonly messageTimeout: number
  readonly holdMax: number
  readonly bodyPath?: readonly string[]
  readonly healthPath: string
  readonly http2?: true
  readonly accessLog: string
  readonly accessLogService: boolean
  readonly logFlush: number
  readonly tokenUsage?: true
  readonly retryAfter: number
  readonly hops?: true
  readonly force?: true
  readonly tellClients: boolean
  readonly aggregatesMax: number
}

/** A residency class and the domains that mean it. */
export interface ResidencyHost {
  readonly class: string
  readonly domains: readonly string[]
}

/** `127.0.0.1:9901`, `9901` or `unix:/path`, for commander. */
export const parseAddress = (text: string): Address => {
  const address = text.endsWith(':0') ? { host: text.slice(0, -2), port: 0 } : adminAddress(text)
  if (address === undefined) throw new InvalidArgumentError('write host:port, a port, or unix:/path')
  return address
}

/** `5s`, for commander; in milliseconds. */
export const parseDuration = (text: string): number => {
  const ms = text === '0' ? 0 : durationOf(text)
  if (ms === undefined) throw new InvalidArgumentError('write a duration such as 200ms, 5s or 2m')
  return ms
}

/** A whole number from 1, for commander. */
export const parseCount = (text: string): number => {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('write a whole number from 1')
  return count
}

/** How many processes, for commander. */
export const parseProcesses = (text: string): number => {
  const count = parseCount(text)
  if (count > PROCESSES_MAX) throw new InvalidArgumentError(`write a number up to ${PROCESSES_MAX}`)
  return count
}

/** `eu=eu.example.com,*.eu.example.com`, for commander, once for each class. */
export const parseResidencyHost = (text: string, before: readonly ResidencyHost[] = []): ResidencyHost[] => {
  const at = text.indexOf('=')
  const domains = text
    .slice(at + 1)
    .split(',')
    .filter((one) => one !== '')
  if (at < 1 || domains.length === 0) throw new InvalidArgumentError('write CLASS=DOMAIN[,DOMAIN...]')
  return [...before, { class: text.slice(0, at), domains }]
}

/** A path that begins with a slash, for commander, as often as wanted. */
export const parsePaths = (text: string, before: readonly string[] = []): string[] => {
  if (!text.startsWith('/')) throw new InvalidArgumentError('write a path that begins with /')
  return [...before, text]
}

/** The flags as options; throws an Error where two of them contradict. */
export function envoyOptions(flags: EnvoyFlags): EnvoyOptions {
  const { sidecarCa, sidecarName, sidecarCert, sidecarKey } = flags
  if (flags.processes > 1 && 'port' in flags.sidecar && flags.sidecar.port + flags.processes > 65_536) {
    throw new Error('--processes needs as many ports behind that of --sidecar')
  }
  if ((sidecarCa === undefined) !== (sidecarName === undefined)) {
    throw new Error('--sidecar-ca and --sidecar-name go together: TLS needs to know whom to believe, and who it is')
  }
  if ((sidecarCert === undefined) !== (sidecarKey === undefined)) {
    throw new Error('--sidecar-cert and --sidecar-key go together')
  }
  if (flags.residency !== undefined && flags.residencyHost !== undefined) {
    throw new Error('--residency gives every request one class and --residency-host one by host: choose one')
  }
  if (flags.tokenUsage && !flags.accessLogService) {
    throw new Error('--token-usage goes into the access log, which --no-access-log-service switches off')
  }
  return {
    ...ENVOY_OPTIONS_DEFAULT,
    listener: flags.listen,
    admin: flags.admin,
    sidecar: flags.sidecar,
    processes: flags.processes,
    ...(sidecarCa === undefined || sidecarName === undefined
      ? {}
      : {
          sidecarTls: {
            caFile: sidecarCa,
            serverName: sidecarName,
            ...(sidecarCert === undefined || sidecarKey === undefined
              ? {}
              : { certFile: sidecarCert, keyFile: sidecarKey }),
          },
        }),
    mode: flags.extAuthz ? 'ext_authz' : 'ext_proc',
    residency: residencyOf(flags),
    ...(flags.unrestrictedDefault === undefined ? {} : { unrestrictedDefault: flags.unrestrictedDefault }),
    messageTimeoutMs: flags.messageTimeout,
    holdMsMax: flags.holdMax,
    bodyPaths: flags.bodyPath ?? [],
    healthPath: flags.healthPath === 'none' ? undefined : flags.healthPath,
    upstreamHttp: flags.http2 ? 2 : 1,
    accessLog: flags.accessLog === 'none' ? undefined : flags.accessLog,
    accessLogService: flags.accessLogService,
    logFlushMs: Math.max(10, flags.logFlush),
    tokenUsage: flags.tokenUsage ?? false,
    retryAfterS: Math.max(1, Math.ceil(flags.retryAfter / 1_000)),
    hops: flags.hops ?? false,
    force: flags.force ?? false,
    tellClients: flags.tellClients,
    aggregatesMax: flags.aggregatesMax,
  }
}

const residencyOf = (flags: EnvoyFlags): ResidencySource => {
  if (flags.residency !== undefined) return { by: 'listener', class: flags.residency }
  if (flags.residencyHost !== undefined) return { by: 'vhost', hosts: flags.residencyHost }
  return { by: 'filter' }
}
