/** Milliseconds of each unit of `grpc-timeout`. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000001 }

/** `grpc-timeout` in ms: up to eight digits and a unit. Infinite where it is none, as if nothing had been said. */
export const parseTimeout = (text: string): number => {
  const found = /^([0-9]{1,8})([HMSmun])$/.exec(text)
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1]) * UNITS[found[2]!]!
}
