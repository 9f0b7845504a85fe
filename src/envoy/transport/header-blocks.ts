import { STATIC_TABLE } from './static-table.ts'
import { encodeStatusMessage, STATUS } from './status.ts'

/*
 * The encoder of HPACK, which is none: what is sent is a handful of header blocks, and nearly all are made once. They
 * name nothing of a dynamic table, so the peer's size for it does not matter.
 */

const numberOf = (value: number, prefix: number, first: number): number[] => {
  const mask = (1 << prefix) - 1
  if (value < mask) return [first | value]
  const bytes = [first | mask]
  let rest = value - mask
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return [...bytes, rest]
}
const stringOf = (text: string): number[] => [...numberOf(text.length, 7, 0), ...Buffer.from(text, 'latin1')]

/** One field as the shortest form that needs no table of the peer's. */
const encode = (name: string, value: string): number[] => {
  const whole = STATIC_TABLE.findIndex((field) => field.name === name && field.value === value)
  if (whole > 0) return numberOf(whole, 7, 0x80)
  const named = STATIC_TABLE.findIndex((field) => field.name === name)
  return named > 0 ? [...numberOf(named, 4, 0), ...stringOf(value)] : [0, ...stringOf(name), ...stringOf(value)]
}

const blockOf = (fields: readonly (readonly [string, string])[]): Buffer =>
  Buffer.from(fields.flatMap(([name, value]) => encode(name, value)))

const START = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
] as const

/** The head of every answer that has messages. */
export const ANSWER_HEAD = blockOf(START)

/** The end of a good answer. */
const OK_TRAILERS = blockOf([['grpc-status', '0']])

/** The end of an answer; `isAll` where it is the whole of it, without a head. */
export const statusBlock = (code: number, message: string, isAll: boolean): Buffer => {
  if (code === STATUS.ok && !isAll) return OK_TRAILERS
  return blockOf([
    ...(isAll ? START : []),
    ['grpc-status', String(code)],
    ...(message === '' ? [] : [['grpc-message', encodeStatusMessage(message)] as const]),
    // A client whose compression is refused is told what is understood.
    ...(code === STATUS.unimplemented ? [['grpc-accept-encoding', 'identity'] as const] : []),
  ])
}

/** An answer to what is no gRPC: a status of HTTP, and a sentence for whoever reads it. */
export interface Refusal {
  readonly head: Buffer
  readonly body: Buffer
}

const refusal = (status: number, sentence: string, more: readonly (readonly [string, string])[] = []): Refusal => ({
  head: blockOf([
    [':status', String(status)],
    ['content-type', 'text/plain'],
    ['content-length', String(sentence.length)],
    ...more,
  ]),
  body: Buffer.from(sentence),
})

/** All such answers. */
export const REFUSALS = {
  method: refusal(405, 'hubward speaks gRPC here: send POST\n', [['allow', 'POST']]),
  contentType: refusal(415, 'hubward speaks gRPC here: send content-type application/grpc\n'),
  headerList: refusal(431, 'the headers are larger than SETTINGS_MAX_HEADER_LIST_SIZE allows\n'),
} as const
