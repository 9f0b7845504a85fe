import { createServer, type Server } from 'node:http'
import { COMMANDS, type Command, readCommand } from './commands.ts'
import type { FaultState } from './faults.ts'
import { readBody, sendJson } from './http.ts'
import type { Ledger } from './ledger.ts'

/** What GET /control shows. */
export interface SiteState {
  readonly name: string
  readonly region: string
  readonly url: string
  readonly engine: string
  readonly models: readonly string[]
  readonly running: number
  readonly waiting: number
  /** Requests that hang. */
  readonly held: number
  readonly faults: FaultState
}

/** What can be asked and told of a site, in its own process. The control port offers the same over HTTP. */
export interface Controls {
  state(): SiteState
  /** Rejects only where a dead site can't have its port back. */
  obey(command: Command): Promise<void>
  requests(): ReturnType<Ledger['report']>
  forget(): void
}

/** The largest order in bytes. */
const ORDER_BYTES_MAX = 16_384

/** The orders and look-ups of the control port, for --help and GET /. */
export const controlHelp = (): string => {
  const orders = Object.entries(COMMANDS).map(([name, { fields, says }]) => {
    const shown = Object.entries(fields).map(([key, field]) => {
      const value = field.kind === 'choice' ? field.of.join('|') : field.whole ? 'whole number' : 'number'
      return field.absent === undefined ? `${key}: ${value}` : `[${key}: ${value}, else ${field.absent}]`
    })
    return `  ${name.padEnd(14)} ${shown.join(', ')}\n                 ${says}`
  })
  return [
    'POST /control with {"do": ORDER, ...fields}. Orders of different kinds add up; recover ends them all.',
    ...orders,
    'GET /control      what is wrong now, how many run and wait',
    'GET /requests     counts by path, model and residency header, and the last 200 requests with their x-request-id',
    'DELETE /requests  begins those counts anew',
    '',
  ].join('\n')
}

/** The server of the control port, not yet listening. It answers whatever state its site is in. */
export const controlServer = (controls: Controls): Server =>
  createServer(async (req, res) => {
    const path = (req.url ?? '/').split('?', 1)[0]
    const route = `${req.method} ${path}`
    if (route === 'GET /') {
      res.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
      return res.end(controlHelp())
    }
    if (route === 'GET /control') return sendJson(res, 200, controls.state())
    if (route === 'GET /requests') return sendJson(res, 200, controls.requests())
    if (route === 'DELETE /requests') {
      controls.forget()
      return sendJson(res, 200, controls.requests())
    }
    if (route !== 'POST /control') return sendJson(res, 404, { error: `no ${route} here; GET / tells what there is` })
    const body = await readBody(req, ORDER_BYTES_MAX)
    if (typeof body !== 'string')
      return sendJson(res, 413, { error: `an order has at most ${ORDER_BYTES_MAX} bytes` }, { connection: 'close' })
    const command = readOrder(body)
    if (typeof command === 'string') return sendJson(res, 400, { error: command })
    if (command.do === 'die' && command.mode === 'exit') {
      res.on('finish', () => controls.obey(command))
      return sendJson(res, 200, controls.state())
    }
    try {
      await controls.obey(command)
      sendJson(res, 200, controls.state())
    } catch (error) {
      sendJson(res, 409, { error: `the site stays dead: ${(error as Error).message}` })
    }
  })

const readOrder = (body: string): Command | string => {
  try {
    return readCommand(JSON.parse(body))
  } catch (error) {
    return `not JSON: ${(error as Error).message}`
  }
}
