import type { DocumentSet } from '../../model/documents.ts'
import type { Problem } from '../../model/problem.ts'
import { SIDECAR_CLUSTER } from '../config/clusters.ts'
import type { Address } from '../config/envoy-object.ts'
import { adminPage } from './admin.ts'
import type { Check } from './check.ts'
import { CLUSTER_CHECKS } from './cluster-checks.ts'
import { FILTER_CHECKS } from './filter-checks.ts'
import { ROUTE_CHECKS } from './route-checks.ts'
import { STAT_CHECKS } from './stat-checks.ts'
import { type EnvoyView, viewOf } from './view.ts'

/** Everything that `hubward doctor` looks at. To add a check, add a row to one of these tables, and its test. */
export const CHECKS: readonly Check[] = [...FILTER_CHECKS, ...ROUTE_CHECKS, ...CLUSTER_CHECKS, ...STAT_CHECKS]

/** Reads a running Envoy's admin pages. Throws an Error that names the page where one can't be had or understood. */
export async function lookAt(admin: Address, sidecarCluster: string = SIDECAR_CLUSTER): Promise<EnvoyView> {
  const page = async (path: string): Promise<unknown> => {
    try {
      return JSON.parse(await adminPage(admin, path))
    } catch (error) {
      throw new Error(`Envoy's admin page ${path}: ${error instanceof Error ? error.message : error}`)
    }
  }
  const [configDump, stats, serverInfo, runtime] = await Promise.all([
    page('/config_dump'),
    page('/stats?format=json'),
    page('/server_info'),
    page('/runtime'),
  ])
  return viewOf({ configDump, stats, serverInfo, runtime }, sidecarCluster)
}

/** What is missing or wrong, errors first. Without documents only what needs none is looked at. */
export function diagnose(view: EnvoyView, set: DocumentSet | undefined): Problem[] {
  const found = CHECKS.flatMap((check) =>
    check.find(view, set).map((message) => ({
      code: check.code,
      severity: check.severity,
      message,
      remedy: check.remedy,
    })),
  )
  return [...found.filter((one) => one.severity === 'error'), ...found.filter((one) => one.severity === 'warning')]
}
