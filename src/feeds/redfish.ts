import type { SiteName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import type { HttpAccess } from './credentials.ts'
import { FeedFailure, feedProblem } from './failure.ts'
import { fieldsOf, isOver, JsonReader, textOf } from './json-reader.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { Complaints, readingOf } from './redfish-readings.ts'
import { RedfishSession } from './redfish-session.ts'
import { type CoolingUnit, type Measured, membersOf, type ReadResource, readUnit } from './redfish-unit.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** A feed of Redfish, as it is configured. */
export interface RedfishConfig extends Omit<HttpAccess, 'auth'> {
  readonly kind: 'redfish'
  readonly name: string
  readonly owner?: string
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly backoffMsMax?: number
  readonly bodyBytesMax?: number
  readonly noise?: Readonly<Record<string, number>>
  readonly requestsMax?: number
  readonly url: string
  readonly site: SiteName
  readonly auth?:
    | { readonly bearerFile: string }
    | { readonly username: string; readonly passwordFile: string; readonly session?: boolean }
  readonly units?: readonly {
    readonly path: string
    readonly loop: string
    readonly connectors?: CoolingUnit['connectors']
  }[]
  readonly discover?: { readonly loop: string; readonly connectors?: CoolingUnit['connectors'] }
  readonly power?: readonly { readonly path: string }[]
  readonly critical?: 'maintenance' | 'warning'
}

/** The same with everything that has a default. */
export type RedfishOptions = RedfishConfig & Required<Pick<RedfishConfig, Defaulted>>
type Defaulted = 'intervalMs' | 'timeoutMs' | 'backoffMsMax' | 'bodyBytesMax' | 'requestsMax'

const UNIT_SIGNALS = [
  'cooling.supply_c',
  'cooling.return_c',
  'cooling.flow_lpm',
  'cooling.heat_kw',
  'cooling.capacity_kw',
  'leak.detected',
  'maintenance.active',
]
const ROOT = '/redfish/v1/ThermalEquipment'

/** What is wrong with the settings beyond their schema. */
export const redfishFaults = ({ units, discover, power }: RedfishConfig): (readonly [string, string])[] => {
  if (units === undefined && discover === undefined && power === undefined) {
    return [['nothing is named that could be read', 'list cooling units under units, or discover them, or name power']]
  }
  const loops = (units ?? []).map(({ loop }) => loop)
  const twice = loops.find((loop, at) => loops.indexOf(loop) !== at)
  return twice === undefined ? [] : [[`two units are loop ${twice}`, 'give each unit a loop of its own']]
}

/**
 * Cooling units, coolant connectors, leak detectors and power meters of a site over Redfish (DSP0266; CoolingUnit,
 * CoolantConnector, LeakDetection, EnvironmentMetrics). Many requests make one attempt, with one deadline. A unit that
 * can't be read is a warning while another can; a reading that can't be true is missing, with a warning that names it.
 */
export function redfishFeed(options: RedfishOptions, clock: FeedClock): Source {
  const { name, owner, site, url, auth, units, discover, power, timeoutMs, intervalMs, backoffMsMax } = options
  const { auth: _, ...place } = options
  const withSession = auth !== undefined && 'username' in auth && auth.session === true
  const plainAuth = auth === undefined || withSession ? {} : { auth }
  const budget = { bytesMax: options.bodyBytesMax, requestsMax: options.requestsMax }
  const reader = new JsonReader({ ...place, ...plainAuth, url }, clock, budget)
  const session = withSession ? new RedfishSession(auth) : undefined
  const skew = new SkewEstimate()

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const attempt = reader.attempt(signal, skew)
    const ask: ReadResource = async (reference) =>
      fieldsOf((await (session === undefined ? attempt.json(reference) : session.json(attempt, reference))).body)
    const complaints = new Complaints()
    const failures: Problem[] = []
    const samples: Sample[] = []
    const tried = async (path: string, run: () => Promise<Sample[]>): Promise<void> => {
      try {
        samples.push(...(await run()))
      } catch (error) {
        if (isOver(error, signal)) throw error
        failures.push(...(error as FeedFailure).problems.map((problem) => ({ path, ...problem })))
      }
    }
    const list = units === undefined ? [] : units.map((unit) => ({ connectors: 'secondary' as const, ...unit }))
    if (discover !== undefined) {
      await tried(ROOT, async () => {
        list.push(...(await discovered(ask, discover, complaints, signal)))
        return []
      })
    }
    for (const unit of list) {
      await tried(unit.path, async () => {
        const measured = await readUnit(unit, ask, complaints, signal, options.critical ?? 'maintenance')
        return measured.map((one) => ({ ...one, site, loop: unit.loop, at: attempt.sentAt, source: name }))
      })
    }
    if (power !== undefined) {
      await tried(power[0]!.path, async () => {
        const drawn = await readPower(power, ask, complaints)
        return drawn.map((one) => ({ ...one, site, at: attempt.sentAt, source: name }))
      })
    }
    if (samples.length === 0) throw new FeedFailure([...failures, ...complaints.all, ...nothing(failures, complaints)])
    return {
      version: attempt.version,
      samples,
      heartbeats: [],
      warnings: [...failures.map((one): Problem => ({ ...one, severity: 'warning' })), ...complaints.all],
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'redfish',
    ...(owner === undefined ? {} : { owner }),
    where: reader.where,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: [site],
    delivers: () => [
      ...(units === undefined && discover === undefined ? [] : UNIT_SIGNALS),
      ...(power === undefined ? [] : ['power.draw_mw']),
    ],
    read,
    close: async () => {
      const signal = AbortSignal.timeout(LOGOUT_MS)
      await session?.logout(reader.attempt(signal, skew))
      await reader.close()
    },
  }
}

/** What a device has to take its session back when hubward ends. */
const LOGOUT_MS = 1_000

const nothing = (failures: readonly Problem[], { all }: Complaints): Problem[] =>
  failures.length + all.length > 0 ? [] : [feedProblem('feed/bad-reading', 'there is nothing that it measures')]

/** Every cooling unit under /redfish/v1/ThermalEquipment. */
const discovered = async (
  ask: ReadResource,
  { loop, connectors = 'secondary' }: NonNullable<RedfishConfig['discover']>,
  complaints: Complaints,
  signal: AbortSignal,
): Promise<CoolingUnit[]> => {
  const collection = textOf(fieldsOf((await ask(ROOT)).CDUs)['@odata.id'])
  if (collection === undefined) {
    complaints.say(`${ROOT}#/CDUs`, 'no cooling units are listed', 'name them under units')
    return []
  }
  const members = await membersOf(collection, ask, signal, complaints)
  return members.map(({ path, resource }) => {
    const id = textOf(resource.Id) ?? path.split('/').at(-1)!
    return { path, loop: loop.replaceAll('{Id}', id.toLowerCase()), connectors }
  })
}

/** The meters' power together; nothing where one of them is silent, for a part of the draw would look like room. */
const readPower = async (
  power: readonly { readonly path: string }[],
  ask: ReadResource,
  complaints: Complaints,
): Promise<Measured[]> => {
  let watts = 0
  for (const { path } of power) {
    let place = path
    let resource = await ask(path)
    const metrics = fieldsOf(resource.EnvironmentMetrics ?? resource.Metrics)['@odata.id']
    if (resource.PowerWatts === undefined && typeof metrics === 'string') {
      place = metrics
      resource = await ask(metrics)
    }
    if (resource.PowerWatts === undefined) complaints.say(place, 'there is no PowerWatts', 'name the meter itself')
    const reading = readingOf(resource, 'PowerWatts', place, 'power', complaints)
    if (reading === undefined) return []
    watts += reading
  }
  return [{ signal: 'power.draw_mw', value: watts / 1_000_000 }]
}
