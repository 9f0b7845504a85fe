import type { Reader } from './reader.ts'

/**
 * The short names of envoy.data.accesslog.v3.ResponseFlags by field number, as Envoy's text log prints them: 6 is
 * upstream_connection_failure, `UF`.
 */
export const FLAG_NAMES = [
  '',
  'LH',
  'UH',
  'UT',
  'LR',
  'UR',
  'UF',
  'UC',
  'UO',
  'NR',
  'DI',
  'FI',
  'RL',
  'UAEX',
  'RLSE',
  'DC',
  'URX',
  'SI',
  'IH',
  'DPE',
  'UMSDR',
  'RFCF',
  'NFCF',
  'DT',
  'UPE',
  'NC',
  'OM',
  'DF',
  'DR',
] as const

/** Field 13, unauthorized_details, is a message and no bool: that it is there says it. */
const UNAUTHORIZED = 13

/** No flags, which is what nearly all requests have. */
export const NO_FLAGS: readonly string[] = Object.freeze([])

/** The ResponseFlags message at the cursor as short names, each once; flags of a later Envoy are passed over. */
export const readFlags = (reader: Reader): readonly string[] => {
  // A bit for each of the 28 fields, so that a message that repeats one cannot grow the list.
  let bits = 0
  reader.message((tag) => {
    const field = tag >>> 3
    if (field === UNAUTHORIZED && (tag & 7) === 2) {
      bits |= 1 << field
      reader.skip(tag)
    } else if (field < FLAG_NAMES.length && (tag & 7) === 0) {
      if (reader.bool()) bits |= 1 << field
    } else reader.skip(tag)
  })
  return bits === 0 ? NO_FLAGS : FLAG_NAMES.filter((_, field) => (bits & (1 << field)) !== 0)
}
