/**
 * One request as the transport saw it, before anything is believed. ext_proc and ext_authz each make one; facts are read
 * from it and nothing is copied that no fact asks for. None of its functions throws, whatever the name.
 */
export interface RequestView {
  /** `GET`; empty where it is not known. */
  readonly method: string
  /** The path as it came, query included and nothing decoded. */
  readonly path: string
  readonly authority: string
  /** A header by its lower-case name; several values are joined by a comma. Absent is undefined, present may be empty. */
  readonly header: (name: string) => string | undefined
  /** An Envoy attribute: `source.address` (`ip:port`), `xds.route_name`. */
  readonly attribute: (name: string) => string | number | boolean | undefined
  /** Envoy's dynamic metadata by namespace, as plain JSON: `envoy.filters.http.jwt_authn`. */
  readonly metadata: (namespace: string) => Readonly<Record<string, unknown>> | undefined
  /** ext_authz's context_extensions, as the route has them. */
  readonly contextExtensions?: Readonly<Record<string, string>>
  /** The whole body, where the route opts in and it has arrived. */
  readonly body?: Uint8Array | undefined
}
