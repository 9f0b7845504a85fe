/**
 * The custom tags that hubward's configuration of Envoy's access log adds to every line, by what they say. The codec reads
 * them under the same names.
 */
export const LOG_TAGS = {
  /** From the first byte of the request to the first byte of the response's body, in microseconds. */
  firstBodyUs: 'hubward.first-body-us',
  /** `usage.prompt_tokens` of the answer. */
  promptTokens: 'hubward.prompt-tokens',
  /** `usage.completion_tokens` of the answer. */
  completionTokens: 'hubward.completion-tokens',
} as const
