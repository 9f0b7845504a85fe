import { EDGES_SECONDS, Histogram, OTHER } from './slots.ts'

/** Series of one histogram, beyond which all count as one. */
const SERIES_MAX = 500

/** The histograms of one metric by its labels, whose values are those of tables and documents and therefore few. */
export class Histograms {
  readonly #labels: readonly string[]
  readonly #scale: number
  readonly #byLabels = new Map<string, { readonly labels: readonly string[]; readonly histogram: Histogram }>()

  constructor(labels: readonly string[], scale: number) {
    this.#labels = labels
    this.#scale = scale
  }

  /** The histogram with these labels; beyond so many of them one for all others. */
  of(labels: readonly string[]): Histogram {
    const key = labels.length > 1 ? labels.join('\n') : (labels[0] ?? '')
    let known = this.#byLabels.get(key)
    if (known === undefined) {
      if (this.#byLabels.size >= SERIES_MAX) return this.of(labels.map(() => OTHER))
      known = { labels, histogram: new Histogram(this.#scale) }
      this.#byLabels.set(key, known)
    }
    return known.histogram
  }

  /** Gives what was counted since the last call, by labels, and begins anew. */
  take(): readonly (readonly [labels: readonly string[], counts: Histogram['counts']])[] {
    const all = [...this.#byLabels.values()].map(({ labels, histogram }) => [labels, histogram.counts] as const)
    this.#byLabels.clear()
    return all
  }

  /** All of it as prom-client writes it. */
  values(name: string) {
    return [...this.#byLabels.values()].flatMap(({ labels, histogram }) => {
      const own = Object.fromEntries(this.#labels.map((label, index) => [label, labels[index] ?? '']))
      const { cumulative, count, sumSeconds } = histogram.read()
      const bucket = `${name}_bucket`
      return [
        ...cumulative.map((value, index) => ({
          labels: { ...own, le: EDGES_SECONDS[index]! * this.#scale },
          value,
          metricName: bucket,
        })),
        { labels: { ...own, le: '+Inf' }, value: count, metricName: bucket },
        { labels: own, value: sumSeconds, metricName: `${name}_sum` },
        { labels: own, value: count, metricName: `${name}_count` },
      ]
    })
  }
}
