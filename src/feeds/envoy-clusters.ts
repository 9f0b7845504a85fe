/** What Envoy's admin port says of one cluster. */
export interface EnvoyCluster {
  readonly name: string
  /** Hosts it has now; an aggregate has none of its own. */
  readonly hosts: number
  /** Hosts that fail Envoy's own health check. */
  readonly hostsFailing: number
  /** By host address, counts since the host was added. */
  readonly counts: ReadonlyMap<string, HostCounts>
}

/** What Envoy counted of one host. */
export interface HostCounts {
  readonly connectFailures: number
  readonly successes: number
}

/** A cluster is not larger: thousands of hosts. */
const CLUSTER_CHARS_MAX = 16 * 1024 * 1024
/** How deep a cluster stands: in the list, in the object that is the whole. */
const DEPTH = 2

/**
 * Reads `/clusters?format=json` as it comes, one cluster at a time: of 1,000 clusters the whole text is 1.5 MB, and
 * parsing it at once would hold up requests for 20 ms at every look. Throws where the text is not JSON of that form.
 */
export class ClustersReader {
  readonly #clusters: EnvoyCluster[] = []
  /** What has begun and not ended. */
  #rest = ''
  #depth = 0
  #inString = false
  #escaped = false
  #begun = false

  /** Reads on. */
  push(text: string): void {
    let from = 0
    // Fields of the reader are too slow to be looked at for each character.
    let depth = this.#depth
    let inString = this.#inString
    let escaped = this.#escaped
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (inString) {
        if (escaped) escaped = false
        else if (code === BACKSLASH) escaped = true
        else if (code === QUOTE) inString = false
      } else if (code === QUOTE) inString = true
      else if (code === BRACE_OPEN || code === BRACKET_OPEN) {
        if (depth === 0) this.#begin(code)
        if (depth === DEPTH && code === BRACE_OPEN) from = at
        depth += 1
      } else if (code === BRACE_CLOSE || code === BRACKET_CLOSE) {
        depth -= 1
        if (depth < 0) throw new Error('it closes more than it opens')
        if (depth === DEPTH && code === BRACE_CLOSE) {
          this.#take(this.#rest + text.slice(from, at + 1))
          this.#rest = ''
          from = at + 1
        }
      } else if (depth === 0 && code > SPACE) throw new Error('it is no object')
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    if (depth > DEPTH) this.#rest += text.slice(from)
    if (this.#rest.length > CLUSTER_CHARS_MAX) throw new Error('one cluster never ends')
  }

  /** The clusters, once all has been read. */
  end(): EnvoyCluster[] {
    if (!this.#begun || this.#depth > 0) throw new Error('it ends too early')
    return this.#clusters
  }

  #begin(code: number): void {
    if (this.#begun || code !== BRACE_OPEN) throw new Error('it is no object')
    this.#begun = true
  }

  #take(text: string): void {
    const status: unknown = JSON.parse(text)
    const name = field(status, 'name')
    if (typeof name !== 'string' || name === '') return
    const hosts = field(status, 'host_statuses')
    const list = Array.isArray(hosts) ? hosts : []
    const isFailing = (host: unknown) => field(field(host, 'health_status'), 'failed_active_health_check') === true
    this.#clusters.push({
      name,
      hosts: list.length,
      hostsFailing: list.filter(isFailing).length,
      counts: new Map(list.map((host) => [JSON.stringify(field(host, 'address') ?? null), countsOf(host)])),
    })
  }
}

const QUOTE = 34
const BACKSLASH = 92
const BRACE_OPEN = 123
const BRACE_CLOSE = 125
const BRACKET_OPEN = 91
const BRACKET_CLOSE = 93
const SPACE = 32

const countsOf = (host: unknown): HostCounts => {
  const stats = field(host, 'stats')
  let connectFailures = 0
  let successes = 0
  for (const stat of Array.isArray(stats) ? stats : []) {
    const name = field(stat, 'name')
    // A counter of 0 comes without its value, others as text.
    const value = Number(field(stat, 'value') ?? 0)
    if (!Number.isFinite(value)) continue
    if (name === 'cx_connect_fail') connectFailures = value
    else if (name === 'rq_success') successes = value
  }
  return { connectFailures, successes }
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined
