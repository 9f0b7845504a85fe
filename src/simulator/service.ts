import type { IncomingMessage, ServerResponse } from 'node:http'
import { jsonSink, streamSink } from './answer.ts'
import type { Scope } from './commands.ts'
import type { Plant } from './facility/plant.ts'
import { readBody, sendJson } from './http.ts'
import type { Arrival, Ledger } from './ledger.ts'
import { METRICS_TYPE } from './metrics-text.ts'
import { type ApiError, type Ask, type Endpoint, errorBody, modelList, readAsk } from './openai.ts'
import { Run, type Workshop } from './run.ts'

/** What answering requests needs besides the workshop. */
export interface ServiceParts {
  readonly shop: Workshop
  readonly ledger: Ledger
  /** Requests between their arrival in the queue and their end; kept by the service. */
  readonly runs: Set<Run>
  readonly metrics: () => string
  /** Where jobs draw their power; undefined: they only answer. */
  readonly plant: () => Plant | undefined
  /** Called after an arrival, after a body has been read, and after an end. */
  readonly changed: () => void
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completions',
}

/** The handler of the main port: notes the request, holds it while the site hangs, then serves it. */
export const service = ({ shop, ledger, runs, metrics, changed, plant }: ServiceParts) => {
  const { options, clock, queue, meter, faults } = shop
  let count = 0

  const handle = (req: IncomingMessage, res: ServerResponse) => {
    const path = (req.url ?? '/').split('?', 1)[0]!
    count += 1
    const id = (req.headers['x-request-id'] as string | undefined) ?? `${options.name}-${count}`
    const arrival = ledger.arrived(req, path, id, clock.now(), options.residencyHeader)
    res.setHeader('x-site', options.name)
    res.setHeader('x-request-id', id)
    let forget = () => {}
    const go = () => {
      const held = faults.hold(scopeOf(path), go)
      forget = held ?? (() => {})
      if (held === undefined) serve(req, res, path, arrival)
    }
    res.on('close', () => {
      forget()
      arrival.outcome = res.writableFinished ? res.statusCode : 'aborted'
      changed()
    })
    go()
    changed()
  }

  const serve = (req: IncomingMessage, res: ServerResponse, path: string, arrival: Arrival) => {
    if (JOBS.includes(path) && req.method === 'POST') return void takeJob(req, res)
    const endpoint = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined
    if (endpoint === undefined && !shownPaths(options.engine).includes(path)) return fail(res, notFound(path))
    const method = endpoint === undefined ? 'GET' : 'POST'
    if (req.method !== method) {
      res.setHeader('allow', method)
      return fail(res, { status: 405, message: `${path} takes ${method}`, type: 'MethodNotAllowedError', param: null })
    }
    if (endpoint !== undefined) return void generate(endpoint, req, res, arrival)
    const refusal = faults.refusal(scopeOf(path))
    if (refusal !== undefined) return fail(res, ordered(refusal))
    if (path === '/v1/models') return sendJson(res, 200, modelList(options.models, options.name, seconds(clock.now())))
    res.writeHead(200, path === '/health' ? {} : { 'content-type': METRICS_TYPE })
    res.end(path === '/health' ? '' : metrics())
  }

  /** A job is taken; where there is a plant, it begins to draw what it said it needs. */
  const takeJob = async (req: IncomingMessage, res: ServerResponse) => {
    const body = await readBody(req, options.bodyBytesMax)
    if (typeof body !== 'string') return fail(res, tooLarge(options.bodyBytesMax))
    const id = String(req.headers['x-hubward-reservation'] ?? req.headers['x-hubward-decision'] ?? `job-${count}`)
    const mw = Number(/\bmw\s*=\s*([0-9.]+)/.exec(String(req.headers['x-hubward-needs'] ?? ''))?.[1] ?? 0)
    const site = plant()
    if (site !== undefined && mw > 0) site.start({ id, loop: site.options.loops[0]!.name, mw, rampS: JOB_RAMP_S })
    sendJson(res, 200, { id, object: 'job', status: 'queued', site: options.name, usage: { completion_tokens: 0 } })
  }

  const generate = async (endpoint: Endpoint, req: IncomingMessage, res: ServerResponse, arrival: Arrival) => {
    const body = await readBody(req, options.bodyBytesMax)
    if (typeof body !== 'string') {
      if (body.failed === 'gone') return
      res.setHeader('connection', 'close')
      return fail(res, tooLarge(options.bodyBytesMax))
    }
    const asked = (model: string) => {
      ledger.asked(arrival, model)
      changed()
    }
    const ask = readAsk(endpoint, body, options.models, options.answerTokens, asked)
    if ('status' in ask) return fail(res, ask)
    const refusal = faults.refusal('chat')
    if (refusal !== undefined) {
      meter.of(0, ask.model.name).finished.error += 1
      return fail(res, ordered(refusal))
    }
    const delay = faults.state.delayHeadersMs
    if (delay === 0) return admit(ask, res, arrival)
    const cancel = clock.after(delay, () => admit(ask, res, arrival))
    res.on('close', cancel)
  }

  const admit = (ask: Ask, res: ServerResponse, arrival: Arrival) => {
    if (res.destroyed) return
    if (!queue.hasRoom()) {
      res.setHeader('retry-after', '1')
      return fail(res, queueFull(options.queueFullStatus))
    }
    const envelope = {
      id: `${ask.endpoint === 'chat' ? 'chatcmpl' : 'cmpl'}-${arrival.id}`,
      created: seconds(clock.now()),
      model: ask.model.name,
      system_fingerprint: `site-${options.name}`,
    }
    const sink = (ask.stream ? streamSink : jsonSink)(res, ask, envelope)
    const run = new Run(shop, ask, sink, arrival.at, () => runs.delete(run))
    runs.add(run)
    res.on('close', () => run.abort())
    res.on('drain', () => run.drained())
    run.start()
  }

  return handle
}

/** Where jobs are sent. */
const JOBS: readonly string[] = ['/v1/jobs', '/v1/fine_tuning/jobs', '/v1/batches']
/** A job draws all of its power within a second. */
const JOB_RAMP_S = 1

/** The paths that answer GET. trtllm-serve has its Prometheus text under a path of its own. */
const shownPaths = (engine: string): readonly string[] => [
  '/health',
  '/v1/models',
  '/metrics',
  ...(engine === 'trtllm' ? ['/prometheus/metrics'] : []),
]

const scopeOf = (path: string): Scope => {
  if (path === '/health') return 'health'
  return path.endsWith('/metrics') ? 'metrics' : 'chat'
}

const seconds = (ms: number): number => Math.floor(ms / 1_000)

const fail = (res: ServerResponse, error: ApiError): void => sendJson(res, error.status, errorBody(error))

const notFound = (path: string): ApiError => ({
  status: 404,
  message: `no ${path.slice(0, 128)} here`,
  type: 'NotFoundError',
  param: null,
})

const tooLarge = (bytesMax: number): ApiError => ({
  status: 413,
  message: `a body has at most ${bytesMax} bytes`,
  type: 'BadRequestError',
  param: null,
})

const queueFull = (status: number): ApiError => ({
  status,
  message: 'the queue is full, try again later',
  type: 'ServiceUnavailableError',
  param: null,
})

/** The error of a fault that was ordered. */
const ordered = (status: number): ApiError => ({
  status,
  message: 'this site was told to fail',
  type: 'InternalServerError',
  param: null,
})
