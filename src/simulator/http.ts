import type { IncomingMessage, ServerResponse } from 'node:http'

/** Writes a JSON answer and ends it. */
export const sendJson = (
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void => {
  if (res.headersSent || res.destroyed) return
  res.writeHead(status, { 'content-type': 'application/json', ...headers })
  res.end(JSON.stringify(body))
}

/** How many times the limit is read and thrown away, so that a client that sends too much still hears so. */
const DISCARD_FACTOR = 16

/** The whole body as text, at most `bytesMax`; `too-large` beyond that, `gone` if the client left before its end. */
export const readBody = (
  req: IncomingMessage,
  bytesMax: number,
): Promise<string | { readonly failed: 'too-large' | 'gone' }> =>
  new Promise((resolve) => {
    const parts: Buffer[] = []
    let bytes = 0
    req.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= bytesMax) return parts.push(part)
      parts.length = 0
      if (bytes > bytesMax * DISCARD_FACTOR) {
        req.pause()
        resolve({ failed: 'too-large' })
      }
    })
    req.on('end', () => resolve(bytes > bytesMax ? { failed: 'too-large' } : Buffer.concat(parts).toString('utf8')))
    req.on('error', () => resolve({ failed: 'gone' }))
    req.on('close', () => resolve({ failed: 'gone' }))
  })
