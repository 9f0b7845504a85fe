import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import {
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServiceClientConstructor,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** An ext_proc answer as proto-loader writes it. */
export type ScriptedAnswer = Record<string, unknown>

/** What Envoy sent of one request. */
export interface ScriptedRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly attributes: Readonly<Record<string, string>>
}

/** Sets request headers. */
export const mutate = (headers: Readonly<Record<string, string>>): ScriptedAnswer => ({
  request_headers: {
    response: {
      header_mutation: {
        set_headers: Object.entries(headers).map(([key, value]) => ({
          header: { key, raw_value: Buffer.from(value) },
          append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
        })),
      },
    },
  },
})

/**
 * An ext_proc server that says what the test tells it, on a unix socket: for faults that hubward itself must not have.
 * The script answers undefined to say nothing.
 */
export async function scriptedExtProc(
  socket: string,
  script: (request: ScriptedRequest) => ScriptedAnswer | undefined,
) {
  const protos = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps')
  const definition = loadSync('envoy/service/ext_proc/v3/external_processor.proto', {
    keepCase: true,
    oneofs: true,
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(protos, name)),
  })
  const loaded = loadPackageDefinition(definition) as unknown as Record<
    string,
    Record<string, Record<string, GrpcObject>>
  >
  const service = (loaded.envoy!.service!.ext_proc!.v3 as GrpcObject).ExternalProcessor as ServiceClientConstructor
  const server = new Server()
  server.addService(service.service, {
    // biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types.
    Process(call: any) {
      call.on('error', () => undefined)
      call.on('end', () => call.end())
      // biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types.
      call.on('data', (message: any) => {
        const headers = (message.request_headers?.headers?.headers ?? []).map(
          (one: { key: string; raw_value: Buffer }) => [one.key, one.raw_value.toString()],
        )
        const fields = message.attributes?.['envoy.filters.http.ext_proc']?.fields ?? {}
        const attributes = Object.entries(fields as Record<string, { stringValue?: string }>).map(([name, value]) => [
          name,
          value.stringValue ?? '',
        ])
        const answer = script({ headers: Object.fromEntries(headers), attributes: Object.fromEntries(attributes) })
        if (answer !== undefined) call.write(answer)
      })
    },
  })
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  )
  return { stop: () => server.forceShutdown() }
}
