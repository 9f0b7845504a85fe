import { HEADERS } from '../../model/headers.ts'
import type { ResidencyName } from '../../model/names.ts'
import { type EnvoyObject, typed } from './envoy-object.ts'

const FILTER = 'envoy.filters.http.header_mutation'

/** The key of a virtual host's metadata under which its residency class stands: `hubward doctor` reads it there. */
export const RESIDENCY_METADATA = 'hubward'

/** The filter in front of hubward's that writes a virtual host's residency class into the header. */
export const residencyHeaderFilter = (): EnvoyObject => ({
  name: FILTER,
  typed_config: typed('extensions.filters.http.header_mutation.v3.HeaderMutation'),
})

/**
 * What makes a virtual host's class known: to hubward and the sites by header, to `hubward doctor` by metadata. The
 * routes of such a host need no header, because Envoy chooses them before the filter runs. What another filter has
 * said already stays, and a route refuses it if it contradicts.
 */
export const residencyOfHost = (residency: ResidencyName): EnvoyObject => ({
  metadata: { filter_metadata: { [RESIDENCY_METADATA]: { residency } } },
  typed_per_filter_config: {
    [FILTER]: typed('extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute', {
      mutations: {
        request_mutations: [
          { append: { header: { key: HEADERS.residency, value: residency }, append_action: 'ADD_IF_ABSENT' } },
        ],
      },
    }),
  },
})
