import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { runCase } from '../documents/cases.ts'
import { didYouMean, knownNames } from '../documents/suggest.ts'
import { decide } from '../engine/decide.ts'
import { type Explanation, explain } from '../engine/explain.ts'
import { mergeSets } from '../engine/programs.ts'
import type { DocumentSet } from '../model/documents.ts'
import { ARMS, type Arm } from '../model/rollout.ts'
import { parseNeeds } from '../request/needs.ts'
import { CASE_ENGINE } from './case-engine.ts'
import { flagsIn } from './flags-in.ts'
import { foldersIn } from './folders-in.ts'
import { complain, problemLines } from './output.ts'

/** What a question to the engine is made of, as flags. */
export interface QuestionFlags {
  readonly documents: readonly string[]
  readonly facts?: string
  readonly samples?: string
  readonly sample?: readonly (readonly [place: string, signal: string, value: number | boolean])[]
  readonly down?: readonly string[]
  readonly drained?: readonly string[]
  readonly maintenance?: readonly string[]
  readonly now?: string
  readonly class?: string
  readonly model?: string
  readonly tenant?: string
  readonly tier?: string
  readonly region?: string
  readonly country?: string
  readonly residency?: string
  readonly sessionKey?: string
  readonly session?: string
  readonly contextTokens?: string
  readonly tools?: true
  readonly near?: string
  readonly needs?: string
  readonly fact?: readonly (readonly [name: string, value: string])[]
  readonly flags?: readonly string[]
  readonly asCohort?: string
  readonly asArm?: Arm
  readonly json?: true
}

const many =
  <T>(read: (text: string) => T) =>
  (text: string, before: readonly T[] = []): readonly T[] => [...before, read(text)]

const sample = (text: string): readonly [string, string, number | boolean] => {
  const parts = /^([^.=]+)\.([^=]+)=(.+)$/.exec(text)
  const value = parts?.[3] === 'true' ? true : parts?.[3] === 'false' ? false : Number(parts?.[3])
  if (parts === null || Number.isNaN(value))
    throw new InvalidArgumentError(
      'write place.signal=number, such as ams.queue.depth=41 or ams/h100.replica.warm=true',
    )
  return [parts[1]!, parts[2]!, value]
}

const fact = (text: string): readonly [string, string] => {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('write name=value')
  return [text.slice(0, at), text.slice(at + 1)]
}

/** Gives a command the flags of a question. */
export const withQuestionFlags = (command: Command): Command =>
  command
    .option('-d, --documents <folder>', 'a folder of documents; repeatable', many(String))
    .option('--class <name>', 'the workload class')
    .option('--model <name>', 'the model that is asked for')
    .option('--tenant <name>', 'the tenant')
    .option('--tier <name>', "the tenant's tier")
    .option('--region <name>', 'the region that the client is in')
    .option('--country <code>', 'the country that the client is in')
    .option('--residency <list>', 'jurisdictions, any of which will do, separated by commas')
    .option('--session-key <key>', 'what keeps the requests of one session together')
    .option('--session <target>', 'the target that the session runs on')
    .option('--context-tokens <number>', 'prompt and answer together')
    .option('--tools', 'the request uses tools')
    .option('--near <site>', 'the site with the smallest round trip')
    .option('--needs <text>', 'what a job needs: "power.headroom_mw>=2, gpu=H100"')
    .option('--fact <name=value>', 'a fact of your own; repeatable', many(fact))
    .option('--facts <file>', 'facts as JSON; - reads the standard input. Flags lie over it')
    .option('--sample <place.signal=value>', 'what is measured: ams.queue.depth=41; repeatable', many(sample))
    .option('--samples <file>', 'what is measured, as JSON: { "ams": { "queue.depth": 41 } }')
    .option('--down <place>', 'a site or pool that is down; repeatable', many(String))
    .option('--drained <place>', 'a site or pool that an order drains; repeatable', many(String))
    .option('--maintenance <place>', 'a site or pool in maintenance; repeatable', many(String))
    .option('--flags <path>', 'a flagd definition, or a folder of them, in force; repeatable', many(String))
    .option('--as-cohort <name>', "count as of this cohort, as a tester's header would have it")
    .addOption(
      new Option('--as-arm <name>', "be in this arm of a rollout, as a tester's header would have it").choices(ARMS),
    )
    .option('--now <time>', 'the time at which it is asked, as 2026-11-22T10:00:00Z')
    .option('--json', 'write JSON')

