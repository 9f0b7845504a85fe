import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EpochMs } from '../model/names.ts'
import type { FlagsView } from './flags-view.ts'
import { badContext, contextIn, flagAnswer, type OfrepAnswer } from './ofrep-answers.ts'
import { OfrepStreams } from './ofrep-streams.ts'
import { problem } from './problem.ts'

/** Bulk evaluations at once; they take turns with everything else, and more of them would only take longer. */
const BULKS_MAX = 16

/** The handlers of flags: OFREP, its events, and the list for operators. */
export function ofrepHandlers(view: FlagsView, now: () => EpochMs) {
  const streams = new OfrepStreams(view, now)
  let bulks = 0
  const send = (reply: FastifyReply, route: 'flag' | 'flags', { status, body }: OfrepAnswer): object => {
    view.answered(route, status)
    if (status === 503 || status === 429) reply.header('retry-after', '1')
    reply.code(status).type('application/json; charset=utf-8')
    return body
  }
  return {
    handlers: {
      flags: () => ({ now: now(), flags: view.rows() }),
      flag: (request: FastifyRequest, reply: FastifyReply) => {
        const { key } = request.params as { readonly key: string }
        return view.row(key) ?? problem(reply, 404, 'Unknown', `no flag is called "${key}"`)
      },
      ofrepFlag: (request: FastifyRequest, reply: FastifyReply) => {
        const { key } = request.params as { readonly key: string }
        const context = contextIn(request.body)
        const answer = typeof context === 'string' ? badContext(context, key) : flagAnswer(view, key, context, now())
        return send(reply, 'flag', answer)
      },
      ofrepFlags: async (request: FastifyRequest, reply: FastifyReply) => {
        const context = contextIn(request.body)
        if (typeof context === 'string') return send(reply, 'flags', badContext(context))
        if (bulks >= BULKS_MAX) {
          const errorDetails = `${BULKS_MAX} bulk evaluations are under way; ask again in a second`
          return send(reply, 'flags', { status: 429, body: { errorDetails } })
        }
        bulks += 1
        try {
          const { text, etag } = await streams.answer(context, `${request.protocol}://${request.headers.host}`)
          reply.header('etag', etag)
          const asked = request.headers['if-none-match']?.split(',').map((one) => one.trim().replace(/^W\//, ''))
          const isKnown = asked?.includes(etag) === true
          view.answered('flags', isKnown ? 304 : 200)
          if (isKnown) return reply.code(304).send()
          return reply.type('application/json; charset=utf-8').send(text)
        } finally {
          bulks -= 1
        }
      },
      ofrepEvents: (request: FastifyRequest, reply: FastifyReply) => {
        const { ticket } = request.query as { readonly ticket?: string }
        if (!streams.hasRoom) {
          reply.header('retry-after', '5').code(503)
          return { errorDetails: `${view.streamsMax} listen already` }
        }
        const kept = ['access-control-allow-origin', 'access-control-expose-headers', 'vary'].flatMap((name) => {
          const value = reply.getHeader(name)
          return value === undefined ? [] : [[name, String(value)] as const]
        })
        return streams.listen(reply, ticket, Object.fromEntries(kept))
      },
    },
    changed: () => streams.changed(),
    streams: () => streams.size,
    close: () => streams.close(),
  }
}
