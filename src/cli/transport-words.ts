import { FLOOD_COSTS, LIMITS } from '../envoy/transport/limits.ts'

type Rows = readonly [head: string[], rows: (string | number)[][]]

const limits: Rows = [
  ['limit', 'value', 'of what', 'beyond it'],
  Object.entries(LIMITS).map(([name, { is, unit, says, beyond }]) => [
    `\`${name}\``,
    `${is.toLocaleString('en')} ${unit}`,
    says,
    beyond,
  ]),
]

const costs: Rows = [['frame', 'tokens'], Object.entries(FLOOD_COSTS).map(([name, cost]) => [`\`${name}\``, cost])]

/** What the page on the transport says. */
export const TRANSPORT = {
  opening:
    'Limits of the HTTP/2 server that carries gRPC where `transport` is `own`. They are part of the code and not of the configuration: no honest peer comes near them.',
  limits,
  patience:
    'Patience with frames that bring no work is counted in tokens: a connection begins with `floodTokens`, each second and each message gives some back, and frames take them. `unanswered` is a stream that its client resets before it had any answer, `fault` one that we have to reset because of what was sent on it, `late` a frame on a stream that is over, `refusal` a request that is no gRPC or of no method.',
  costs,
} as const
