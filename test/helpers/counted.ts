import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { countWire } from './counted-wire.ts'
import { childEnvironment } from './running-envoy.ts'

/*
 * What is counted of a request. `node test/helpers/counted.ts` counts and shows it beside what is written here: to be
 * run, and to be written down, after whatever makes requests cheaper.
 */

/**
 * What was counted on Node 24.21, and how far a count may be from it. Bytes are those that the code allocates without the
 * optimising compilers, which take some of them away: what is written more shows here whatever they make of it. They
 * come out the same to a byte or two, so the room is less than a header or an object more; the test shows that as well.
 */
export const COUNTED: Readonly<Record<string, readonly [counted: number, room: number]>> = {
  'ext_proc request': [18_255, 60],
  'ext_authz request': [16_679, 60],
  'ext_proc request on the own transport': [20_412, 60],
  'ext_proc request that is kept, with its record': [35_764, 120],
  'reads, one at a time': [1.001, 0.05],
  'writes, one at a time': [1.001, 0.05],
  'reads, 32 at once': [0.032, 0.01],
  'writes, 32 at once': [0.032, 0.01],
  'bytes of frames': [286, 4],
  'bytes of the message': [224, 2],
}

const BYTES = fileURLToPath(import.meta.resolve('./counted-bytes.ts'))
/** As many bytes as any count allocates fit, so that nothing is collected under it. */
const FLAGS = [
  ...['--expose-gc', '--no-opt', '--no-maglev', '--single-threaded'],
  ...['--min-semi-space-size=128', '--max-semi-space-size=128'],
]

/** What the request path allocates, by what is done. */
export const countBytes = async (): Promise<Readonly<Record<string, number>>> => {
  const options = { encoding: 'utf8', env: childEnvironment() } as const
  const { stdout } = await promisify(execFile)(process.execPath, [...FLAGS, BYTES], options)
  return JSON.parse(stdout) as Record<string, number>
}

/** Calls of the kernel and bytes on a socket, on the own transport. */
export const countCalls = async (prelude?: string): Promise<Readonly<Record<string, number>>> => {
  const [one, many] = await countWire([1, 32], prelude)
  const rounded = (value: number): number => Math.round(value * 1_000) / 1_000
  return {
    'reads, one at a time': rounded(one!.reads),
    'writes, one at a time': rounded(one!.writes),
    'reads, 32 at once': rounded(many!.reads),
    'writes, 32 at once': rounded(many!.writes),
    'bytes of frames': Math.round(Math.max(one!.bytes, many!.bytes)),
    'bytes of the message': Math.round(Math.max(one!.messageBytes, many!.messageBytes)),
  }
}

const instructionsOf = (requests: number): number | undefined => {
  // Where they are not to be had that is said at once, and need not be waited for.
  const can = spawnSync('perf', ['stat', '-x', ',', '-e', 'instructions:u', 'true'], { encoding: 'utf8' })
  if (!/^\d+,/m.test(can.stderr ?? '')) return undefined
  const args = ['stat', '-x', ',', '-e', 'instructions:u', process.execPath, ...FLAGS, BYTES, String(requests)]
  const { stderr, status } = spawnSync('perf', args, { encoding: 'utf8', env: childEnvironment() })
  const count = Number(/^(\d+),/m.exec(stderr ?? '')?.[1])
  return status === 0 && count > 0 ? count : undefined
}

/** Instructions of a request, where perf can count them; undefined where the machine lets nobody see its counters. */
export const countInstructions = (): number | undefined => {
  const few = instructionsOf(1_000)
  const many = few === undefined ? undefined : instructionsOf(6_000)
  return few === undefined || many === undefined ? undefined : Math.round((many - few) / 5_000)
}

if (import.meta.main) {
  const counted = { ...(await countBytes()), ...(await countCalls()) }
  for (const [name, value] of Object.entries(counted)) {
    const [was, room] = COUNTED[name] ?? []
    console.log(name.padEnd(52), String(value).padStart(7), was === undefined ? '' : `was ${was}, room ${room}`)
  }
  console.log('instructions'.padEnd(52), countInstructions() ?? 'not available here')
}
