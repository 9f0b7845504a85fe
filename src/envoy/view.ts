import type { RequestView } from '../model/request-view.ts'
import type { CheckRequest } from './wire/ext-authz-request.ts'
import type { ProcessingRequest } from './wire/ext-proc-request.ts'

/** The attributes that the ext_proc filter sends are filed under its own name. */
const FILTER = 'envoy.filters.http.ext_proc'

/** A request as ext_proc shows it; with a body where the route opted in. Nothing is read out that is not asked for. */
export class ProcessingView implements RequestView {
  readonly body: Uint8Array | undefined
  readonly #request: ProcessingRequest
  #method: string | undefined
  #path: string | undefined

  constructor(request: ProcessingRequest, body?: Uint8Array) {
    this.#request = request
    this.body = body
  }

  get method(): string {
    this.#method ??= this.#request.headers.get(':method') ?? ''
    return this.#method
  }

  get path(): string {
    this.#path ??= this.#request.headers.get(':path') ?? ''
    return this.#path
  }

  get authority(): string {
    return this.#request.headers.get(':authority') ?? ''
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name)
  }

  attribute(name: string): string | number | boolean | undefined {
    return scalar(this.#request.attributes.field(FILTER, name))
  }

  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    return this.#request.metadata.get(namespace)
  }
}

/** A request as ext_authz shows it. */
export class CheckView implements RequestView {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly contextExtensions: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
  readonly #request: CheckRequest

  constructor(request: CheckRequest) {
    this.method = request.method
    this.path = request.path
    this.authority = request.host
    this.contextExtensions = request.contextExtensions
    this.body = request.body
    this.#request = request
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name)
  }

  attribute(name: string): string | undefined {
    const { source } = this.#request
    return name === 'source.address' && source !== '' ? source : undefined
  }

  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    return this.#request.metadata.get(namespace)
  }
}

const scalar = (value: unknown): string | number | boolean | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined
