import type { SnapshotData } from '../model/snapshot.ts'

/**
 * How far a sample of each signal lies from the one before, in its unit: the median over the targets that measure it.
 * Real changes are in it too, but of plant and queues they are small from one sample to the next.
 */
export const noiseOf = ({ columns }: SnapshotData): Readonly<Record<string, number>> => {
  const noise: Record<string, number> = {}
  for (const [key, column] of Object.entries(columns)) {
    const seen = column.noise.filter((value, index) => value > 0 && column.at[index]! > 0).toSorted((a, b) => a - b)
    const middle = seen[Math.floor(seen.length / 2)]
    if (middle !== undefined) noise[key] = middle
  }
  return noise
}
