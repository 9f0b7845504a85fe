import { createHash } from 'node:crypto'
import { createReadStream, type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Reader, Response } from 'mmdb-lib'
import type { Problem } from '../model/problem.ts'
import { checkedReader } from './geo-check.ts'

/** What one record says, in whichever of the common layouts it is written. */
export interface GeoRecord {
  readonly country?: string
  readonly asn?: number
}

/** One file's state. */
export interface GeoFileStatus {
  readonly path: string
  readonly loaded: boolean
  /** What the file calls itself. */
  readonly type?: string
  /** When it was made, by its own word. */
  readonly builtAt?: number
  /** sha256 of the one in force. */
  readonly hash?: string
  /** Why the file that is there now is not in force. */
  readonly refused?: string
  readonly loads: number
  readonly refusals: number
  /** Look-ups that ran into a broken record; they gave nothing. */
  readonly broken: number
}

/** One database, the last good one of its path. */
export interface GeoFile {
  readonly record: (address: string) => GeoRecord
  readonly status: () => GeoFileStatus
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

/** Who hears of a file, and how often it is looked at. */
export interface GeoFileSettings {
  readonly onProblem: (problem: Problem) => void
  readonly onLoaded: (status: GeoFileStatus) => void
  readonly pollMs: number
}

/** No country or ASN database is near this large. */
const FILE_BYTES_MAX = 512 * 1_048_576
const NOTHING: GeoRecord = {}

/**
 * Opens a file and keeps it up to date: its folder is watched, because a watched file goes stale once it is replaced,
 * and looked at now and then in case the watch is deaf. A file counts as new only if its hash is.
 */
export async function openGeoFile(path: string, settings: GeoFileSettings): Promise<GeoFile> {
  let reader: Reader<Response> | undefined
  let status: GeoFileStatus = { path, loaded: false, loads: 0, refusals: 0, broken: 0 }
  let seen = ''
  let running: Promise<void> | undefined
  let isAgain = false

  const refuse = (why: string): void => {
    if (status.refused === why) return
    status = { ...status, refused: why, refusals: status.refusals + 1 }
    const message = `${path} is no database that can be used: ${why}`
    const remedy = status.loaded ? 'replace it; the last good one stays in force' : 'replace it'
    settings.onProblem({ code: 'geo/unusable-file', severity: 'error', message, path, remedy })
  }
  const look = async (): Promise<void> => {
    try {
      const { mtimeMs, size, ino } = await stat(path)
      const now = `${mtimeMs} ${size} ${ino}`
      if (now === seen) return
      if (size > FILE_BYTES_MAX) return refuse('it is larger than 512 MiB')
      const { bytes, hash } = await read(path)
      seen = now
      if (hash === status.hash) {
        status = without(status, 'refused')
        return
      }
      const checked = await checkedReader(bytes)
      if (typeof checked === 'string') return refuse(checked)
      reader = checked
      const { databaseType: type, buildEpoch } = checked.metadata
      const loads = status.loads + 1
      status = { ...without(status, 'refused'), loaded: true, type, builtAt: Number(buildEpoch), hash, loads }
      settings.onLoaded(status)
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error))
    }
  }
  // One look at a time; whoever asks meanwhile gets one more after it.
  const refresh = async (): Promise<void> => {
    if (running !== undefined) {
      isAgain = true
      return running
    }
    running = (async () => {
      do {
        isAgain = false
        await look()
      } while (isAgain)
      running = undefined
    })()
    return running
  }

  await refresh()
  const watcher = watchFolder(dirname(path), () => void refresh())
  const timer = setInterval(() => void refresh(), settings.pollMs).unref()
  return {
    record: (address) => {
      if (reader === undefined) return NOTHING
      try {
        return recordOf(reader.get(address))
      } catch {
        status = { ...status, broken: status.broken + 1 }
        return NOTHING
      }
    },
    status: () => status,
    refresh,
    close: () => {
      clearInterval(timer)
      watcher?.close()
    },
  }
}

/** A watch on a folder; undefined where there can be none, and the poll has to do. */
function watchFolder(folder: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, onChange)
    watcher.on('error', () => watcher.close())
    watcher.unref()
    return watcher
  } catch {
    return undefined
  }
}

async function read(path: string): Promise<{ bytes: Buffer; hash: string }> {
  const chunks: Buffer[] = []
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 262_144 }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    chunks.push(chunk)
  }
  return { bytes: Buffer.concat(chunks), hash: `sha256:${hash.digest('hex')}` }
}

function without(status: GeoFileStatus, field: 'refused'): GeoFileStatus {
  const { [field]: _, ...rest } = status
  return rest
}

/** Layouts: iptoasn and DB-IP lite `country_code`; MaxMind `country.iso_code`; IPinfo `country`, `asn: "AS64500"`. */
function recordOf(record: unknown): GeoRecord {
  const { country_code, country, autonomous_system_number, asn } = (record ?? {}) as Record<string, unknown>
  const code = country_code ?? (typeof country === 'object' ? (country as Record<string, unknown>)?.iso_code : country)
  const number = Number(typeof asn === 'string' ? asn.replace(/^AS/i, '') : (autonomous_system_number ?? asn))
  return {
    ...(typeof code === 'string' && /^[A-Z]{2}$/.test(code) ? { country: code } : {}),
    ...(Number.isInteger(number) && number > 0 ? { asn: number } : {}),
  }
}
