import type { FinishReason } from './meter.ts'
import type { ServedModel } from './options.ts'
import { tokensIn } from './tokens.ts'

/** An answer that is an error, in OpenAI's form. */
export interface ApiError {
  readonly status: number
  readonly message: string
  readonly type: string
  readonly param: string | null
}

/** Which of the two generating endpoints is meant. */
export type Endpoint = 'chat' | 'completions'

/** What is asked of a model, checked. */
export interface Ask {
  readonly endpoint: Endpoint
  readonly model: ServedModel
  readonly prompt: string
  /** The prompt without its last message. */
  readonly conversation: string
  readonly promptTokens: number
  readonly answerTokens: number
  /** Whether the answer ends by itself there, or is cut by the request's limit. */
  readonly ends: 'stop' | 'length'
  readonly stream: boolean
  readonly includeUsage: boolean
}

/** Token counts of one answer. */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
  readonly prompt_tokens_details: { readonly cached_tokens: number }
}

/** The body of an error, as vLLM writes it. */
export const errorBody = ({ message, type, param, status }: ApiError) => ({
  error: { message, type, param, code: status },
})

/** A 400 about one field. */
const bad = (message: string, param: string | null = null): ApiError => ({
  status: 400,
  message,
  type: 'BadRequestError',
  param,
})

/** What a body asks for, or why not: JSON and fields 400, a model that is not served 404, more than its context 400. */
export const readAsk = (
  endpoint: Endpoint,
  body: string,
  models: readonly ServedModel[],
  answerTokens: number,
  asked: (model: string) => void,
): Ask | ApiError => {
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch (error) {
    return bad(`JSON decode error: ${(error as Error).message}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return bad('the body must be a JSON object')
  const fields = json as Record<string, unknown>
  if (typeof fields.model !== 'string') return bad('model must be a string', 'model')
  asked(fields.model)
  const model = models.find((one) => one.name === fields.model || one.aliases.includes(fields.model as string))
  if (model === undefined) {
    return {
      status: 404,
      message: `The model \`${fields.model.slice(0, 128)}\` does not exist.`,
      type: 'NotFoundError',
      param: 'model',
    }
  }
  const prompts = endpoint === 'chat' ? messagesOf(fields.messages) : promptOf(fields.prompt)
  if ('status' in prompts) return prompts
  const limit = fields.max_completion_tokens ?? fields.max_tokens
  if (limit !== undefined && limit !== null && !(Number.isInteger(limit) && (limit as number) >= 1))
    return bad('max_tokens must be at least 1', 'max_tokens')
  const prompt = prompts.join('\n')
  const promptTokens = tokensIn(prompt)
  const room = model.contextTokens - promptTokens
  if (room < ((limit as number | undefined) ?? 1)) {
    return bad(
      `This model's maximum context length is ${model.contextTokens} tokens. However, you requested ${(limit as number | undefined) ?? 1} output tokens and your prompt contains ${promptTokens} input tokens. Please reduce the length of the input prompt or the number of requested output tokens.`,
      'input_tokens',
    )
  }
  // vLLM's own extensions: ignore_eos goes on to the limit, min_tokens asks for a longer answer.
  const least = Number.isInteger(fields.min_tokens) ? (fields.min_tokens as number) : 0
  const most = (limit as number | null | undefined) ?? room
  const wanted = fields.ignore_eos === true ? most : Math.max(answerTokens, least)
  return {
    endpoint,
    model,
    prompt,
    conversation: prompts.slice(0, -1).join('\n'),
    promptTokens,
    answerTokens: Math.min(wanted, most, room),
    ends: wanted < most || (wanted === most && fields.ignore_eos !== true) ? 'stop' : 'length',
    stream: fields.stream === true,
    includeUsage: (fields.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true,
  }
}

const messagesOf = (messages: unknown): string[] | ApiError => {
  if (!Array.isArray(messages) || messages.length === 0)
    return bad('messages must be a list of at least one message', 'messages')
  const texts: string[] = []
  for (const message of messages as unknown[]) {
    const { role, content } = (message ?? {}) as { role?: unknown; content?: unknown }
    if (typeof role !== 'string') return bad('every message needs a role', 'messages')
    texts.push(`${role}: ${contentText(content)}`)
  }
  return texts
}

const promptOf = (prompt: unknown): string[] | ApiError =>
  typeof prompt === 'string' ? [prompt] : bad('prompt must be a string', 'prompt')

/** A message's text: a string, or the text parts of a list. */
const contentText = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : Array.isArray(content)
      ? content.map((part: { text?: unknown } | null) => (typeof part?.text === 'string' ? part.text : '')).join(' ')
      : ''

/** What every answer and chunk of one request carries. */
export interface Envelope {
  readonly id: string
  readonly created: number
  readonly model: string
  readonly system_fingerprint: string
}

/** One streamed chunk with one token; the first one of a chat names the role. */
export const chunkBody = (
  envelope: Envelope,
  endpoint: Endpoint,
  token: string,
  first: boolean,
  finish: FinishReason | null,
) => ({
  ...envelope,
  object: endpoint === 'chat' ? 'chat.completion.chunk' : 'text_completion',
  choices: [
    endpoint === 'chat'
      ? {
          index: 0,
          delta: { ...(first ? { role: 'assistant' } : {}), content: token },
          logprobs: null,
          finish_reason: finish,
        }
      : { index: 0, text: token, logprobs: null, finish_reason: finish },
  ],
})

/** The last chunk of a stream that asked for usage. */
export const usageChunk = (envelope: Envelope, endpoint: Endpoint, usage: Usage) => ({
  ...envelope,
  object: endpoint === 'chat' ? 'chat.completion.chunk' : 'text_completion',
  choices: [],
  usage,
})

/** A whole answer at once. */
export const answerBody = (
  envelope: Envelope,
  endpoint: Endpoint,
  text: string,
  finish: FinishReason,
  usage: Usage,
) => ({
  ...envelope,
  object: endpoint === 'chat' ? 'chat.completion' : 'text_completion',
  choices: [
    endpoint === 'chat'
      ? { index: 0, message: { role: 'assistant', content: text }, logprobs: null, finish_reason: finish }
      : { index: 0, text, logprobs: null, finish_reason: finish },
  ],
  usage,
})

/** What GET /v1/models answers: every name a request may use, its `root` the model that serves it. */
export const modelList = (models: readonly ServedModel[], site: string, created: number) => ({
  object: 'list',
  data: models.flatMap((model) =>
    [model.name, ...model.aliases].map((id) => ({
      id,
      object: 'model',
      created,
      owned_by: site,
      root: model.name,
      parent: null,
      max_model_len: model.contextTokens,
    })),
  ),
})
