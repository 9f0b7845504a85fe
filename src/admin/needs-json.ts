import type { JobNeeds } from '../model/facts.ts'
import { signalOf } from '../model/signal.ts'
import { parseNeeds } from '../request/needs.ts'
import { escaped, isPlain, type JsonReader, own, type Plain } from './json-reader.ts'

const FIELDS = [
  'mw',
  'coolingKw',
  'gpus',
  'gpusMin',
  'batchSize',
  'hours',
  'near',
  'gpu',
  'cooling',
  'mayDelay',
  'signals',
] as const

/** A job's needs in JSON: an object, or the text that the header takes (`power.headroom_mw>=2, gpu=H100`). */
export function needsIn(reader: JsonReader, from: Plain, pointer: string): JobNeeds | undefined {
  const written = own(from, 'needs')
  const place = `${pointer}/needs`
  if (written === undefined) return undefined
  if (typeof written === 'string') {
    const { needs, unread } = parseNeeds(written)
    for (const part of unread)
      reader.wrong(
        place,
        `"${part.slice(0, 80)}" is not understood`,
        'write parts such as power.headroom_mw>=2, gpu=H100',
      )
    return needs
  }
  const object = reader.object(written, place, FIELDS)
  if (object === undefined) return undefined
  const mw = reader.number(object, 'mw', place, { max: 100_000 })
  const coolingKw = reader.number(object, 'coolingKw', place, { max: 100_000_000 })
  const gpus = reader.number(object, 'gpus', place, { whole: true, max: 10_000_000 })
  const gpusMin = reader.number(object, 'gpusMin', place, { whole: true, max: 10_000_000 })
  const batchSize = reader.number(object, 'batchSize', place, { whole: true })
  const hours = reader.number(object, 'hours', place, { max: 100_000 })
  const near = reader.texts(object, 'near', place)
  const gpu = reader.texts(object, 'gpu', place)
  const cooling = reader.texts(object, 'cooling', place)
  const mayDelay = reader.truth(object, 'mayDelay', place)
  const signals = signalsIn(reader, object, place)
  return {
    ...(mw === undefined ? {} : { mw }),
    ...(coolingKw === undefined ? {} : { coolingKw }),
    ...(gpus === undefined ? {} : { gpus }),
    ...(gpusMin === undefined ? {} : { gpusMin }),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(hours === undefined ? {} : { hours }),
    ...(near === undefined ? {} : { near }),
    ...(gpu === undefined ? {} : { gpu }),
    ...(cooling === undefined ? {} : { cooling }),
    ...(mayDelay === undefined ? {} : { mayDelay }),
    ...(signals === undefined ? {} : { signals }),
  }
}

function signalsIn(reader: JsonReader, object: Plain, pointer: string): JobNeeds['signals'] {
  const signals: Record<string, { min?: number; max?: number }> = {}
  for (const [name, written] of reader.entries(object, 'signals', pointer)) {
    const place = `${pointer}/signals/${escaped(name)}`
    if (signalOf(name) === undefined) {
      reader.wrong(place, 'is no signal', 'write a name of docs/reference/signals.md')
      continue
    }
    if (!isPlain(written)) {
      reader.wrong(place, 'is no limit', 'write { "min": 2 } or { "max": 40 }')
      continue
    }
    const limits = reader.object(written, place, ['min', 'max'])!
    const low = Number.MIN_SAFE_INTEGER
    const min = reader.number(limits, 'min', place, { min: low })
    const max = reader.number(limits, 'max', place, { min: low })
    if (min === undefined && max === undefined) reader.wrong(place, 'has no limit', 'write min, max or both')
    signals[name] = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) }
  }
  return Object.keys(signals).length === 0 ? undefined : signals
}
