import type { ServerResponse } from 'node:http'
import type { FinishReason } from './meter.ts'
import { type Ask, answerBody, chunkBody, type Envelope, type Usage, usageChunk } from './openai.ts'

/** Where the tokens of one request go. */
export interface Sink {
  /** Tells the client that its request is taken up, where the form of the answer allows it. */
  open(): void
  /** One token; false means wait for `drain`. */
  token(text: string, first: boolean): boolean
  end(finish: FinishReason, usage: Usage): void
}

/** Server-sent events: headers leave before the prefill, as they do with the servers this one imitates. */
export const streamSink = (res: ServerResponse, ask: Ask, envelope: Envelope): Sink => {
  const send = (value: unknown) => res.write(`data: ${JSON.stringify(value)}\n\n`)
  return {
    open: () => {
      res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
      res.flushHeaders()
    },
    token: (text, first) => send(chunkBody(envelope, ask.endpoint, text, first, null)),
    end: (finish, usage) => {
      send(chunkBody(envelope, ask.endpoint, '', false, finish))
      if (ask.includeUsage) send(usageChunk(envelope, ask.endpoint, usage))
      res.end('data: [DONE]\n\n')
    },
  }
}

/** One JSON document at the end. */
export const jsonSink = (res: ServerResponse, ask: Ask, envelope: Envelope): Sink => {
  let text = ''
  return {
    open: () => {},
    token: (token) => {
      text += token
      return true
    },
    end: (finish, usage) => {
      res.writeHead(200, { 'content-type': 'application/json' })
      res.end(JSON.stringify(answerBody(envelope, ask.endpoint, text, finish, usage)))
    },
  }
}
