#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { controlHelp } from './control.ts'
import { ENGINES, type EngineName, SITE_DEFAULTS, type SiteOptions, servedModels } from './options.ts'
import { startSite } from './server.ts'

const D = SITE_DEFAULTS

const FLAGS = {
  name: { type: 'string' },
  region: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'control-port': { type: 'string' },
  models: { type: 'string', multiple: true },
  alias: { type: 'string', multiple: true },
  slots: { type: 'string' },
  'data-parallel': { type: 'string' },
  'prefill-tokens-per-s': { type: 'string' },
  'decode-tokens-per-s': { type: 'string' },
  'ttft-floor-ms': { type: 'string' },
  'answer-tokens': { type: 'string' },
  'queue-max': { type: 'string' },
  'queue-full-status': { type: 'string' },
  engine: { type: 'string' },
  'body-bytes-max': { type: 'string' },
  'residency-header': { type: 'string' },
  'grace-ms': { type: 'string' },
  'facility-mw': { type: 'string' },
  'facility-port': { type: 'string' },
  'facility-speed': { type: 'string' },
  'hubward-admin': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

const HELP = `hubward-site: a simulated site, an OpenAI-style server with a real queue, slots and token rates

Usage: hubward-site --name ams [--models llama-3.1-70b:131072] [options]

  --name NAME                  how answers and the x-site header call it (${D.name})
  --region TEXT                shown in the control state
  --host HOST                  address of both ports (${D.host})
  --port N                     for requests; 0: any free one (${D.port})
  --control-port N             for orders; 0: any free one (${D.controlPort})
  --models NAME[:CONTEXT]      a model and its context in tokens; repeat for more (${D.models[0]!.name}:${D.models[0]!.contextTokens})
  --alias ALIAS=NAME           a further name for a model; repeat for more
  --slots N                    requests that run at once, for each engine (${D.slots})
  --data-parallel N            engines behind the one address (${D.dataParallel})
  --prefill-tokens-per-s N     or Infinity (${D.prefillTokensPerS})
  --decode-tokens-per-s N      for each request, or Infinity (${D.decodeTokensPerS})
  --ttft-floor-ms N            a prefill never takes less (${D.ttftFloorMs})
  --answer-tokens N            length of an answer; max_tokens, min_tokens and ignore_eos change it (${D.answerTokens})
  --queue-max N                requests that may wait (${D.queueMax})
  --queue-full-status N        503 or 429 (${D.queueFullStatus})
  --engine NAME                whose metric names: ${ENGINES.join(', ')} (${D.engine})
  --body-bytes-max N           larger bodies get 413 (${D.bodyBytesMax})
  --residency-header NAME      request header counted by GET /requests (${D.residencyHeader})
  --facility-mw N              has a plant with so many MW: power, coolant loops, prices, grid (none)
  --facility-port N            where its devices answer; 0: any free one (0)
  --facility-speed N           its coolant loops follow so many times faster (1)
  --hubward-admin URL          whose advice the plant's jobs follow
  --grace-ms N                 how long answers may go on after SIGTERM or SIGINT (${D.graceMs})

Prints one line of JSON with url, control and facility once it listens. Exit codes: 0 stopped, 1 told to die or no port, 2 usage.

The control port is a second one, so that it answers while the first is dead:
${controlHelp()}`

/** A number of a flag, or the default where it is absent. Throws an Error that says what the flag takes. */
const numberOf = (value: string | undefined, flag: string, absent: number, min: number, max: number): number => {
  if (value === undefined) return absent
  const number = Number(value)
  const fits = value.trim() !== '' && number >= min && number <= max && (max === Infinity || Number.isInteger(number))
  if (!fits)
    throw new Error(`--${flag} takes a ${max === Infinity ? '' : 'whole '}number from ${min} to ${max}, not "${value}"`)
  return number
}

/** A text of a flag that may be used in a header, or the default where it is absent. */
const wordOf = (value: string | undefined, flag: string, absent: string): string => {
  if (value === undefined) return absent
  if (!/^[\w.-]{1,64}$/.test(value))
    throw new Error(`--${flag} takes letters, digits, ".", "_" and "-", not "${value}"`)
  return value
}

/** The options that arguments describe, or `help`. Throws an Error that says what is wrong with them. */
export const optionsOf = (args: readonly string[]): SiteOptions | 'help' => {
  const { values } = parseArgs({ args: [...args], options: FLAGS, strict: true })
  if (values.help) return 'help'
  const engine = values.engine ?? D.engine
  if (!(ENGINES as readonly string[]).includes(engine))
    throw new Error(`--engine takes ${ENGINES.join(', ')}, not "${engine}"`)
  const status = numberOf(values['queue-full-status'], 'queue-full-status', D.queueFullStatus, 400, 599)
  if (status !== 429 && status !== 503) throw new Error('--queue-full-status takes 429 or 503')
  const models =
    values.models === undefined ? D.models.map((model) => `${model.name}:${model.contextTokens}`) : values.models
  return {
    name: wordOf(values.name, 'name', D.name),
    region: values.region ?? D.region,
    host: values.host ?? D.host,
    port: numberOf(values.port, 'port', D.port, 0, 65_535),
    controlPort: numberOf(values['control-port'], 'control-port', D.controlPort, 0, 65_535),
    models: servedModels(models, values.alias),
    slots: numberOf(values.slots, 'slots', D.slots, 1, 100_000),
    dataParallel: numberOf(values['data-parallel'], 'data-parallel', D.dataParallel, 1, 64),
    prefillTokensPerS: numberOf(
      values['prefill-tokens-per-s'],
      'prefill-tokens-per-s',
      D.prefillTokensPerS,
      0.001,
      Infinity,
    ),
    decodeTokensPerS: numberOf(
      values['decode-tokens-per-s'],
      'decode-tokens-per-s',
      D.decodeTokensPerS,
      0.001,
      Infinity,
    ),
    ttftFloorMs: numberOf(values['ttft-floor-ms'], 'ttft-floor-ms', D.ttftFloorMs, 0, 3_600_000),
    answerTokens: numberOf(values['answer-tokens'], 'answer-tokens', D.answerTokens, 1, 1_000_000),
    queueMax: numberOf(values['queue-max'], 'queue-max', D.queueMax, 0, 1_000_000),
    queueFullStatus: status,
    engine: engine as EngineName,
    bodyBytesMax: numberOf(values['body-bytes-max'], 'body-bytes-max', D.bodyBytesMax, 1, 268_435_456),
    residencyHeader: wordOf(values['residency-header'], 'residency-header', D.residencyHeader).toLowerCase(),
    facilityMw: numberOf(values['facility-mw'], 'facility-mw', D.facilityMw, 0, Infinity),
    facilityPort: numberOf(values['facility-port'], 'facility-port', D.facilityPort, 0, 65_535),
    facilitySpeed: numberOf(values['facility-speed'], 'facility-speed', D.facilitySpeed, 0.1, Infinity),
    hubwardAdmin: values['hubward-admin'] ?? D.hubwardAdmin,
    graceMs: numberOf(values['grace-ms'], 'grace-ms', D.graceMs, 0, 3_600_000),
  }
}

const main = async (args: readonly string[]): Promise<void> => {
  let options: SiteOptions | 'help'
  try {
    options = optionsOf(args)
  } catch (error) {
    process.stderr.write(`hubward-site: ${(error as Error).message}\nhubward-site --help tells what there is\n`)
    process.exitCode = 2
    return
  }
  if (options === 'help') {
    process.stdout.write(HELP)
    return
  }
  const { name, models, graceMs } = options
  const site = await startSite(options, { exit: () => process.exit(1) })
  let asked = 0
  const stop = () => {
    asked += 1
    if (asked > 1) process.exit(1)
    void site.close(graceMs).then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const line = {
    name,
    url: site.url,
    control: site.controlUrl,
    ...(site.facility === undefined ? {} : { facility: site.facility.url }),
    models: models.map((model) => model.name),
    pid: process.pid,
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

if (import.meta.main) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`hubward-site: ${(error as Error).message}\n`)
    process.exitCode = 1
  })
}
