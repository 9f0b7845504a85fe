import type { Lie } from './commands.ts'
import type { SiteView } from './engines/rows.ts'
import { familiesOf } from './engines.ts'
import { type Bend, metricsText } from './metrics-text.ts'
import type { EngineName } from './options.ts'

const BENDS: Readonly<Partial<Record<Lie, Bend>>> = {
  nan: () => Number.NaN,
  zero: () => 0,
  absurd: () => 1e18,
  negative: (value) => -1 - Math.abs(value),
}

/** What /metrics answers: the truth, or the lie that is in force. */
export const lyingMetrics = (engine: EngineName, view: () => SiteView) => {
  let frozen = ''
  return {
    /** Keeps what is true now, for a stale lie. */
    freeze: () => {
      frozen = metricsText(familiesOf(engine, view()))
    },
    text: (lie: Lie | null): string => {
      if (lie === 'stale') return frozen
      if (lie === 'empty') return ''
      if (lie === 'garbage') return '<html><body>502 Bad Gateway</body></html>\n'
      return metricsText(familiesOf(engine, view()), lie === null ? undefined : BENDS[lie])
    },
  }
}
