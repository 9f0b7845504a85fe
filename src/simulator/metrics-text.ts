import type { Histogram } from './meter.ts'

/** Labels of one series, by name. */
export type Labels = Readonly<Record<string, string>>

/** One metric family as it is shown. */
export type Family =
  | {
      readonly name: string
      readonly help: string
      readonly type: 'gauge' | 'counter'
      readonly series: readonly (readonly [Labels, number])[]
    }
  | {
      readonly name: string
      readonly help: string
      readonly type: 'histogram'
      readonly series: readonly (readonly [Labels, Histogram])[]
      /** What bounds and sum are multiplied by: 1 shows seconds, 1000 milliseconds. */
      readonly scale: number
    }

/** Bends a true value into what is told instead. */
export type Bend = (value: number) => number

/** The media type of the text below. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Families in Prometheus text format 0.0.4, labels in the order of their names as Python's client writes them. */
export const metricsText = (families: readonly Family[], bend: Bend = (value) => value): string => {
  const lines: string[] = []
  for (const family of families) {
    lines.push(`# HELP ${family.name} ${family.help}`, `# TYPE ${family.name} ${family.type}`)
    if (family.type === 'histogram') {
      for (const [labels, histogram] of family.series)
        pushHistogram(lines, family.name, labels, histogram, family.scale, bend)
    } else {
      for (const [labels, value] of family.series)
        lines.push(`${family.name}${labelText(labels)} ${number(bend(value))}`)
    }
  }
  return `${lines.join('\n')}\n`
}

const pushHistogram = (
  lines: string[],
  name: string,
  labels: Labels,
  histogram: Histogram,
  scale: number,
  bend: Bend,
) => {
  let below = 0
  histogram.counts.forEach((count, index) => {
    below += count
    const bound = histogram.bounds[index]
    const le = bound === undefined ? '+Inf' : number(bound * scale)
    lines.push(`${name}_bucket${labelText({ ...labels, le })} ${number(bend(below))}`)
  })
  lines.push(`${name}_count${labelText(labels)} ${number(bend(histogram.count))}`)
  lines.push(`${name}_sum${labelText(labels)} ${number(bend(histogram.sum * scale))}`)
}

const labelText = (labels: Labels): string => {
  const names = Object.keys(labels).sort()
  return names.length === 0 ? '' : `{${names.map((name) => `${name}="${escaped(labels[name]!)}"`).join(',')}}`
}

const escaped = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

/** A number as Python writes it, `3.0` for a whole one. */
const number = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 1e16 ? `${value}.0` : String(value)
