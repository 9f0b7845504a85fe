import type { FastifyReply, FastifyRequest } from 'fastify'

/** Answers one request; `known` says whether it brought a token, or needs none. */
export type Handler = (request: FastifyRequest, reply: FastifyReply, known: boolean) => unknown
