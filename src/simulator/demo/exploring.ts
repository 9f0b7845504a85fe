import { BIG_MODEL, CALLERS } from './cast.ts'
import type { OpenStage } from './stage.ts'

/** What one can look at and try once the story is told, for the terminal. */
export const exploringText = ({ urls, folders }: OpenStage): string => {
  const { gateway, envoyAdmin, hubward, sites } = urls
  const headers = Object.entries(CALLERS.chat.headers).map(([name, value]) => `-H '${name}: ${value}'`)
  const body = JSON.stringify({
    model: BIG_MODEL,
    stream: true,
    messages: [{ role: 'user', content: 'Where are you?' }],
  })
  const [first, site] = Object.entries(sites)[0]!
  return `
Everything stays up until Ctrl-C.
  Envoy        ${gateway}   its admin: ${envoyAdmin}
  hubward      ${hubward}/metrics  ${hubward}/snapshot  ${hubward}/sources  ${hubward}/overrides
  its journal  ${folders.journal}
  documents    ${folders.documents}   edit one: it is read at once, or refused with the reason
  flags        ${folders.flags}   likewise; who steers what: ${hubward}/v1/flags  ${hubward}/v1/rollouts
${Object.entries(sites)
  .map(([name, { url, control }]) => `  ${name.padEnd(10)}   ${url}   told what to do at ${control}`)
  .join('\n')}

Try:
  curl -i ${gateway}/v1/chat/completions ${headers.join(' ')} -H 'content-type: application/json' -d '${body}'
  curl ${site.control}/control -d '{"do":"fill","queued":40}'     fills the queue of ${first}; ask again and see who answers
  curl ${site.control}/control -d '{"do":"recover"}'              and it comes back
  curl ${site.control}/                                         tells what else a site can be told
`
}
