import { styleText } from 'node:util'
import { type Problem, problemText } from '../model/problem.ts'

type Style = Parameters<typeof styleText>[0]

/** Text in a style, where the standard output is a terminal and NO_COLOR is not set. */
export const paint = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout })

/** Writes a line to the standard output. */
export const say = (line = ''): void => void process.stdout.write(`${line}\n`)

/** Writes a line to the standard error. */
export const complain = (line: string): void => void process.stderr.write(`${line}\n`)

/** A problem with its severity, the remedy below it. */
export const problemLines = (problem: Problem): string => {
  const [first, ...rest] = problemText(problem).split('\n')
  const style = problem.severity === 'error' ? 'red' : 'yellow'
  return [`${paint(style, problem.severity)}: ${first}`, ...rest.map((line) => `  ${line.trim()}`)].join('\n')
}

/** Rows as columns that line up, two spaces between them. Cells may be painted. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, widthOf(cell))
  }
  return rows.map((row) =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : cell + ' '.repeat(widths[index]! - widthOf(cell))))
      .join('  ')
      .trimEnd(),
  )
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for.
const widthOf = (cell: string): number => cell.replace(/\x1b\[[0-9;]*m/g, '').length

/** `3 s`, `2 min`, `5 h`, `4 d`: how long something took or is ago, in its largest unit. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`
}
