import { parentPort } from 'node:worker_threads'
import { readFlagFiles } from '../flags/read-flags.ts'
import type { Flag } from '../model/flag.ts'
import type { FlagKey } from '../model/names.ts'
import { flagSourceProblem } from './failure.ts'
import type { FlagText, FlagVerdict, ReaderAnswer, ReaderRequest } from './flag-reader.ts'
import { staticDefinition } from './static-flags.ts'

/** How many flags go over at once. */
const FLAGS_AT_ONCE = 50

let rest: (readonly [FlagKey, Flag])[] = []
let end: ReaderAnswer = { answer: 'end', metadata: null, problems: [] }

parentPort?.on('message', (request: ReaderRequest) => {
  if (request.ask === 'read') {
    const { set, problems } = verdict(request.files, request.format === 'ofrep')
    rest = set === null ? [] : Object.entries(set.flags)
    end = { answer: 'end', metadata: set === null ? null : set.metadata, problems }
  }
  const flags = rest.splice(0, FLAGS_AT_ONCE)
  parentPort?.postMessage(flags.length > 0 ? ({ answer: 'some', flags } satisfies ReaderAnswer) : end)
})

function verdict(files: readonly FlagText[], isAnswer: boolean): FlagVerdict {
  try {
    const read = isAnswer ? files.map(staticDefinition) : files.map((file) => ({ file, problems: [] }))
    const problems = read.flatMap((one) => one.problems)
    const texts = read.flatMap(({ file }) => file ?? [])
    if (texts.length < files.length) return { set: null, problems }
    const { set, problems: more } = readFlagFiles(texts)
    return { set, problems: [...problems, ...more] }
  } catch (error) {
    const message = `the set could not be read to its end: ${String((error as Error).message).slice(0, 200)}`
    const remedy = 'look for a definition that is far too large or too deep'
    return { set: null, problems: [flagSourceProblem('flag-source/unread', message, { remedy })] }
  }
}
