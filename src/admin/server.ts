import { readFileSync } from 'node:fs'
import { type FastifyInstance, fastify } from 'fastify'
import type { Problem } from '../model/problem.ts'
import { type AdminView, adminHandlers } from './handlers.ts'
import { isOwnHost } from './hosts.ts'
import { ROUTES, type Route, type RouteName } from './routes.ts'
import { openTokens } from './tokens.ts'

/** Where and for whom it answers. */
export interface AdminSettings {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Absent: nobody is asked who they are; only for addresses that this machine alone can reach. */
  readonly tokensFile?: string
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  /** Further names by which it may be asked. */
  readonly hosts: readonly string[]
  readonly waitersMax: number
}

/** A running server for operators and programs. */
export interface AdminServer {
  readonly url: string
  /** To be called after every change of the snapshot. */
  readonly changed: () => void
  readonly close: () => Promise<void>
}

/** Who hears of what went wrong. */
export interface AdminEdges {
  readonly onError: (error: unknown) => void
  readonly onProblem: (problem: Problem) => void
}

/** More than a fleet's scrapers and operators need; beyond it connections are refused. */
const CONNECTIONS_MAX = 512

/** Starts the server. Rejects if it can't listen, or would listen to others without knowing who they are. */
export async function startAdmin(settings: AdminSettings, view: AdminView, edges: AdminEdges): Promise<AdminServer> {
  const { host, port, tokensFile, tls } = settings
  if (tokensFile === undefined && !isLoopbackAddress(host)) {
    throw new Error(`${host}:${port} can be reached from other machines; set admin.tokensFile, or listen on 127.0.0.1`)
  }
  const tokens = tokensFile === undefined ? undefined : openTokens(tokensFile, edges.onProblem)
  const names = new Set([...settings.hosts, host].map((name) => name.toLowerCase()))
  const limits = {
    bodyLimit: 1_024,
    requestTimeout: 10_000,
    // A snapshot may be waited for a minute.
    connectionTimeout: 90_000,
    keepAliveTimeout: 10_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    logger: false,
  } as const
  const app: FastifyInstance =
    tls === undefined
      ? fastify(limits)
      : (fastify({
          ...limits,
          https: { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) },
        }) as unknown as FastifyInstance)
  app.server.headersTimeout = 5_000
  app.server.maxConnections = CONNECTIONS_MAX

  const isKnown = (authorization: string | undefined): boolean =>
    tokens === undefined || tokens.nameOf(authorization) !== undefined
  const { handlers, changed, close } = adminHandlers(view, settings.waitersMax)

  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    if (isOwnHost(request.headers.host, names)) return
    return reply
      .code(421)
      .send(
        problemBody(
          421,
          'Not this host',
          'the Host header names another host; add it to admin.hosts if it is one of ours',
        ),
      )
  })
  for (const [name, route] of Object.entries(ROUTES) as [RouteName, Route][]) {
    const schema = { querystring: QUERIES[name] ?? NO_QUERY }
    app.get(route.path, { schema }, async (request, reply) => {
      const known = isKnown(request.headers.authorization)
      if (known || route.open) return handlers[name](request, reply, known)
      reply.code(401).header('www-authenticate', 'Bearer realm="hubward"')
      return problemBody(401, 'Who are you?', 'send a bearer token whose hash is in admin.tokensFile')
    })
  }
  app.setNotFoundHandler((request, reply) => {
    const isOther = request.method !== 'GET' && request.method !== 'HEAD'
    const status = isOther ? 405 : 404
    if (isOther) reply.header('allow', 'GET, HEAD')
    reply.code(status).send(problemBody(status, isOther ? 'Only GET' : 'Nothing here', 'GET / tells what there is'))
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500
    // What the asker did wrong is told; what we did wrong is counted and logged, and stays here.
    if (status >= 500) edges.onError(error)
    reply
      .code(status)
      .send(problemBody(status, status >= 500 ? 'Our mistake' : 'Bad request', status >= 500 ? '' : error.message))
  })

  try {
    await app.listen({ host, port })
  } catch (error) {
    throw new Error(
      `admin.address ${host}:${port} can't be had: ${(error as Error).message}; stop what listens there, or choose another`,
    )
  }
  const bound = app.server.address()
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
    changed,
    close: async () => {
      close()
      await app.close()
    },
  }
}

const NO_QUERY = { type: 'object', properties: {} }
const QUERIES: Partial<Record<RouteName, object>> = {
  snapshot: {
    type: 'object',
    properties: {
      after: { type: 'integer', minimum: 0 },
      timeoutMs: { type: 'integer', minimum: 0 },
    },
  },
  siteReady: { type: 'object', properties: { class: { type: 'string', minLength: 1, maxLength: 256 } } },
}

const problemBody = (status: number, title: string, detail: string) => ({ status, title, detail })

const isLoopbackAddress = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
