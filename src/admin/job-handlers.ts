import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Advice, Job } from '../model/job.ts'
import type { EpochMs } from '../model/names.ts'
import { admissionHandler } from './admission.ts'
import { badRequest, decideHandler, durationIn } from './decide.ts'
import type { Handler } from './handler.ts'
import { JobStreams } from './job-streams.ts'
import { type JobsView, jobView } from './jobs-view.ts'
import { JsonReader } from './json-reader.ts'
import { kueueHandler } from './kueue.ts'
import { problem } from './problem.ts'
import type { RouteName } from './routes.ts'

type JobRoute = Extract<RouteName, 'decide' | `job${string}` | `kubernetes${string}` | 'kueueAdmissionCheck'>

/** Jobs on one page where nobody says how many. */
const LIMIT = 100

/** The handlers of decisions and jobs. */
export function jobHandlers(view: JobsView, now: () => EpochMs) {
  const streams = new JobStreams(view.feed, view.listenersMax)
  const idOf = (request: FastifyRequest): string => (request.params as { id: string }).id
  const shown = (reply: FastifyReply, job: Job | undefined): object =>
    job === undefined ? unknownJob(reply) : jobView(job)
  const fields = (request: FastifyRequest, reader: JsonReader, names: readonly string[]) =>
    request.body === undefined ? {} : (reader.object(request.body, '', names) ?? {})
  const lastEventId = (request: FastifyRequest): string | undefined =>
    (request.query as { lastEventId?: string }).lastEventId ?? (request.headers['last-event-id'] as string | undefined)

  const handlers: Record<JobRoute, Handler> = {
    decide: (request, reply) => decideHandler(request.body, reply, view, now),
    jobs: (request) => {
      const { class: className, advice, after = '', limit = LIMIT } = request.query as ListQuery
      const jobs: Job[] = []
      // Where the one to go on after has ended meanwhile, its id still says when it came.
      let isPast = after === '' || view.get(after) === undefined
      const isKnown = after !== '' && !isPast
      for (const job of view.all().values()) {
        if (isKnown ? !isPast : job.id <= after) {
          isPast ||= job.id === after
          continue
        }
        if (className !== undefined && job.class !== className) continue
        if (advice !== undefined && job.advice.action !== advice) continue
        jobs.push(job)
        if (jobs.length > limit) break
      }
      const page = jobs.slice(0, limit)
      return {
        now: now(),
        total: view.all().size,
        jobs: page.map(jobView),
        ...(jobs.length > limit ? { next: page.at(-1)!.id } : {}),
      }
    },
    jobsEvents: (request, reply) => streams.open(request, reply, lastEventId(request), undefined),
    job: (request, reply) => shown(reply, view.get(idOf(request))),
    jobEvents: (request, reply) => {
      const job = view.get(idOf(request))
      return job === undefined ? unknownJob(reply) : streams.open(request, reply, lastEventId(request), job)
    },
    jobKueue: (request, reply) => {
      const job = view.get(idOf(request))
      return job === undefined ? unknownJob(reply) : kueueShape(job)
    },
    jobRunning: (request, reply) => {
      const reader = new JsonReader()
      const drawMw = reader.number(fields(request, reader, ['drawMw']), 'drawMw', '', { max: 100_000 })
      if (reader.problems.length > 0) return badRequest(reply, reader)
      return shown(reply, view.running(idOf(request), drawMw))
    },
    jobRenew: (request, reply) => {
      const reader = new JsonReader()
      const lifeMs = durationIn(reader, fields(request, reader, ['for']), 'for')
      if (reader.problems.length > 0) return badRequest(reply, reader)
      return shown(reply, view.renew(idOf(request), lifeMs))
    },
    jobEnded: (request, reply) => {
      const reader = new JsonReader()
      const cause = reader.text(fields(request, reader, ['cause']), 'cause', '') ?? 'its end was reported'
      if (reader.problems.length > 0) return badRequest(reply, reader)
      return shown(reply, view.ended(idOf(request), cause))
    },
    kubernetesAdmission: (request, reply) => admissionHandler(request.body, undefined, reply, view, now()),
    kubernetesAdmissionAt: (request, reply) =>
      admissionHandler(request.body, (request.params as { site: string }).site, reply, view, now()),
    kueueAdmissionCheck: (request, reply) => kueueHandler(request.body, reply, view, now()),
  }
  return { handlers, streams: () => streams.size, close: () => streams.close() }
}

interface ListQuery {
  readonly class?: string
  readonly advice?: Advice['action']
  readonly after?: string
  readonly limit?: number
}

const unknownJob = (reply: FastifyReply): object =>
  problem(
    reply,
    404,
    'No such job',
    'it has ended, its reservation has aged out, or it was admitted by another hubward',
  )

/** What a job is told as a merge patch for a Kubernetes Job, which Kueue and others suspend in this way. */
const kueueShape = ({ id, target, advice }: Job) => {
  const { action, reason, because, deadline, to } = advice
  const number = because === undefined ? '' : `: ${because.constraint} ${because.measured ?? 'unknown'}`
  return {
    metadata: {
      annotations: {
        'hubward.dev/reservation': id,
        'hubward.dev/target': to?.target ?? target,
        'hubward.dev/advice': action,
        'hubward.dev/reason': `${reason}${number}`,
        ...(typeof deadline === 'number' ? { 'hubward.dev/deadline': new Date(deadline).toISOString() } : {}),
      },
    },
    spec: { suspend: action === 'pause' || action === 'move' },
  }
}
