import { Client, credentials } from '@grpc/grpc-js'
import { HEADERS } from '../../src/model/headers.ts'
import type { Received } from './case-answer.ts'
import { CHECK, type Loose, PROCESS } from './wire-messages.ts'

/** A client that asks as Envoy does, by either protocol. */
export interface EnvoyLike {
  readonly process: (headers: Readonly<Record<string, string>>) => Promise<Received>
  readonly check: (headers: Readonly<Record<string, string>>) => Promise<Received>
  readonly close: () => void
}

/** What an answer sets, each header once and in the field that Envoy reads: raw_value for ext_proc, value for ext_authz. */
const set = (options: Loose[], field: 'raw_value' | 'value'): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (const { header } of options) {
    if (Object.hasOwn(headers, header.key)) throw new Error(`${header.key} is set twice`)
    headers[header.key] = String(header[field])
  }
  return headers
}

const sentTo = (headers: Record<string, string>): Received => ({ headers, cluster: headers[HEADERS.cluster]! })

/** Connects to a server of ours with grpc-js, and speaks by our protos through proto-loader, not by our own codec. */
export function envoyLike(address: string): EnvoyLike {
  const client = new Client(address, credentials.createInsecure())
  const process = (headers: Readonly<Record<string, string>>) =>
    new Promise<Received>((resolve, reject) => {
      const call = client.makeBidiStreamRequest(PROCESS.path, PROCESS.requestSerialize, PROCESS.responseDeserialize)
      call.on('error', reject)
      call.on('end', () => reject(new Error('the stream ended without an answer')))
      call.on('data', ({ request_headers: passed, immediate_response: refused }: Loose) => {
        call.end()
        if (refused) {
          const headers = set(refused.headers.set_headers, 'raw_value')
          resolve({ headers, refused: { status: refused.status.code, body: String(refused.body) } })
        } else if (passed?.response?.clear_route_cache === true) {
          resolve(sentTo(set(passed.response.header_mutation.set_headers, 'raw_value')))
        } else reject(new Error('Envoy would keep the route that it had chosen'))
      })
      const list = Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) }))
      call.write({ request_headers: { headers: { headers: list }, end_of_stream: true } })
    })
  const check = (headers: Readonly<Record<string, string>>) =>
    new Promise<Received>((resolve, reject) => {
      const { ':method': method, ':path': path, ...rest } = headers
      const request = { attributes: { request: { http: { method, path, host: 'cases.test', headers: rest } } } }
      client.makeUnaryRequest<Loose, Loose>(
        CHECK.path,
        CHECK.requestSerialize,
        CHECK.responseDeserialize,
        request,
        (error, answer) => {
          if (error !== null) return reject(error)
          const { status, ok_response: ok, denied_response: denied } = answer
          if ((status?.code ?? 0) === 0) resolve(sentTo(set(ok.headers, 'value')))
          else
            resolve({
              headers: set(denied.headers, 'value'),
              refused: { status: denied.status.code, body: denied.body },
            })
        },
      )
    })
  return { process, check, close: () => client.close() }
}
