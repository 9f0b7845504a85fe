import type { PageParts } from './pages.ts'

const sensor = (reading: number | null | undefined, uri: string) =>
  reading === undefined
    ? undefined
    : // Devices in the field say so in a string.
      { Reading: reading === null ? 'Null' : Math.round(reading * 1_000) / 1_000, DataSourceUri: `${uri}/Sensors` }

/**
 * The Redfish service of a plant: one CDU for each loop with its secondary connector and leak detection, and a chassis
 * for the site's power. Undefined: there is nothing at this path.
 */
export const redfishPage = (parts: PageParts, path: string): unknown => {
  const { plant, meters } = parts
  const at = path.replace(/\/+$/, '')
  const root = '/redfish/v1'
  const cdus = `${root}/ThermalEquipment/CDUs`
  const link = (uri: string) => ({ '@odata.id': uri })
  if (at === root) {
    return {
      '@odata.id': root,
      '@odata.type': '#ServiceRoot.v1_17_0.ServiceRoot',
      Id: 'RootService',
      RedfishVersion: '1.20.0',
      ThermalEquipment: link(`${root}/ThermalEquipment`),
      Chassis: link(`${root}/Chassis`),
    }
  }
  if (at === `${root}/ThermalEquipment`) return { '@odata.id': at, Id: 'ThermalEquipment', CDUs: link(cdus) }
  if (at === cdus) {
    const Members = plant.loops.map(({ options: { name } }) => link(`${cdus}/${name}`))
    return { '@odata.id': at, Name: 'CDUs', Members, 'Members@odata.count': Members.length }
  }
  if (at === `${root}/Chassis`) {
    return { '@odata.id': at, Name: 'Chassis', Members: [link(`${at}/site`)], 'Members@odata.count': 1 }
  }
  if (at === `${root}/Chassis/site`)
    return { '@odata.id': at, Id: 'site', EnvironmentMetrics: link(`${at}/EnvironmentMetrics`) }
  if (at === `${root}/Chassis/site/EnvironmentMetrics`) {
    const draw = meters.read('power.draw_mw')
    return {
      '@odata.id': at,
      '@odata.type': '#EnvironmentMetrics.v1_3_2.EnvironmentMetrics',
      Id: 'EnvironmentMetrics',
      PowerWatts: sensor(draw?.value === null ? null : draw === undefined ? undefined : draw.value! * 1e6, at),
      TemperatureCelsius: sensor(meters.read('ambient.temperature_c')?.value, at),
    }
  }
  const found = new RegExp(`^${cdus}/([^/]+)(/.*)?$`).exec(at)
  const loop = plant.loops.find(({ options }) => options.name === found?.[1])
  return found === null || loop === undefined
    ? undefined
    : cduPage(parts, loop.options.name, `${cdus}/${found[1]}`, found[2] ?? '')
}

const cduPage = ({ plant, meters }: PageParts, name: string, base: string, rest: string): unknown => {
  const link = (uri: string) => ({ '@odata.id': `${base}${uri}` })
  const read = (meter: string) => sensor(meters.read(`${name}/${meter}`)?.value, `${base}${rest}`)
  const loop = plant.loops.find(({ options }) => options.name === name)!
  const health = plant.now.leak || loop.pump === 0 ? 'Critical' : loop.fouling > 0.3 ? 'Warning' : 'OK'
  switch (rest) {
    case '':
      return {
        '@odata.id': base,
        '@odata.type': '#CoolingUnit.v1_3_0.CoolingUnit',
        Id: name,
        Name: `Cooling distribution unit ${name}`,
        EquipmentType: 'CDU',
        CoolingCapacityWatts: loop.options.capacityKw * 1_000,
        Status: { State: 'Enabled', Health: health },
        PrimaryCoolantConnectors: link('/PrimaryCoolantConnectors'),
        SecondaryCoolantConnectors: link('/SecondaryCoolantConnectors'),
        LeakDetection: link('/LeakDetection'),
      }
    case '/PrimaryCoolantConnectors':
    case '/SecondaryCoolantConnectors':
      return { ...link(rest), Members: [link(`${rest}/1`)], 'Members@odata.count': 1 }
    case '/PrimaryCoolantConnectors/1':
    case '/SecondaryCoolantConnectors/1':
      return {
        ...link(rest),
        '@odata.type': '#CoolantConnector.v1_1_0.CoolantConnector',
        Id: '1',
        RatedFlowLitersPerMinute: loop.options.ratedFlowLpm,
        FlowLitersPerMinute: read('flow_lpm'),
        SupplyTemperatureCelsius: read('supply_c'),
        ReturnTemperatureCelsius: read('return_c'),
        HeatRemovedkW: read('heat_kw'),
        Status: { State: 'Enabled', Health: health },
      }
    case '/LeakDetection':
      return {
        ...link(rest),
        Id: 'LeakDetection',
        LeakDetectors: link('/LeakDetection/LeakDetectors'),
        Status: { Health: health },
      }
    case '/LeakDetection/LeakDetectors':
      return { ...link(rest), Members: [link(`${rest}/1`)], 'Members@odata.count': 1 }
    case '/LeakDetection/LeakDetectors/1':
      return {
        ...link(rest),
        Id: '1',
        DetectorState: plant.now.leak ? 'Critical' : 'OK',
        Status: { State: 'Enabled', Health: plant.now.leak ? 'Critical' : 'OK' },
      }
    default:
      return undefined
  }
}
