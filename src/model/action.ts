/** What can be done with a request. To add one, add it here and to the switches the compiler then names. */
export const ACTIONS = ['route', 'degrade', 'queue', 'delay', 'deny'] as const

/** An action's name. */
export type ActionName = (typeof ACTIONS)[number]

/** An action as a policy writes it, mildest first in ACTIONS' order. */
export type ActionSpec =
  | { readonly action: 'route' }
  | { readonly action: 'degrade' }
  | { readonly action: 'queue'; readonly forMs?: number }
  | { readonly action: 'delay'; readonly retryAfterMs?: number; readonly until?: string }
  | { readonly action: 'deny'; readonly retryAfterMs?: number; readonly status?: number }

/** How strong an action is: the mildest of several has the smallest number. */
export const severityOf = (action: ActionName): number => ACTIONS.indexOf(action)
