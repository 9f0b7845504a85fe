import type { Socket } from 'node:net'
import { Connection, type Shared } from './connection.ts'
import type { Wire } from './outbox.ts'

/**
 * Puts a connection on a socket, plain or TLS. Reading stops while the socket has more to send than it may: whoever does
 * not read is not heard. `ended` is called once, when the socket is gone.
 */
export const connectionOn = (socket: Socket, shared: Shared, ended: (connection: Connection) => void): Connection => {
  const { writeQueueBytesMax } = shared.limits
  const wire: Wire = {
    write: (chunks) => {
      if (socket.destroyed) return
      if (chunks.length === 1) socket.write(chunks[0]!)
      else {
        socket.cork()
        for (const chunk of chunks) socket.write(chunk)
        socket.uncork()
      }
      if (socket.writableLength > writeQueueBytesMax) socket.pause()
    },
    queued: () => socket.writableLength,
    end: () => socket.end(),
    destroy: () => socket.destroy(),
  }
  const connection = new Connection(shared, wire)
  socket.on('data', (chunk: Buffer) => connection.read(chunk))
  socket.on('drain', () => socket.resume())
  socket.on('error', () => {})
  socket.once('close', () => {
    connection.lost()
    ended(connection)
  })
  return connection
}
