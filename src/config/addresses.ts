/** Host and port of `127.0.0.1:9470` or `[::1]:9470`; undefined where the port is none. */
export function hostAndPort(address: string): { readonly host: string; readonly port: number } | undefined {
  const colon = address.lastIndexOf(':')
  const port = Number(address.slice(colon + 1))
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return colon > 0 && Number.isInteger(port) && port >= 0 && port <= 65_535 ? { host, port } : undefined
}

/** Whether only this machine reaches an address. A name other than `localhost` may lead anywhere. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
