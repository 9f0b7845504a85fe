/** Whose metric names a site shows. `vllm-old` is vLLM before 0.10. */
export const ENGINES = ['vllm', 'vllm-old', 'sglang', 'trtllm', 'triton'] as const

/** One of ENGINES. */
export type EngineName = (typeof ENGINES)[number]

/** A model as a site serves it. */
export interface ServedModel {
  readonly name: string
  readonly contextTokens: number
  /** Other names under which requests for it are accepted; the answer and the metrics carry `name`. */
  readonly aliases: readonly string[]
}

/** How a simulated site is built. Rates are tokens a second for one request; Infinity makes a step take no time. */
export interface SiteOptions {
  readonly name: string
  /** Shown in answers and in the control state only. */
  readonly region: string
  readonly host: string
  /** 0: the operating system chooses. */
  readonly port: number
  readonly controlPort: number
  readonly models: readonly ServedModel[]
  /** Requests that run at once, for each engine. */
  readonly slots: number
  /** Engines behind the one address, as with vLLM's data parallelism; each has slots and a queue of its own. */
  readonly dataParallel: number
  readonly prefillTokensPerS: number
  readonly decodeTokensPerS: number
  /** A prefill never takes less. */
  readonly ttftFloorMs: number
  /** Requests that may wait, over all engines; one more is refused. */
  readonly queueMax: number
  readonly queueFullStatus: 429 | 503
  /** How long an answer is unless the request says otherwise. */
  readonly answerTokens: number
  readonly engine: EngineName
  readonly bodyBytesMax: number
  /** The request header counted as residency. */
  readonly residencyHeader: string
  /** The power budget of its plant in MW; 0: it has none. */
  readonly facilityMw: number
  readonly facilityPort: number
  /** How many times faster its coolant loops follow than a real one's. */
  readonly facilitySpeed: number
  /** The admin address of the hubward whose advice the plant's jobs follow; empty: nobody's. */
  readonly hubwardAdmin: string
  /** How long running answers may go on after a request to stop. */
  readonly graceMs: number
}

/** The values where nobody said otherwise: a small hub that answers within a second. */
export const SITE_DEFAULTS: SiteOptions = {
  name: 'site',
  region: '',
  host: '127.0.0.1',
  port: 0,
  controlPort: 0,
  models: [{ name: 'llama-3.1-70b', contextTokens: 131_072, aliases: [] }],
  slots: 8,
  dataParallel: 1,
  prefillTokensPerS: 8_000,
  decodeTokensPerS: 50,
  ttftFloorMs: 20,
  queueMax: 256,
  queueFullStatus: 503,
  answerTokens: 24,
  engine: 'vllm',
  bodyBytesMax: 1_048_576,
  residencyHeader: 'x-hubward-residency',
  facilityMw: 0,
  facilityPort: 0,
  facilitySpeed: 1,
  hubwardAdmin: '',
  graceMs: 1_000,
}

/** The context length of a model that names none. */
const CONTEXT_DEFAULT = 32_768

/**
 * The models that `name[:context]` texts and `alias=name` texts describe. A colon counts only before digits at the
 * end, so that `llama3:8b` is a name. Throws an Error that says what is wrong.
 */
export const servedModels = (models: readonly string[], aliases: readonly string[] = []): ServedModel[] => {
  const served = models.map((text) => {
    const match = /^(.+?)(?::(\d+))?$/.exec(text)
    if (match === null) throw new Error('a model needs a name: --models name[:context]')
    return {
      name: match[1]!,
      contextTokens: match[2] === undefined ? CONTEXT_DEFAULT : Number(match[2]),
      aliases: [] as string[],
    }
  })
  for (const text of aliases) {
    const [alias, name] = text.split('=')
    const model = served.find((one) => one.name === name)
    if (!alias || model === undefined)
      throw new Error(
        `--alias takes alias=name with a served name, not "${text}"; served: ${served.map((one) => one.name).join(', ')}`,
      )
    model.aliases.push(alias)
  }
  return served
}
