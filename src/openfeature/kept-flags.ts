import { utimes } from 'node:fs'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { EpochMs } from '../model/names.ts'
import type { FlagFormat, FlagText } from './flag-reader.ts'

/** The texts of a last good set. They are read anew when they are needed, by the rules of that time. */
export interface KeptFlags {
  readonly version: string
  readonly format: FlagFormat
  readonly files: readonly FlagText[]
}

/** Nothing larger was ever written. */
const BYTES_MAX = 128 * 1024 * 1024

/** Keeps texts on disk, in one step: nobody reads a half of them. Rejects where that can't be done. */
export async function keepFlags(file: string, kept: KeptFlags): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(`${file}.new`, JSON.stringify(kept), { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** Writes down when the source was last heard: as the time of the file. */
export const touchKept = (file: string, at: EpochMs): void => utimes(file, at / 1_000, at / 1_000, () => {})

/** What was kept, and when the source had last been heard; null: nothing that can be used. */
export async function keptFlags(file: string): Promise<(KeptFlags & { readonly heardAt: EpochMs }) | null> {
  try {
    const { size, mtimeMs } = await stat(file)
    if (size > BYTES_MAX) return null
    const { version, format, files } = JSON.parse(await readFile(file, 'utf8')) as KeptFlags
    const isWhole =
      typeof version === 'string' &&
      (format === 'flagd' || format === 'ofrep') &&
      Array.isArray(files) &&
      files.every((one) => typeof one?.path === 'string' && typeof one.text === 'string')
    return isWhole ? { version, format, files, heardAt: Math.floor(mtimeMs) } : null
  } catch {
    return null
  }
}
