import type { FlagDefinition } from '../model/flag.ts'
import type { FlagKey, SourceName } from '../model/names.ts'

/** A flag in force as it is served to others. */
export interface ServedFlag {
  readonly key: FlagKey
  readonly source: SourceName
  /** As its rollout renders it. */
  readonly definition: FlagDefinition
  /** Its source is stale and its flags are off for it. */
  readonly isOff: boolean
}

/** Which flags are wanted; what is not named does not matter. */
export interface Selector {
  readonly flagSetId?: string
  readonly source?: string
}

const SELECTOR_CHARS_MAX = 512

/**
 * A selector as flagd writes it: `flagSetId=x`, `source=y`, both with a comma between; a word alone is a source. Nothing:
 * all flags. Undefined: it asks for what is not known here, and is not to be answered with too many flags.
 */
export function parseSelector(text: string): Selector | undefined {
  if (text.length > SELECTOR_CHARS_MAX) return undefined
  const selector: { flagSetId?: string; source?: string } = {}
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue
    const [name, ...value] = part.split('=')
    if (value.length === 0) selector.source = part
    else if (name === 'flagSetId' || name === 'source') selector[name] = value.join('=')
    else return undefined
  }
  return selector
}

const texts = new WeakMap<FlagDefinition, string>()

/** One flagd definition out of flags of all sources. The same flags give the same text, and each is written out once. */
export function definitionText(flags: readonly ServedFlag[], { flagSetId, source }: Selector): string {
  const entries: string[] = []
  for (const flag of flags) {
    const { definition } = flag
    if (source !== undefined && flag.source !== source) continue
    if (flagSetId !== undefined && definition.metadata?.flagSetId !== flagSetId) continue
    entries.push(
      `${JSON.stringify(flag.key)}:${flag.isOff ? textOf({ ...definition, state: 'DISABLED' }) : kept(definition)}`,
    )
  }
  return `{"$schema":"https://flagd.dev/schema/v0/flags.json","flags":{${entries.join(',')}}}`
}

const textOf = (definition: FlagDefinition): string => JSON.stringify(definition)

const kept = (definition: FlagDefinition): string => {
  let text = texts.get(definition)
  if (text === undefined) {
    text = textOf(definition)
    texts.set(definition, text)
  }
  return text
}
