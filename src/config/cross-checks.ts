import { type FieldPath, type Located, placeOf } from '../documents/place.ts'
import type { Problem } from '../model/problem.ts'
import { processPort, processSocket } from '../model/process-address.ts'
import { hostAndPort, isLoopback } from './addresses.ts'
import type { ConfigProblemCode } from './problems.ts'
import type { WrittenConfig, WrittenListener } from './written.ts'

/** What no field can tell by itself. */
export function crossProblems(located: Located, config: WrittenConfig): Problem[] {
  const problems: Problem[] = []
  const tell = (
    path: FieldPath,
    code: ConfigProblemCode,
    message: string,
    remedy: string,
    severity: Problem['severity'] = 'error',
  ): void => {
    problems.push({ code, severity, message, ...placeOf(located, path), remedy })
  }
  for (const [index, listener] of config.listeners.entries()) {
    const wrong = listenerProblem(listener)
    if (wrong !== undefined) tell(['listeners', index], 'config/listener', wrong[0], wrong[1])
  }
  processes(config, tell)
  const names = new Map<string, FieldPath>()
  const named: [string, FieldPath][] = [
    ...config.documents.map(({ name }, index): [string, FieldPath] => [name, ['documents', index, 'name']]),
    [config.overrides.name, ['overrides', 'name']],
    ...config.flags.map(({ name }, index): [string, FieldPath] => [String(name), ['flags', index, 'name']]),
    ...config.feeds.map(({ name }, index): [string, FieldPath] => [String(name), ['feeds', index, 'name']]),
  ]
  for (const [name, path] of named) {
    // Two feeds of one name are told by the feeds' own check.
    if (names.has(name) && !(path[0] === 'feeds' && names.get(name)![0] === 'feeds')) {
      tell(path, 'config/duplicate-name', `two sources are called "${name}"`, 'give each source a name of its own')
    }
    names.set(name, path)
  }
  admin(config, tell)
  sync(config, tell)
  if (config.hops && config.keys.hopFile === undefined) {
    tell(['hops'], 'config/hops-without-keys', 'hops cannot be signed without keys', 'name a file under keys.hopFile')
  }
  return problems
}

type Tell = (
  path: FieldPath,
  code: ConfigProblemCode,
  message: string,
  remedy: string,
  severity?: Problem['severity'],
) => void

/** The longest path of a socket that Linux takes, in bytes. */
const SOCKET_BYTES_MAX = 107

interface Place {
  readonly host: string
  readonly port: number
}

function processes({ listeners, processes: count, admin: { address: admin }, openfeature }: WrittenConfig, tell: Tell) {
  if (count === 1) return
  const places = [admin, openfeature.sync?.address].flatMap((one) => hostAndPort(one ?? '') ?? [])
  const sockets = new Set([openfeature.sync?.socket])
  const wrongOfPort = ({ host, port }: Place, process: number): string | undefined => {
    const place = { host, port: processPort(port, process) }
    if (place.port > 65_535) return `there is no port ${place.port}`
    const isTaken = places.some((one) => isOnePlace(one, place))
    places.push(place)
    return isTaken ? `process ${process} would listen on ${host}:${place.port}, which another has` : undefined
  }
  const wrongOfSocket = (path: string, process: number): string | undefined => {
    const own = processSocket(path, process)
    const isTaken = sockets.has(own)
    sockets.add(own)
    if (Buffer.byteLength(own) > SOCKET_BYTES_MAX)
      return `process ${process} would listen on ${own}, and no socket has a path of more than ${SOCKET_BYTES_MAX} bytes`
    return isTaken ? `process ${process} would listen on ${own}, which another has` : undefined
  }
  for (const [index, { socket, address }] of listeners.entries()) {
    const place = hostAndPort(address ?? '')
    for (let process = 0; process < count; process++) {
      const wrong = socket !== undefined ? wrongOfSocket(socket, process) : place && wrongOfPort(place, process)
      if (wrong === undefined) continue
      const remedy = 'each process has a listener of its own: leave as many ports or names free behind each of these'
      tell(['listeners', index], 'config/processes', wrong, remedy)
      break
    }
  }
}

/** Whether two can't both listen: a host may stand for all of them. */
const isOnePlace = (a: Place, b: Place): boolean =>
  a.port === b.port && a.port > 0 && (a.host === b.host || covers(a.host, b.host) || covers(b.host, a.host))

const covers = (host: string, other: string): boolean =>
  host === '::' || (host === '0.0.0.0' && !other.includes(':')) || (host === 'localhost' && isLoopback(other))

function admin({ admin: { address, tokensFile, tls } }: WrittenConfig, tell: Tell): void {
  const place = hostAndPort(address)
  if (place === undefined) {
    tell(['admin', 'address'], 'config/address', `"${address}" has no port`, 'write host:port, such as 127.0.0.1:9470')
  } else if (!isLoopback(place.host) && tokensFile === undefined) {
    tell(
      ['admin', 'address'],
      'config/admin-exposed',
      `${address} can be reached from other machines, and nobody is asked who they are`,
      'listen on 127.0.0.1, or name a file of tokens under admin.tokensFile',
    )
  } else if (!isLoopback(place.host) && tls === undefined) {
    tell(
      ['admin', 'address'],
      'config/admin-plain',
      `tokens for ${address} cross the network in the clear`,
      'add admin.tls, or put a proxy with TLS before it',
      'warning',
    )
  }
}

function sync({ openfeature }: WrittenConfig, tell: Tell): void {
  if (openfeature.sync === undefined) return
  const path = ['openfeature', 'sync']
  const wrong = listenerProblem(openfeature.sync)
  if (wrong !== undefined) tell(path, 'config/listener', wrong[0], wrong[1])
  const place = hostAndPort(openfeature.sync.address ?? '')
  if (place === undefined || isLoopback(place.host) || openfeature.sync.tls?.clientCaFile !== undefined) return
  tell(
    path,
    'config/flags-exposed',
    `${openfeature.sync.address} can be reached from other machines, and nobody is asked who they are`,
    'ask for certificates with tls.clientCaFile, or listen on 127.0.0.1 or a socket',
    'warning',
  )
}

function listenerProblem(listener: WrittenListener): readonly [message: string, remedy: string] | undefined {
  const { socket, address, mode, uid, gid, tls } = listener
  if ((socket === undefined) === (address === undefined)) {
    return ['a listener is a socket or an address', 'write one of the two']
  }
  if (address !== undefined) {
    if (hostAndPort(address) === undefined) return [`"${address}" has no port`, 'write host:port']
    if (mode !== undefined || uid !== undefined || gid !== undefined) {
      return ['mode, uid and gid are of sockets', 'leave them out']
    }
    return undefined
  }
  return tls === undefined ? undefined : ['a socket has no TLS', 'leave tls out: who may use a socket says its mode']
}
