import type { Signal } from './signal-row.ts'
import { FACILITY_SIGNALS } from './signals-facility.ts'
import { SERVING_SIGNALS } from './signals-serving.ts'

/** Every signal a site can report. To add one, add a row: feeds, schema, lint and docs read this table. */
export const SIGNALS = { ...SERVING_SIGNALS, ...FACILITY_SIGNALS } as const satisfies Record<string, Signal>

/** The row of a signal, or undefined for a name that is not in the table. */
export const signalOf = (name: string): Signal | undefined => ROWS.get(name)

const ROWS: ReadonlyMap<string, Signal> = new Map(Object.entries(SIGNALS))

/**
 * Where the values of a signal are kept: the signal alone, the signal for one model (`itl.p95_ms|llama-3.1-70b`), or for
 * one end of a link (`client.rtt_p95_ms<region:EMEA`).
 */
export const columnKey = (signal: string, model?: string, from?: string): string =>
  from !== undefined ? `${signal}<${from}` : model === undefined ? signal : `${signal}|${model}`
