import { readFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { Fuzzer } from '../test/helpers/h2-fuzz.ts'

/*
 * The long form of the fuzzing: `node bench/fuzz-transport.ts [INPUTS] [SEED]`, ten million inputs where nothing else is
 * said. It is guided by what V8 says was run: inputs that reach code that no input reached before are kept and changed
 * further. Prints how far it is each minute, and ends at the first violation with the input and the seed.
 */

const inputs = Number(process.argv[2] ?? 10_000_000)
const seed = Number(process.argv[3] ?? 1)
/** Inputs between two looks at the coverage, which take some milliseconds each. */
const BATCH = 5_000
const PAUSE_EVERY = 500

interface Ranges {
  readonly result: readonly {
    readonly url: string
    readonly functions: readonly {
      readonly functionName: string
      readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[]
    }[]
  }[]
}

const session = new Session()
session.connect()
const post = <T>(method: string, params?: object): T => {
  let result: T | undefined
  let failed: Error | null = null
  // Answers of a session inside the same process come before the call returns.
  session.post(method, params, (error, value) => {
    failed = error
    result = value as T
  })
  if (failed !== null) throw failed
  return result as T
}

/** By file of the transport, a byte for each character: whether it ever ran. */
const everRan = new Map<string, Uint8Array>()
const sources = new Map<string, string>()
/** By file, a byte for each character: whether it is part of a function. */
const inFunctions = new Map<string, Uint8Array>()

/** What ran since the last look, by file. Of nested ranges the inner one counts. */
const look = (): ReadonlyMap<string, Uint8Array> => {
  const ran = new Map<string, Uint8Array>()
  for (const { url, functions } of post<Ranges>('Profiler.takePreciseCoverage').result) {
    const name = /src\/envoy\/transport\/(.+)$/.exec(url)?.[1]
    if (name === undefined) continue
    if (!sources.has(name)) sources.set(name, readFileSync(new URL(url), 'utf8'))
    const marks = new Uint8Array(sources.get(name)!.length)
    // The first function is the module, which ran before anybody looked.
    for (const { ranges } of functions.slice(1))
      for (const { startOffset, endOffset, count } of ranges) marks.fill(count > 0 ? 1 : 0, startOffset, endOffset)
    ran.set(name, marks)
    if (inFunctions.has(name)) continue
    const inside = new Uint8Array(marks.length)
    for (const { ranges } of functions.slice(1)) inside.fill(1, ranges[0]!.startOffset, ranges[0]!.endOffset)
    inFunctions.set(name, inside)
  }
  return ran
}

/** Adds what ran to what ever ran; gives a place of each stretch that is new. */
const learn = (ran: ReadonlyMap<string, Uint8Array>): (readonly [string, number])[] => {
  const fresh: (readonly [string, number])[] = []
  for (const [name, marks] of ran) {
    const known = everRan.get(name) ?? new Uint8Array(marks.length)
    everRan.set(name, known)
    let isInside = false
    for (let at = 0; at < marks.length; at++) {
      const isNew = marks[at] === 1 && known[at] === 0
      if (isNew && !isInside) fresh.push([name, at])
      isInside = isNew
      if (isNew) known[at] = 1
    }
  }
  return fresh
}

/** The first of these inputs that reaches a place, found by halves. */
const reaching = ([name, at]: readonly [string, number], among: readonly Buffer[]): Buffer | undefined => {
  let inputs = among
  while (inputs.length > 1) {
    const half = inputs.slice(0, inputs.length >> 1)
    look()
    for (const input of half) fuzzer.try(input)
    inputs = look().get(name)?.[at] === 1 ? half : inputs.slice(half.length)
  }
  return inputs[0]
}

/** Lines that never ran, and the share of the code that did. */
const coverage = (): { readonly ranPct: string; readonly never: readonly string[] } => {
  let ran = 0
  let all = 0
  const never: string[] = []
  for (const [name, marks] of [...everRan].sort(([a], [b]) => a.localeCompare(b))) {
    const text = sources.get(name)!
    let start = 0
    for (const [index, line] of text.split('\n').entries()) {
      const code = line.trim()
      const from = start + line.length - line.trimStart().length
      start += line.length + 1
      if (inFunctions.get(name)![from] === 0 || code === '' || /^(\/\/|\/?\*|[})\]]+,?$)/.test(code)) continue
      all += 1
      if (marks.subarray(from, from + code.length).includes(0)) never.push(`${name}:${index + 1}: ${code}`)
      else ran += 1
    }
  }
  return { ranPct: ((100 * ran) / all).toFixed(1), never }
}

const fuzzer = new Fuzzer(seed)
// Stacks of errors that are part of the game cost more than what is tested.
const { stackTraceLimit } = Error
Error.stackTraceLimit = 0
post('Profiler.enable')
post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

const start = performance.now()
let said = start
let guided = 0
let batch: Buffer[] = []
for (let done = 1; done <= inputs; done++) {
  try {
    const input = fuzzer.once()
    if (input !== undefined) batch.push(input)
  } catch (error) {
    Error.stackTraceLimit = stackTraceLimit
    console.error(`seed ${seed}, input ${done}: ${(error as Error).message}`)
    process.exit(1)
  }
  if (done % BATCH === 0 || done === inputs) {
    const fresh = learn(look())
    for (const place of done > BATCH ? fresh.slice(0, 8) : []) {
      const input = reaching(place, batch)
      if (input === undefined) continue
      for (let times = 0; times < 50; times++) fuzzer.keep(input)
      guided += 1
    }
    batch = []
  }
  if (done % PAUSE_EVERY === 0) await new Promise((resolve) => setImmediate(resolve))
  if (performance.now() - said > 60_000 || done === inputs) {
    said = performance.now()
    const { connections, blocks, streams, ways } = fuzzer.result
    console.log(
      JSON.stringify({
        inputs: done,
        connections,
        blocks,
        streams,
        ways,
        guided,
        linesRanPct: coverage().ranPct,
        corpus: fuzzer.corpus.length,
        rssMb: Math.round(process.memoryUsage.rss() / 1e6),
        cpuS: Math.round(process.cpuUsage().user / 1e6),
        seconds: Math.round((said - start) / 1_000),
      }),
    )
  }
}
console.log('lines of which some part never ran:')
for (const line of coverage().never) console.log(`  ${line}`)
session.disconnect()
