import type { FastifyReply } from 'fastify'
import type { Decision } from '../model/decision.ts'
import { type EpochMs, siteOf } from '../model/names.ts'
import { annotated } from './annotated.ts'
import { answered, notReady } from './decide.ts'
import { unknownSite } from './facts-json.ts'
import type { JobsView } from './jobs-view.ts'
import { isPlain, own, type Plain } from './json-reader.ts'
import { problem } from './problem.ts'

/** What of an admission request is read. */
interface Review {
  readonly uid: string
  readonly operation: string
  readonly object: Plain
  readonly dryRun: boolean
  /** What the object is called in its cluster, the same when it is made and when it is deleted. */
  readonly key: string
}

/**
 * Answers a validating webhook of Kubernetes (AdmissionReview v1). An annotated object is let in where hubward routes
 * it, or where no policy covers it; anything else is told with its reason, number and threshold. What is made by
 * something that was judged already (a Job's pods), suspended, or not annotated is let in as it is. A deleted object
 * ends its reservation.
 */
export function admissionHandler(
  body: unknown,
  site: string | undefined,
  reply: FastifyReply,
  view: JobsView,
  now: EpochMs,
): object {
  const review = reviewIn(body)
  if (review === undefined) {
    const detail = 'the body is no AdmissionReview of admission.k8s.io/v1 with a request, its uid and object'
    return problem(reply, 400, 'Bad request', detail)
  }
  const { uid, operation, object, dryRun, key } = review
  if (operation === 'DELETE' && !dryRun) {
    const job = view.called(key)
    if (job !== undefined) view.ended(job.id, 'its object was deleted')
  }
  if (operation !== 'CREATE' || isSuspended(object) || isOwned(object)) return allowed(uid)
  // Without documents nothing is known; the webhook's failurePolicy decides, as it does when nobody answers.
  const known = view.known()
  if (known === undefined) return notReady(reply)
  const read = annotated(object, known, now)
  if (read === undefined) return allowed(uid)
  if (site !== undefined && !known.sites.has(site))
    return refused(uid, `hubward: ${unknownSite(site)}; correct the path of the webhook`)
  if ('wrong' in read) return refused(uid, `hubward: ${read.wrong}`)
  const decision = answered(view, read.facts, {
    reserve: !dryRun,
    dispatch: false,
    dryRun,
    key,
    ...(site === undefined ? {} : { site }),
  })
  if (decision === undefined) return notReady(reply)
  if (!isLetIn(decision, site)) return refused(uid, `hubward: ${elsewhereText(decision, site)}${view.says(decision)}`)
  return allowed(uid, `hubward: ${view.says(decision)}`, {
    decision: decision.id,
    ...(decision.action === 'route' && decision.target !== undefined ? { target: decision.target } : {}),
    ...(decision.reservation === undefined ? {} : { reservation: decision.reservation }),
  })
}

/** Whether a decision lets an object into a cluster: it is routed, and to this site where the cluster is one. */
export const isLetIn = (decision: Decision, site: string | undefined): boolean =>
  decision.action === 'route' &&
  (site === undefined || decision.target === undefined || siteOf(decision.target) === site)

/** `goes to fra/h100, not to ams: `, where it is another site than this one that would take it. */
export const elsewhereText = (decision: Decision, site: string | undefined): string =>
  decision.action === 'route' && decision.target !== undefined ? `goes to ${decision.target}, not to ${site}: ` : ''

const allowed = (uid: string, warning?: string, auditAnnotations?: Plain) =>
  review({
    uid,
    allowed: true,
    ...(warning === undefined ? {} : { warnings: [warning.slice(0, 256)] }),
    ...(auditAnnotations === undefined ? {} : { auditAnnotations }),
  })

// Always 403: with 429 or 503 and a Retry-After the clients of Kubernetes would wait and repeat by themselves, inside
// the call, and the Job controller would do so for each of its pods.
const refused = (uid: string, message: string) =>
  review({ uid, allowed: false, status: { code: 403, reason: 'Forbidden', message: message.slice(0, 1_024) } })

const review = (response: object) => ({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response })

function reviewIn(body: unknown): Review | undefined {
  if (!isPlain(body) || own(body, 'kind') !== 'AdmissionReview' || own(body, 'apiVersion') !== 'admission.k8s.io/v1')
    return undefined
  const request = own(body, 'request')
  if (!isPlain(request)) return undefined
  const uid = own(request, 'uid')
  const operation = own(request, 'operation')
  const object = own(request, operation === 'DELETE' ? 'oldObject' : 'object')
  if (typeof uid !== 'string' || uid === '' || uid.length > 256 || typeof operation !== 'string') return undefined
  if (operation === 'CONNECT') return undefined
  return {
    uid,
    operation,
    object: isPlain(object) ? object : {},
    dryRun: own(request, 'dryRun') === true,
    key: keyOf(request, isPlain(object) ? object : {}, uid),
  }
}

/** By its own uid, which it has before webhooks are asked; else by the request's, under which an API server repeats it. */
function keyOf(request: Plain, object: Plain, uid: string): string {
  const metadata = own(object, 'metadata')
  const own_ = isPlain(metadata) ? own(metadata, 'uid') : undefined
  const name = isPlain(metadata) ? own(metadata, 'name') : undefined
  if (typeof own_ === 'string' && own_ !== '') return `kubernetes/${own_.slice(0, 128)}`
  const kind = own(request, 'kind')
  const words = [isPlain(kind) ? own(kind, 'kind') : '', own(request, 'namespace') ?? '', name ?? uid]
  return `kubernetes/${words.map((word) => String(word).slice(0, 253)).join('/')}`
}

const isSuspended = (object: Plain): boolean => {
  const spec = own(object, 'spec')
  if (!isPlain(spec)) return false
  const policy = own(spec, 'runPolicy')
  return own(spec, 'suspend') === true || (isPlain(policy) && own(policy, 'suspend') === true)
}

/** Made by a controller: what that controller works for has been judged. */
const isOwned = (object: Plain): boolean => {
  const metadata = own(object, 'metadata')
  const owners = isPlain(metadata) ? own(metadata, 'ownerReferences') : undefined
  return Array.isArray(owners) && owners.some((owner) => isPlain(owner) && own(owner, 'controller') === true)
}
