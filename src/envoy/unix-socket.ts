import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'

/** The longest path a unix socket may have on Linux, the closing zero byte included, is 108 bytes. */
const PATH_MAX = 107

/**
 * Makes the way free for a socket: makes its folder, and removes one that was left by a process that is gone. Throws if
 * somebody answers on it, or if something else than a socket stands there.
 */
export const freeSocket = async (path: string): Promise<void> => {
  if (Buffer.byteLength(path) > PATH_MAX)
    throw new Error(`${path}: a unix socket's path may have ${PATH_MAX} bytes; choose a shorter one`)
  mkdirSync(dirname(path), { recursive: true })
  let found: ReturnType<typeof lstatSync> | undefined
  try {
    found = lstatSync(path)
  } catch {
    return
  }
  if (!found.isSocket())
    throw new Error(`${path}: something that is not a socket stands there; remove it or choose another path`)
  const answered = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (answered) throw new Error(`${path}: another process answers on this socket; stop it or choose another path`)
  unlinkSync(path)
}

/** Who may use a socket: its mode, and its owner where one is named. */
export const ownSocket = (path: string, mode: number, uid?: number, gid?: number): void => {
  chmodSync(path, mode)
  if (uid !== undefined || gid !== undefined) chownSync(path, uid ?? -1, gid ?? -1)
}
