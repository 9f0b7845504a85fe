import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileName, fileNumber, type StreamName } from './lines.ts'

/** How one stream is written. */
export interface LineFileOptions {
  readonly dir: string
  readonly stream: StreamName
  /** A file that has grown to so many bytes is closed, and the next one begun. */
  readonly fileBytesMax: number
  /** The oldest files beyond so many are removed. */
  readonly filesMax: number
  /** Whether each batch is flushed to the disk itself. */
  readonly fsync: boolean
  /** Text that may wait while the disk is slow or full; what comes after it is dropped and counted. */
  readonly waitingBytesMax: number
  /** Hears when writing begins to fail and when it works again. */
  readonly onState: (failing: boolean, detail: string) => void
  /** How long after a failure it is tried again, and at most, doubling. */
  readonly retryMs: readonly [first: number, last: number]
}

/** The most bytes that are written at once. */
const BATCH_BYTES = 1_048_576
/** Room for a line that says what was dropped or left out. */
const LINE_BYTES_USUAL = 16_384

/**
 * Lines appended to files that are numbered and replaced by size. Appending takes no time: one write is under way at
 * any moment, in the thread pool, and what comes meanwhile is the next one. Nothing here throws.
 */
export class LineFile {
  readonly #options: LineFileOptions
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #handle: FileHandle | undefined
  #number = 0
  #inode = 0
  #size = 0
  #pumping: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #retryMs: number
  #failing = false
  #written = 0
  #dropped = 0

  constructor(options: LineFileOptions) {
    this.#options = options
    this.#retryMs = options.retryMs[0]
  }

  /** Lines written, lines dropped, bytes that wait, and whether the last write failed. */
  stats() {
    return {
      written: this.#written,
      dropped: this.#dropped,
      waitingBytes: this.#waitingBytes,
      failing: this.#failing,
    }
  }

  /** Whether a line of any usual length would be taken. */
  hasRoom(): boolean {
    return this.#waitingBytes + LINE_BYTES_USUAL <= this.#options.waitingBytesMax
  }

  /** Takes a line of text without its end; false if there was no room for it. */
  append(text: string): boolean {
    const line = Buffer.from(`${text}\n`)
    if (this.#waitingBytes + line.length > this.#options.waitingBytesMax) {
      this.#dropped++
      return false
    }
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    if (this.#retry === undefined) this.#pumping ??= this.#pump()
    return true
  }

  /** Writes what waits; fulfilled when it is written or can't be. */
  async flush(): Promise<void> {
    clearTimeout(this.#retry)
    this.#retry = undefined
    await this.#pumping
    if (this.#waiting.length > 0 && this.#retry === undefined) {
      this.#pumping ??= this.#pump()
      await this.#pumping
    }
  }

  async close(): Promise<void> {
    await this.flush()
    clearTimeout(this.#retry)
    await this.#handle?.close().catch(() => {})
    this.#handle = undefined
  }

  async #pump(): Promise<void> {
    while (this.#waiting.length > 0) {
      let count = 0
      let bytes = 0
      while (count < this.#waiting.length && (count === 0 || bytes + this.#waiting[count]!.length <= BATCH_BYTES)) {
        bytes += this.#waiting[count++]!.length
      }
      try {
        await this.#write(Buffer.concat(this.#waiting.slice(0, count), bytes))
      } catch (error) {
        this.#failed(error as Error)
        break
      }
      this.#waiting.splice(0, count)
      this.#waitingBytes -= bytes
      this.#written += count
      if (this.#failing) {
        this.#failing = false
        this.#retryMs = this.#options.retryMs[0]
        this.#options.onState(false, join(this.#options.dir, fileName(this.#options.stream, this.#number)))
      }
    }
    this.#pumping = undefined
  }

  async #write(batch: Buffer): Promise<void> {
    const handle = await this.#open()
    try {
      await handle.appendFile(batch)
      if (this.#options.fsync) await handle.datasync()
      this.#size += batch.length
    } catch (error) {
      // A disk that filled up took a part: it is cut off again, so that the next try writes no line twice.
      await handle.truncate(this.#size).catch(() => {})
      await this.#closeHandle()
      throw error
    }
  }

  async #open(): Promise<FileHandle> {
    const { dir, stream, fileBytesMax } = this.#options
    if (this.#handle !== undefined) {
      const there = await stat(join(dir, fileName(stream, this.#number))).catch(() => undefined)
      // Somebody moved the file away: what we wrote on would be read by nobody.
      if (there?.ino === this.#inode && this.#size < fileBytesMax) return this.#handle
      await this.#closeHandle()
    }
    await mkdir(dir, { recursive: true, mode: 0o750 })
    const numbers = await this.#numbers()
    this.#number = Math.max(1, this.#number, numbers.at(-1) ?? 1)
    let handle = await this.#openFile()
    if (this.#size >= fileBytesMax) {
      await handle.close()
      this.#number++
      handle = await this.#openFile()
    }
    this.#handle = handle
    await this.#removeOld()
    return handle
  }

  async #openFile(): Promise<FileHandle> {
    const handle = await open(join(this.#options.dir, fileName(this.#options.stream, this.#number)), 'a+', 0o640)
    try {
      const { size, ino } = await handle.stat()
      this.#size = size
      this.#inode = ino
      await this.#endTornLine(handle)
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** A process that was killed may have left half a line; ours must not be glued to it. */
  async #endTornLine(handle: FileHandle): Promise<void> {
    if (this.#size === 0) return
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, this.#size - 1)
    if (buffer[0] === 0x0a) return
    await handle.appendFile('\n')
    this.#size++
  }

  async #numbers(): Promise<number[]> {
    const names = await readdir(this.#options.dir)
    return names
      .map((name) => fileNumber(this.#options.stream, name))
      .filter((number) => number !== undefined)
      .sort((a, b) => a - b)
  }

  async #removeOld(): Promise<void> {
    const { dir, stream, filesMax } = this.#options
    for (const number of (await this.#numbers()).slice(0, -filesMax)) await rm(join(dir, fileName(stream, number)))
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close().catch(() => {})
  }

  #failed(error: Error): void {
    if (!this.#failing) this.#options.onState(true, error.message)
    this.#failing = true
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      if (this.#waiting.length > 0) this.#pumping ??= this.#pump()
    }, this.#retryMs)
    this.#retry.unref()
    this.#retryMs = Math.min(this.#retryMs * 2, this.#options.retryMs[1])
  }
}
