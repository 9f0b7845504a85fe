import type { Facts } from '../model/facts.ts'
import type { ClassProgram, PolicyProgram } from './programs.ts'

/**
 * Step 2: the policy in force for a request. Among the newest versions of the class's policies the first one in order
 * of priority whose condition holds; undefined where none covers it.
 */
export const policyFor = (facts: Facts, workload: ClassProgram | undefined): PolicyProgram | undefined => {
  if (workload === undefined) return undefined
  for (const policy of workload.policies) if (policy.when === undefined || policy.when(facts)) return policy
  return undefined
}
