import { Document } from 'yaml'
import type { EnvoyObject } from './envoy-object.ts'

/** Generated objects as YAML documents in one text, under a heading that says where they come from. */
export function envoyText(objects: readonly EnvoyObject[], heading: readonly string[]): string {
  const comment = heading.map((line) => `# ${line}\n`).join('')
  const texts = objects.map((object) => {
    const document = new Document(object, { aliasDuplicateObjects: false })
    return document.toString({ lineWidth: 120, flowCollectionPadding: false })
  })
  return comment + texts.join('---\n')
}
