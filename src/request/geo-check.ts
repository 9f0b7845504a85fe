import { setImmediate } from 'node:timers/promises'
import { Reader, type Response } from 'mmdb-lib'
import { murmur3 } from '../math/murmur3.ts'

/** The zeros between a database's tree and its data. */
const SEPARATOR_BYTES = 16
/** Nodes looked at before requests get their turn: about a millisecond's work. */
const NODES_A_SLICE = 20_000
/** Records read before a file is believed: each at the end of a different way through the tree. */
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
      reader.get(addressWithRecord(bytes, recordSize, nodeCount, ipVersion === 6 ? 128 : 32, i))
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
  for (let node = from; node < end; node++) {
    for (let bit = 0; bit < 2; bit++) {
      const record = recordOf(bytes, recordBits, node, bit)
      if (record > nodeCount && (record < nodeCount + SEPARATOR_BYTES || record >= limit)) return node
    }
  }
  return undefined
}

/** Where a node leads for a bit: less than the number of nodes is a node, equal is nothing, more is data. */
function recordOf(bytes: Buffer, recordBits: number, node: number, bit: number): number {
  const at = (node * recordBits) / 4
  if (recordBits === 24) return bytes.readUIntBE(at + 3 * bit, 3)
  if (recordBits === 32) return bytes.readUInt32BE(at + 4 * bit)
  // 28 bits: the byte in the middle holds the highest four of both.
  const middle = bytes[at + 3]!
  return bit === 0
    ? ((middle & 0xf0) << 20) | bytes.readUIntBE(at, 3)
    : ((middle & 0x0f) << 24) | bytes.readUIntBE(at + 4, 3)
}

/** An address that the tree has data for, if there is any on the way that the bits of this hash point to. */
function addressWithRecord(bytes: Buffer, recordBits: number, nodeCount: number, bits: number, way: number): string {
  const address = new Array<number>(bits / 16).fill(0)
  let node = 0
  for (let depth = 0; depth < bits && node < nodeCount; depth++) {
    let bit = murmur3(`${way} ${depth}`) & 1
    if (recordOf(bytes, recordBits, node, bit) === nodeCount) bit = 1 - bit
    if (bit === 1) address[depth >> 4]! |= 0x8000 >> (depth & 15)
    node = recordOf(bytes, recordBits, node, bit)
  }
  return bits === 128
    ? address.map((group) => group.toString(16)).join(':')
    : address.map((group) => `${group >> 8}.${group & 255}`).join('.')
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
