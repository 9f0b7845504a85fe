import { StringDecoder } from 'node:string_decoder'

/** The longest line a stream may have, in characters. */
const LINE_MAX = 1_048_576

/**
 * A reader of server-sent events: takes bytes as they come and gives the data of each event that they complete.
 * Throws at a line beyond a mebibyte.
 */
export const sseReader = () => {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let data: string[] = []
  return (bytes: Buffer): string[] => {
    rest += decoder.write(bytes)
    const lines = rest.split(/\r\n|\n|\r(?=[^\n])/)
    rest = lines.pop()!
    if (rest.length > LINE_MAX) throw new Error(`a line of a stream is longer than ${LINE_MAX} characters`)
    const events: string[] = []
    for (const line of lines) {
      if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
      else if (line === '' && data.length > 0) {
        events.push(data.join('\n'))
        data = []
      }
    }
    return events
  }
}
