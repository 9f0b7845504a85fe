import type { ClassName, EpochMs, PoolName, SiteName } from './names.ts'

/** What an emergency order covers. Every part given must fit; a part not given fits all. */
export interface OverrideScope {
  readonly site?: SiteName
  readonly pool?: PoolName
  readonly class?: ClassName
  readonly tenant?: string
  readonly region?: string
}

/** An emergency order: quick, bounded, attributable; never mixed with policy changes. */
export interface Override {
  readonly id: string
  /** drain: no new work; pin: only here; freeze: rollouts stand still; admit: one named threshold is waived. */
  readonly kind: 'drain' | 'pin' | 'freeze' | 'admit'
  readonly scope: OverrideScope
  /** For `admit`: the signal whose threshold is waived. */
  readonly constraint?: string
  readonly reason: string
  readonly author: string
  readonly created: EpochMs
  /** When it ends by itself; enforced when a decision is made. */
  readonly expires: EpochMs
}

/** A maintenance window that an operator sets beside the site's own document. */
export interface MaintenanceOrder {
  readonly id: string
  readonly site: SiteName
  readonly pool?: PoolName
  readonly from: EpochMs
  readonly to: EpochMs
  readonly reason: string
  readonly author: string
}

/** The switch for locality, ranking and experiments as a whole. */
export interface RoutingSwitch {
  readonly enabled: boolean
  readonly reason: string
  readonly author: string
  readonly at: EpochMs
}

/** All that one overrides source says. */
export interface OverrideSet {
  readonly routing?: RoutingSwitch
  readonly overrides: readonly Override[]
  readonly maintenance: readonly MaintenanceOrder[]
}

/** The longest an override may last from its creation: a day. */
export const OVERRIDE_LIFE_MAX_MS = 24 * 3_600_000
