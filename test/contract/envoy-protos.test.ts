import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import protobuf from 'protobufjs'
import t from 'tap'

const HERE = join(import.meta.dirname, '../..')
const DEPS = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps')
const BUNDLED = dirname(createRequire(import.meta.url).resolve('protobufjs/package.json'))
const FILES = [
  'envoy/service/ext_proc/v3/external_processor.proto',
  'envoy/service/auth/v3/external_auth.proto',
  'envoy/service/accesslog/v3/als.proto',
]

const load = (folders: readonly string[], files: readonly string[]): protobuf.Root => {
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) => {
    if (target.startsWith('google/protobuf/') && protobuf.common.get(target) !== null) return target
    for (const folder of [...folders, BUNDLED]) {
      const path = join(folder, target)
      if (existsSync(path)) return path
    }
    return target
  }
  return root.loadSync([...files], { keepCase: true })
}

const ours = load([join(HERE, 'proto')], FILES)
const theirs = load(
  ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(DEPS, name)),
  FILES,
)

/** Fields that are newer than the full protos we compare with, as Envoy 1.40's own descriptors have them. */
const NEWER: Readonly<Record<string, string>> = {
  'envoy.service.ext_proc.v3.ProcessingRequest.protocol_config': '11 envoy.service.ext_proc.v3.ProtocolConfiguration',
  'envoy.service.ext_proc.v3.ProtocolConfiguration.request_body_mode': '1 enum',
  'envoy.service.ext_proc.v3.ProtocolConfiguration.response_body_mode': '2 enum',
  'envoy.service.ext_proc.v3.ProtocolConfiguration.send_body_without_waiting_for_header_response': '3 bool',
}
/** Values of enums that are newer. */
const NEWER_VALUES: Readonly<Record<string, number>> = {
  'envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode.FULL_DUPLEX_STREAMED': 4,
  'envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode.GRPC': 5,
}
/** Differences that are none on the wire: an enum is a varint, and bytes are a string that need not be text. */
const SAME_ON_THE_WIRE: readonly (readonly [string, string])[] = [
  ['int32', 'enum'],
  ['bytes', 'string'],
]

const allOf = <T extends protobuf.ReflectionObject>(
  root: protobuf.NamespaceBase,
  kind: abstract new (...args: never[]) => T,
): T[] =>
  root.nestedArray.flatMap((one) => [
    ...(one instanceof kind ? [one] : []),
    ...(one instanceof protobuf.Namespace ? allOf(one, kind) : []),
  ])
const name = (one: protobuf.ReflectionObject): string => one.fullName.replace(/^\./, '')
const isOurs = (one: protobuf.ReflectionObject): boolean => !name(one).startsWith('google.protobuf.')
const typeOf = (field: protobuf.Field): string =>
  field.resolvedType instanceof protobuf.Enum
    ? 'enum'
    : field.resolvedType === null
      ? field.type
      : name(field.resolvedType)
const wireOf = (field: protobuf.Field) => ({
  id: field.id,
  repeated: field.repeated,
  key: field instanceof protobuf.MapField ? field.keyType : null,
  oneof: field.partOf?.name ?? null,
})

t.test("every field has the number, the type, the label and the oneof that it has in Envoy's protos", async (t) => {
  let compared = 0
  for (const message of allOf(ours, protobuf.Type).filter(isOurs)) {
    const full = theirs.lookup(message.fullName) as protobuf.Type | null
    for (const field of message.fieldsArray) {
      field.resolve()
      const label = `${name(message)}.${field.name}`
      const other = full?.fields[field.name]
      const newer = NEWER[label]
      if (newer !== undefined) {
        t.equal(`${field.id} ${typeOf(field)}`, newer, label)
        t.equal(other, undefined, `${label} is no longer newer than what we compare with: take it off the list`)
        continue
      }
      if (other === undefined) {
        t.fail(`${label} does not exist in Envoy`)
        continue
      }
      other.resolve()
      const [a, b] = [typeOf(field), typeOf(other)]
      t.ok(a === b || SAME_ON_THE_WIRE.some(([mine, yours]) => a === mine && b === yours), `${label}: ${a} and ${b}`)
      t.same(wireOf(field), wireOf(other), label)
      compared += 1
    }
  }
  t.ok(compared > 80, `${compared} fields`)
})

t.test("every value of an enum has the number that it has in Envoy's protos", async (t) => {
  let compared = 0
  for (const one of allOf(ours, protobuf.Enum).filter(isOurs)) {
    const full = theirs.lookupEnum(name(one))
    for (const [value, id] of Object.entries(one.values)) {
      const label = `${name(one)}.${value}`
      const newer = NEWER_VALUES[label]
      t.equal(id, newer ?? full.values[value], label)
      if (newer !== undefined)
        t.equal(full.values[value], undefined, `${label} is no longer newer: take it off the list`)
      compared += 1
    }
  }
  t.ok(compared >= 15, `${compared} values`)
})

t.test("every method has the name, the messages and the streaming that it has in Envoy's protos", async (t) => {
  const services = allOf(ours, protobuf.Service)
  t.same(services.map(name), [
    'envoy.service.ext_proc.v3.ExternalProcessor',
    'envoy.service.auth.v3.Authorization',
    'envoy.service.accesslog.v3.AccessLogService',
  ])
  for (const one of services) {
    const full = theirs.lookupService(name(one))
    for (const method of one.methodsArray) {
      method.resolve()
      const other = full.methods[method.name]!
      other.resolve()
      const told = ({ requestStream, responseStream, resolvedRequestType, resolvedResponseType }: protobuf.Method) => [
        Boolean(requestStream),
        Boolean(responseStream),
        name(resolvedRequestType!),
        name(resolvedResponseType!),
      ]
      t.same(told(method), told(other), method.fullName)
    }
  }
})

t.test('health is as the gRPC project has it', async (t) => {
  // Nothing on npm that we use ships this proto; the numbers are those of grpc/health/v1/health.proto.
  const health = load([join(HERE, 'proto')], ['grpc/health/v1/health.proto'])
  const service = health.lookupService('grpc.health.v1.Health')
  t.match(service.methods.Check, { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse' })
  t.match(service.methods.Watch, { responseStream: true })
  t.match(health.lookupType('grpc.health.v1.HealthCheckRequest').fields.service, { id: 1, type: 'string' })
  t.equal(health.lookupType('grpc.health.v1.HealthCheckResponse').fields.status?.id, 1)
  t.same(health.lookupEnum('grpc.health.v1.HealthCheckResponse.ServingStatus').values, {
    UNKNOWN: 0,
    SERVING: 1,
    NOT_SERVING: 2,
    SERVICE_UNKNOWN: 3,
  })
})
