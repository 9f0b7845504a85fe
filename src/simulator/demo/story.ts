import { writeFile } from 'node:fs/promises'
import { styleText } from 'node:util'

/** One thing that was expected, and what was seen. */
export interface Row {
  readonly what: string
  readonly expected: string
  readonly seen: string
  readonly ok: boolean
  /** Only shown: what was expected is an aim, and missing it is no failure. Absent: judged. */
  readonly shown?: true
}

/** A chapter as the report has it. */
export interface ToldChapter {
  readonly title: string
  readonly ms: number
  readonly rows: readonly Row[]
}

/** Where a story is told; process.stdout is one. */
export interface Paper {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** Tells a story chapter by chapter while it happens, and keeps it for the table and the report. */
export class Story {
  readonly #paper: Paper
  readonly #now: () => number
  readonly #chapters: { title: string; from: number; to: number; rows: Row[] }[] = []

  /** `now` gives milliseconds on any steady scale. */
  constructor(paper: Paper, now: () => number = () => performance.now()) {
    this.#paper = paper
    this.#now = now
  }

  /** Opens a chapter; rows and lines belong to the last one opened. */
  chapter(title: string): void {
    const from = this.#now()
    this.#chapters.push({ title, from, to: from, rows: [] })
    this.#line(`\n${this.#style('bold', `${this.#chapters.length}. ${title}`)}`)
  }

  /** One line of what is being done. */
  say(text: string): void {
    this.#line(`   ${text}`)
  }

  /** One expectation and what came of it. */
  row(row: Row): void {
    const chapter = this.#chapters.at(-1)
    if (chapter === undefined) throw new Error('a row needs a chapter')
    chapter.rows.push(row)
    chapter.to = this.#now()
    const failed = !row.ok && row.shown !== true
    const verdict = row.ok ? 'as expected' : row.shown ? `aim: ${row.expected}` : `expected ${row.expected}`
    const [colour, mark] = failed ? (['red', '✗'] as const) : (['green', row.ok ? '✓' : '·'] as const)
    this.#line(`   ${this.#style(colour, mark)} ${row.what}: ${row.seen} (${this.#style(colour, verdict)})`)
  }

  /** Everything that was told. */
  chapters(): ToldChapter[] {
    return this.#chapters.map(({ title, from, to, rows }) => ({ title, ms: Math.round(to - from), rows: [...rows] }))
  }

  /** Whether there was anything to see, and all of it was as expected. */
  ok(): boolean {
    const rows = this.#chapters.flatMap((chapter) => chapter.rows)
    return rows.length > 0 && rows.every((row) => row.ok || row.shown === true)
  }

  /** The closing table, expected against seen, and one line that sums it up. */
  table(): void {
    const rows = this.#chapters.flatMap((chapter, index) =>
      chapter.rows.map(
        (row) =>
          [String(index + 1), row.what, row.expected, row.seen, row.ok ? 'yes' : row.shown ? 'shown' : 'NO'] as const,
      ),
    )
    const head = ['', 'what', 'expected', 'seen', 'as expected'] as const
    const widths = head.map((_, column) => Math.min(54, Math.max(...[head, ...rows].map((row) => row[column]!.length))))
    const text = (row: readonly string[]) =>
      row
        .map((cell, column) => fit(cell, widths[column]!))
        .join('  ')
        .trimEnd()
    this.#line(`\n${this.#style('bold', text(head))}`)
    for (const row of rows) this.#line(row[4] === 'NO' ? this.#style('red', text(row)) : text(row))
    const wrong = rows.filter((row) => row[4] === 'NO').length
    const sum = wrong === 0 ? `All ${rows.length} as expected.` : `${wrong} of ${rows.length} not as expected.`
    this.#line(`\n${this.#style(wrong === 0 ? 'green' : 'red', sum)}`)
  }

  /** Leaves the story as JSON, `more` beside it. Rejects if the file can't be written. */
  async report(file: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await writeFile(file, `${JSON.stringify({ ok: this.ok(), ...more, chapters: this.chapters() }, null, 2)}\n`)
  }

  #line(text: string): void {
    this.#paper.write(`${text}\n`)
  }

  #style(format: 'bold' | 'green' | 'red', text: string): string {
    return this.#paper.isTTY === true ? styleText(format, text, { validateStream: false }) : text
  }
}

const fit = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
