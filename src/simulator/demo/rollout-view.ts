import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BIG_MODEL } from './cast.ts'
import type { RolloutSeen, Turn } from './chapter.ts'

/** How hubward shows a rollout, as far as the demo reads it. */
interface RolloutAnswer {
  readonly state: {
    readonly status: string
    readonly says: string
    readonly totals: Readonly<
      Record<'control' | 'treatment', { readonly units: number; readonly bad: Readonly<Record<string, number>> }>
    >
    readonly criteria: RolloutSeen['criteria']
  }
  readonly stage: string
}

/** How a rollout stands, by hubward's admin port; undefined where it knows of none, or does not answer. */
export const rolloutSeen = async (url: string, name: string): Promise<RolloutSeen | undefined> => {
  const answer = await fetch(`${url}/v1/rollouts/${name}`, { signal: AbortSignal.timeout(5_000) }).catch(
    () => undefined,
  )
  if (answer?.status !== 200) return undefined
  const { state, stage } = (await answer.json()) as RolloutAnswer
  const { status, says, totals, criteria } = state
  const armOf = ({ units, bad }: RolloutAnswer['state']['totals']['control']) => ({
    units,
    errors: (bad.error ?? 0) + (bad.timeout ?? 0),
  })
  const arms = { control: armOf(totals.control), treatment: armOf(totals.treatment) }
  return { status, stage, says, arms, criteria }
}

/** The layers of a dry decision on a request of a class: the one that wins first, then those that it shadows. */
export const layersSeen = async (url: string, className: string): Promise<readonly string[]> => {
  const facts = { class: className, residency: ['EU'], region: 'EMEA', model: BIG_MODEL }
  const answer = await fetch(`${url}/v1/decide`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ facts, dryRun: true }),
    signal: AbortSignal.timeout(5_000),
  })
  const { layers = [] } = (await answer.json()) as { layers?: readonly LayerSeen[] }
  return layers.map(({ layer, shadowed, error }) => [layer, shadowed && 'shadowed', error].filter(Boolean).join(' '))
}

interface LayerSeen {
  readonly layer: string
  readonly shadowed?: true
  readonly error?: string
}

/** Gives a flag another default variant. The file is replaced in one step, as whoever reads it wants. */
export const switchFlag = async (folder: string, flag: string, variant: string): Promise<void> => {
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.json'))) {
    const file = join(folder, name)
    const definition = JSON.parse(await readFile(file, 'utf8')) as { flags: Record<string, { defaultVariant: string }> }
    const found = definition.flags[flag]
    if (found === undefined) continue
    found.defaultVariant = variant
    await writeFile(`${file}.next`, JSON.stringify(definition, null, 2))
    return rename(`${file}.next`, file)
  }
  throw new Error(`no file in ${folder} has the flag ${flag}`)
}

/** What a rollout did since then (epoch milliseconds), by the journal's lines of changes. */
export const turnsOf = async (journal: string, rollout: string, since: number): Promise<readonly Turn[]> => {
  const names = (await readdir(journal)).filter((name) => name.startsWith('changes-')).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(journal, name), 'utf8')))
  return texts
    .flatMap((text) => text.split('\n'))
    .flatMap((line): Turn[] => {
      // The last line may be under way still.
      if (!line.startsWith('{"kind":"rollout-changed"') || !line.endsWith('}')) return []
      const event = JSON.parse(line) as TurnLine
      if (event.rollout !== rollout || event.at < since) return []
      const { at, to, stage, cause, numbers } = event
      return [{ at, to, stage, cause, treatmentUnits: numbers['units treatment'] ?? 0 }]
    })
}

interface TurnLine {
  readonly at: number
  readonly rollout: string
  readonly to: string
  readonly stage: string
  readonly cause: string
  readonly numbers: Readonly<Record<string, number | null>>
}
