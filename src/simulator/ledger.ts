import type { IncomingMessage } from 'node:http'

/** One request under /v1/ as it arrived, and what became of it. */
export interface Arrival {
  readonly id: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly path: string
  readonly residency: string
  /** The headers that hubward sends to an upstream, as they came. */
  readonly hubward: Readonly<Record<string, string>>
  model: string
  /** A status, or `pending`, or `aborted` where the client left first. */
  outcome: number | 'pending' | 'aborted'
}

/** How many arrivals are kept. */
const ARRIVALS_MAX = 200
/** How many keys a count may have; what comes after is counted as `other`. */
const KEYS_MAX = 100
/** How many characters are kept of what a client wrote. */
const TEXT_MAX = 128

/** What arrived at a site: counts for ever, the last requests in full. Its memory is bounded whatever comes. */
export class Ledger {
  readonly #byPath = new Map<string, number>()
  readonly #byModel = new Map<string, number>()
  readonly #byResidency = new Map<string, number>()
  readonly #last: Arrival[] = []
  #total = 0

  /** Notes a request; one under /v1/ also joins the last ones, and is given back to be completed. */
  arrived(req: IncomingMessage, path: string, id: string, at: number, residencyHeader: string): Arrival {
    const residency = text(req.headers[residencyHeader]) ?? ''
    bump(this.#byPath, path)
    this.#total += 1
    const arrival: Arrival = {
      id: id.slice(0, TEXT_MAX),
      at,
      path: path.slice(0, TEXT_MAX),
      residency,
      hubward: hubwardHeaders(req),
      model: '',
      outcome: 'pending',
    }
    if (path.startsWith('/v1/') && path !== '/v1/models') {
      bump(this.#byResidency, residency === '' ? 'none' : residency)
      this.#last.push(arrival)
      if (this.#last.length > ARRIVALS_MAX) this.#last.shift()
    }
    return arrival
  }

  /** Notes the model a request asked for, known only once its body has been read. */
  asked(arrival: Arrival, model: string): void {
    arrival.model = model.slice(0, TEXT_MAX)
    bump(this.#byModel, model)
  }

  /** What GET /requests answers. */
  report() {
    return {
      total: this.#total,
      byPath: Object.fromEntries(this.#byPath),
      byModel: Object.fromEntries(this.#byModel),
      byResidency: Object.fromEntries(this.#byResidency),
      last: this.#last.map((arrival) => ({ ...arrival })),
    }
  }

  /** Begins anew. */
  forget(): void {
    for (const counts of [this.#byPath, this.#byModel, this.#byResidency]) counts.clear()
    this.#last.length = 0
    this.#total = 0
  }
}

const bump = (counts: Map<string, number>, key: string): void => {
  const short = key.slice(0, TEXT_MAX)
  const name = counts.has(short) || counts.size < KEYS_MAX ? short : 'other'
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

const text = (value: string | string[] | undefined): string | undefined =>
  (Array.isArray(value) ? value.join(',') : value)?.slice(0, TEXT_MAX)

const hubwardHeaders = (req: IncomingMessage): Record<string, string> => {
  const found = Object.keys(req.headers).filter((name) => name.startsWith('x-hubward-'))
  return Object.fromEntries(found.slice(0, 16).map((name) => [name.slice(0, TEXT_MAX), text(req.headers[name]) ?? '']))
}
