import type { Log } from '../log.ts'
import type { Store } from '../store.ts'

/** How long the start waits for Envoy's list of clusters. */
const CLUSTERS_WAIT_MS = 5_000

/** Resolves once Envoy has told its clusters, or after five seconds without: a silent admin port must not keep a hubward down. */
export const clustersKnown = (store: Store, log: Log): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      unsubscribe()
      resolve()
    }
    const timer = setTimeout(() => {
      log.warn("Envoy's admin port does not answer: all clusters are taken to exist until it does")
      done()
    }, CLUSTERS_WAIT_MS)
    const unsubscribe = store.subscribe(() => {
      if (store.current.data.clusters !== null) done()
    })
    if (store.current.data.clusters !== null) done()
  })
