/** The rate ratios that are mixed over. Close ones find small harm after long, far ones great harm after a few events. */
export const RATIOS: readonly number[] = [1.25, 1.5, 2, 3, 5, 10, 30, 100]

/** The state of a test that has seen nothing: the logarithm of a likelihood ratio for each alternative. */
export const noEvidence = (alternatives = RATIOS.length): readonly number[] => new Array<number>(alternatives).fill(0)

/** What a test starts with; the rest of 1 is kept for beginning again. */
const AT_START = 0.75

/** The state of a test that begins, and will begin again as time goes by. */
export const opened = (alternatives = RATIOS.length): readonly number[] =>
  new Array<number>(alternatives).fill(Math.log(AT_START))

/**
 * The test with a part of it begun again at every one of the times after `from` and up to `to`, counted from 0. A long
 * good past drags a likelihood ratio down for ever, and harm that begins after it would have to outweigh all of it. So
 * the evidence is a mixture over when the harm began: the k-th time gets the weight 1/4 of 1/(k (k + 1)), which all
 * together with the start add up to 1, so that the bound holds as it does for one. Harm after k times has to show
 * ln(4 k (k + 1)) more: 4 at the third time, 15 at the thousandth, whatever was before.
 */
export function reopened(logs: readonly number[], from: number, to: number): number[] {
  const weight = (1 - AT_START) * (1 / (from + 1) - 1 / (to + 1))
  if (!(weight > 0)) return [...logs]
  const start = Math.log(weight)
  return logs.map((log) =>
    log > start ? log + Math.log1p(Math.exp(start - log)) : start + Math.log1p(Math.exp(log - start)),
  )
}

/** The probability that an event falls into the part of this share, if its rate is so many times that of the rest. */
export const fallsWithin = (share: number, ratio: number): number => (share * ratio) / (1 - share + share * ratio)

/*
 * A grid-mixture conditional e-process. Given that a bad event happened, it fell into the treatment with probability
 * theta(r) = share r / (1 - share + share r) if the treatment's rate is r times the control's. For each alternative r_j
 * the likelihood ratio against r_0 is multiplied up event by event; their mean E starts at 1 and, if the true ratio is
 * r_0 or lies on its other side, passes 1/alpha with a chance of alpha at most, however often one looks (Ville 1939;
 * for counts: Lindon and Malek 2022). Worked example, share 0.1, r_0 = 1: one event in the treatment multiplies the
 * ratio for r = 10 by theta(10)/theta(1) = 0.526/0.1 = 5.3, one in the control by 0.474/0.9 = 0.53.
 *
 * The share is that of the units counted in the same block, whatever was planned. Among so many units of either arm the
 * treatment's part of the events is then hypergeometric, which is less spread than the binomial that is used; for a
 * convex function such as a likelihood ratio the mean can only be smaller (Hoeffding 1963), so the bound holds.
 */

/** The units and events of one block, by arm. */
export interface Block {
  readonly units: { readonly control: number; readonly treatment: number }
  readonly events: { readonly control: number; readonly treatment: number }
}

/**
 * The test after one block: of `ratio` against rates above it (side 1), or against rates below it (side -1). A block
 * without units of both arms compares nothing and leaves it as it is.
 */
export function weighed(logs: readonly number[], { units, events }: Block, ratio: number, side: 1 | -1): number[] {
  const all = units.control + units.treatment
  if (units.control === 0 || units.treatment === 0 || events.control + events.treatment === 0) return [...logs]
  const share = units.treatment / all
  const base = fallsWithin(share, ratio)
  return logs.map((log, at) => {
    const theta = fallsWithin(share, side === 1 ? ratio * RATIOS[at]! : ratio / RATIOS[at]!)
    return log + events.treatment * Math.log(theta / base) + events.control * Math.log((1 - theta) / (1 - base))
  })
}

/**
 * The two-sided test that units fall into the treatment with the probability that was meant: evidence of a skewed split.
 * Its state has twice as many numbers. Shares of 0 and 1 have no split.
 */
export function weighedSplit(
  logs: readonly number[],
  units: { readonly control: number; readonly treatment: number },
  share: number,
): number[] {
  if (share <= 0 || share >= 1) return [...logs]
  return logs.map((log, at) => {
    const ratio = RATIOS[at % RATIOS.length]!
    const theta = fallsWithin(share, at < RATIOS.length ? ratio : 1 / ratio)
    return log + units.treatment * Math.log(theta / share) + units.control * Math.log((1 - theta) / (1 - share))
  })
}

/** The logarithm of a test's evidence, ln E: evidence of alpha is there at -ln(alpha). */
export function logEvidence(logs: readonly number[]): number {
  let most = Number.NEGATIVE_INFINITY
  for (const log of logs) if (log > most) most = log
  if (most === Number.NEGATIVE_INFINITY) return most
  let sum = 0
  for (const log of logs) sum += Math.exp(log - most)
  return most + Math.log(sum / logs.length)
}
