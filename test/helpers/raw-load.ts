import { connect, type Socket } from 'node:net'

/** What a load run did. */
export interface LoadResult {
  /** Answers by status. */
  readonly byStatus: ReadonlyMap<number, number>
  /** Answers by the key that `keyOf` gave. */
  readonly byKey: ReadonlyMap<string, number>
  /** Connections that broke with a request under way. */
  readonly broken: number
}

/** How a load run goes. */
export interface LoadOptions {
  readonly total: number
  /** Requests under way at once, each on a connection of its own that is kept. */
  readonly concurrency: number
  /** The request of this number, as bytes of HTTP/1.1. */
  readonly requestOf: (index: number) => string
  /** Under what an answer is counted; its head is everything before the body. */
  readonly keyOf: (index: number, head: string, body: string) => string
}

/**
 * Sends requests one after another on each of so many connections. Written on the socket because Node's own client costs
 * more CPU for a request than hubward and Envoy together; understands answers with a content-length only.
 */
export function load(port: number, { total, concurrency, requestOf, keyOf }: LoadOptions): Promise<LoadResult> {
  const byStatus = new Map<number, number>()
  const byKey = new Map<string, number>()
  let next = 0
  let broken = 0
  const count = <K>(counts: Map<K, number>, key: K) => counts.set(key, (counts.get(key) ?? 0) + 1)
  const client = (): Promise<void> =>
    new Promise((resolve) => {
      let socket: Socket
      let current = -1
      let text = ''
      const go = () => {
        if (next >= total) return void socket.end(resolve)
        current = next++
        text = ''
        socket.write(requestOf(current))
      }
      const open = () => {
        socket = connect({ host: '127.0.0.1', port, noDelay: true })
        socket.setEncoding('latin1')
        socket.on('connect', go)
        socket.on('data', (part) => {
          text += part
          const end = text.indexOf('\r\n\r\n')
          if (end < 0) return
          const head = text.slice(0, end)
          const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
          if (text.length < end + 4 + length) return
          count(byStatus, Number(head.slice(9, 12)))
          count(byKey, keyOf(current, head, text.slice(end + 4)))
          current = -1
          // Envoy may end a kept connection; the next request then needs another.
          if (/\r\nconnection: close/i.test(head)) {
            socket.destroy()
            if (next < total) open()
            else resolve()
          } else go()
        })
        socket.on('error', () => {})
        socket.on('close', () => {
          if (current < 0) return
          broken += 1
          current = -1
          if (next < total) open()
          else resolve()
        })
      }
      open()
    })
  return Promise.all(Array.from({ length: concurrency }, client)).then(() => ({ byStatus, byKey, broken }))
}
