import type { FastifyReply } from 'fastify'
import type { Decision } from '../model/decision.ts'
import type { EpochMs } from '../model/names.ts'
import { elsewhereText, isLetIn } from './admission.ts'
import { annotated } from './annotated.ts'
import { answered, badRequest, notReady, retryAfterMs } from './decide.ts'
import { siteIn } from './facts-json.ts'
import type { JobsView } from './jobs-view.ts'
import { isPlain, JsonReader, own, type Plain } from './json-reader.ts'

/** How soon to ask again where no decision says so. */
const REQUEUE_S = 60

/**
 * The state of Kueue's admission check for a Workload (AdmissionCheckState of kueue.x-k8s.io), for a controller to write
 * into its status: Ready where hubward routes it, Retry where it is to come back, Rejected where no site could ever take
 * it. Asked again for the same Workload, what was admitted stays so; a finished one holds nothing any more.
 */
export function kueueHandler(body: unknown, reply: FastifyReply, view: JobsView, now: EpochMs): object {
  const known = view.known()
  if (known === undefined) return notReady(reply)
  const reader = new JsonReader()
  const from = reader.object(body, '', ['workload', 'check', 'site']) ?? {}
  const check = reader.text(from, 'check', '') ?? 'hubward'
  const site = siteIn(reader, from, known)
  const workload = own(from, 'workload')
  if (!isPlain(workload) || own(workload, 'kind') !== 'Workload')
    reader.wrong('/workload', 'is no Workload', 'write the Workload as the API server gives it')
  if (reader.problems.length > 0) return badRequest(reply, reader)
  const object = workload as Plain
  const key = `kueue/${uidOf(object)}`
  const state = (name: string, message: string, more: object = {}) => ({
    name: check,
    state: name,
    message: message.slice(0, 1_024),
    lastTransitionTime: new Date(now).toISOString(),
    ...more,
  })
  if (isFinished(object)) {
    const job = view.called(key)
    if (job !== undefined) view.ended(job.id, 'its workload has finished')
    return state('Ready', 'the workload has finished and holds nothing')
  }
  const read = annotated(object, known, now)
  if (read === undefined) return state('Ready', 'no annotation hubward.dev/class: not judged')
  if ('wrong' in read) return state('Rejected', read.wrong)
  const how = { reserve: true, dispatch: false, dryRun: false, key, ...(site === undefined ? {} : { site }) }
  const decision = answered(view, read.facts, how)
  if (decision === undefined) return notReady(reply)
  const says = `${isLetIn(decision, site) ? '' : elsewhereText(decision, site)}${view.says(decision)}`
  if (isLetIn(decision, site)) return state('Ready', says, { podSetUpdates: updatesOf(object, decision) })
  const waitMs = retryAfterMs(decision)
  const isNever = decision.action === 'deny' && waitMs === undefined
  return isNever
    ? state('Rejected', says)
    : state('Retry', says, {
        requeueAfterSeconds: waitMs === undefined ? REQUEUE_S : Math.max(1, Math.ceil(waitMs / 1_000)),
      })
}

/** What the pods of each set are told of the decision. */
function updatesOf(workload: Plain, decision: Decision): readonly object[] {
  if (decision.action !== 'route' || decision.target === undefined) return []
  const annotations = {
    'hubward.dev/target': decision.target,
    'hubward.dev/decision': decision.id,
    ...(decision.reservation === undefined ? {} : { 'hubward.dev/reservation': decision.reservation }),
  }
  const spec = own(workload, 'spec')
  const sets = isPlain(spec) ? own(spec, 'podSets') : undefined
  return (Array.isArray(sets) ? sets.slice(0, 64) : []).flatMap((set: unknown) => {
    const name = isPlain(set) ? own(set, 'name') : undefined
    return typeof name === 'string' ? [{ name, annotations }] : []
  })
}

const uidOf = (workload: Plain): string => {
  const metadata = own(workload, 'metadata')
  const { uid, namespace, name } = isPlain(metadata) ? metadata : {}
  return String(uid ?? `${String(namespace)}/${String(name)}`).slice(0, 512)
}

const isFinished = (workload: Plain): boolean => {
  const status = own(workload, 'status')
  const conditions = isPlain(status) ? own(status, 'conditions') : undefined
  return (
    Array.isArray(conditions) &&
    conditions.some((one) => isPlain(one) && own(one, 'type') === 'Finished' && own(one, 'status') === 'True')
  )
}
