import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EpochMs } from '../model/names.ts'
import type { Rollout, RolloutOrder, RolloutState } from '../model/rollout.ts'
import { badRequest } from './decide.ts'
import type { Handler } from './handler.ts'
import { JsonReader } from './json-reader.ts'
import { problem } from './problem.ts'
import type { RouteName } from './routes.ts'

/** A rollout as it is shown: where it stands, its document while there is one, and what came of it so far. */
export interface RolloutView {
  readonly state: RolloutState
  readonly stage: string
  readonly document: Rollout | null
  /** One sentence with intervals. */
  readonly report: string | null
}

/** What the routes of rollouts show and do; the sidecar hands it over. */
export interface RolloutsView {
  readonly all: () => readonly RolloutView[]
  readonly get: (name: string) => RolloutView | undefined
  /** Carries an order out; what stands in its way, or undefined. */
  readonly order: (name: string, order: RolloutOrder) => string | undefined
}

type RolloutRoute = Extract<RouteName, `rollout${string}`>

const ORDERS = ['promote', 'hold', 'resume', 'abort'] as const

/** The handlers of rollouts. */
export function rolloutHandlers(view: RolloutsView, now: () => EpochMs): Record<RolloutRoute, Handler> {
  const named = (request: FastifyRequest): string => (request.params as { name: string }).name
  const unknown = (reply: FastifyReply): object =>
    problem(reply, 404, 'No such rollout', 'GET /v1/rollouts names those that have begun')
  return {
    rollouts: () => ({ now: now(), rollouts: view.all().map(brief) }),
    rollout: (request, reply) => {
      const found = view.get(named(request))
      return found === undefined ? unknown(reply) : { now: now(), ...found }
    },
    rolloutOrder: (request, reply) => {
      const name = named(request)
      if (view.get(name) === undefined) return unknown(reply)
      const reader = new JsonReader()
      const body = reader.object(request.body, '', ['order', 'author', 'reason']) ?? {}
      const order = reader.oneOf(body, 'order', '', ORDERS)
      const [author, reason] = (['author', 'reason'] as const).map((field) => reader.text(body, field, ''))
      // Whoever reads the journal wants to know who it was, and why.
      for (const [field, value] of Object.entries({ order, author, reason }))
        if (value === undefined && !reader.problems.some(({ pointer }) => pointer === `/${field}`))
          reader.wrong(
            `/${field}`,
            'is missing',
            field === 'order' ? `write one of ${ORDERS.join(', ')}` : `write who or why`,
          )
      if (reader.problems.length > 0 || order === undefined || author === undefined || reason === undefined)
        return badRequest(reply, reader)
      const hindrance = view.order(name, { order, author, reason, at: now() })
      if (hindrance !== undefined) return problem(reply, 409, 'Not now', hindrance)
      return { now: now(), ...view.get(name) }
    },
  }
}

const brief = ({ state, stage }: RolloutView): object => {
  const { name, flag, policy, status, shareBp, tenantsBp, cohort, startedAt, stageSince, says, needed, stageUnits } =
    state
  const exposure = { shareBp, tenantsBp, ...(cohort === undefined ? {} : { cohort }) }
  return { name, flag, policy, status, stage, ...exposure, startedAt, stageSince, says, needed, stageUnits }
}
