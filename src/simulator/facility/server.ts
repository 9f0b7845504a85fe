import { createServer } from 'node:http'
import { realClock, type SiteClock } from '../clock.ts'
import { readBody, sendJson } from '../http.ts'
import { listen, shut, urlOf } from '../listening.ts'
import { METRICS_TYPE } from '../metrics-text.ts'
import { Meters } from './meters.ts'
import { openadrPage } from './openadr.ts'
import { orderPlant, PLANT_ORDERS } from './orders.ts'
import { csvPage, dcgmPage, exporterPage, jsonPage } from './pages.ts'
import { PLANT_DEFAULTS, Plant, type PlantOptions } from './plant.ts'
import { Prices } from './prices.ts'
import { redfishPage } from './redfish.ts'
import { followAdvice, type Runner } from './runner.ts'

/** A running facility: the plant, its price curve, and where its devices answer. */
export interface Facility {
  readonly url: string
  readonly plant: Plant
  readonly prices: Prices
  /** Carries an order out; throws an Error with what is wrong with it. */
  order(value: unknown): void
  close(): Promise<void>
}

/** What a facility may be handed besides its options. */
export interface FacilityParts {
  readonly clock?: SiteClock
  /** Requests that the site serves now, and accelerators that they keep busy. */
  readonly running?: () => number
  readonly host?: string
  readonly port?: number
  /** The noise of its meters, by the value. 0.0002. */
  readonly noiseRatio?: number
}

const ORDER_BYTES_MAX = 65_536

/** Starts the devices of a plant: one server that answers as all of them would. */
export const startFacility = async (
  given: Partial<PlantOptions> = {},
  { clock = realClock, running = () => 0, host = '127.0.0.1', port = 0, noiseRatio = 0.0002 }: FacilityParts = {},
): Promise<Facility> => {
  const plant = new Plant({ ...PLANT_DEFAULTS, ...given }, clock, running)
  const parts = { plant, meters: new Meters(plant, noiseRatio), prices: new Prices() }
  // An event keeps its start however often it is read; a new order begins anew.
  let orderedAt = clock.now()
  let runner: Runner | undefined
  const order = (value: unknown): void => {
    const url = followed(value)
    if (url !== undefined) {
      void runner?.stop()
      runner = followAdvice(plant, url, clock.now)
      return
    }
    orderedAt = clock.now()
    const problem = orderPlant(plant, parts.prices, value)
    if (problem !== undefined) throw new Error(problem)
  }
  const busyGpus = (): number =>
    Math.min(
      plant.options.gpus,
      running() + Math.round([...plant.jobs.values()].reduce((all, job) => all + job.drawMw, 0) * 8),
    )

  const server = createServer(async (req, res) => {
    const path = (req.url ?? '/').split('?', 1)[0]!
    const text = (body: string, type: string) => {
      res.writeHead(200, { 'content-type': type })
      res.end(body)
    }
    if (req.method === 'POST' && path === '/auth/token') {
      await readBody(req, ORDER_BYTES_MAX)
      return sendJson(res, 200, { access_token: 'simulated', token_type: 'Bearer', expires_in: 3_600 })
    }
    if (req.method === 'POST' && path === '/control') {
      const body = await readBody(req, ORDER_BYTES_MAX)
      if (typeof body !== 'string') return sendJson(res, 413, { error: 'an order is a short JSON object' })
      try {
        order(JSON.parse(body))
        return sendJson(res, 200, jsonPage(parts))
      } catch (error) {
        return sendJson(res, 400, { error: (error as Error).message })
      }
    }
    if (req.method !== 'GET') return sendJson(res, 405, { error: `${path} takes GET` })
    switch (path) {
      case '/':
        return text(facilityHelp(), 'text/plain; charset=utf-8')
      case '/metrics':
        return text(exporterPage(parts), METRICS_TYPE)
      case '/dcgm/metrics':
        return text(dcgmPage(parts, busyGpus()), METRICS_TYPE)
      case '/facility.json':
        return sendJson(res, 200, jsonPage(parts))
      case '/prices.csv':
        return text(csvPage(parts), 'text/csv; charset=utf-8')
    }
    const page = path.startsWith('/redfish/') ? redfishPage(parts, path) : openadrPage(parts, path, orderedAt)
    return page === undefined
      ? sendJson(res, 404, { error: `no ${path} here; GET / tells what there is` })
      : sendJson(res, 200, page)
  })
  await listen(server, host, port)
  return {
    url: urlOf(server, host),
    plant,
    prices: parts.prices,
    order,
    close: async () => {
      server.closeAllConnections()
      await Promise.all([runner?.stop(), shut(server)])
    },
  }
}

/** The address of an order to follow a hubward's advice; undefined: it is another order. */
const followed = (value: unknown): string | undefined => {
  const { do: name, url } = (value ?? {}) as { do?: unknown; url?: unknown }
  if (name !== 'follow') return undefined
  if (typeof url !== 'string' || !URL.canParse(url)) throw new Error('follow.url must be the address of a hubward')
  return url
}

/** What can be read of a facility and told to it. */
const facilityHelp = (): string =>
  [
    'GET /metrics /dcgm/metrics /redfish/v1 /events /programs /facility.json /prices.csv',
    'POST /control with {"do": ORDER, ...fields}:',
    ...Object.entries(PLANT_ORDERS).map(
      ([name, { fields, says }]) => `  ${name.padEnd(10)} ${Object.keys(fields).join(', ')}\n             ${says}`,
    ),
    '  follow     url\n             the jobs here do what the hubward at this admin address advises',
    '',
  ].join('\n')
