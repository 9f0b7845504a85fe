import type { GapsReport, SiteGaps, WorkGap } from '../model/gaps.ts'
import { paint, table } from './output.ts'

const number = (value: number): string => (value === 0 ? '-' : String(Number(value.toPrecision(3))))
const day = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`
const bold = (titles: readonly string[]): string[] => titles.map((title) => paint('bold', title))

const WORK_HEAD = ['CLASS', 'TOLD', 'BY', 'ANSWERS', 'WORK', 'MWH', 'GPU-HOURS', 'SIZED']
const workCells = ({ class: name, action, constraint, asked, work, mwh, gpuHours, sized }: WorkGap): string[] => [
  name,
  action,
  constraint,
  String(asked),
  String(work),
  number(mwh),
  number(gpuHours),
  sized === work ? 'all' : `${sized} of ${work}`,
]

/** The capacity planner's page as people read it: sites by hours, then what each of them turned away, then all of it. */
export function gapsLines({ from, to, since, watchedHours, sites, total }: GapsReport): string[] {
  const lines = [`${day(from)} to ${day(to)}, ${number(watchedHours)} hours of it watched`]
  if (since !== null && since > from) lines.push(`nothing is kept of before ${day(since)}`)
  if (sites.length === 0 && total.length === 0)
    return [...lines, 'no site lacked anything, and nothing was turned away']
  const troubled = sites.filter(({ amberHours, redHours, dimensions }) => amberHours + redHours + dimensions.length > 0)
  if (troubled.length > 0) {
    lines.push(
      '',
      ...table([
        bold(['SITE', 'CHRONIC', 'AMBER h', 'RED h', 'BY DIMENSION (amber + red h)']),
        ...troubled.map(siteCells),
      ]),
    )
  }
  const work = sites.flatMap(({ site, work: turned }) => turned.map((one) => [site, ...workCells(one)]))
  if (work.length > 0) lines.push('', ...table([bold(['SITE', ...WORK_HEAD]), ...work]))
  if (total.length > 0)
    lines.push(
      '',
      ...table([bold(['ALL SITES', ...WORK_HEAD]), ...total.map((one) => ['each piece once', ...workCells(one)])]),
    )
  return lines
}

const siteCells = ({ site, chronic, amberHours, redHours, dimensions }: SiteGaps): string[] => [
  chronic.length > 0 ? paint('red', site) : site,
  chronic.join(', ') || '-',
  number(amberHours),
  number(redHours),
  dimensions.map((one) => `${one.dimension} ${number(one.amberHours)} + ${number(one.redHours)}`).join(', '),
]

const CSV_HEAD = [
  ...['what', 'site', 'dimension', 'amber_hours', 'red_hours', 'chronic'],
  ...['class', 'action', 'constraint', 'answers', 'work', 'sized', 'mwh', 'gpu_hours'],
]

/** The same for spreadsheets: a line for each site and dimension, and for each site, class and constraint. */
export function gapsCsv({ sites, total }: GapsReport): string[] {
  const ofWork = (site: string, one: WorkGap): string[] => [
    ...['work', site, '', '', '', ''],
    ...[one.class, one.action, one.constraint, one.asked, one.work, one.sized, one.mwh, one.gpuHours].map(String),
  ]
  const rows = sites.flatMap(({ site, chronic, amberHours, redHours, dimensions, work }) => [
    ['hours', site, 'overall', String(amberHours), String(redHours), ''],
    ...dimensions.map((one) => [
      ...['hours', site, one.dimension, String(one.amberHours), String(one.redHours)],
      chronic.includes(one.dimension) ? 'yes' : '',
    ]),
    ...work.map((one) => ofWork(site, one)),
  ])
  return [CSV_HEAD, ...rows, ...total.map((one) => ofWork('*', one))].map((row) =>
    CSV_HEAD.map((_, at) => csvCell(row[at] ?? '')).join(','),
  )
}

/** Names come from documents: none of them is to become a formula. */
const csvCell = (text: string): string => {
  const safe = /^[=+@-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
