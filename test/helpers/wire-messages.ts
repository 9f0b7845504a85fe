import { join } from 'node:path'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'

/** A message as proto-loader makes it, which gives no types. */
// biome-ignore lint/suspicious/noExplicitAny: every test knows the message that it asks for
export type Loose = any

const loaded = (file: string, service: string, method: string) => {
  const options = { keepCase: true, longs: Number, defaults: true, oneofs: true }
  const all = loadSync(file, { ...options, includeDirs: [join(import.meta.dirname, '../../proto')] })
  return (all[service] as ServiceDefinition)[method] as MethodDefinition<Loose, Loose>
}

/** proto-loader's codec of our ext_proc protos. */
export const PROCESS = loaded(
  'envoy/service/ext_proc/v3/external_processor.proto',
  'envoy.service.ext_proc.v3.ExternalProcessor',
  'Process',
)

/** proto-loader's codec of our ext_authz protos. */
export const CHECK = loaded('envoy/service/auth/v3/external_auth.proto', 'envoy.service.auth.v3.Authorization', 'Check')

const jsonValue = (value: unknown): Loose =>
  value === null
    ? { nullValue: 0 }
    : Array.isArray(value)
      ? { listValue: { values: value.map(jsonValue) } }
      : typeof value === 'object'
        ? { structValue: structOf(value as Record<string, unknown>) }
        : { [`${typeof value === 'boolean' ? 'bool' : typeof value}Value`]: value }

/** A JSON object as the message google.protobuf.Struct. */
export const structOf = (fields: Record<string, unknown>): Loose => ({
  fields: Object.fromEntries(Object.entries(fields).map(([key, one]) => [key, jsonValue(one)])),
})
