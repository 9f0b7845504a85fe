#!/usr/bin/env node
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { CHAPTERS } from './chapters.ts'
import { Children } from './children.ts'
import { exploringText } from './exploring.ts'
import { Performance } from './perform.ts'
import { type OpenStage, openStage } from './stage.ts'
import { Story } from './story.ts'

/** The aim for hubward's memory in the demo, in MB: shown and not judged, as all measurements of speed and size are. */
const RSS_MB_MAX = 120

const HELP = `The demo: Envoy, hubward and five simulated sites on this machine, and a story that is checked while it happens

Usage: npm run demo [-- options]

  --once             end after the story; exit code 0 only if everything was as expected
  --chapters A,B     play only these: ${CHAPTERS.map(({ id }) => id).join(', ')}
  --report FILE      where the report goes (report/demo.json)
  --envoy FILE       the binary of Envoy ($HUBWARD_ENVOY, which npm run demo sets)

Exit codes: 0 as expected, 1 something differs or does not start, 2 usage, 130 and 143 ended from outside.
`

interface Options {
  readonly once: boolean
  readonly chapters: readonly string[]
  readonly report: string
  readonly envoy: string
}

/** The options that arguments describe, or `help`. Throws an Error that says what is wrong with them. */
const optionsOf = (args: readonly string[]): Options | 'help' => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      once: { type: 'boolean' },
      chapters: { type: 'string' },
      report: { type: 'string' },
      envoy: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return 'help'
  const chapters = values.chapters?.split(',') ?? CHAPTERS.map(({ id }) => id)
  const unknown = chapters.find((id) => !CHAPTERS.some((chapter) => chapter.id === id))
  if (unknown !== undefined) throw new Error(`there is no chapter "${unknown}"`)
  const envoy = values.envoy ?? process.env.HUBWARD_ENVOY
  if (!envoy) throw new Error('no Envoy is named: start the demo with `npm run demo`, or set HUBWARD_ENVOY')
  return { once: values.once === true, chapters, report: resolve(values.report ?? 'report/demo.json'), envoy }
}

/** Ends everything once, whoever asks first and however often. */
class Curtain {
  readonly children = new Children()
  readonly folder = mkdtempSync(join(tmpdir(), 'hubward-demo-'))
  #stage: OpenStage | undefined
  #performance: Performance | undefined
  #falling: Promise<void> | undefined

  knows(stage: OpenStage, performance: Performance): void {
    this.#stage = stage
    this.#performance = performance
  }

  fall(): Promise<void> {
    this.#falling ??= this.#fall()
    return this.#falling
  }

  isFalling(): boolean {
    return this.#falling !== undefined
  }

  /** For the moment at which this process ends, when nothing can be waited for. */
  drop(): void {
    this.children.abandon()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }

  async #fall(): Promise<void> {
    await this.#performance?.end()
    this.#stage?.client.close()
    await this.children.stop()
  }
}

const play = async (options: Options, curtain: Curtain, story: Story): Promise<OpenStage> => {
  const stage = await openStage({
    children: curtain.children,
    folder: curtain.folder,
    envoy: options.envoy,
    say: (text) => story.say(text),
  })
  const performance = new Performance(stage, story)
  curtain.knows(stage, performance)
  const last = CHAPTERS.findLastIndex(({ id }) => options.chapters.includes(id))
  for (const chapter of CHAPTERS.slice(0, last + 1)) {
    if (options.chapters.includes(chapter.id)) await performance.play(chapter)
    else await performance.skip(chapter)
  }
  story.chapter('What it took')
  const life = await stage.life().catch(() => undefined)
  story.row({
    what: 'resident memory of hubward',
    expected: `at most ${RSS_MB_MAX} MB`,
    seen: life === undefined ? 'hubward does not say' : `${life.rssMb} MB`,
    ok: life !== undefined && life.rssMb <= RSS_MB_MAX,
    ...(life === undefined ? {} : { shown: true as const }),
  })
  story.row({
    what: 'mistakes of its own, counted by itself',
    expected: '0',
    seen: life === undefined ? 'hubward does not say' : String(life.mistakes),
    ok: life?.mistakes === 0,
  })
  return stage
}

/** The end of each log, for whoever has to find out what went wrong. */
const showLogs = ({ children }: Curtain): void => {
  for (const child of children.list()) {
    const tail = child.tail()
    if (!/^(envoy|hubward)$/.test(child.name) || tail.length === 0) continue
    process.stderr.write(`\nThe last lines of ${child.name}:\n${tail.map((line) => `  ${line}`).join('\n')}\n`)
  }
}

const run = async (options: Options): Promise<number> => {
  const began = performance.now()
  const curtain = new Curtain()
  process.on('exit', () => curtain.drop())
  const ended = Promise.withResolvers<number>()
  const endWith = (code: number) => () => void curtain.fall().then(() => ended.resolve(code))
  process.on('SIGINT', endWith(options.once ? 130 : 0))
  process.on('SIGTERM', endWith(143))
  process.on('SIGHUP', endWith(129))
  // Whoever reads along has gone: nothing is left to tell, and nobody to tell it to.
  process.stdout.on('error', endWith(1))

  const story = new Story(process.stdout)
  process.stdout.write(
    'The demo of hubward: real requests through a real Envoy to five simulated sites.\n' +
      'Its timers are short on purpose, seconds where production has minutes: see envoy/demo/documents.\n\n',
  )
  const report = async (more: Readonly<Record<string, unknown>>) => {
    mkdirSync(dirname(options.report), { recursive: true })
    const seconds = Math.round((performance.now() - began) / 1_000)
    await story.report(options.report, { seconds, node: process.version, played: options.chapters, ...more })
    process.stdout.write(`${seconds} s. The report is in ${relative('', options.report)}\n`)
  }
  const told = async (): Promise<number> => {
    const stage = await play(options, curtain, story)
    story.table()
    await report({})
    if (!story.ok()) showLogs(curtain)
    if (!options.once) {
      process.stdout.write(exploringText(stage))
      return await ended.promise
    }
    await curtain.fall()
    return story.ok() ? 0 : 1
  }
  return Promise.race([
    ended.promise,
    told().catch(async (error: unknown) => {
      // Ended from outside in the middle: what then fails is no news.
      if (curtain.isFalling()) return ended.promise
      const trouble = (error as Error).message
      process.stderr.write(`\nThe demo can't go on: ${trouble}\n`)
      showLogs(curtain)
      await report({ ok: false, trouble }).catch(() => {})
      await curtain.fall()
      return 1
    }),
  ])
}

const main = async (): Promise<void> => {
  let options: Options | 'help'
  try {
    options = optionsOf(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`demo: ${(error as Error).message}\n\n${HELP}`)
    process.exitCode = 2
    return
  }
  if (options === 'help') process.stdout.write(HELP)
  else process.exit(await run(options))
}

await main()
