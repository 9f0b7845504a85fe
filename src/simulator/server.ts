import { createServer } from 'node:http'
import { realClock, type SiteClock } from './clock.ts'
import { type Controls, controlServer, type SiteState } from './control.ts'
import { PLANT_DEFAULTS, type Plant } from './facility/plant.ts'
import { type Facility, startFacility } from './facility/server.ts'
import { Faults } from './faults.ts'
import { Ledger } from './ledger.ts'
import { listen, shut, urlOf } from './listening.ts'
import { lyingMetrics } from './lying.ts'
import { type BoundSet, Meter, SGLANG_BOUNDS, TRITON_BOUNDS, VLLM_BOUNDS } from './meter.ts'
import { type EngineName, SITE_DEFAULTS, type SiteOptions } from './options.ts'
import { Queue } from './queue.ts'
import type { Run } from './run.ts'
import { service } from './service.ts'
import { PrefixCache } from './tokens.ts'

/** A running simulated site. */
export interface Site {
  readonly name: string
  /** `http://host:port` that requests go to. */
  readonly url: string
  readonly controlUrl: string
  readonly control: Controls
  /** Its plant, where it has one. */
  readonly facility: Facility | undefined
  /** What /metrics shows, lies included. */
  metrics(): string
  /** Resolves once the state is as asked; looks at every change of queue, faults, arrivals and ends. */
  when(holds: (state: SiteState) => boolean): Promise<void>
  /** Stops accepting, gives answers under way so long to end, then cuts what is left. */
  close(graceMs?: number): Promise<void>
}

/** What a site may be handed besides its options. */
export interface SiteParts {
  readonly clock?: SiteClock
  /** What `die` with mode `exit` does; closes the site where not given. */
  readonly exit?: () => void
}

/** Cache blocks of 16 tokens for each slot: room for 4,096 tokens a running request. */
const BLOCKS_PER_SLOT = 256
/** Connections a site accepts at once; the next are dropped. */
const CONNECTIONS_MAX = 8_192

const BOUNDS: Readonly<Record<EngineName, BoundSet>> = {
  vllm: VLLM_BOUNDS,
  'vllm-old': VLLM_BOUNDS,
  trtllm: VLLM_BOUNDS,
  sglang: SGLANG_BOUNDS,
  triton: TRITON_BOUNDS,
}

/** Starts a site; it listens once the promise resolves. Rejects if a port can't be had. */
export const startSite = async (given: Partial<SiteOptions> = {}, parts: SiteParts = {}): Promise<Site> => {
  const options: SiteOptions = { ...SITE_DEFAULTS, ...given }
  const clock = parts.clock ?? realClock
  const models = options.models.map((model) => model.name)
  const engines = options.dataParallel
  const kvBlocks = options.slots * BLOCKS_PER_SLOT
  const runs = new Set<Run>()
  const waiters = new Set<() => void>()
  const changed = () => {
    for (const check of [...waiters]) check()
  }
  const ledger = new Ledger()
  const meter = new Meter(models, engines, BOUNDS[options.engine])
  const queue = new Queue({ slots: options.slots, engines, max: options.queueMax, changed })
  const view = () => ({ models, engines, queue, meter, kvBlocks, nowS: clock.now() / 1_000 })
  const metrics = lyingMetrics(options.engine, view)

  let url = ''
  // One after another: a socket still closing can't be opened.
  let doorQueue: Promise<void> = Promise.resolve()
  const door = (open: boolean): Promise<void> => {
    const job = doorQueue.then(() => (open ? listen(server, options.host, Number(new URL(url).port)) : shut(server)))
    doorQueue = job.catch(() => {})
    return job
  }
  const faults = new Faults(clock, {
    door,
    fill: (filling) => queue.fill(filling),
    freeze: metrics.freeze,
    repace: (ratio) => {
      for (const run of [...runs]) run.repace(ratio)
    },
    exit: parts.exit ?? (() => void site.close()),
  })
  const shop = { options, clock, queue, meter, faults, prefixes: new PrefixCache(), kvBlocks }
  const text = () => metrics.text(faults.state.lie)
  // The site listens before its plant does.
  let plant: Plant | undefined
  const server = createServer(service({ shop, ledger, runs, metrics: text, changed, plant: () => plant }))
  server.maxConnections = CONNECTIONS_MAX
  // Idle connections stay: a proxy that reuses one just as it is closed would see an error that no fault here ordered.
  server.keepAliveTimeout = 0

  const state = (): SiteState => ({
    name: options.name,
    region: options.region,
    url,
    engine: options.engine,
    models,
    running: queue.running(),
    waiting: queue.waiting(),
    held: faults.held(),
    faults: faults.state,
  })
  const control: Controls = {
    state,
    obey: (command) => faults.obey(command).finally(changed),
    requests: () => ledger.report(),
    forget: () => ledger.forget(),
  }
  const controls = controlServer(control)

  await listen(server, options.host, options.port)
  url = urlOf(server, options.host)
  await listen(controls, options.host, options.controlPort).catch(async (error: unknown) => {
    await shut(server)
    throw error
  })
  const facility =
    options.facilityMw === 0
      ? undefined
      : await startFacility(
          {
            site: options.name,
            budgetMw: options.facilityMw,
            loops: PLANT_DEFAULTS.loops.map((loop) => ({ ...loop, tauS: loop.tauS / options.facilitySpeed })),
          },
          { clock, running: () => queue.running(), host: options.host, port: options.facilityPort },
        ).catch(async (error: unknown) => {
          await Promise.all([shut(server), shut(controls)])
          throw error
        })
  if (facility !== undefined && options.hubwardAdmin !== '') facility.order({ do: 'follow', url: options.hubwardAdmin })
  plant = facility?.plant

  const when: Site['when'] = (holds) =>
    new Promise((resolve) => {
      const check = () => {
        if (!holds(state())) return
        waiters.delete(check)
        resolve()
      }
      waiters.add(check)
      check()
    })
  const close: Site['close'] = async (graceMs = 0) => {
    faults.close()
    await doorQueue
    const closed = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined
    if (graceMs > 0 && runs.size > 0) {
      const late = new Promise<void>((resolve) => void clock.after(graceMs, resolve))
      await Promise.race([late, when(() => runs.size === 0)])
    }
    server.closeAllConnections()
    await Promise.all([closed, shut(controls), facility?.close()])
  }
  const site: Site = {
    name: options.name,
    url,
    controlUrl: urlOf(controls, options.host),
    control,
    facility,
    metrics: text,
    when,
    close,
  }
  return site
}
