import { createHash } from 'node:crypto'
import { type FSWatcher, mkdirSync, readFileSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Change } from '../model/change.ts'
import type { EpochMs, SourceName } from '../model/names.ts'
import type { OverrideSet } from '../model/override.ts'
import type { Problem } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'
import { overridesText, writeWhole } from './overrides-edit.ts'
import { NO_OVERRIDES, readOverrides } from './overrides-read.ts'

/** A file of orders as a source. */
export interface OverridesFileOptions {
  readonly name: SourceName
  readonly file: string
  /** Where the last good orders are kept; null: nowhere. */
  readonly cacheFile: string | null
  readonly owner?: string
  readonly now: () => EpochMs
  readonly emit: (change: Change) => void
  readonly onTrouble?: (message: string) => void
  /** How often the file is looked at without being told. 1 s: orders are urgent. */
  readonly pollMs?: number
}

/** A running source of orders. */
export interface OverridesSource {
  readonly name: SourceName
  /** Begins, with a first verdict before it returns. */
  readonly start: () => void
  /** Looks now. */
  readonly look: () => void
  readonly status: () => SourceStatus
  readonly stop: () => void
}

/**
 * A source of its own for drains, pins and maintenance, which no broken policy can hold up. No file means no orders; but
 * a file that goes away while its orders are in force is refused, because a lost file must not end a drain. What is in
 * force ends by its expiry in any case.
 */
export function overridesFile(options: OverridesFileOptions): OverridesSource {
  const { name, file, cacheFile, now, emit } = options
  const pollMs = options.pollMs ?? 1_000
  const begun = now().toString(36)
  let attempts = 0
  let seen: string | null = null
  let current: OverrideSet | null = null
  let watcher: FSWatcher | null = null
  let timer: NodeJS.Timeout | undefined
  let status: SourceStatus = {
    name,
    kind: 'overrides',
    ...(options.owner === undefined ? {} : { owner: options.owner }),
    where: file,
    version: '',
    nonce: '',
    intervalMs: pollMs,
    lastAcceptedAt: null,
    lastRefusedAt: null,
    refusal: [],
    failuresInARow: 0,
    delivers: [],
    covers: [],
  }

  const accept = (set: OverrideSet, version: string): void => {
    current = set
    const nonce = `${begun}-${++attempts}`
    status = { ...status, version, nonce, lastAcceptedAt: now(), refusal: [], failuresInARow: 0 }
    emit({ kind: 'overrides-accepted', at: now(), source: name, version, nonce, set })
  }

  const refuse = (problems: readonly Problem[], version: string): void => {
    const nonce = `${begun}-${++attempts}`
    status = { ...status, nonce, lastRefusedAt: now(), refusal: problems, failuresInARow: status.failuresInARow + 1 }
    emit({ kind: 'overrides-refused', at: now(), source: name, version, nonce, problems })
  }

  const look = (): void => {
    const text = readText(file)
    const key = text.kind === 'text' ? text.text : `\0${text.kind}`
    if (key === seen) return
    seen = key
    const version = versionOf(key)
    if (text.kind === 'text') judge(text.text, version)
    else if (text.kind === 'gone' && !hasOrders()) accept(NO_OVERRIDES, version)
    else refuse([lostProblem(file, text.kind, text.why)], version)
  }

  const judge = (text: string, version: string): void => {
    const { set, problems } = readOverrides(text, file, now())
    if (set === null) {
      refuse(problems, version)
      return
    }
    accept(set, version)
    keep(set)
  }

  /** Whether orders are in force, or were when hubward last ran. */
  const hasOrders = (): boolean => countOf(current ?? takeKept()) > 0

  const keep = (set: OverrideSet): void => {
    if (cacheFile === null) return
    try {
      mkdirSync(dirname(cacheFile), { recursive: true })
      writeWhole(cacheFile, overridesText(set))
    } catch (error) {
      options.onTrouble?.(`the orders cannot be kept on disk: ${(error as Error).message}`)
    }
  }

  /** The orders kept on disk that have not ended; none where nothing is kept. */
  const takeKept = (): OverrideSet => {
    const kept = cacheFile === null ? null : readText(cacheFile)
    if (kept?.kind !== 'text') return NO_OVERRIDES
    const { set } = readOverrides(kept.text, cacheFile!, now())
    if (set === null) return NO_OVERRIDES
    const isRunning = ({ expires }: { expires: EpochMs }) => expires > now()
    const isAhead = ({ to }: { to: EpochMs }) => to > now()
    return { ...set, overrides: set.overrides.filter(isRunning), maintenance: set.maintenance.filter(isAhead) }
  }

  const start = (): void => {
    look()
    if (current === null) {
      const kept = takeKept()
      const { refusal, lastRefusedAt, failuresInARow } = status
      accept(kept, versionOf(overridesText(kept)))
      status = { ...status, refusal, lastRefusedAt, failuresInARow }
      if (countOf(kept) > 0) options.onTrouble?.(`${file} cannot be used; the orders kept on disk are in force`)
    }
    watchFolder()
    timer = setInterval(() => {
      if (watcher === null) watchFolder()
      look()
    }, pollMs)
  }

  // The folder, not the file: whoever replaces the file makes a watch on the old one go blind.
  const watchFolder = (): void => {
    try {
      watcher = watch(dirname(file), { persistent: false }, (_event, changed) => {
        if (changed === null || changed === basename(file) || changed.startsWith('..')) look()
      })
      watcher.on('error', () => {
        watcher?.close()
        watcher = null
      })
    } catch {
      watcher = null
    }
  }

  const stop = (): void => {
    clearInterval(timer)
    watcher?.close()
    watcher = null
  }

  return { name, start, look, status: () => status, stop }
}

type FileText =
  | { readonly kind: 'text'; readonly text: string; readonly why: '' }
  | { readonly kind: 'gone' | 'unreadable'; readonly why: string }

function readText(file: string): FileText {
  try {
    return { kind: 'text', text: readFileSync(file, 'utf8'), why: '' }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { kind: code === 'ENOENT' ? 'gone' : 'unreadable', why: message }
  }
}

const versionOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const countOf = ({ overrides, maintenance, routing }: OverrideSet): number =>
  overrides.length + maintenance.length + (routing?.enabled === false ? 1 : 0)

const lostProblem = (file: string, kind: 'gone' | 'unreadable', why: string): Problem =>
  kind === 'gone'
    ? {
        code: 'override/file-gone',
        severity: 'error',
        message: `${file} is gone; its orders stay in force until they end`,
        remedy: 'put the file back, or write one without orders: {}',
      }
    : { code: 'override/unreadable', severity: 'error', message: why, remedy: 'check who may read the file' }
