import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EpochMs } from '../model/names.ts'
import type { OverrideSet } from '../model/override.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { SourceStatus } from '../model/source.ts'
import type { FlagsView } from './flags-view.ts'
import type { Handler } from './handler.ts'
import { jobHandlers } from './job-handlers.ts'
import type { JobsView } from './jobs-view.ts'
import { LongPoll } from './long-poll.ts'
import { type MeasureView, measureHandlers } from './measure-handlers.ts'
import { ofrepHandlers } from './ofrep-handlers.ts'
import { type PlannerView, plannerHandlers } from './planner-handlers.ts'
import { problem } from './problem.ts'
import { type RolloutsView, rolloutHandlers } from './rollout-handlers.ts'
import { ROUTES, type RouteName } from './routes.ts'
import { snapshotView } from './snapshot-view.ts'

/** Whether something holds, and what stands in its way. */
export interface Readiness {
  readonly ready: boolean
  readonly because: readonly string[]
}

/** What the routes show; the sidecar hands it over. */
export interface AdminView {
  readonly version: string
  readonly instance: string
  readonly now: () => EpochMs
  readonly data: () => SnapshotData
  readonly sources: () => readonly SourceStatus[]
  readonly ready: () => Readiness
  /** Whether a site can take work of this class; undefined where there is no such site or class. */
  readonly siteReady: (site: string, className: string | undefined) => Readiness | undefined
  readonly metrics: { readonly text: () => Promise<string>; readonly contentType: string }
  readonly jobs: JobsView
  readonly planner: PlannerView
  readonly rollouts: RolloutsView
  readonly measure: MeasureView
  readonly flags: FlagsView
}

/** The longest that anybody may wait for a snapshot. */
const WAIT_MS_MAX = 60_000

/** The handlers by route, and what tells those who wait that there is something new. */
export function adminHandlers(view: AdminView, waitersMax: number) {
  const poll = new LongPoll({
    revision: () => view.data().revision,
    render: () => snapshotView(view.data()),
    waitersMax,
  })
  const details = (readiness: Readiness, known: boolean) => (known ? readiness : { ready: readiness.ready })
  const jobs = jobHandlers(view.jobs, view.now)
  const ofrep = ofrepHandlers(view.flags, view.now)
  const handlers: Record<RouteName, Handler> = {
    ...jobs.handlers,
    ...ofrep.handlers,
    ...plannerHandlers(view.planner, view.now),
    ...rolloutHandlers(view.rollouts, view.now),
    ...measureHandlers(view.measure, view.now),
    index: () => ({
      hubward: view.version,
      instance: view.instance,
      routes: Object.values(ROUTES).map((route) => ({ method: 'GET', ...route })),
    }),
    metrics: async (_request, reply) => {
      reply.type(view.metrics.contentType)
      return view.metrics.text()
    },
    healthz: () => ({ alive: true, version: view.version, instance: view.instance }),
    readyz: (_request, reply, known) => {
      const readiness = view.ready()
      reply.code(readiness.ready ? 200 : 503)
      return details(readiness, known)
    },
    snapshot: async (request, reply) => {
      const { after, timeoutMs } = request.query as { after?: number; timeoutMs?: number }
      if (after === undefined) return sendRendered(request, reply, poll.now())
      const waiting = poll.after(after, Math.min(timeoutMs ?? 30_000, WAIT_MS_MAX), (gone) =>
        reply.raw.once('close', gone),
      )
      if (waiting === null) {
        reply.header('retry-after', '1')
        return problem(reply, 503, 'Too many wait already', `${waitersMax} wait for a newer snapshot`)
      }
      const rendered = await waiting
      return rendered === undefined ? reply.code(304).send() : sendRendered(request, reply, rendered)
    },
    sources: () => ({ now: view.now(), sources: view.sources() }),
    siteReady: (request, reply, known) => {
      const { site } = request.params as { site: string }
      const { class: className } = request.query as { class?: string }
      const readiness = view.siteReady(site, className)
      if (readiness === undefined) return problem(reply, 404, 'Unknown', 'no such site, or no such class')
      reply.code(readiness.ready ? 200 : 503)
      return { site, ...(className === undefined ? {} : { class: className }), ...details(readiness, known) }
    },
    overrides: () => overridesView(view.data().overrideSets, view.data().inForce, view.now()),
  }
  return {
    handlers,
    changed: () => {
      poll.changed()
      ofrep.changed()
    },
    streams: jobs.streams,
    flagStreams: ofrep.streams,
    close: () => {
      poll.close()
      jobs.close()
      ofrep.close()
    },
  }
}

function sendRendered(
  request: FastifyRequest,
  reply: FastifyReply,
  { body, etag, revision }: { readonly body: string; readonly etag: string; readonly revision: number },
) {
  reply.header('etag', etag).header('x-revision', revision)
  const asked = request.headers['if-none-match']?.split(',').map((one) => one.trim().replace(/^W\//, ''))
  if (asked?.includes(etag)) return reply.code(304).send()
  return reply.type('application/json; charset=utf-8').send(body)
}

function overridesView(sets: Readonly<Record<string, OverrideSet>>, inForce: readonly string[], now: EpochMs) {
  const state = (id: string, from: EpochMs, to: EpochMs) => ({
    inForce: inForce.includes(id) && to > now,
    state: now < from ? 'planned' : now < to ? 'in force' : 'ended',
  })
  return {
    now,
    routing: Object.values(sets).find((set) => set.routing?.enabled === false)?.routing ?? null,
    overrides: Object.entries(sets).flatMap(([source, set]) =>
      set.overrides.map((order) => ({ source, ...order, ...state(order.id, order.created, order.expires) })),
    ),
    maintenance: Object.entries(sets).flatMap(([source, set]) =>
      set.maintenance.map((order) => ({ source, ...order, ...state(order.id, order.from, order.to) })),
    ),
  }
}
