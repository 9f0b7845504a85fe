import type { EpochMs } from '../model/names.ts'
import type { KnownNames } from './facts-json.ts'
import { type AskedFacts, factsIn } from './facts-json.ts'
import { isPlain, JsonReader, own, type Plain } from './json-reader.ts'

/** Annotations that state a fact, and the fact each of them states. */
const FACTS = {
  'hubward.dev/class': 'class',
  'hubward.dev/needs': 'needs',
  'hubward.dev/tenant': 'tenant',
  'hubward.dev/tier': 'tier',
  'hubward.dev/model': 'model',
  'hubward.dev/region': 'region',
  'hubward.dev/residency': 'residency',
  'hubward.dev/deadline': 'deadline',
} as const

/** How far into an object templates are looked for: a JobSet's lies seven levels deep. */
const DEPTH_MAX = 10
const NODES_MAX = 20_000

/** What the annotations of an object say of its work: the facts, or what can't be used; undefined: it is none of ours. */
export type Annotated = { readonly facts: AskedFacts } | { readonly wrong: string } | undefined

/**
 * The facts that a Kubernetes object states in annotations, its own and those of the pod templates inside it, whatever
 * its kind: Job, CronJob, PyTorchJob, RayJob, JobSet, Workload, Pod. What two of them say of one fact must be the same;
 * needs add up, since they only tighten.
 */
export function annotated(object: Plain, known: KnownNames, now: EpochMs): Annotated {
  const stated: Record<string, string> = {}
  const clashes: string[] = []
  for (const annotations of annotationsOf(object)) {
    for (const [name, fact] of Object.entries(FACTS)) {
      const value = own(annotations, name)
      if (typeof value !== 'string') continue
      const before = stated[fact]
      if (before === undefined || before === value) stated[fact] = value
      else if (fact === 'needs') stated.needs = `${before}, ${value}`
      else clashes.push(`${name} is "${before.slice(0, 64)}" and "${value.slice(0, 64)}"`)
    }
  }
  if (stated.class === undefined) return undefined
  if (clashes.length > 0) return { wrong: `${clashes[0]}; write it the same everywhere` }
  const { residency, ...rest } = stated
  const listed = residency?.split(/[\s,]+/).filter((one) => one !== '')
  const reader = new JsonReader()
  const facts = factsIn(reader, { ...rest, ...(listed === undefined ? {} : { residency: listed }) }, '', known, now)
  const [first] = reader.problems
  if (facts !== undefined && first === undefined) return { facts }
  const fact = first?.pointer.split('/')[1] ?? ''
  return { wrong: `annotation hubward.dev/${fact} ${first?.message ?? 'can not be used'}; ${first?.remedy ?? ''}` }
}

/** The annotations of an object and of every template in its spec, the object's own first. */
function* annotationsOf(object: Plain): Generator<Plain> {
  const top = metadataAnnotations(object)
  if (top !== undefined) yield top
  let nodes = 0
  const stack: { readonly value: unknown; readonly depth: number }[] = [{ value: own(object, 'spec'), depth: 0 }]
  for (let next = stack.pop(); next !== undefined && nodes < NODES_MAX; next = stack.pop()) {
    nodes++
    const { value, depth } = next
    if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) continue
    const children = Array.isArray(value)
      ? value
      : Object.entries(value).flatMap(([name, child]) => (name === 'metadata' ? [] : [child]))
    if (isPlain(value) && depth > 0) {
      const found = metadataAnnotations(value)
      if (found !== undefined) yield found
    }
    for (const child of children) stack.push({ value: child, depth: depth + 1 })
  }
}

function metadataAnnotations(object: Plain): Plain | undefined {
  const metadata = own(object, 'metadata')
  const annotations = isPlain(metadata) ? own(metadata, 'annotations') : undefined
  return isPlain(annotations) ? annotations : undefined
}
