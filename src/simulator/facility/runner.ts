import type { Plant } from './plant.ts'

/** A scheduler in miniature: it does with the plant's jobs what hubward advises. */
export interface Runner {
  /** Epoch ms of the newest advice that was followed, by job. */
  readonly followed: ReadonlyMap<string, { readonly action: string; readonly at: number }>
  stop(): Promise<void>
}

/** Says of each job that it draws its power by now, and of each that is over that it has ended. */
const report = async (
  plant: Plant,
  adminUrl: string,
  jobs: readonly Advised[],
  said: Map<string, 'begun' | 'running'>,
  signal: AbortSignal,
): Promise<void> => {
  const tell = async (id: string, what: string, body: object): Promise<void> => {
    const url = `${adminUrl}/v1/jobs/${id}/${what}`
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal })
    await answer.body?.cancel()
    // What hubward does not know any more is over for it as well.
    if (!answer.ok && answer.status !== 404) throw new Error(`${url} answered ${answer.status}`)
  }
  for (const { id } of jobs) {
    const job = plant.jobs.get(id)
    const before = said.get(id)
    if (job === undefined && before !== undefined) {
      // Forgotten only once it is heard, or what it holds would be held for hours.
      await tell(id, 'ended', {})
      said.delete(id)
    }
    if (job === undefined) continue
    if (before === undefined) said.set(id, 'begun')
    if (before === 'running' || job.drawMw < job.mw * 0.99) continue
    await tell(id, 'running', { drawMw: job.mw })
    said.set(id, 'running')
  }
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
  const said = new Map<string, 'begun' | 'running'>()
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const answer = await fetch(`${adminUrl}/v1/jobs`, { signal: stopping.signal })
        const { jobs = [] } = (await answer.json()) as { jobs?: readonly Advised[] }
        await report(plant, adminUrl, jobs, said, stopping.signal)
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
  const loop = run()
  return {
    followed,
    stop: () => {
      stopping.abort()
      return loop
    },
  }
}
