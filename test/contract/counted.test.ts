import t from 'tap'
import { COUNTED, countBytes, countCalls, countInstructions } from '../helpers/counted.ts'

/** Cuts every write to a socket in two, as a transport does that writes frame by frame. */
const TWO_WRITES = `data:text/javascript,${encodeURIComponent(`
  import { Socket } from 'node:net'
  const { write } = Socket.prototype
  Socket.prototype.write = function (bytes, ...rest) {
    if (!Buffer.isBuffer(bytes) || bytes.length < 10) return write.call(this, bytes, ...rest)
    write.call(this, bytes.subarray(0, 9))
    return write.call(this, bytes.subarray(9), ...rest)
  }
`)}`

const isAsWritten = (name: string, count: number | undefined): boolean => {
  const [counted, room] = COUNTED[name]!
  return count !== undefined && Math.abs(count - counted) <= room
}
const check = (test: Pick<typeof t, 'ok'>, counts: Readonly<Record<string, number>>): void => {
  for (const [name, [counted]] of Object.entries(COUNTED)) {
    const count = counts[name]
    if (count === undefined) continue
    const remedy = `; if it is meant so, write it into test/helpers/counted.ts, which counts again when it is run`
    test.ok(
      isAsWritten(name, count),
      `${name}: ${count}, written down is ${counted}${isAsWritten(name, count) ? '' : remedy}`,
    )
  }
}

t.test('a request allocates what it did', async (t) => {
  const bytes = await countBytes()
  check(t, bytes)
  t.ok(bytes.nothing! < 8, `counting itself allocates next to nothing: ${bytes.nothing}`)
  const more = ['ext_proc request and one header more that is read', 'ext_proc request and an object more']
  for (const name of more)
    t.notOk(isAsWritten('ext_proc request', bytes[name]), `this would be seen: ${name} (${bytes[name]})`)
  const object = bytes[more[1]!]! - bytes['ext_proc request']!
  for (const name of Object.keys(COUNTED).filter((name) => name.includes('request')))
    t.notOk(isAsWritten(name, bytes[name]! + object), `so it would with: ${name}`)
})

t.test('a request takes the reads, writes and bytes that it did', async (t) => {
  const calls = await countCalls()
  check(t, calls)
  t.equal(Object.keys(calls).length + 4, Object.keys(COUNTED).length, 'all that is written down is counted')
  t.notOk(isAsWritten('bytes of frames', calls['bytes of frames']! + 9), 'a frame more would be seen')
  t.notOk(isAsWritten('bytes of the message', calls['bytes of the message']! + 3), 'a field more would be seen')
})

t.test('a transport that writes twice is seen', async (t) => {
  const calls = await countCalls(TWO_WRITES)
  for (const name of ['writes, one at a time', 'writes, 32 at once'])
    t.notOk(isAsWritten(name, calls[name]), `${name}: ${calls[name]}`)
  t.ok(isAsWritten('bytes of frames', calls['bytes of frames']), 'and says the same bytes')
})

t.comment(
  `instructions of an ext_proc request: ${countInstructions() ?? 'not available here, perf can not count them'}; nothing is asked of them`,
)
