import type { RequestView } from '../model/request-view.ts'
import type { CheckRequest } from './wire/ext-authz-request.ts'
import type { ProcessingRequest } from './wire/ext-proc-request.ts'
import { fromLatin1 } from './wire/reader.ts'

/** The attributes that the ext_proc filter sends are filed under its own name. */
const FILTER = 'envoy.filters.http.ext_proc'

/** A request as ext_proc shows it; with a body where the route opted in. Nothing is copied until it is asked for. */
export const processingView = (request: ProcessingRequest, body?: Uint8Array): RequestView => {
  const header = lookUp(request.names, request.values)
  return {
    method: header(':method') ?? '',
    path: header(':path') ?? '',
    authority: header(':authority') ?? '',
    header,
    attribute: (name) => scalar(request.attributes()[FILTER]?.[name]),
    metadata: (namespace) => own(request.metadata(), namespace),
    ...(body === undefined ? {} : { body }),
  }
}

/** A request as ext_authz shows it. */
export const checkView = (request: CheckRequest): RequestView => ({
  method: request.method,
  path: request.path,
  authority: request.host,
  header: lookUp(request.names, request.values),
  attribute: (name) => (name === 'source.address' && request.source !== '' ? request.source : undefined),
  metadata: (namespace) => own(request.metadata(), namespace),
  contextExtensions: request.contextExtensions,
  ...(request.body === undefined ? {} : { body: request.body }),
})

const lookUp =
  (names: readonly string[], values: readonly string[]) =>
  (name: string): string | undefined => {
    let found: string | undefined
    for (let i = 0; i < names.length; i++)
      if (names[i] === name) found = found === undefined ? values[i]! : `${found},${values[i]}`
    return found === undefined ? undefined : fromLatin1(found)
  }

const own = <T>(fields: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

const scalar = (value: unknown): string | number | boolean | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined
