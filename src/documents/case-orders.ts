import type { EpochMs } from '../model/names.ts'
import { OVERRIDE_LIFE_MAX_MS, type OverrideSet } from '../model/override.ts'
import { RESERVATION_LIFE_MS, type Reservation } from '../model/reservation.ts'
import type { Given, GivenReservation } from './case-given.ts'
import { parseDuration } from './duration.ts'

/**
 * The orders of a case: those that it lists, given at `orderedAt`, and those for sites that it calls drained or in
 * maintenance, which hold as long as it says so.
 */
export function caseOverrides(given: Given, at: EpochMs, orderedAt: EpochMs): OverrideSet {
  const author = 'case@example.com'
  const order = { author, created: at - 1, expires: at + OVERRIDE_LIFE_MAX_MS }
  const scopeOf = (name: string) => {
    const [site, pool] = name.split('/')
    return { site: site!, ...(pool === undefined ? {} : { pool }) }
  }
  const drained = Object.entries(given.places).filter(([, place]) => place.drained)
  const maintained = Object.entries(given.places).filter(([, place]) => place.maintenance)
  return {
    ...(given.routing ? {} : { routing: { enabled: false, reason: 'the case says so', author, at } }),
    overrides: [
      ...given.overrides.map(({ kind, scope, constraint, reason, for: life }, index) => ({
        author,
        created: orderedAt - 1,
        id: `given-${index}`,
        kind,
        scope: scope ?? {},
        ...(constraint === undefined ? {} : { constraint }),
        reason: reason ?? 'the case says so',
        expires: orderedAt + ((life === undefined ? undefined : parseDuration(life)) ?? OVERRIDE_LIFE_MAX_MS),
      })),
      ...drained.map(([name]) => ({
        ...order,
        id: `drain-${name}`,
        kind: 'drain' as const,
        scope: scopeOf(name),
        reason: 'the case says so',
      })),
    ],
    maintenance: maintained.map(([name]) => ({
      id: `maintenance-${name}`,
      ...scopeOf(name),
      from: at - 1,
      to: at + OVERRIDE_LIFE_MAX_MS,
      reason: 'the case says so',
      author,
    })),
  }
}

/** What an admitted job of a case holds. It makes as much heat as it draws, where nothing else is said. */
export const caseReservation = (one: GivenReservation, index: number, at: EpochMs): Reservation => ({
  id: `given-${index}`,
  class: one.class ?? 'training',
  target: one.target,
  mw: one.mw,
  coolingKw: one.coolingKw ?? one.mw * 1_000,
  gpus: one.gpus ?? 0,
  drawMw: one.drawMw ?? 0,
  madeAt: at,
  expiresAt: at + RESERVATION_LIFE_MS,
})
