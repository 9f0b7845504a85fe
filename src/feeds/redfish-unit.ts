import type { Sample } from '../model/sample.ts'
import { fieldsOf, isOver, listOf, shown, textOf } from './json-reader.ts'
import { type Complaints, readingOf } from './redfish-readings.ts'

/** Reads one resource of Redfish by its reference; rejects with FeedFailure. */
export type ReadResource = (reference: string) => Promise<Readonly<Record<string, unknown>>>

/** A cooling unit and the coolant loop that it stands for. */
export interface CoolingUnit {
  readonly path: string
  readonly loop: string
  /** Whose connectors: the technology loop to the racks, or the facility's water. */
  readonly connectors: 'primary' | 'secondary'
}

/** One value of a unit, without its place and time. */
export type Measured = Pick<Sample, 'signal' | 'value'>

/** States in which a connector carries nothing, and its readings say nothing. */
const OUT = new Set(['Absent', 'Disabled', 'StandbyOffline', 'UnavailableOffline'])
/** States in which nobody should rely on a cooling unit. */
const AWAY = new Set(['Absent', 'Disabled', 'StandbyOffline', 'UnavailableOffline', 'InTest', 'Updating', 'Quiesced'])

/**
 * What a cooling unit says of its loop: supply and return of its hottest connector, flow and heat of all of them together,
 * its capacity, whether a detector is wet, and whether it is out of service. Flow and heat are missing where one
 * connector's is: a part of a sum would say that there is more room than there is. Where no heat is metered it is worked
 * out from flow, difference and the coolant's own numbers.
 */
export async function readUnit(
  unit: CoolingUnit,
  read: ReadResource,
  complaints: Complaints,
  signal: AbortSignal,
  criticalIs: 'maintenance' | 'warning',
): Promise<Measured[]> {
  const resource = await read(unit.path)
  const measured: Measured[] = []
  const put = (name: string, value: number | undefined) => {
    if (value !== undefined) measured.push({ signal: name, value })
  }
  const status = fieldsOf(resource.Status)
  const isCritical = status.Health === 'Critical'
  if (isCritical || status.HealthRollup === 'Critical') {
    complaints.say(`${unit.path}#/Status`, `${unit.loop} reports its health as critical`, 'see the log of the unit')
  }
  const isAway = typeof status.State === 'string' && AWAY.has(status.State)
  if (isAway) complaints.say(`${unit.path}#/Status/State`, `${unit.loop} is ${status.State}`)
  put('maintenance.active', isAway || (isCritical && criticalIs === 'maintenance') ? 1 : 0)
  const watts = readingOf(resource, 'CoolingCapacityWatts', unit.path, 'capacity', complaints)
  put('cooling.capacity_kw', watts === undefined ? undefined : watts / 1_000)
  const part = async (name: string, run: (reference: string) => Promise<void>): Promise<void> => {
    const reference = textOf(fieldsOf(resource[name])['@odata.id'])
    if (reference === undefined) return
    try {
      await run(reference)
    } catch (error) {
      if (isOver(error, signal)) throw error
      complaints.say(reference, `${name} of ${unit.loop} can't be read: ${(error as Error).message}`)
    }
  }
  const connectors = unit.connectors === 'primary' ? 'PrimaryCoolantConnectors' : 'SecondaryCoolantConnectors'
  if (textOf(fieldsOf(resource[connectors])['@odata.id']) === undefined) {
    complaints.say(`${unit.path}#/${connectors}`, `${unit.loop} has no ${connectors}`, 'choose the other connectors')
  }
  await part(connectors, async (reference) => {
    const members = await membersOf(reference, read, signal, complaints)
    const all = members.flatMap(({ path, resource: one }) => {
      const state = fieldsOf(one.Status).State
      return typeof state === 'string' && OUT.has(state)
        ? []
        : [connectorOf(one, path, resource, unit.path, complaints)]
    })
    put('cooling.supply_c', highest(all.map(({ supply }) => supply)))
    put('cooling.return_c', highest(all.map(({ back }) => back)))
    put('cooling.flow_lpm', sum(all.map(({ flow }) => flow)))
    const heat = sum(all.map((one) => one.heat))
    const capacityKw = watts === undefined ? Number.POSITIVE_INFINITY : watts / 1_000
    if (heat !== undefined && heat > capacityKw * ABSURD_TIMES) {
      complaints.say(
        reference,
        `HeatRemovedkW is ${heat}, more than ${ABSURD_TIMES} times the capacity of ${capacityKw} kW`,
      )
    } else put('cooling.heat_kw', heat)
  })
  await part('LeakDetection', async (reference) =>
    put('leak.detected', await leakOf(reference, read, signal, complaints)),
  )
  return measured
}

