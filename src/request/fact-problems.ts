/** What can be wrong with one request's facts. Counted by code; to add one, add a row. */
export const FACT_PROBLEMS = {
  'request/too-long': 'a value longer than a fact may be was left out',
  'request/path-too-long': 'the path is too long to be looked at',
  'request/bad-value': 'a value that is not what its fact holds was left out',
  'request/untrusted-peer':
    'a trusted header or field of a body came from a peer that is not trusted, and was left out',
  'request/client-address': 'X-Forwarded-For has no address where the client should stand',
  'request/body-too-large': 'a body larger than bodyBytesMax was not read',
  'request/body-unreadable': 'a body that is no JSON object was not read',
  'request/residency-unlisted': 'the residency class is not one of the documents',
  'request/bad-needs': 'a part of what the job needs could not be read',
  'request/bad-session': 'a session token that is not ours, or no longer right, was left out',
  'request/bad-hop': 'the hop header is not one of ours, or too old',
  'request/bad-force': "a tester's header that is not one of ours, or has ended, was left out",
} as const satisfies Record<string, string>

/** A key of FACT_PROBLEMS. */
export type FactProblemCode = keyof typeof FACT_PROBLEMS

/** One thing that was wrong with a request. */
export interface FactProblem {
  readonly code: FactProblemCode
  /** The fact that it is about. */
  readonly fact: string
}
