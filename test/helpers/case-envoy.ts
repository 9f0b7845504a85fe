import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import type { DocumentSet, Site } from '../../src/model/documents.ts'
import type { AskedCase } from './asked-cases.ts'
import { instantSites } from './instant-sites.ts'
import { type RunningEnvoy, startEnvoy } from './running-envoy.ts'

/** Says the residency class of a request in the filter before hubward's, as one that reads it from a token would. */
export const VERIFIED_CLASS = 'verified-class'

const residencyFilter: EnvoyObject = {
  name: 'envoy.filters.http.lua',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
    default_source_code: {
      inline_string: `
        function envoy_on_request(handle)
          local class = handle:headers():get("${VERIFIED_CLASS}")
          if class then
            handle:headers():replace("x-hubward-residency", class)
            handle:clearRouteCache()
          end
        end`,
    },
  },
}

/** An Envoy with the configuration that hubward generates, and a site behind every cluster that some case knows. */
export interface CaseEnvoy {
  readonly envoy: RunningEnvoy
  readonly port: number
  readonly stop: () => Promise<void>
}

/** Starts it for the cases of a set. A site answers with the name of its cluster. */
export async function caseEnvoy(set: DocumentSet, cases: readonly AskedCase[], socket: string): Promise<CaseEnvoy> {
  const known = new Map<string, Site>()
  const worlds = cases.flatMap(({ questions }) =>
    questions.flatMap(({ snapshot }) => Object.values(snapshot.data.sets)),
  )
  for (const site of [set, ...worlds].flatMap(({ sites }) => sites))
    for (const { cluster } of site.pools) if (!known.has(cluster)) known.set(cluster, site)
  const clusters = [...known.keys()]
  const { ports, envoy: sites } = await instantSites(clusters)
  const at = (one: Site): Site => ({
    ...one,
    pools: one.pools.map((pool) => ({ ...pool, endpoints: [`127.0.0.1:${ports[pool.cluster]}`] })),
  })
  // A site that only one case brings has a name that another case may use as well, so it gets one of its own.
  const written = new Set(set.sites.flatMap(({ pools }) => pools.map(({ cluster }) => cluster)))
  const brought = [...known].flatMap(([cluster, site]) =>
    written.has(cluster)
      ? []
      : [
          {
            ...site,
            metadata: { name: `brought-${cluster}` },
            pools: site.pools.filter((pool) => pool.cluster === cluster),
          },
        ],
  )
  try {
    const config = envoyConfig(
      { ...set, sites: [...set.sites, ...brought].map(at), factSources: [] },
      {
        ...ENVOY_OPTIONS_DEFAULT,
        listener: { host: '127.0.0.1', port: 0 },
        admin: { host: '127.0.0.1', port: 0 },
        sidecar: { path: socket },
        accessLog: undefined,
        healthPath: undefined,
        hops: true,
        force: true,
        filtersBefore: [residencyFilter],
        // What is looked at is where a request arrives, however long this machine takes for it.
        messageTimeoutMs: 10_000,
      },
    )
    const envoy = await startEnvoy(config)
    return { envoy, port: await envoy.port(), stop: async () => void (await Promise.all([envoy.stop(), sites.stop()])) }
  } catch (error) {
    await sites.stop()
    throw error
  }
}
