import type { Command } from 'commander'
import { ENGINE_VERSION } from '../../engine/version.ts'
import { say } from '../output.ts'
import { packageVersion } from '../version.ts'

/** `hubward version`: of the package, the engine, and the Node that runs it. */
export function versionCommand(program: Command): void {
  program
    .command('version')
    .summary('tell which version this is')
    .description('Tells the version of hubward, of the meaning of its decisions, and of Node.')
    .option('--json', 'write it as JSON')
    .action(({ json }: { json?: true }) => {
      const versions = { hubward: packageVersion(), engine: ENGINE_VERSION, node: process.versions.node }
      if (json) say(JSON.stringify(versions))
      else say(`hubward ${versions.hubward}, engine ${versions.engine}, Node ${versions.node}`)
    })
}
