import { randomBytes } from 'node:crypto'
import { hostname, userInfo } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../documents/duration.ts'
import { didYouMean, knownNames } from '../documents/suggest.ts'
import type { Edited } from '../feeds/overrides-edit.ts'
import type { DocumentSet, Site } from '../model/documents.ts'
import { configFile, configIn } from './config-in.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { foldersIn } from './folders-in.ts'
import { complain, problemLines } from './output.ts'

/** The options of a command that gives orders. */
export interface OrderFlags {
  readonly config?: string
  readonly file?: string
  readonly reason: string
  readonly author?: string
}

/** Where orders are written, and the documents that they speak of, where a configuration says. */
export interface OrdersPlace {
  readonly file: string
  readonly sets: readonly DocumentSet[] | undefined
}

/** Gives a command the options that say where the orders are. */
export const withFileFlags = (command: Command): Command =>
  command
    .option('-c, --config <file>', 'the configuration, which says where the orders are ($HUBWARD_CONFIG)')
    .option('-f, --file <file>', 'the file of orders itself')

/** Gives a command the options of every order. */
export const withOrderFlags = (command: Command): Command =>
  withFileFlags(command)
    .requiredOption('-r, --reason <text>', 'why; it is kept with the order, and shown')
    .addOption(new Option('--author <name>', 'who gives the order; absent: you, on this machine').env('HUBWARD_AUTHOR'))

/** The file of orders, and the documents. Ends the command where neither option says. */
export function ordersPlace(command: Command, flags: Pick<OrderFlags, 'config' | 'file'>): OrdersPlace {
  const file = configFile(flags.config)
  if (file === undefined) {
    if (flags.file !== undefined) return { file: flags.file, sets: undefined }
    return command.error('error: name the configuration with --config, or the file of orders with --file', {
      exitCode: 2,
    })
  }
  const config = configIn(command, file)
  const reads = foldersIn(
    config.documents.map(({ dir }) => dir),
    Date.now(),
  )
  // Orders must be given whatever state the documents are in: those that can be read tell the names.
  return { file: flags.file ?? config.overrides.file, sets: reads.flatMap(({ set }) => (set === null ? [] : [set])) }
}

/** Who gives an order where nobody says: the user, behind sudo too, and the machine. */
export function authorOf(flags: OrderFlags): string {
  if (flags.author !== undefined) return flags.author
  const user = process.env.SUDO_USER ?? userInfo().username
  return `${user}@${hostname()}`
}

/** `45m`, for commander; in milliseconds. */
export const durationFlag = (text: string): number => {
  const ms = parseDuration(text)
  if (ms === undefined || ms === 0) throw new InvalidArgumentError('write a duration such as 45m or 2h')
  return ms
}

/** A time such as 2026-12-01T22:00:00Z, for commander; in epoch milliseconds. */
export const timeFlag = (text: string): number => {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('write a time with its zone, such as 2026-12-01T22:00:00Z')
  return at
}

/** Site and pool of `ams` or `ams/h100`. Ends the command if the documents have no such place. */
export function placeFlag(command: Command, text: string, sets: readonly DocumentSet[] | undefined) {
  const [site = '', pool, more] = text.split('/')
  if (site === '' || pool === '' || more !== undefined) {
    command.error(`error: "${text}" is no place; write SITE or SITE/POOL`, { exitCode: EXIT_CODES.usage.code })
  }
  const place = { site, ...(pool === undefined ? {} : { pool }) }
  const sites: readonly Site[] = sets?.flatMap((set) => set.sites) ?? []
  // Where no document can be read the order is taken as it is: it may be the documents that are on fire.
  if (sites.length === 0) return place
  const names = sites.map(({ metadata }) => metadata.name)
  const found = sites.find(({ metadata }) => metadata.name === site)
  if (found === undefined) {
    const known = `no site is called "${site}"${didYouMean(site, names)}`
    return command.error(`error: ${known}\n  ${knownNames(names)}`, { exitCode: EXIT_CODES.usage.code })
  }
  const pools = found.pools.map(({ name }) => name)
  if (pool !== undefined && !pools.includes(pool)) {
    const known = `${site} has no pool "${pool}"${didYouMean(pool, pools)}`
    return command.error(`error: ${known}\n  ${knownNames(pools)}`, { exitCode: EXIT_CODES.usage.code })
  }
  return place
}

/** An id that people can say over the phone: `drain-ams-h100-4f2a`. */
export const orderId = (kind: string, place: string): string =>
  `${kind}-${place.replaceAll('/', '-')}-${randomBytes(2).toString('hex')}`

/** Tells what kept an edit from being written; the exit code. */
export function toldEdit(edited: Edited): number {
  if ('set' in edited) return EXIT_CODES.ok.code
  for (const problem of edited.problems) complain(problemLines(problem))
  return EXIT_CODES.failure.code
}
