import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Problem } from '../model/problem.ts'
import { canonicalJson, sha256 } from './hash.ts'
import type { DocumentProblemCode } from './problems.ts'
import { FILE_BYTES_MAX, type SourceFile } from './text.ts'

/** What was found in a folder at one moment. */
export interface Scan {
  readonly files: readonly SourceFile[]
  /** Files and folders that could not be read. */
  readonly problems: readonly Problem[]
  /** Every folder that was entered, the first one the root. */
  readonly folders: readonly string[]
  /** `sha256:…` over paths, texts and problems. */
  readonly hash: string
  /** Whether all of it came through `..data` links, which are swapped in one step. */
  readonly isSwapped: boolean
}

/** How much one source may hold: a thousand sites take 3 MiB. */
const FILES_MAX = 10_000
const BYTES_MAX = 64 * 1_048_576
const DEPTH_MAX = 16
/** A swap in the middle of a reading is read again. */
const SWAP_TRIES = 5

/**
 * All *.yaml, *.yml and *.json files under a folder. Hidden files are left out. A folder with a `..data` link, which is
 * how Kubernetes mounts ConfigMaps, is read through that link, resolved once, so that all its files are of one version.
 */
export function scanFolder(dir: string): Scan {
  for (let tries = 1; ; tries++) {
    const walk = new Walk()
    walk.enter(dir, '', 0)
    if (walk.isStill() || tries >= SWAP_TRIES) return walk.scan()
  }
}

class Walk {
  readonly #files: SourceFile[] = []
  readonly #problems: Problem[] = []
  readonly #folders: string[] = []
  readonly #swaps = new Map<string, string>()
  readonly #entered = new Set<string>()
  #bytes = 0
  #plain = 0

  enter(dir: string, prefix: string, depth: number): void {
    if (depth > DEPTH_MAX) return
    const names = this.#attempt(prefix || '.', () => readdirSync(dir))
    const real = this.#attempt(prefix || '.', () => realpathSync(dir))
    if (names === undefined || real === undefined || this.#entered.has(real)) return
    this.#entered.add(real)
    this.#folders.push(dir)
    const isMount = names.includes('..data')
    if (isMount) this.#enterData(dir, prefix, depth)
    for (const name of names.toSorted()) {
      if (name.startsWith('.') || (isMount && leadsToData(join(dir, name)))) continue
      this.#take(join(dir, name), `${prefix}${name}`, depth, false)
    }
  }

  #enterData(dir: string, prefix: string, depth: number): void {
    const data = this.#attempt(`${prefix}..data`, () => realpathSync(join(dir, '..data')))
    if (data === undefined) return
    this.#swaps.set(join(dir, '..data'), data)
    for (const name of (this.#attempt(`${prefix}..data`, () => readdirSync(data)) ?? []).toSorted()) {
      if (name.startsWith('.')) continue
      this.#take(join(data, name), `${prefix}${name}`, depth, true)
    }
  }

  #take(file: string, path: string, depth: number, isSwapped: boolean): void {
    const stat = this.#attempt(path, () => statSync(file))
    if (stat === undefined) return
    if (stat.isDirectory()) {
      this.enter(file, `${path}/`, depth + 1)
      return
    }
    if (!stat.isFile() || !/\.(ya?ml|json)$/.test(path)) return
    if (!isSwapped) this.#plain++
    this.#bytes += stat.size
    if (this.#files.length >= FILES_MAX || this.#bytes > BYTES_MAX) {
      this.#tell(
        'yaml/too-many',
        '.',
        `more than ${FILES_MAX} files or ${BYTES_MAX} bytes`,
        'split it into several sources',
      )
      return
    }
    if (stat.size > FILE_BYTES_MAX) {
      const message = `the file has ${stat.size} bytes, ${FILE_BYTES_MAX} are allowed`
      this.#tell('yaml/too-large', path, message, 'split it into several files')
      return
    }
    const bytes = this.#attempt(path, () => readFileSync(file))
    if (bytes === undefined) return
    try {
      this.#files.push({ path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) })
    } catch {
      this.#tell('yaml/syntax', path, 'the file is not UTF-8', 'save it as UTF-8')
    }
  }

  #attempt<T>(path: string, read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      this.#tell(
        'documents/unreadable',
        path,
        `cannot be read: ${code === undefined ? message : message.replace(/^\w+: /, `${code}, `)}`,
        'check that it is there and who may read it',
      )
      return undefined
    }
  }

  #tell(code: DocumentProblemCode, path: string, message: string, remedy: string): void {
    if (this.#problems.some((other) => other.code === code && other.path === path)) return
    this.#problems.push({ code, severity: 'error', message, path, remedy })
  }

  /** Whether every `..data` still leads where it led. */
  isStill(): boolean {
    for (const [link, data] of this.#swaps) {
      try {
        if (realpathSync(link) !== data) return false
      } catch {
        return false
      }
    }
    return true
  }

  scan(): Scan {
    const content = [
      this.#files.map(({ path, text }) => [path, text]),
      this.#problems.map(({ code, path }) => [code, path]),
    ]
    return {
      files: this.#files,
      problems: this.#problems,
      folders: this.#folders,
      hash: sha256(canonicalJson(content)),
      isSwapped: this.#swaps.size > 0 && this.#plain === 0,
    }
  }
}

/** Whether a name is one of a ConfigMap's own links; just after a swap some of them lead nowhere. */
function leadsToData(file: string): boolean {
  try {
    return readlinkSync(file).startsWith('..data/')
  } catch {
    return false
  }
}
