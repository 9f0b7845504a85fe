import { Argument, type Command } from 'commander'
import { CONFIG_SCHEMA_WHOLE } from '../../config/schema.ts'
import { KINDS, SCHEMAS } from '../../documents/schema/kinds.ts'
import { say, table } from '../output.ts'

const OTHERS = {
  config: { says: 'the configuration of `hubward serve`', schema: () => CONFIG_SCHEMA_WHOLE },
} as const

/** `hubward schema [kind]`: the JSON Schema of a kind of document, or the list of kinds. */
export function schemaCommand(program: Command): void {
  const kinds = Object.keys(KINDS)
  program
    .command('schema')
    .summary('print a JSON Schema, or list what there is')
    .description('Prints the JSON Schema of a kind of document or of the configuration; without a name, lists them.')
    .addArgument(new Argument('[kind]', 'what to print').choices([...kinds, ...Object.keys(OTHERS)]))
    .action((kind: string | undefined) => {
      if (kind === undefined) {
        const rows = [
          ...kinds.map((name) => [
            name,
            String((SCHEMAS[name as keyof typeof SCHEMAS] as { description?: string }).description ?? ''),
          ]),
          ...Object.entries(OTHERS).map(([name, { says }]) => [name, says]),
        ]
        for (const line of table(rows)) say(line)
        return
      }
      const schema = Object.hasOwn(OTHERS, kind)
        ? OTHERS[kind as keyof typeof OTHERS].schema()
        : SCHEMAS[kind as keyof typeof SCHEMAS]
      say(JSON.stringify(schema, null, 2))
    })
}
