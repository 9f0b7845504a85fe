import { createHash } from 'node:crypto'
import type { Change } from '../model/change.ts'
import type { FlagSet } from '../model/flag.ts'
import type { EpochMs, SourceName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'
import { flagSourceProblem } from './failure.ts'
import type { FlagFormat, FlagReader, FlagText } from './flag-reader.ts'
import { keepFlags, keptFlags, touchKept } from './kept-flags.ts'

/** What all sources of flags say of themselves. */
export interface FlagSourceBase {
  readonly name: SourceName
  /** A key of FLAG_KINDS. */
  readonly kind: string
  readonly owner?: string
  /** How long its flags are fresh after each sign of life; 0: for ever. */
  readonly ttlMs: number
  /** What becomes of them when they are stale. */
  readonly whenStale: 'keep' | 'off'
}

/** What an intake is handed. */
export interface IntakeEdges {
  readonly now: () => EpochMs
  /** The store's apply. */
  readonly emit: (change: Extract<Change, { kind: 'flags-accepted' | 'flags-refused' | 'flags-heard' }>) => void
  readonly reader: FlagReader
  /** What the documents have to say of a set, worked out step by step: problems, of which an error refuses it. */
  readonly check: (set: FlagSet, source: SourceName) => Iterator<unknown, readonly Problem[]>
  /** Makes the programs of a set, one at a step. */
  readonly prepare: (set: FlagSet) => Iterator<unknown>
  /** Where the last good set is kept; null: nowhere. */
  readonly keptFile: string | null
  readonly onTrouble: (message: string) => void
  /** It began to fail, or to answer again. */
  readonly turned?: (status: SourceStatus, failing: boolean) => void
}

/** How long programs are made before others get their turn. */
const SLICE_MS = 2
/** The time of the last sign of life is written down this often at most. */
const TOUCH_MS = 10_000

/**
 * What came from one source, taken whole or refused whole, with a nonce for each verdict. The same bytes again are a sign
 * of life; bytes that were refused are told once. The last good texts are kept on disk and read anew after a restart.
 */
export class FlagIntake {
  readonly #source: FlagSourceBase
  readonly #format: FlagFormat
  readonly #edges: IntakeEdges
  readonly #begun: string
  #attempts = 0
  #status: SourceStatus
  #inForce = ''
  #refused: { readonly version: string; readonly problems: readonly Problem[] } | undefined
  #last: 'unknown' | 'accepted' | 'refused' = 'unknown'
  #touchedAt = 0
  /** Whether it was told that the source fails. */
  #isTold = false
  #taking: Promise<void> = Promise.resolve()

  constructor(source: FlagSourceBase, where: string, format: FlagFormat, edges: IntakeEdges, intervalMs: number) {
    const { name, kind, owner } = source
    this.#source = source
    this.#format = format
    this.#edges = edges
    this.#begun = edges.now().toString(36)
    this.#status = {
      name,
      kind: `flags-${kind}`,
      ...(owner === undefined ? {} : { owner }),
      where,
      version: '',
      nonce: '',
      intervalMs,
      lastAcceptedAt: null,
      lastRefusedAt: null,
      refusal: [],
      failuresInARow: 0,
      delivers: [],
      covers: [],
    }
  }

  get status(): SourceStatus {
    return this.#status
  }

  /** Whether any set has been taken, one from disk included. */
  get hasSet(): boolean {
    return this.#status.lastAcceptedAt !== null
  }

  /** Takes what an attempt brought, unless the attempt has been given up meanwhile; one set after another. Never rejects. */
  take(files: readonly FlagText[], signal: AbortSignal): Promise<void> {
    this.#taking = this.#taking.then(() => (signal.aborted ? undefined : this.#take(files, signal)))
    return this.#taking
  }

  async #take(files: readonly FlagText[], signal: AbortSignal): Promise<void> {
    const version = versionOf(files)
    if (version === this.#inForce) {
      this.#last = 'accepted'
      this.heard()
      return
    }
    if (version === this.#refused?.version) {
      this.#last = 'refused'
      this.failed(this.#refused.problems)
      return
    }
    const { set, problems } = await this.#read(files)
    if (set !== null && !(await this.#prepared(set, signal))) return
    if (signal.aborted) return
    if (set === null) {
      this.#refuse(version, problems)
      return
    }
    this.#accept(version, set, problems, {})
    const { keptFile, now } = this.#edges
    if (keptFile === null) return
    this.#touchedAt = now()
    await keepFlags(keptFile, { version, format: this.#format, files }).catch((error: Error) =>
      this.#edges.onTrouble(`the flags can't be kept on disk: ${error.message}`),
    )
  }

  /** Whether these texts have a verdict already. */
  knows(files: readonly FlagText[]): boolean {
    const version = versionOf(files)
    return version === this.#inForce || version === this.#refused?.version
  }

  /** Whether what the source said last has a verdict that stands: only then is it worth asking for changes alone. */
  get isJudged(): boolean {
    return this.#last !== 'unknown'
  }

  /** The source says that nothing has changed since its last answer. */
  unchanged(): void {
    if (this.#last === 'accepted') this.heard()
    else if (this.#refused !== undefined) this.failed(this.#refused.problems)
  }

  /** The source lives and has nothing new. */
  heard(): void {
    const { emit, now, keptFile } = this.#edges
    const at = now()
    this.#fresh()
    // Flags that are fresh for ever need no word of it: each would be a new snapshot.
    if (this.#source.ttlMs === 0) return
    emit({ kind: 'flags-heard', at, source: this.#source.name })
    if (keptFile === null || at - this.#touchedAt < TOUCH_MS) return
    this.#touchedAt = at
    touchKept(keptFile, at)
  }

  /** An attempt gave no set. */
  failed(problems: readonly Problem[]): void {
    const failuresInARow = this.#status.failuresInARow + 1
    this.#status = { ...this.#status, lastRefusedAt: this.#edges.now(), refusal: problems, failuresInARow }
    if (this.#isTold || this.#refused?.problems === problems) return
    this.#isTold = true
    this.#edges.turned?.(this.#status, true)
  }

  /** Has what was refused read again when it comes next: what it lacked may be there by now. */
  again(): void {
    if (this.#last === 'refused') this.#last = 'unknown'
    this.#refused = undefined
  }

  /** Puts the set that was kept on disk in force, where none is; what the source says of it stays told. */
  async useKept(): Promise<void> {
    const { keptFile } = this.#edges
    const kept = this.hasSet || keptFile === null ? null : await keptFlags(keptFile)
    if (kept === null || kept.format !== this.#format) return
    const { set, problems } = await this.#read(kept.files)
    if (set === null || this.hasSet) return
    await this.#prepared(set, new AbortController().signal)
    if (this.hasSet) return
    const message = `${this.#status.where} gave no flags; the set ${kept.version} that was kept on disk is in force`
    const remedy = 'repair the source; what is wrong with it is told beside this'
    const told = flagSourceProblem('flag-source/from-disk', message, { severity: 'warning', remedy })
    const { refusal, failuresInARow } = this.#status
    this.#accept(kept.version, set, [told, ...problems], {
      fromDisk: true,
      heardAt: Math.min(kept.heardAt, this.#edges.now()),
    })
    this.#status = { ...this.#status, refusal, failuresInARow }
  }

  async #read(files: readonly FlagText[]): Promise<{ set: FlagSet | null; problems: readonly Problem[] }> {
    try {
      const { set, problems } = await this.#edges.reader.read(files, this.#format)
      if (set === null) return { set, problems }
      const found = await inSlices(this.#edges.check(set, this.#source.name))
      const all = [...problems, ...(found ?? [])]
      return { set: all.some(({ severity }) => severity === 'error') ? null : set, problems: all }
    } catch (error) {
      const message = `${this.#status.where}: the set can't be used: ${(error as Error).message}`
      const remedy = 'look for a definition that is far too large or too deep'
      return { set: null, problems: [flagSourceProblem('flag-source/unread', message, { remedy })] }
    }
  }

  /** Makes the programs in slices; false where the attempt was given up meanwhile. */
  async #prepared(set: FlagSet, signal: AbortSignal): Promise<boolean> {
    await inSlices(this.#edges.prepare(set), signal)
    return !signal.aborted
  }

  #accept(
    version: string,
    set: FlagSet,
    problems: readonly Problem[],
    origin: { readonly fromDisk?: true; readonly heardAt?: EpochMs },
  ): void {
    const { emit, now } = this.#edges
    const { name: source, ttlMs, whenStale } = this.#source
    const at = now()
    const nonce = this.#nextNonce()
    // What comes from disk is not what the source says now: the same bytes from the source are to be taken once more.
    this.#inForce = origin.fromDisk === true ? '' : version
    this.#refused = undefined
    this.#last = origin.fromDisk === true ? 'unknown' : 'accepted'
    const { warnings: _, ...status } = this.#status
    this.#status = {
      ...status,
      version,
      nonce,
      lastAcceptedAt: at,
      ...(problems.length === 0 ? {} : { warnings: problems }),
    }
    if (origin.fromDisk !== true) this.#fresh()
    emit({ kind: 'flags-accepted', at, source, version, nonce, set, problems, ttlMs, whenStale, ...origin })
  }

  #refuse(version: string, problems: readonly Problem[]): void {
    const { emit, now } = this.#edges
    const at = now()
    const nonce = this.#nextNonce()
    this.#refused = { version, problems }
    this.#last = 'refused'
    const failuresInARow = this.#status.failuresInARow + 1
    this.#status = { ...this.#status, nonce, lastRefusedAt: at, refusal: problems, failuresInARow }
    emit({ kind: 'flags-refused', at, source: this.#source.name, version, nonce, problems })
  }

  #fresh(): void {
    if (this.#status.failuresInARow === 0) return
    this.#status = { ...this.#status, refusal: [], failuresInARow: 0 }
    if (!this.#isTold) return
    this.#isTold = false
    this.#edges.turned?.(this.#status, false)
  }

  #nextNonce(): string {
    this.#attempts += 1
    return `${this.#begun}-${this.#attempts}`
  }
}

/** Takes all steps, with room for others after each slice, and gives what the last one gives; undefined where it was given up. */
async function inSlices<Last>(steps: Iterator<unknown, Last>, signal?: AbortSignal): Promise<Last | undefined> {
  let from = performance.now()
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() - from < SLICE_MS) continue
    await new Promise((resolve) => setImmediate(resolve))
    if (signal?.aborted === true) return undefined
    from = performance.now()
  }
}

/** A short hash of all texts and their paths. */
const versionOf = (files: readonly FlagText[]): string => {
  const hash = createHash('sha256')
  for (const { path, text } of files) hash.update(`${path}\0${text.length}\0`).update(text)
  return hash.digest('hex').slice(0, 12)
}
