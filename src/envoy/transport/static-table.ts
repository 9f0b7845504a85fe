import { type Field, fieldOf } from './field.ts'

const STATUSES = ['200', '204', '206', '304', '400', '404', '500'].map((status) => [':status', status] as const)
const NAMES_ALONE =
  'accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control content-disposition content-encoding content-language content-length content-location content-range content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'

/** The static table of HPACK (RFC 7541, appendix A). Index 0 stands for nothing, so that indexes are those of the RFC. */
export const STATIC_TABLE: readonly Field[] = [
  ['', ''] as const,
  [':authority', ''] as const,
  [':method', 'GET'] as const,
  [':method', 'POST'] as const,
  [':path', '/'] as const,
  [':path', '/index.html'] as const,
  [':scheme', 'http'] as const,
  [':scheme', 'https'] as const,
  ...STATUSES,
  ...NAMES_ALONE.split(' ').map((name) => [name, name === 'accept-encoding' ? 'gzip, deflate' : ''] as const),
].map(([name, value]) => fieldOf(name, value))
