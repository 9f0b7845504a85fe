/** A lower and an upper bound. */
export type Bounds = readonly [low: number, high: number]

/* Coefficients of Lanczos' approximation (g = 7, n = 9), good to 15 digits. */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** ln Gamma(x) for x > 0. */
export function lnGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - lnGamma(1 - x)
  const z = x - 1
  let sum = LANCZOS[0]!
  for (let at = 1; at < LANCZOS.length; at++) sum += LANCZOS[at]! / (z + at)
  const t = z + 7.5
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(sum)
}

/** ln Beta(a, b). */
export const lnBeta = (a: number, b: number): number => lnGamma(a) + lnGamma(b) - lnGamma(a + b)

/**
 * ln of the mixture martingale of n yes-or-no trials with s times yes, if yes has the chance p: the likelihood of what
 * was seen under chances drawn from Beta(a, b), over that under p. It starts at 1 and passes 1/alpha with a chance of
 * alpha at most, however often one looks (Robbins 1970).
 */
export const lnMixture = (n: number, s: number, p: number, a: number, b: number): number =>
  lnBeta(a + s, b + n - s) - lnBeta(a, b) - (s === 0 ? 0 : s * Math.log(p)) - (s === n ? 0 : (n - s) * Math.log(1 - p))

/** Jeffreys' prior: as good at rare events as at frequent ones. */
const PRIOR = 0.5
/** Halvings of an interval of at most 1; what is left is far below one request in a billion. */
const HALVINGS = 40

/**
 * Bounds of a share of which s in n were seen, that hold at every look at once with confidence 1 - alpha: every p at
 * which the mixture has stayed below 1/alpha. 0 of 1,000 at alpha 0.05 gives [0, 0.0070]; without trials [0, 1].
 */
export function shareBounds(s: number, n: number, alpha: number): Bounds {
  if (n <= 0) return [0, 1]
  const limit = -Math.log(alpha)
  const isOut = (p: number): boolean => lnMixture(n, s, p, PRIOR, PRIOR) >= limit
  // The mixture is convex in ln p and least at s/n: each bound is where it passes the limit on its side.
  const edge = (inside: number, outside: number): number => {
    let [near, far] = [inside, outside]
    for (let step = 0; step < HALVINGS; step++) {
      const middle = (near + far) / 2
      if (isOut(middle)) far = middle
      else near = middle
    }
    return far
  }
  const seen = s / n
  return [s <= 0 ? 0 : edge(seen, 0), s >= n ? 1 : edge(seen, 1)]
}
