import type { SiteClock } from '../clock.ts'
import type { RolloutSeen, Step } from './chapter.ts'
import type { Story } from './story.ts'

/** What the steps about flags and rollouts are played with. */
interface Props {
  readonly stage: {
    rollout?(name: string): Promise<RolloutSeen | undefined>
    layers?(className: string): Promise<readonly string[]>
  }
  readonly clock: SiteClock
  readonly story: Story
}

/** How often hubward is asked while something is waited for. */
const LOOK_EVERY_MS = 100

/** Looks until it holds or the time is over; what was seen last, and how long it took. */
const lookUntil = async <T>(
  clock: SiteClock,
  withinMs: number,
  look: () => Promise<T>,
  holds: (seen: T) => boolean,
): Promise<{ readonly seen: T; readonly seconds: string }> => {
  const from = clock.now()
  let seen = await look()
  while (!holds(seen) && clock.now() - from < withinMs) {
    await new Promise<void>((resolve) => void clock.after(LOOK_EVERY_MS, resolve))
    seen = await look()
  }
  return { seen, seconds: ((clock.now() - from) / 1_000).toFixed(1) }
}

/** Waits for a rollout; the moment at which hubward said that it stands as asked, or at which the time was over. */
export const awaitRollout = async (
  { rollout, what, status, stage, withinMs }: Extract<Step, { do: 'rollout' }>,
  { stage: on, clock, story }: Props,
): Promise<number> => {
  const holds = (seen: RolloutSeen | undefined): boolean =>
    seen !== undefined &&
    (status === undefined || seen.status === status) &&
    (stage === undefined || seen.stage === stage)
  const { seen, seconds } = await lookUntil(clock, withinMs, async () => on.rollout?.(rollout), holds)
  const at = performance.timeOrigin + performance.now()
  const stands =
    seen === undefined ? 'hubward knows of no such rollout' : `${seen.status} at ${seen.stage}: ${seen.says}`
  const ok = holds(seen)
  story.row({
    what,
    expected: `${[status, stage].filter(Boolean).join(' at ')} within ${withinMs / 1_000} s`,
    seen: ok ? `after ${seconds} s` : `not in ${seconds} s, ${stands}`,
    ok,
  })
  return at
}

/** Waits until the layers that would have a say are these. */
export const awaitLayers = async (
  { class: className, what, layers, withinMs }: Extract<Step, { do: 'layers' }>,
  { stage, clock, story }: Props,
): Promise<void> => {
  const holds = (seen: readonly string[] | undefined): boolean => seen?.join() === layers.join()
  const { seen, seconds } = await lookUntil(clock, withinMs, async () => stage.layers?.(className), holds)
  story.row({
    what,
    expected: layers.join(', ') || 'no flag has a say',
    seen: `${seen?.join(', ') || 'no flag has a say'}, after ${seconds} s`,
    ok: holds(seen),
  })
}

/** Tells both arms side by side, and what the judge made of them. */
export const tellArms = async (rollout: string, { stage, story }: Props): Promise<void> => {
  const seen = await stage.rollout?.(rollout)
  if (seen === undefined) return story.say(`hubward knows of no rollout ${rollout}`)
  for (const line of armsTable(seen)) story.say(line)
  story.say(seen.says)
}

/** Both arms of a rollout: how many, how many errors, and each metric with the difference and its bounds. */
export const armsTable = ({ arms, criteria }: RolloutSeen): string[] => {
  const { control, treatment } = arms
  const rows = [
    ['', 'control', 'treatment', 'difference', 'bounds'],
    ['requests', String(control.units), String(treatment.units), '', ''],
    ['errors', String(control.errors), String(treatment.errors), '', ''],
    ...criteria.map(({ metric, control: a, treatment: b, difference, low, high }) => [
      metric,
      ...[a, b, difference].map((value) => amount(metric, value)),
      `[${bound(metric, low)}, ${bound(metric, high)}]`,
    ]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const padded = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
  return rows.map((row) => row.map(padded).join('  ').trimEnd())
}

const amount = (metric: string, value: number | null): string => {
  if (value === null) return 'nothing'
  return metric.endsWith('_ms')
    ? `${value.toFixed(0)} ms`
    : metric.endsWith('.ratio')
      ? `${(value * 100).toFixed(1)} %`
      : String(value)
}

const bound = (metric: string, value: number | null): string => (value === null ? 'open' : amount(metric, value))
