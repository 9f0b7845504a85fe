import http from 'node:http'
import type { Address } from '../config/envoy-object.ts'

/** More than any configuration that was seen; a dump beyond it is not read into memory. */
const BYTES_MAX = 256 * 1024 * 1024
const PATIENCE_MS = 10_000

/** One page of Envoy's admin port, over TCP or a unix socket. Throws when it can't be had. */
export const adminPage = (admin: Address, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const to = 'path' in admin ? { socketPath: admin.path } : { host: admin.host, port: admin.port }
    const request = http.get({ ...to, path, agent: false, timeout: PATIENCE_MS }, (response) => {
      const parts: Buffer[] = []
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > BYTES_MAX) request.destroy(new Error(`more than ${BYTES_MAX} bytes`))
        else parts.push(part)
      })
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`status ${response.statusCode}`))
      })
    })
    request.on('timeout', () => request.destroy(new Error(`no answer in ${PATIENCE_MS} ms`)))
    request.on('error', reject)
  })

/** An admin address as people write it: `9901`, `127.0.0.1:9901`, `http://127.0.0.1:9901`, `unix:/run/envoy.sock`. */
export function adminAddress(text: string): Address | undefined {
  if (text.startsWith('unix:')) return { path: text.slice('unix:'.length) }
  if (text.startsWith('/')) return { path: text }
  const match = /^(?:http:\/\/)?(?:(\[[0-9A-Fa-f:.]+\]|[^:/\s]+):)?([0-9]{1,5})\/?$/.exec(text)
  const port = Number(match?.[2])
  if (match === null || port < 1 || port > 65_535) return undefined
  return { host: (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, ''), port }
}
