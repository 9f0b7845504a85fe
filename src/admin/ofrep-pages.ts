import type { FastifyReply, FastifyRequest } from 'fastify'

/** What pages of other origins may do here. */
export interface OpenToPages {
  /** Whether the request comes from a page that may ask. */
  readonly isOpen: (request: FastifyRequest) => boolean
  /** Lets the browser hand the answer to its page, where it may. */
  readonly mark: (request: FastifyRequest, reply: FastifyReply) => void
  /** Answers a browser that asks whether its page may ask. */
  readonly preflight: (request: FastifyRequest, reply: FastifyReply, method: string) => unknown
}

/** How long a browser may remember the answer to a preflight. */
const REMEMBER_SEC = 600

/** OFREP for browsers: exactly these origins, and none where none is named. */
export function openToPages(origins: readonly string[]): OpenToPages {
  const known = new Set(origins.map((origin) => origin.toLowerCase()))
  const isOpen = ({ headers: { origin } }: FastifyRequest): boolean =>
    origin !== undefined && known.has(origin.toLowerCase())
  const mark = (request: FastifyRequest, reply: FastifyReply): void => {
    if (known.size > 0) reply.header('vary', 'Origin')
    if (!isOpen(request)) return
    reply
      .header('access-control-allow-origin', request.headers.origin)
      .header('access-control-expose-headers', 'ETag, Retry-After')
  }
  return {
    isOpen,
    mark,
    preflight: (request, reply, method) => {
      mark(request, reply)
      if (!isOpen(request)) return reply.send(ofrepError(reply, 403, 'this page is not in openfeature.origins'))
      reply
        .header('access-control-allow-methods', method)
        .header('access-control-allow-headers', 'Authorization, Content-Type, If-None-Match, X-API-Key')
        .header('access-control-max-age', String(REMEMBER_SEC))
      return reply.code(204).send()
    },
  }
}

/** What a request of OFREP brings to be known by: a bearer token, or the same token as an API key. */
export const credentialsOf = ({ headers }: FastifyRequest): string | undefined => {
  const key = headers['x-api-key']
  return headers.authorization ?? (typeof key === 'string' ? `Bearer ${key}` : undefined)
}

/** An error in OFREP's words. */
export function ofrepError(reply: FastifyReply, status: number, errorDetails: string): object {
  reply.code(status).type('application/json; charset=utf-8')
  return status === 400 ? { errorCode: 'INVALID_CONTEXT', errorDetails } : { errorDetails }
}
