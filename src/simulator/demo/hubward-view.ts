/** The number of a metric summed over the series whose labels are as asked; 0 where there are none. */
export type Numbers = (name: string, labels?: Readonly<Record<string, string>>) => number

/** What hubward says of one target. */
export interface TargetSeen {
  readonly target: string
  readonly state: string
  readonly cause: string
  readonly failing: readonly { readonly signal: string }[]
}

/** Numbers of a page in Prometheus' text format. Lines that are none are left out. */
export const numbersOf = (text: string): Numbers => {
  const series = text.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line)
    if (match === null) return []
    const labels = Object.fromEntries(
      [...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name!, value!]),
    )
    return [{ name: match[1]!, labels, value: Number(match[3]) }]
  })
  return (name, labels = {}) =>
    series
      .filter((one) => one.name === name)
      .filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value))
      .reduce((sum, one) => sum + one.value, 0)
}

/** hubward's numbers now. Rejects where it does not answer. */
export const readNumbers = async (url: string): Promise<Numbers> => {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })
  return numbersOf(await answer.text())
}

/**
 * Waits until hubward says of a target what is asked for, by its long poll; gives what it said last, or undefined if it
 * never answered in that time.
 */
export const awaitTarget = async (
  url: string,
  target: string,
  holds: (seen: TargetSeen) => boolean,
  withinMs: number,
): Promise<TargetSeen | undefined> => {
  const end = performance.now() + withinMs
  let after = 0
  let last: TargetSeen | undefined
  for (;;) {
    const left = Math.floor(end - performance.now())
    if (left <= 0) return last
    const answer = await fetch(`${url}/snapshot?after=${after}&timeoutMs=${left}`, {
      signal: AbortSignal.timeout(left + 1_000),
    }).catch(() => undefined)
    if (answer?.status !== 200) return last
    const { revision, targets } = (await answer.json()) as { revision: number; targets: TargetSeen[] }
    last = targets.find((one) => one.target === target) ?? last
    if (last !== undefined && holds(last)) return last
    after = revision
  }
}
