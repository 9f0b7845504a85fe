import { setImmediate } from 'node:timers/promises'
import { Reader, type Response } from 'mmdb-lib'

/** The zeros between a database's tree and its data. */
const SEPARATOR_BYTES = 16
/** Nodes looked at before requests get their turn: about a millisecond's work. */
const NODES_A_SLICE = 20_000
/** Addresses looked up before a file is believed, spread over IPv4 and the part of IPv6 in use. */
const SAMPLES = 512

/**
 * A reader of the database in these bytes, or what is wrong with them. The metadata stands at the end of the file, so a
 * file cut short has none; every node of the tree must lead to a node or to data that is there; and a sample of
 * addresses must be readable. Done in slices, because a database may have millions of nodes and requests are waiting.
 */
export async function checkedReader(bytes: Buffer): Promise<Reader<Response> | string> {
  if (!bytes.includes('\xab\xcd\xefMaxMind.com', Math.max(0, bytes.length - 131_072), 'latin1')) {
    return 'it does not end as an mmdb file does; perhaps it was cut short'
  }
  let reader: Reader<Response>
  try {
    reader = new Reader<Response>(bytes)
  } catch (error) {
    return `its metadata cannot be read: ${messageOf(error)}`
  }
  const { nodeCount, recordSize, searchTreeSize, ipVersion, binaryFormatMajorVersion } = reader.metadata
  if (binaryFormatMajorVersion !== 2) return `its format has version ${binaryFormatMajorVersion}, and 2 is wanted`
  if (!Number.isInteger(nodeCount) || nodeCount < 1 || searchTreeSize + SEPARATOR_BYTES > bytes.length) {
    return 'its tree is longer than the file'
  }
  if (bytes.subarray(searchTreeSize, searchTreeSize + SEPARATOR_BYTES).some((byte) => byte !== 0)) {
    return 'its tree does not end where its metadata says'
  }
  const limit = nodeCount + bytes.length - searchTreeSize
  for (let node = 0; node < nodeCount; node += NODES_A_SLICE) {
    const end = Math.min(nodeCount, node + NODES_A_SLICE)
    const bad = brokenNode(bytes, recordSize, node, end, nodeCount, limit)
    if (bad !== undefined) return `node ${bad} of its tree leads nowhere`
    await setImmediate()
  }
  try {
    for (let i = 0; i < SAMPLES; i++) {
      reader.get(`${(i * 37) & 255}.${(i * 101) & 255}.${i & 255}.1`)
      if (ipVersion === 6) reader.get(`${(0x2000 + i * 13).toString(16)}:${i.toString(16)}::1`)
    }
  } catch (error) {
    return `its data cannot be read: ${messageOf(error)}`
  }
  return reader
}

/** The first node from `from` to `end` with a record that is neither a node, nor nothing, nor data in the file. */
function brokenNode(
  bytes: Buffer,
  recordBits: number,
  from: number,
  end: number,
  nodeCount: number,
  limit: number,
): number | undefined {
  const isBroken = (record: number): boolean =>
    record > nodeCount && (record < nodeCount + SEPARATOR_BYTES || record >= limit)
  for (let node = from; node < end; node++) {
    const at = (node * recordBits) / 4
    let left: number
    let right: number
    if (recordBits === 24) {
      left = bytes.readUIntBE(at, 3)
      right = bytes.readUIntBE(at + 3, 3)
    } else if (recordBits === 28) {
      left = ((bytes[at + 3]! & 0xf0) << 20) | bytes.readUIntBE(at, 3)
      right = ((bytes[at + 3]! & 0x0f) << 24) | bytes.readUIntBE(at + 4, 3)
    } else {
      left = bytes.readUInt32BE(at)
      right = bytes.readUInt32BE(at + 4)
    }
    if (isBroken(left) || isBroken(right)) return node
  }
  return undefined
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
