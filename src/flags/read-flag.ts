import {
  type Flag,
  type FlagDefinition,
  type Json,
  LAYERS,
  type Layer,
  type Scalar,
  type VariantMeaning,
} from '../model/flag.ts'
import { definitionHash } from './hash.ts'
import { meaningOf } from './meaning.ts'
import { shapeFindings } from './shape.ts'
import { type Evaluators, readTargeting } from './targeting.ts'
import type { FieldPath, Report } from './text.ts'
import { didYouMean, instantMs, shown } from './words.ts'

/** What a flag is read with: the way to it, and what its file says for all of its flags. */
export interface FlagSurroundings {
  readonly at: FieldPath
  readonly evaluators: Evaluators
  readonly metadata: Readonly<Record<string, Scalar>>
}

/** A flag as it is written; null, and reported, where anything in it is wrong enough to refuse it. */
export function readFlag(key: string, written: unknown, around: FlagSurroundings, outer: Report): Flag | null {
  let isGood = true
  const report: Report = (path, finding) => {
    if (finding.severity !== 'warning') isGood = false
    outer([...around.at, ...path], finding)
  }
  for (const [path, finding] of shapeFindings('flag', written)) report(path, finding)
  // What follows takes the shape for granted.
  if (!isGood) return null
  const { state, variants, defaultVariant, targeting, metadata } = written as FlagDefinition
  checkVariants(variants, defaultVariant, report)
  const merged = { ...around.metadata, ...metadata }
  const definition: FlagDefinition = {
    state,
    variants,
    ...(defaultVariant === undefined ? {} : { defaultVariant }),
    ...(targeting === undefined || targeting === null
      ? {}
      : { targeting: readTargeting(targeting, ['targeting'], around.evaluators, report) }),
    ...(Object.keys(merged).length === 0 ? {} : { metadata: merged }),
  }
  const said = saidByMetadata(merged, report)
  const meanings = said.layer === undefined ? {} : readMeanings(variants, said.layer, said.class ?? '', report)
  return isGood ? { key, definition, hash: definitionHash(definition), ...said, meanings } : null
}

function checkVariants(
  variants: FlagDefinition['variants'],
  defaultVariant: string | null | undefined,
  report: Report,
): void {
  const [first, ...others] = Object.entries(variants)
  const other = others.find(([, value]) => typeof value !== typeof first![1])
  if (other !== undefined) {
    const message = `"${other[0]}" is ${shown(other[1])}, and "${first![0]}" is ${shown(first![1])}`
    const remedy = 'make all variants true and false, texts, numbers or maps'
    report(['variants', other[0]], { code: 'flag/variants-differ', message, remedy })
  }
  for (const [name, value] of Object.entries(variants)) {
    if (!Array.isArray(value)) continue
    report(['variants', name], {
      code: 'flags/wrong-type',
      message: `the variant "${name}" is a list; it can be a map`,
    })
  }
  if (typeof defaultVariant !== 'string' || Object.hasOwn(variants, defaultVariant)) return
  const known = Object.keys(variants)
  const message = `"defaultVariant" is ${shown(defaultVariant)}${didYouMean(defaultVariant, known)}`
  const remedy = `write ${known
    .slice(0, 12)
    .map((name) => `"${name}"`)
    .join(' or ')}, or null`
  report(['defaultVariant'], { code: 'flag/unknown-variant', message, remedy })
}

type Said = Pick<Flag, 'layer' | 'class' | 'owner' | 'expires'>

/** What hubward itself takes out of metadata. Foreign flags may use the words otherwise, where they claim no layer. */
function saidByMetadata(metadata: Readonly<Record<string, Scalar>>, report: Report): Said {
  const { layer, owner, expires } = metadata
  const className = metadata.class
  const isOurs = layer !== undefined
  const tell = (name: string, wanted: string): undefined => {
    const message = `"${name}" is ${shown(metadata[name])}; it has to be ${wanted}`
    report(['metadata', name], { code: 'flag/metadata', message, ...(isOurs ? {} : { severity: 'warning' }) })
  }
  if (isOurs && !LAYERS.includes(layer as Layer)) {
    const message = `there is no layer ${shown(layer)}${didYouMean(String(layer), LAYERS)}`
    report(['metadata', 'layer'], { code: 'flag/unknown-layer', message, remedy: `write ${LAYERS.join(', ')}` })
    return {}
  }
  if (isOurs && className === undefined) {
    const message = `the flag speaks in the layer ${layer} and does not say for which class`
    report(['metadata'], { code: 'flag/layer-without-class', message, remedy: 'write "class" beside "layer"' })
  }
  const isClass = typeof className === 'string' && className !== ''
  if (className !== undefined && !isClass) tell('class', 'the name of a class')
  const isOwner = typeof owner === 'string'
  if (owner !== undefined && !isOwner) tell('owner', 'a text')
  const at = typeof expires === 'string' ? instantMs(expires) : undefined
  if (expires !== undefined && at === undefined) tell('expires', 'a day, 2027-02-01, or a time, 2026-12-01T22:00:00Z')
  return {
    ...(isOurs ? { layer: layer as Layer } : {}),
    ...(isClass ? { class: className } : {}),
    ...(isOwner ? { owner } : {}),
    ...(at === undefined ? {} : { expires: at }),
  }
}

function readMeanings(
  variants: Readonly<Record<string, Json>>,
  layer: Layer,
  className: string,
  report: Report,
): Readonly<Record<string, VariantMeaning>> {
  const meanings: [string, VariantMeaning][] = []
  for (const [name, value] of Object.entries(variants)) {
    const meaning = meaningOf(value, layer, className, (path, finding) => report(['variants', name, ...path], finding))
    if (meaning !== null) meanings.push([name, meaning])
  }
  return Object.fromEntries(meanings)
}
