import type { Server as HttpsServer } from 'node:https'
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify'
import type { Problem } from '../model/problem.ts'
import { type AdminView, adminHandlers } from './handlers.ts'
import { isOwnHost } from './hosts.ts'
import { jsonOf } from './json-body.ts'
import { credentialsOf, ofrepError, openToPages } from './ofrep-pages.ts'
import { problem } from './problem.ts'
import { ROUTES, type Route, type RouteName } from './routes.ts'
import { followTls, readTls } from './tls-files.ts'
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
  /** Whether Kubernetes may ask for admission without a token. */
  readonly admissionOpen?: boolean
  /** Pages that may evaluate flags, by their origins. */
  readonly origins?: readonly string[]
}

/** A running server for operators and programs. */
export interface AdminServer {
  readonly url: string
  /** To be called after every change of the snapshot. */
  readonly changed: () => void
  /** How many listen to jobs' events. */
  readonly streams: () => number
  /** How many listen to changes of flags. */
  readonly flagStreams: () => number
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
          https: readTls(tls),
        }) as unknown as FastifyInstance)
  if (tls !== undefined) followTls(app.server as unknown as HttpsServer, tls, edges.onProblem)
  app.server.headersTimeout = 5_000
  app.server.maxConnections = CONNECTIONS_MAX

  const isKnown = (authorization: string | undefined): boolean =>
    tokens === undefined || tokens.nameOf(authorization) !== undefined
  const { handlers, changed, streams, flagStreams, close } = adminHandlers(view, settings.waitersMax)
  const pages = openToPages(settings.origins ?? [])

  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    if (isOwnHost(request.headers.host, names)) return
    const detail = 'the Host header names another host; add it to admin.hosts if it is one of ours'
    return reply.send(problem(reply, 421, 'Not this host', detail))
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    jsonOf(body),
  )
  const known = new WeakSet<FastifyRequest>()
  for (const [name, route] of Object.entries(ROUTES) as [RouteName, Route][]) {
    const isOfrep = name.startsWith('ofrep')
    if (isOfrep)
      app.options(route.path, async (request, reply) => pages.preflight(request, reply, route.method ?? 'GET'))
    app.route({
      method: route.method ?? 'GET',
      url: route.path,
      schema: { querystring: QUERIES[name] ?? NO_QUERY },
      ...(route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax }),
      // Before the body is read: nobody who is not known has one read.
      onRequest: async (request, reply) => {
        if (isOfrep) pages.mark(request, reply)
        if (isKnown(isOfrep ? credentialsOf(request) : request.headers.authorization)) known.add(request)
        else if (!(route.open || (settings.admissionOpen === true && name.startsWith('kubernetesAdmission')))) {
          reply.header('www-authenticate', 'Bearer realm="hubward"')
          const detail = 'send a bearer token whose hash is in admin.tokensFile'
          return reply.send(isOfrep ? ofrepError(reply, 401, detail) : problem(reply, 401, 'Who are you?', detail))
        }
        // Browsers name the page that posts, and programs don't: no page may change anything here.
        if (route.method === 'POST' && request.headers.origin !== undefined && !(isOfrep && pages.isOpen(request)))
          return reply.send(problem(reply, 403, 'No page may post here', 'ask from a program, without Origin'))
        return undefined
      },
      handler: async (request, reply) => handlers[name](request, reply, known.has(request)),
    })
  }
  app.setNotFoundHandler((request, reply) => {
    const allowed = methodsOf(request.url)
    if (allowed.length === 0) reply.send(problem(reply, 404, 'Nothing here', 'GET / tells what there is'))
    else {
      reply.header('allow', allowed.join(', '))
      reply.send(problem(reply, 405, `Only ${allowed.join(', ')}`, 'GET / tells what there is'))
    }
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500
    // What the asker did wrong is told; what we did wrong is counted and logged, and stays here.
    if (status >= 500) edges.onError(error)
    const isOurs = status >= 500
    if (request.url.startsWith('/ofrep/')) {
      reply.send(ofrepError(reply, status, isOurs ? 'a mistake of ours' : error.message))
      return
    }
    reply.send(problem(reply, status, isOurs ? 'Our mistake' : 'Bad request', isOurs ? '' : error.message))
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
    streams,
    flagStreams,
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
  readiness: {
    type: 'object',
    properties: {
      class: { type: 'string', minLength: 1, maxLength: 256 },
      site: { type: 'string', minLength: 1, maxLength: 256 },
      after: { type: 'integer', minimum: 0, maximum: 100_000_000 },
      limit: { type: 'integer', minimum: 1, maximum: 250 },
    },
  },
  ofrepFlags: {
    type: 'object',
    properties: {
      flagConfigEtag: { type: 'string', maxLength: 1_024 },
      flagConfigLastModified: { type: 'string', maxLength: 64 },
    },
  },
  ofrepEvents: { type: 'object', properties: { ticket: { type: 'string', maxLength: 64 } } },
  measurements: {
    type: 'object',
    additionalProperties: { type: 'string', maxLength: 128 },
    properties: {
      by: { type: 'string', maxLength: 256 },
      window: { type: 'string', maxLength: 16 },
      from: { type: 'string', maxLength: 32 },
      to: { type: 'string', maxLength: 32 },
    },
  },
  gaps: {
    type: 'object',
    properties: { from: { type: 'string', maxLength: 32 }, to: { type: 'string', maxLength: 32 } },
  },
  jobs: {
    type: 'object',
    properties: {
      class: { type: 'string', minLength: 1, maxLength: 256 },
      advice: { enum: ['run', 'pause', 'resume', 'move'] },
      after: { type: 'string', maxLength: 64 },
      limit: { type: 'integer', minimum: 1, maximum: 1_000 },
    },
  },
  jobsEvents: { type: 'object', properties: { lastEventId: { type: 'string', maxLength: 64 } } },
  jobEvents: { type: 'object', properties: { lastEventId: { type: 'string', maxLength: 64 } } },
}

const PATHS = Object.values(ROUTES as Record<string, Route>).map(({ path, method }) => ({
  pattern: new RegExp(`^${path.replace(/:[a-z]+/g, '[^/]+')}$`),
  methods: method === undefined ? ['GET', 'HEAD'] : [method],
}))

/** The methods that a path has; none where there is nothing. */
const methodsOf = (url: string): readonly string[] => {
  const path = url.split('?')[0]!
  return [...new Set(PATHS.flatMap(({ pattern, methods }) => (pattern.test(path) ? methods : [])))]
}

const isLoopbackAddress = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
