import { Agent, type IncomingMessage, request } from 'node:http'
import { sseReader } from './sse.ts'

/** One chat completion to be asked for. */
export interface ChatCall {
  /** `http://host:port` of the gateway, or of a site itself. */
  readonly baseUrl: string
  readonly headers?: Readonly<Record<string, string>>
  /** Absent: a chat completion. */
  readonly path?: string
  readonly model: string
  readonly prompt: string
  /** The answer is exactly that long. */
  readonly tokens: number
  readonly stream?: boolean
  /** From the start until the end of the answer. */
  readonly timeoutMs: number
}

/** What the client saw of one call. */
export interface ChatSeen {
  /** Epoch milliseconds of the start. */
  readonly at: number
  /** 0 where no answer came. */
  readonly status: number
  /** Who answered, by the site's own header; empty where no site did. */
  readonly site: string
  /** The model that answered, by the answer itself; empty where none did. */
  readonly model: string
  /** The session that it was sent in; empty where in none. */
  readonly sessionKey: string
  /** hubward's headers on the answer, without `x-hubward-`: action, reason, policy, arm, decision, session. */
  readonly hubward: Readonly<Record<string, string>>
  /** Why it was refused: the reason in the refusal's body, or how a body without one begins; empty where it was not. */
  readonly refusal: string
  /** The content type without parameters; empty where no answer came. */
  readonly type: string
  /** What Retry-After says in seconds, or null. */
  readonly retryAfterS: number | null
  readonly ttftMs: number | null
  readonly totalMs: number
  readonly tokens: number
  /** The answer came to its own end. */
  readonly complete: boolean
  /** `timeout`, `cancelled`, `cut` for a stream without its end, or the system's code such as ECONNREFUSED. */
  readonly error: string | null
}

/** A call under way. */
export interface Chat {
  /** Settles at the first token, or at the end where there is none. */
  readonly first: Promise<void>
  /** Never rejects: what goes wrong is seen. */
  readonly done: Promise<ChatSeen>
  cancel(): void
}

/** The most of an answer that is read, in bytes. */
const ANSWER_BYTES_MAX = 16_777_216

/** A client with connections of its own, at most so many at once; further calls wait for one. */
export const chatClient = (socketsMax: number) => {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax })
  return {
    chat: (call: ChatCall): Chat => chat(call, agent),
    close: (): void => agent.destroy(),
  }
}

/** A client as `chatClient` gives it. */
export type ChatClient = ReturnType<typeof chatClient>

interface Draft {
  status: number
  site: string
  model: string
  hubward: Record<string, string>
  refusal: string
  type: string
  retryAfterS: number | null
  ttftMs: number | null
  tokens: number
  complete: boolean
}

const chat = (call: ChatCall, agent: Agent): Chat => {
  const at = performance.timeOrigin + performance.now()
  const since = () => performance.timeOrigin + performance.now() - at
  const draft: Draft = {
    status: 0,
    site: '',
    model: '',
    hubward: {},
    refusal: '',
    type: '',
    retryAfterS: null,
    ttftMs: null,
    tokens: 0,
    complete: false,
  }
  const first = Promise.withResolvers<void>()
  const done = Promise.withResolvers<ChatSeen>()
  const body = JSON.stringify({
    model: call.model,
    messages: [{ role: 'user', content: call.prompt }],
    max_tokens: call.tokens,
    ignore_eos: true,
    stream: call.stream !== false && call.path === undefined,
  })
  const req = request(`${call.baseUrl}${call.path ?? '/v1/chat/completions'}`, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...call.headers },
  })
  let reason: string | null = null
  const stop = (why: string) => {
    reason ??= why
    req.destroy()
  }
  const timer = setTimeout(() => stop('timeout'), call.timeoutMs)
  const end = (error: string | null) => {
    clearTimeout(timer)
    first.resolve()
    done.resolve({ at, sessionKey: call.headers?.['x-session-id'] ?? '', ...draft, totalMs: since(), error })
  }
  const token = (model: unknown, count: number) => {
    draft.model = String(model ?? '')
    draft.tokens += count
    draft.ttftMs ??= since()
    first.resolve()
  }
  req.on('error', (error: NodeJS.ErrnoException) => end(reason ?? error.code ?? error.message))
  req.on('response', (res) => {
    draft.status = res.statusCode ?? 0
    draft.site = String(res.headers['x-site'] ?? '')
    draft.hubward = hubwardHeaders(res)
    draft.type = (res.headers['content-type'] ?? '').split(';', 1)[0]!
    draft.retryAfterS = res.headers['retry-after'] === undefined ? null : Number(res.headers['retry-after'])
    const read = readerFor(res, draft, token)
    let bytes = 0
    res.on('data', (part: Buffer) => {
      bytes += part.length
      try {
        if (bytes > ANSWER_BYTES_MAX) throw new Error('too large')
        read.data(part)
      } catch (error) {
        stop((error as Error).message)
      }
    })
    res.on('end', () => {
      read.end()
      end(draft.complete || draft.status !== 200 ? null : 'cut')
    })
    res.on('error', () => end(reason ?? 'cut'))
  })
  req.end(body)
  return { first: first.promise, done: done.promise, cancel: () => stop('cancelled') }
}

const hubwardHeaders = (res: IncomingMessage): Record<string, string> => {
  const found = Object.entries(res.headers).filter(([name]) => name.startsWith('x-hubward-'))
  return Object.fromEntries(found.map(([name, value]) => [name.slice('x-hubward-'.length), String(value)]))
}

/** Reads a stream event by event, and everything else as one JSON document. What can't be read is left incomplete. */
const readerFor = (res: IncomingMessage, draft: Draft, token: (model: unknown, count: number) => void) => {
  if (res.statusCode === 200 && res.headers['content-type']?.startsWith('text/event-stream')) {
    const events = sseReader()
    return {
      data: (part: Buffer) => {
        for (const event of events(part)) {
          if (event === '[DONE]') {
            draft.complete = true
            continue
          }
          const chunk = JSON.parse(event) as { model?: unknown; choices?: { delta?: { content?: string } }[] }
          if (chunk.choices?.[0]?.delta?.content) token(chunk.model, 1)
        }
      },
      end: () => {},
    }
  }
  const parts: Buffer[] = []
  return {
    data: (part: Buffer) => void parts.push(part),
    end: () => {
      const text = Buffer.concat(parts).toString('utf8')
      const json = jsonOf(text)
      if (draft.status === 200 && json.usage !== undefined) {
        draft.complete = true
        token(json.model, json.usage.completion_tokens ?? 0)
      } else {
        // Envoy's own errors are plain text.
        draft.refusal = json.reason ?? json.error?.code?.toString() ?? text.slice(0, 80)
      }
    },
  }
}

interface AnswerJson {
  readonly model?: string
  readonly usage?: { readonly completion_tokens?: number }
  readonly reason?: string
  readonly error?: { readonly code?: string | number }
}

const jsonOf = (text: string): AnswerJson => {
  try {
    return (JSON.parse(text) ?? {}) as AnswerJson
  } catch {
    return {}
  }
}