/** The answer to a question, or what is wrong with the question or the documents. */
export type Answered =
  | { readonly explanation: Explanation }
  | { readonly wrong: readonly string[] }
  | { readonly badDocuments: true }

/** Asks the engine: documents and flags become a world in which every site is up and every signal good, unless said otherwise. */
export function answerOf(flags: QuestionFlags): Answered {
  const set = documentsOf(flags.documents)
  if (set === undefined) return { badDocuments: true }
  const read = flags.flags === undefined ? undefined : flagsIn(flags.flags)
  for (const problem of read?.problems ?? []) complain(problemLines(problem))
  if (read?.set === null) return { badDocuments: true }
  const { when, given, wrong } = worldOf(flags)
  const names = set.classes.map(({ metadata }) => metadata.name)
  // A gate must not open because somebody misspelt the class: what no document names is no question.
  if (typeof when.class === 'string' && !names.includes(when.class)) {
    wrong.push(`no document names a class "${when.class}"${didYouMean(when.class, names)}; ${knownNames(names)}`)
  }
  if (wrong.length > 0) return { wrong }
  let explanation: Explanation | undefined
  const asked = runCase(
    set,
    {
      ...CASE_ENGINE,
      ...(read === undefined ? {} : { readFlags: () => read }),
      decide: (facts, snapshot, tally, now) => {
        // One id for the same question, so that its answer can be compared with another's.
        explanation = explain(facts, snapshot, tally, now, 'asked')
        return decide(facts, snapshot, tally, now, 'asked')
      },
    },
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    { title: 'asked', given: { ...given, ...(read === undefined ? {} : { flags: {} }) }, when, then: {} },
  )
  if (asked.failures.length > 0 || explanation === undefined) return { wrong: asked.failures }
  return { explanation }
}

/** The documents of several folders as one set; undefined, and told, where they can't be used. */
export function documentsOf(folders: readonly string[]): DocumentSet | undefined {
  const reads = foldersIn(folders, Date.now())
  const errors = reads.flatMap(({ problems }) => problems).filter(({ severity }) => severity === 'error')
  for (const problem of errors) complain(problemLines(problem))
  if (reads.some(({ set }) => set === null)) return undefined
  return mergeSets(Object.fromEntries(reads.map(({ folder, set }) => [folder, set!])))
}

function worldOf(flags: QuestionFlags) {
  const wrong: string[] = []
  const when: Record<string, unknown> = flags.facts === undefined ? {} : jsonOf(flags.facts, wrong)
  for (const name of [
    'class',
    'model',
    'tenant',
    'tier',
    'region',
    'country',
    'sessionKey',
    'session',
    'near',
    'tools',
  ] as const) {
    if (flags[name] !== undefined) when[name] = flags[name]
  }
  if (flags.residency !== undefined)
    when.residency = flags.residency
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
  if (flags.contextTokens !== undefined) when.contextTokens = Number(flags.contextTokens)
  for (const [name, value] of flags.fact ?? []) when[name] = value
  if (flags.needs !== undefined) {
    const { needs, unread } = parseNeeds(flags.needs)
    when.needs = needs
    for (const part of unread)
      wrong.push(
        `--needs: "${part}" is not understood; write mw=2, gpus=16, name>=number, name<=number, gpu=A|B, cooling=liquid, near=data or no-delay`,
      )
  }
  if (flags.asCohort !== undefined || flags.asArm !== undefined) {
    const { asCohort: cohort, asArm: arm } = flags
    when.forced = { ...(cohort === undefined ? {} : { cohort }), ...(arm === undefined ? {} : { arm }) }
  }
  if (when.class === undefined) wrong.push('--class is missing: name the workload class of the request')
  const sites: Record<string, Record<string, unknown>> = flags.samples === undefined
    ? {}
    : (jsonOf(flags.samples, wrong) as Record<string, Record<string, unknown>>)
  const of = (place: string): Record<string, unknown> => {
    sites[place] ??= {}
    return sites[place]
  }
  for (const [place, signal, value] of flags.sample ?? []) of(place)[signal] = value
  for (const word of ['down', 'drained', 'maintenance'] as const)
    for (const place of flags[word] ?? []) of(place)[word] = true
  return { when, given: { sites, ...(flags.now === undefined ? {} : { now: flags.now }) }, wrong }
}

function jsonOf(file: string, wrong: string[]): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
    wrong.push(`${file}: is no JSON object`)
  } catch (error) {
    wrong.push(`${file}: ${(error as Error).message}`)
  }
  return {}
}
