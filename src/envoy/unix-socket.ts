import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'

/** The longest path a unix socket may have on Linux, the closing zero byte included, is 108 bytes. */
const PATH_MAX = 107

/**
 * Makes the way free for a socket: makes its folder, and removes one that was left by a process that is gone. Throws if
 * somebody has it, if that can't be told, or if something else than a socket stands there.
 */
export const freeSocket = async (path: string): Promise<void> => {
  if (Buffer.byteLength(path) > PATH_MAX)
    throw new Error(`${path}: a unix socket's path may have ${PATH_MAX} bytes; choose a shorter one`)
  mkdirSync(dirname(path), { recursive: true })
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket())
    throw new Error(`${path}: something that is not a socket stands there; remove it or choose another path`)
  const answer = await knock(path)
  if (answer === 'open')
    throw new Error(`${path}: another process answers on this socket; stop it or choose another path`)
  // Only a refusal says that nobody listens. A full queue or a lack of rights says that somebody may.
  if (answer !== 'ECONNREFUSED' && answer !== 'ENOENT')
    throw new Error(
      `${path}: can't tell whether a process has this socket (${answer}); remove it or choose another path`,
    )
  if (answer === 'ECONNREFUSED') unlinkSync(path)
}

const knock = (path: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve('open')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown error'))
  })

/** Who may use a socket: its mode, and its owner where one is named. */
export const ownSocket = (path: string, mode: number, uid?: number, gid?: number): void => {
  chmodSync(path, mode)
  if (uid !== undefined || gid !== undefined) chownSync(path, uid ?? -1, gid ?? -1)
}
