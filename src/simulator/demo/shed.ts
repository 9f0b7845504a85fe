import type { SiteClock } from '../clock.ts'
import type { PlantSeen, Step } from './chapter.ts'
import type { ChatSeen } from './client.ts'
import type { Story } from './story.ts'

/** How long a plant may take to come under a limit, or back. */
const SHED_MS_MAX = 15_000

/** What the grid's step is played with. */
interface ShedProps {
  readonly stage: {
    plant?(site: string, order: object): Promise<void>
    plantSeen?(site: string): Promise<PlantSeen>
  }
  readonly clock: SiteClock
  readonly story: Story
  /** A burst of chats, seen to its end. */
  readonly chats: () => Promise<readonly ChatSeen[]>
}

/** The grid asks for less, again and again: how long until the modelled site draws no more than that. */
export const shed = async (
  { site, ratio, times }: Extract<Step, { do: 'shed' }>,
  { stage, clock, story, chats }: ShedProps,
): Promise<void> => {
  const tookMs: number[] = []
  const before: number[] = []
  const during: number[] = []
  const chatInto = async (into: number[]): Promise<void> => {
    for (const { ttftMs } of await chats()) if (ttftMs !== null) into.push(ttftMs)
  }
  const wait = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve))
  let missed = 0
  for (let round = 0; round < times; round++) {
    await chatInto(before)
    const full = await stage.plantSeen?.(site)
    if (full === undefined) break
    const limitMw = Math.round(full.drawMw * (1 - ratio) * 100) / 100
    const from = clock.now()
    await stage.plant?.(site, { do: 'grid', limitMw, emergency: true })
    const asked = chatInto(during)
    let now = await stage.plantSeen?.(site)
    while (now !== undefined && now.drawMw > limitMw && clock.now() - from < SHED_MS_MAX) {
      await wait(20)
      now = await stage.plantSeen?.(site)
    }
    if ((now?.drawMw ?? Infinity) <= limitMw) tookMs.push(clock.now() - from)
    else missed += 1
    await asked
    await stage.plant?.(site, { do: 'grid' })
    if (round === times - 1) break
    const back = clock.now()
    while ((await stage.plantSeen?.(site))!.drawMw < full.drawMw * 0.99 && clock.now() - back < SHED_MS_MAX)
      await wait(50)
  }
  const worst = Math.max(0, ...tookMs)
  story.row({
    what: `${Math.round(ratio * 100)} % less is drawn each time`,
    expected: `${times} of ${times}`,
    seen: `${tookMs.length} of ${tookMs.length + missed}`,
    ok: tookMs.length === times,
  })
  story.row({
    what: 'from the signal until the site draws less',
    expected: 'the slowest under 5 s',
    seen: `${quantile(tookMs, 0.5)} ms in the middle, ${Math.round(worst)} ms at worst`,
    ok: worst < 5_000,
    shown: true,
  })
  const [p99, p99Before] = [quantile(during, 0.99), quantile(before, 0.99)]
  story.row({
    what: 'first tokens of chats meanwhile, p99',
    expected: 'at most 5 % later than before',
    seen: `${p99} ms against ${p99Before} ms (p50 ${quantile(during, 0.5)} against ${quantile(before, 0.5)})`,
    ok: p99 <= p99Before * 1.05,
    shown: true,
  })
}

const quantile = (values: readonly number[], share: number): number =>
  Math.round(values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0)
