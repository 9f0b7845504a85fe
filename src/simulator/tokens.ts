import { hash } from 'node:crypto'

/** How many tokens a text has, by the usual rule of thumb of four characters each; at least one. */
export const tokensIn = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

const FILLER = ' the quick brown fox jumps over the lazy dog and then it rests.'.split(/(?= )/)

/** The i-th token of what a site says: first who serves it with what, then filler. The same for every request. */
export const tokenAt = (index: number, site: string, model: string): string => {
  const opening = ['Served', ' by', ` ${site}`, ' with', ` ${model}`, '.']
  return opening[index] ?? FILLER[(index - opening.length) % FILLER.length]!
}

/** Tokens in a block of the simulated key-value cache, vLLM's default. */
export const BLOCK_TOKENS = 16

/** How many prompts a site remembers. */
const PREFIXES_MAX = 256

/**
 * A prefix cache by whole texts: a prompt hits what was seen before of the same prompt, or of the conversation before
 * its last message, in whole blocks. Oldest out first.
 */
export class PrefixCache {
  readonly #seen = new Map<string, number>()

  /** How many tokens of the prompt were cached; remembers it. `conversation` is the prompt without its last message. */
  lookup(prompt: string, conversation: string): number {
    const hit = this.#seen.get(hash('sha1', prompt)) ?? this.#seen.get(hash('sha1', conversation)) ?? 0
    this.#remember(prompt)
    if (conversation !== '') this.#remember(conversation)
    return hit
  }

  #remember(text: string): void {
    const key = hash('sha1', text)
    this.#seen.delete(key)
    this.#seen.set(key, Math.floor(tokensIn(text) / BLOCK_TOKENS) * BLOCK_TOKENS)
    if (this.#seen.size > PREFIXES_MAX) this.#seen.delete(this.#seen.keys().next().value!)
  }
}
