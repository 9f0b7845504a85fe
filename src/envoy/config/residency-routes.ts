import type { DocumentSet, ResidencyClass } from '../../model/documents.ts'
import { HEADERS, MARKER_DEFAULT, MARKER_UNSET } from '../../model/headers.ts'
import { type ResidencyName, residencyDefaultName } from '../../model/names.ts'
import type { ClassRule } from './class-rules.ts'
import { type EnvoyObject, seconds } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'
import { type Refusal, refusalResponse } from './refusal.ts'
import { RETRY_BEFORE_FIRST_BYTE } from './retry.ts'
import { decisionHeaders } from './session-header.ts'

/** One route without its path and its filter settings: what the marker and the residency attribute lead to. */
export interface ResidencyRoute {
  readonly name: string
  readonly headers: readonly EnvoyObject[]
  readonly answer: EnvoyObject
}

/** The routes' headers while hubward has not answered. */
const UNDECIDED: EnvoyObject = { name: HEADERS.cluster, string_match: { exact: MARKER_UNSET } }

/** The same, or it has answered that Envoy's own choice stands. */
const DEFAULTED: EnvoyObject = {
  name: HEADERS.cluster,
  string_match: { safe_regex: { regex: `${MARKER_UNSET}|${MARKER_DEFAULT}` } },
}

/** What a job is told when hubward does not answer, whatever its residency. */
export const refuseRoute = (rule: ClassRule, options: EnvoyOptions): ResidencyRoute => ({
  name: `hubward-refuse-${rule.classes.length === 1 ? rule.classes[0] : 'jobs'}`,
  headers: [UNDECIDED],
  answer: refusalResponse(
    { ...NO_DECISION, detail: `${rule.classes.join(', ')}: this work needs a decision, and none can be had` },
    options,
  ),
})

/**
 * Where a request goes that hubward has not decided, in the order that Envoy must try. With a class given (a virtual
 * host has one) a residency attribute that says otherwise is refused; without, the attribute's value decides.
 */
export function residencyRoutes(
  set: DocumentSet,
  options: EnvoyOptions,
  vhostClass: ResidencyName | undefined,
): ResidencyRoute[] {
  const attribute = { name: HEADERS.residency }
  if (vhostClass !== undefined) {
    return [
      {
        name: `hubward-other-residency-${vhostClass}`,
        headers: [
          DEFAULTED,
          { ...attribute, present_match: true },
          { ...attribute, string_match: { exact: vhostClass }, invert_match: true },
        ],
        answer: refusalResponse({ ...UNLISTED, detail: 'the residency attribute contradicts the host' }, options),
      },
      toDefault(classNamed(set, vhostClass), vhostClass, [DEFAULTED], options),
    ]
  }
  const unrestricted = options.unrestrictedDefault
  return [
    ...set.residencies.map((one) =>
      toDefault(
        one,
        one.metadata.name,
        [DEFAULTED, { ...attribute, string_match: { exact: one.metadata.name } }],
        options,
      ),
    ),
    {
      name: 'hubward-residency-unlisted',
      headers: [DEFAULTED, { ...attribute, present_match: true }],
      answer: refusalResponse(UNLISTED, options),
    },
    unrestricted === undefined
      ? { name: 'hubward-residency-absent', headers: [DEFAULTED], answer: refusalResponse(ABSENT, options) }
      : {
          ...toDefault(classNamed(set, unrestricted), unrestricted, [DEFAULTED], options),
          name: 'hubward-unrestricted',
        },
  ]
}

const NO_DECISION = { reason: 'hubward-down', title: 'No decision' }
const UNLISTED: Refusal = {
  reason: 'residency-unlisted',
  title: 'Residency unknown',
  detail: 'the residency of this request is not one that is configured, and no decision says where else to go',
}
const ABSENT: Refusal = {
  reason: 'residency-absent',
  title: 'Residency unknown',
  detail: 'nothing says the residency of this request, and no decision says where else to go',
}

const classNamed = (set: DocumentSet, name: ResidencyName): ResidencyClass | undefined =>
  set.residencies.find((one) => one.metadata.name === name)

function toDefault(
  residency: ResidencyClass | undefined,
  name: ResidencyName,
  headers: readonly EnvoyObject[],
  options: EnvoyOptions,
): ResidencyRoute {
  const detail = `residency class ${name} has no default, and no decision says where else to go`
  return {
    name: `hubward-default-${name}`,
    headers,
    answer:
      residency?.default === undefined
        ? refusalResponse({ reason: 'hubward-down', title: 'No default', detail }, options)
        : {
            route: {
              cluster: residencyDefaultName(name),
              timeout: '0s',
              idle_timeout: seconds(options.idleTimeoutMs),
              retry_policy: RETRY_BEFORE_FIRST_BYTE,
            },
            response_headers_to_add: decisionHeaders(options),
          },
  }
}
