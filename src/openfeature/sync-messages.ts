/**
 * The messages of flagd.sync.v1 on the wire, as proto/flagd/sync/v1/sync.proto has them: texts under a number, and a
 * Struct of texts. Unknown fields are skipped. Reading throws a SyncMessageError where bytes are no message.
 */

/** What a provider asks for. */
export interface SyncRequest {
  readonly providerId: string
  readonly selector: string
}

/** Bytes that are no message. */
export class SyncMessageError extends Error {
  override readonly name = 'SyncMessageError'
}

/** SyncFlagsRequest and FetchAllFlagsRequest. */
export const writeSyncRequest = ({ providerId, selector }: SyncRequest): Buffer =>
  Buffer.concat([textField(1, providerId), textField(2, selector)])

/** SyncFlagsRequest and FetchAllFlagsRequest; of fields that are there twice the last counts. */
export function readSyncRequest(bytes: Buffer): SyncRequest {
  const fields = fieldsOf(bytes)
  return { providerId: fields.get(1)?.toString('utf8') ?? '', selector: fields.get(2)?.toString('utf8') ?? '' }
}

/** SyncFlagsResponse and FetchAllFlagsResponse: a definition. */
export const writeFlags = (definition: string): Buffer => textField(1, definition)

/** The definition of a SyncFlagsResponse or FetchAllFlagsResponse. */
export const readFlagsMessage = (bytes: Buffer): string => fieldsOf(bytes).get(1)?.toString('utf8') ?? ''

/** GetMetadataResponse: a Struct whose values are texts. */
export const writeMetadata = (metadata: Readonly<Record<string, string>>): Buffer => {
  const entries = Object.entries(metadata).map(([key, value]) =>
    bytesField(1, Buffer.concat([textField(1, key), bytesField(2, textField(3, value))])),
  )
  return bytesField(2, Buffer.concat(entries))
}

const textField = (number: number, text: string): Buffer =>
  text === '' ? Buffer.alloc(0) : bytesField(number, Buffer.from(text, 'utf8'))

const bytesField = (number: number, bytes: Buffer): Buffer =>
  Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) + 128)
  }
}

/** Fields of bytes by number, the last of each; others are skipped. */
function fieldsOf(bytes: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>()
  let at = 0
  const next = (): number => {
    let value = 0
    for (let factor = 1, count = 0; count < 10; count++, factor *= 128) {
      const byte = bytes[at++]
      if (byte === undefined) throw new SyncMessageError('the message ends inside a number')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
    throw new SyncMessageError('a number is longer than ten bytes')
  }
  const skip = (count: number): void => {
    at += count
    if (at > bytes.length) throw new SyncMessageError('the message ends inside a field')
  }
  while (at < bytes.length) {
    const tag = next()
    const number = Math.floor(tag / 8)
    if (number < 1 || number > 536_870_911) throw new SyncMessageError(`${number} is no number of a field`)
    switch (tag % 8) {
      case 0:
        next()
        break
      case 1:
        skip(8)
        break
      case 2: {
        const length = next()
        const from = at
        skip(length)
        fields.set(number, bytes.subarray(from, at))
        break
      }
      case 5:
        skip(4)
        break
      default:
        throw new SyncMessageError(`wire type ${tag % 8} is not in use`)
    }
  }
  return fields
}
