import type { FastifyReply, FastifyRequest } from 'fastify'
import type { GapsReport } from '../model/gaps.ts'
import type { EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Estimate, ReadinessPage } from '../model/readiness.ts'
import { problem } from './problem.ts'

/** What the routes of readiness and gaps show; the sidecar hands it over. */
export interface PlannerView {
  /** Undefined: no such site or class. */
  readonly readiness: (asked: {
    readonly class?: string
    readonly site?: string
    readonly after: number
    readonly limit: number
  }) => ReadinessPage | undefined
  readonly estimates: () => readonly Estimate[]
  /** Thresholds whose gap is narrower than the noise that is measured. */
  readonly noisy: () => readonly Problem[]
  readonly gaps: (from: EpochMs, to: EpochMs) => Promise<GapsReport>
}

/** How far back it goes where nobody says. */
const GAPS_MS = 7 * 86_400_000
/** Rows of the matrix in one answer, where nobody says; 250 take some milliseconds. */
const ROWS = 200
const INSTANT = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?Z)?$/

/** The handlers of readiness and gaps. */
export function plannerHandlers(view: PlannerView, now: () => EpochMs) {
  return {
    readiness: (request: FastifyRequest, reply: FastifyReply) => {
      const {
        after = 0,
        limit = ROWS,
        ...which
      } = request.query as {
        readonly class?: string
        readonly site?: string
        readonly after?: number
        readonly limit?: number
      }
      const page = view.readiness({ ...which, after, limit })
      if (page === undefined) return problem(reply, 404, 'Unknown', 'no such site, or no such class')
      return { now: now(), ...page }
    },
    estimates: () => ({ now: now(), estimates: view.estimates(), noisy: view.noisy() }),
    gaps: async (request: FastifyRequest, reply: FastifyReply) => {
      const { from, to } = request.query as { readonly from?: string; readonly to?: string }
      const last = to === undefined ? now() : instantIn(to)
      const first = from === undefined ? (last ?? 0) - GAPS_MS : instantIn(from)
      const remedy = 'write 2026-11-01, 2026-11-01T10:00Z, or milliseconds since 1970'
      if (first === undefined || last === undefined)
        return problem(reply, 400, 'No time', `${first === undefined ? `from=${from}` : `to=${to}`}: ${remedy}`)
      if (first >= last) return problem(reply, 400, 'Nothing lies between', 'from is not before to')
      return { now: now(), ...(await view.gaps(first, last)) }
    },
  }
}

/** A day or an instant in UTC, or milliseconds since the epoch; undefined: neither. */
const instantIn = (text: string): EpochMs | undefined => {
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : INSTANT.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
