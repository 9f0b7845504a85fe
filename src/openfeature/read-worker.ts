import { parentPort } from 'node:worker_threads'
import { readFlagFiles } from '../flags/read-flags.ts'
import type { Flag } from '../model/flag.ts'
import type { FlagKey } from '../model/names.ts'
import { flagSourceProblem } from './failure.ts'
import type { FlagText, FlagVerdict, ReaderAnswer, ReaderRequest } from './flag-reader.ts'
import { staticDefinition } from './static-flags.ts'

/** How many flags go over at once. */
const FLAGS_AT_ONCE = 50
/** Far deeper than targeting is written. */
const DEPTH_MAX = 200

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
    const deep = texts.find(({ text }) => isDeep(text))
    if (deep !== undefined) {
      const message = `brackets nest deeper than ${DEPTH_MAX} levels`
      const more = { path: deep.path, remedy: 'write it flatter' }
      return { set: null, problems: [flagSourceProblem('flag-source/too-deep', message, more)] }
    }
    const { set, problems: more } = readFlagFiles(texts)
    return { set, problems: [...problems, ...more] }
  } catch (error) {
    const message = `the set could not be read to its end: ${String((error as Error).message).slice(0, 200)}`
    const remedy = 'look for a definition that is far too large or too deep'
    return { set: null, problems: [flagSourceProblem('flag-source/unread', message, { remedy })] }
  }
}

// Before anything is read: what is to be told of such texts takes a reader of YAML longer than all the rest. Brackets in
// a text of YAML without quotes count too, and are closed again wherever somebody means them.
function isDeep(text: string): boolean {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5b || code === 0x7b) {
      depth += 1
      if (depth > DEPTH_MAX) return true
    } else if (code === 0x5d || code === 0x7d) depth -= 1
  }
  return false
}