/** No unit takes away so many times what it is built for; who says so counts in watts. */
const ABSURD_TIMES = 10

interface Connector {
  readonly supply: number | undefined
  readonly back: number | undefined
  readonly flow: number | undefined
  readonly heat: number | undefined
}

const connectorOf = (
  one: Readonly<Record<string, unknown>>,
  path: string,
  unit: Readonly<Record<string, unknown>>,
  unitPath: string,
  complaints: Complaints,
): Connector => {
  const supply = readingOf(one, 'SupplyTemperatureCelsius', path, 'temperature', complaints)
  const back = readingOf(one, 'ReturnTemperatureCelsius', path, 'temperature', complaints)
  const flow = readingOf(one, 'FlowLitersPerMinute', path, 'flow', complaints)
  const told = readingOf(one, 'HeatRemovedkW', path, 'heat', complaints)
  if (told !== undefined || one.HeatRemovedkW !== undefined) return { supply, back, flow, heat: told }
  const coolant = fieldsOf(one.Coolant ?? unit.Coolant)
  const coolantPath = one.Coolant === undefined ? `${unitPath}#/Coolant` : `${path}#/Coolant`
  const specific = readingOf(coolant, 'SpecificHeatkJoulesPerKgK', coolantPath, 'specificHeat', complaints)
  const density = readingOf(coolant, 'DensityKgPerCubicMeter', coolantPath, 'density', complaints)
  const known = supply !== undefined && back !== undefined && flow !== undefined
  if (!known || specific === undefined || density === undefined) return { supply, back, flow, heat: undefined }
  // l/min to m3/s, times kg/m3, times kJ/kgK, times K: kW.
  const heat = (flow / 60_000) * density * specific * Math.max(0, back - supply)
  return { supply, back, flow, heat: Math.round(heat * 1_000) / 1_000 }
}

/** 1: a detector is wet, which a warning means too; undefined: no detector says anything. */
const leakOf = async (
  reference: string,
  read: ReadResource,
  signal: AbortSignal,
  complaints: Complaints,
): Promise<number | undefined> => {
  const detection = await read(reference)
  const grouped = listOf(detection.LeakDetectorGroups).flatMap((group, index) =>
    listOf(fieldsOf(group).Detectors).map((detector, at) => ({
      path: `${reference}#/LeakDetectorGroups/${index}/Detectors/${at}`,
      resource: fieldsOf(detector),
    })),
  )
  const collection = textOf(fieldsOf(detection.LeakDetectors)['@odata.id'])
  const detectors =
    grouped.length > 0 || collection === undefined ? grouped : await membersOf(collection, read, signal, complaints)
  let seen = false
  let isWet = false
  for (const { path, resource } of detectors) {
    const state = resource.DetectorState
    if (state === 'OK' || state === 'Warning' || state === 'Critical') {
      seen = true
      isWet ||= state !== 'OK'
    } else if (state !== 'Absent') complaints.say(path, `a leak detector says ${shown(state)}`, 'look at the detector')
  }
  return seen ? Number(isWet) : undefined
}

const MEMBERS_MAX = 64

/** The members of a collection, each read; those that can't be are complaints. */
export const membersOf = async (
  reference: string,
  read: ReadResource,
  signal: AbortSignal,
  complaints: Complaints,
): Promise<{ readonly path: string; readonly resource: Readonly<Record<string, unknown>> }[]> => {
  const members = listOf((await read(reference)).Members)
  if (members.length > MEMBERS_MAX)
    complaints.say(reference, `only the first ${MEMBERS_MAX} of ${members.length} are read`)
  const all: { path: string; resource: Readonly<Record<string, unknown>> }[] = []
  for (const [index, member] of members.slice(0, MEMBERS_MAX).entries()) {
    const path = textOf(fieldsOf(member)['@odata.id'])
    if (path === undefined) {
      complaints.say(`${reference}#/Members/${index}`, 'a member without @odata.id')
      continue
    }
    // One that is written out in the collection needs no request of its own.
    const isWhole = fieldsOf(member).Id !== undefined
    try {
      all.push({ path, resource: isWhole ? fieldsOf(member) : await read(path) })
    } catch (error) {
      if (isOver(error, signal)) throw error
      // What it would have said is unknown, and with it every sum that it is part of.
      complaints.say(path, (error as Error).message)
      all.push({ path, resource: {} })
    }
  }
  return all
}

const highest = (all: readonly (number | undefined)[]): number | undefined => {
  const known = all.flatMap((value) => value ?? [])
  return known.length === 0 ? undefined : Math.max(...known)
}

const sum = (all: readonly (number | undefined)[]): number | undefined =>
  all.length === 0 || all.includes(undefined) ? undefined : all.reduce<number>((total, value) => total + value!, 0)
