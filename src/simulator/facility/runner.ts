import type { Plant } from './plant.ts'

/** A scheduler in miniature: it does with the plant's jobs what hubward advises. */
export interface Runner {
  /** Epoch ms of the newest advice that was followed, by job. */
  readonly followed: ReadonlyMap<string, { readonly action: string; readonly at: number }>
  stop(): Promise<void>
}

interface Advised {
  readonly id: string
  readonly advice: { readonly action: string }
}

/** How often hubward is asked. */
const ASK_MS = 200

/**
 * Follows hubward's advice to the jobs that run in a plant, asking its admin address again and again: pause and move stop
 * a job here, run and resume let it go on. Hubward executes nothing itself; this is the side that does.
 */
export const followAdvice = (plant: Plant, adminUrl: string, now: () => number): Runner => {
  const followed = new Map<string, { action: string; at: number }>()
  const stopping = new AbortController()
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const answer = await fetch(`${adminUrl}/v1/jobs`, { signal: stopping.signal })
        const { jobs = [] } = (await answer.json()) as { jobs?: readonly Advised[] }
        for (const { id, advice } of jobs) {
          if (!plant.jobs.has(id) || followed.get(id)?.action === advice.action) continue
          plant.pause(id, advice.action === 'pause' || advice.action === 'move')
          followed.set(id, { action: advice.action, at: now() })
        }
      } catch {
        // A hubward that is away advises nothing: what runs goes on.
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ASK_MS)
        stopping.signal.addEventListener('abort', () => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }
  const running = run()
  return {
    followed,
    stop: () => {
      stopping.abort()
      return running
    },
  }
}
