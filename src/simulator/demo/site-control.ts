import type { Command } from '../commands.ts'
import type { PlantSeen } from './chapter.ts'

/** Gives an order to a site over its control port. Rejects with what the site says against it. */
export const orderSite = async (controlUrl: string, command: Command): Promise<void> => {
  const answer = await fetch(`${controlUrl}/control`, { method: 'POST', body: JSON.stringify(command) })
  if (!answer.ok) throw new Error(`${controlUrl} refuses ${JSON.stringify(command)}: ${await answer.text()}`)
  await answer.body?.cancel()
}

/** Gives an order to a plant. Rejects with what it says against it. */
export const orderPlant = async (facilityUrl: string, order: object): Promise<void> => {
  const answer = await fetch(`${facilityUrl}/control`, { method: 'POST', body: JSON.stringify(order) })
  if (!answer.ok) throw new Error(`${facilityUrl} refuses ${JSON.stringify(order)}: ${await answer.text()}`)
  await answer.body?.cancel()
}

/** A plant as it really is. */
export const plantSeen = async (facilityUrl: string): Promise<PlantSeen> => {
  const { truth, jobs } = (await (await fetch(`${facilityUrl}/facility.json`)).json()) as {
    truth: Omit<PlantSeen, 'jobs'>
    jobs: PlantSeen['jobs']
  }
  return { ...truth, jobs }
}

/** The chat requests that a site has had, by residency class, by its control port; `''` is the sum. */
export const arrivalsOf = async (controlUrl: string): Promise<Record<string, number>> => {
  const answer = await fetch(`${controlUrl}/requests`)
  const { byResidency } = (await answer.json()) as { byResidency: Record<string, number> }
  return { ...byResidency, '': Object.values(byResidency).reduce((sum, count) => sum + count, 0) }
}

/**
 * The chat requests that came to a site since then (epoch milliseconds) and that it never answered to their end, once
 * none of them is under way any more; at the latest after two seconds, as it is then.
 */
export const unansweredOf = async (controlUrl: string, since: number): Promise<number> => {
  const end = performance.now() + 2_000
  for (;;) {
    const answer = await fetch(`${controlUrl}/requests`)
    const { last } = (await answer.json()) as { last: readonly { at: number; outcome: number | string }[] }
    const meant = last.filter(({ at }) => at >= since)
    if (meant.every(({ outcome }) => outcome !== 'pending') || performance.now() > end)
      return meant.filter(({ outcome }) => outcome === 'aborted').length
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
