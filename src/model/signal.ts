import type { ClassName } from './names.ts'
import type { Signal } from './signal-row.ts'
import { FACILITY_SIGNALS } from './signals-facility.ts'
import { MEASURED_SIGNALS } from './signals-measured.ts'
import { SERVING_SIGNALS } from './signals-serving.ts'

/** Every signal a site can report. To add one, add a row: feeds, schema, lint and docs read this table. */
export const SIGNALS = { ...SERVING_SIGNALS, ...MEASURED_SIGNALS, ...FACILITY_SIGNALS } as const satisfies Record<
  string,
  Signal
>

/**
 * The row of a signal, or undefined for a name that is not in the table. A signal of one class, `slo.burn_1h_ratio@chat`,
 * has the row of its name before the `@`.
 */
export const signalOf = (name: string): Signal | undefined => {
  const row = ROWS.get(name)
  if (row !== undefined) return row
  const at = name.indexOf('@')
  const shared = at < 0 ? undefined : ROWS.get(name.slice(0, at))
  return shared?.byClass === true && at < name.length - 1 ? shared : undefined
}

const ROWS: ReadonlyMap<string, Signal> = new Map(Object.entries(SIGNALS))

/**
 * The signal that counts for a class where documents name this one: `slo.burn_1h_ratio` is `slo.burn_1h_ratio@chat` for
 * chat, and `queue.depth` is what it is for all.
 */
export const signalFor = (name: string, className: ClassName): string =>
  ROWS.get(name)?.byClass === true ? `${name}@${className}` : name

/**
 * Where the values of a signal are kept: the signal alone, the signal for one model (`itl.p95_ms|llama-3.1-70b`), or for
 * one end of a link (`client.rtt_p95_ms<region:EMEA`).
 */
export const columnKey = (signal: string, model?: string, from?: string): string =>
  from !== undefined ? `${signal}<${from}` : model === undefined ? signal : `${signal}|${model}`
