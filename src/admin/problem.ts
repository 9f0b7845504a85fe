import type { FastifyReply } from 'fastify'

/** Answers with a problem (RFC 9457); `more` says what is particular to it. */
export function problem(
  reply: FastifyReply,
  status: number,
  title: string,
  detail: string,
  more: Readonly<Record<string, unknown>> = {},
): object {
  reply.code(status).type('application/problem+json; charset=utf-8')
  return { type: 'about:blank', title, status, detail, ...more }
}
