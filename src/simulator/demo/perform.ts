import { realClock, type SiteClock } from '../clock.ts'
import type { Command } from '../commands.ts'
import { BIG_MODEL, CALLERS, type Caller, type CallerName } from './cast.ts'
import type { Chapter, PlantSeen, Step } from './chapter.ts'
import type { Chat, ChatClient, ChatSeen } from './client.ts'
import type { Numbers, TargetSeen } from './hubward-view.ts'
import { asked, judge, matches, summary } from './judge.ts'
import type { Story } from './story.ts'
import { closedLoop, openLoop, type Traffic } from './traffic.ts'

/** What a chapter is played on. */
export interface Stage {
  /** The gateway's `http://host:port`. */
  readonly baseUrl: string
  readonly client: ChatClient
  readonly sites: readonly string[]
  order(site: string, command: Command): Promise<void>
  /** Chat requests that a site has had, by residency class; `''` is the sum. */
  arrivals(site: string): Promise<Readonly<Record<string, number>>>
  drain(site: string, forText: string, reason: string): Promise<void>
  undrain(site: string): Promise<void>
  killHubward(): Promise<void>
  startHubward(): Promise<void>
  /** hubward's own numbers; rejects while it does not answer. */
  numbers?(): Promise<Numbers>
  /** What hubward says of a site once it is as asked, or when the time is over; undefined if it says nothing. */
  target?(site: string, holds: (seen: TargetSeen) => boolean, withinMs: number): Promise<TargetSeen | undefined>
  /** Chat requests by site since then (epoch milliseconds) that it never answered, once none is under way. */
  unanswered?(site: string, since: number): Promise<number>
  /** Gives an order to the plant of a site. */
  plant?(site: string, order: object): Promise<void>
  /** How the plant of a site is; rejects where it has none. */
  plantSeen?(site: string): Promise<PlantSeen>
  readonly clock?: SiteClock
}

/** How long an ordinary answer is, in tokens. */
const TOKENS = 12
/** How long a client waits for an ordinary answer; for a long one it waits a minute. */
const TIMEOUT_MS = 4_000
/** How long a plant may take to come under a limit, or back. */
const SHED_MS_MAX = 15_000
/** How many requests of steady traffic may be under way. */
const STEADY_MAX = 64

interface Session {
  readonly key: string
  token: string
}

/** Plays chapters one after another, and tells them. What one chapter leaves running, a later one can end. */
export class Performance {
  readonly #stage: Stage
  readonly #story: Story
  readonly #clock: SiteClock
  readonly #sessions = new Map<string, { caller: CallerName; sessions: Session[] }>()
  readonly #streams = new Map<string, Chat[]>()
  readonly #steady = new Map<string, Traffic>()
  #seen: Record<string, readonly ChatSeen[]> = {}
  #moments: Record<string, number> = {}
  #count = 0
  /** hubward's numbers when the chapter began. */
  #before: Numbers | undefined

  constructor(stage: Stage, story: Story) {
    this.#stage = stage
    this.#story = story
    this.#clock = stage.clock ?? realClock
  }

  /** Plays one chapter and judges it. Rejects only if the stage itself fails. */
  async play(chapter: Chapter): Promise<void> {
    this.#story.chapter(chapter.title)
    this.#seen = {}
    this.#moments = {}
    const began = epochNow()
    const [before, numbersBefore] = await Promise.all([this.#arrivals(), this.#numbers()])
    this.#before = numbersBefore
    for (const step of chapter.do) await this.#step(step)
    const [after, numbersAfter] = await Promise.all([this.#arrivals(), this.#numbers()])
    const arrived = Object.fromEntries(
      Object.entries(after).map(([site, counts]) => [site, since(counts, before[site] ?? {})]),
    )
    const grown =
      numbersBefore === undefined || numbersAfter === undefined
        ? undefined
        : (metric: string, labels: Readonly<Record<string, string>> | undefined) =>
            numbersAfter(metric, labels) - numbersBefore(metric, labels)
    const unanswered = await this.#unanswered(chapter, began)
    const evidence = { seen: this.#seen, arrived, moments: this.#moments, unanswered, ...(grown && { grown }) }
    for (const expectation of chapter.expect) this.#story.row(judge(expectation, evidence))
  }

  /** Leaves the sites as a chapter would, and asks nothing: for chapters that are not played. */
  async skip(chapter: Chapter): Promise<void> {
    for (const step of chapter.do) {
      if (step.do === 'order') await this.#stage.order(step.site, step.command)
      if (step.do === 'plant') await this.#stage.plant?.(step.site, step.order)
    }
  }

  /** Ends whatever traffic is still under way. */
  async end(): Promise<void> {
    for (const chat of [...this.#streams.values()].flat()) chat.cancel()
    await Promise.all([...this.#steady.values()].map((traffic) => traffic.stop()))
  }

  async #arrivals(): Promise<Record<string, Readonly<Record<string, number>>>> {
    const counts = await Promise.all(this.#stage.sites.map((site) => this.#stage.arrivals(site)))
    return Object.fromEntries(this.#stage.sites.map((site, index) => [site, counts[index]!]))
  }

  async #numbers(): Promise<Numbers | undefined> {
    return this.#stage.numbers?.().catch(() => undefined)
  }

  async #unanswered(chapter: Chapter, since: number): Promise<Record<string, number>> {
    const sites = chapter.expect.flatMap((one) => ('unanswered' in one ? [one.unanswered] : []))
    const counts = await Promise.all(sites.map(async (site) => this.#stage.unanswered?.(site, since) ?? 0))
    return Object.fromEntries(sites.map((site, index) => [site, counts[index]!]))
  }

  async #step(step: Step): Promise<void> {
    const stage = this.#stage
    switch (step.do) {
      case 'say':
        return this.#story.say(step.text)
      case 'order':
        this.#story.say(`${step.site} is told: ${JSON.stringify(step.command)}`)
        await stage.order(step.site, step.command)
        if (step.as !== undefined) this.#moments[step.as] = epochNow()
        return
      case 'send':
        return this.#keep(step.as, await this.#burst(step.clients, step.count, () => this.#ask(step.caller)))
      case 'sessions': {
        const sessions = Array.from({ length: step.count }, () => ({ key: `demo-${this.#next()}`, token: '' }))
        this.#sessions.set(step.as, { caller: step.caller, sessions })
        return this.#keep(step.as, await this.#inSessions(step.caller, sessions))
      }
      case 'resume': {
        const known = this.#sessions.get(step.sessions)
        return this.#keep(step.as, known === undefined ? [] : await this.#inSessions(known.caller, known.sessions))
      }
      case 'streams': {
        const chats = Array.from({ length: step.count }, () => this.#ask(step.caller, {}, step.tokens, 60_000))
        this.#streams.set(step.as, chats)
        return void (await Promise.all(chats.map((chat) => chat.first)))
      }
      case 'finish':
        this.#keep(step.streams, await Promise.all((this.#streams.get(step.streams) ?? []).map((chat) => chat.done)))
        this.#streams.delete(step.streams)
        return
      case 'until':
        return this.#until(step)
      case 'await':
        return this.#await(step)
      case 'steady':
        this.#steady.set(
          step.as,
          openLoop(step.perSecond, STEADY_MAX, () => this.#ask(step.caller), this.#clock),
        )
        return
      case 'halt': {
        const harvest = await this.#steady.get(step.steady)?.stop()
        this.#steady.delete(step.steady)
        return this.#keep(step.steady, harvest?.seen ?? [])
      }
      case 'plant':
        this.#story.say(`the plant of ${step.site} is told: ${JSON.stringify(step.order)}`)
        await stage.plant?.(step.site, step.order)
        if (step.as !== undefined) this.#moments[step.as] = epochNow()
        return
      case 'plant-until':
        return this.#plantUntil(step)
      case 'count':
        return this.#counted(step)
      case 'shed':
        return this.#shed(step)
      case 'drain':
        this.#story.say(`an operator drains ${step.site} for ${step.forText}: ${step.reason}`)
        return stage.drain(step.site, step.forText, step.reason)
      case 'undrain':
        this.#story.say(`the operator ends the drain of ${step.site}`)
        return stage.undrain(step.site)
      case 'kill-hubward':
        this.#story.say('hubward is killed with SIGKILL')
        return stage.killHubward()
      case 'start-hubward':
        this.#story.say('hubward is started again')
        return stage.startHubward()
    }
  }

  async #until(step: Extract<Step, { do: 'until' }>): Promise<void> {
    const from = this.#clock.now()
    const seen: ChatSeen[] = []
    let row = 0
    while (row < step.inARow && this.#clock.now() - from < step.withinMs) {
      const one = await this.#ask(step.caller).done
      seen.push(one)
      row = matches(one, step.match) ? row + 1 : 0
      if (row < step.inARow) await new Promise<void>((resolve) => void this.#clock.after(step.everyMs, resolve))
    }
    const seconds = ((this.#clock.now() - from) / 1_000).toFixed(1)
    const ok = row >= step.inARow
    this.#keep(step.as, seen)
    this.#story.row({
      what: step.what,
      expected: `${asked(step.match)} within ${step.withinMs / 1_000} s`,
      seen: ok ? `after ${seconds} s` : `not in ${seconds} s, last ${summary(seen.slice(-step.inARow))}`,
      ok,
    })
  }

  async #await(step: Extract<Step, { do: 'await' }>): Promise<void> {
    const { site, what, state, failing, withinMs } = step
    const holds = (seen: TargetSeen) =>
      (state === undefined || seen.state === state) &&
      (failing === undefined || seen.failing.some(({ signal }) => signal === failing))
    const seen = await this.#stage.target?.(site, holds, withinMs)
    this.#story.row({
      what,
      expected: [state, failing === undefined ? undefined : `out by ${failing}`].filter(Boolean).join(', '),
      seen:
        seen === undefined
          ? 'hubward says nothing'
          : failing === undefined
            ? `${seen.state}: ${seen.cause}`
            : outBy(seen),
      ok: seen !== undefined && holds(seen),
    })
  }

  async #plantUntil({ site, what, expected, holds, withinMs }: Extract<Step, { do: 'plant-until' }>): Promise<void> {
    const from = this.#clock.now()
    let seen = await this.#stage.plantSeen?.(site)
    while (seen !== undefined && !holds(seen) && this.#clock.now() - from < withinMs) {
      await new Promise<void>((resolve) => void this.#clock.after(50, resolve))
      seen = await this.#stage.plantSeen?.(site)
    }
    const ok = seen !== undefined && holds(seen)
    const when = `${((this.#clock.now() - from) / 1_000).toFixed(1)} s`
    this.#story.row({ what, expected, seen: seen === undefined ? 'no plant' : `${plantText(seen)}, after ${when}`, ok })
  }

  async #counted({ what, metric, labels, min, withinMs }: Extract<Step, { do: 'count' }>): Promise<void> {
    const from = this.#clock.now()
    const look = async (): Promise<number | undefined> => {
      const now = (await this.#numbers())?.(metric, labels)
      return now === undefined ? undefined : now - (this.#before?.(metric, labels) ?? 0)
    }
    let seen = await look()
    while ((seen ?? 0) < min && this.#clock.now() - from < withinMs) {
      await new Promise<void>((resolve) => void this.#clock.after(100, resolve))
      seen = await look()
    }
    const ok = (seen ?? 0) >= min
    this.#story.row({
      what,
      expected: `at least ${min}`,
      seen: seen === undefined ? 'nobody says' : `${seen} by ${metric}`,
      ok,
    })
  }

  /** The grid asks for less, again and again: how long until the modelled site draws no more than that. */
  async #shed({ site, ratio, times, caller }: Extract<Step, { do: 'shed' }>): Promise<void> {
    const tookMs: number[] = []
    const before: number[] = []
    const during: number[] = []
    const chats = async (into: number[]): Promise<void> => {
      const seen = await this.#burst(2, 12, () => this.#ask(caller))
      for (const { ttftMs } of seen) if (ttftMs !== null) into.push(ttftMs)
    }
    let missed = 0
    for (let round = 0; round < times; round++) {
      await chats(before)
      const full = await this.#stage.plantSeen?.(site)
      if (full === undefined) break
      const limitMw = Math.round(full.drawMw * (1 - ratio) * 100) / 100
      const from = this.#clock.now()
      await this.#stage.plant?.(site, { do: 'grid', limitMw, emergency: true })
      const asked = chats(during)
      let now = await this.#stage.plantSeen?.(site)
      while (now !== undefined && now.drawMw > limitMw && this.#clock.now() - from < SHED_MS_MAX) {
        await new Promise<void>((resolve) => void this.#clock.after(20, resolve))
        now = await this.#stage.plantSeen?.(site)
      }
      if ((now?.drawMw ?? Infinity) <= limitMw) tookMs.push(this.#clock.now() - from)
      else missed += 1
      await asked
      await this.#stage.plant?.(site, { do: 'grid' })
      if (round === times - 1) break
      const back = this.#clock.now()
      while (
        (await this.#stage.plantSeen?.(site))!.drawMw < full.drawMw * 0.99 &&
        this.#clock.now() - back < SHED_MS_MAX
      )
        await new Promise<void>((resolve) => void this.#clock.after(50, resolve))
    }
    const worst = Math.max(0, ...tookMs)
    this.#story.row({
      what: `${Math.round(ratio * 100)} % less is drawn each time`,
      expected: `${times} of ${times}`,
      seen: `${tookMs.length} of ${tookMs.length + missed}`,
      ok: tookMs.length === times,
    })
    this.#story.row({
      what: 'from the signal until the site draws less',
      expected: 'the slowest under 5 s',
      seen: `${quantile(tookMs, 0.5)} ms in the middle, ${Math.round(worst)} ms at worst`,
      ok: worst < 5_000,
      shown: true,
    })
    const [p99, p99Before] = [quantile(during, 0.99), quantile(before, 0.99)]
    this.#story.row({
      what: 'first tokens of chats meanwhile, p99',
      expected: 'at most 5 % later than before',
      seen: `${p99} ms against ${p99Before} ms (p50 ${quantile(during, 0.5)} against ${quantile(before, 0.5)})`,
      ok: p99 <= p99Before * 1.05,
      shown: true,
    })
  }

  async #inSessions(caller: CallerName, sessions: readonly Session[]): Promise<ChatSeen[]> {
    return Promise.all(
      sessions.map(async (session) => {
        const token = session.token === '' ? {} : { 'x-hubward-session': session.token }
        const seen = await this.#ask(caller, { 'x-session-id': session.key, ...token }).done
        session.token = seen.hubward.session ?? session.token
        return seen
      }),
    )
  }

  async #burst(clients: number, count: number, make: () => Chat): Promise<readonly ChatSeen[]> {
    return (await closedLoop(clients, make, count).ended).seen
  }

  #ask(
    caller: CallerName,
    headers: Readonly<Record<string, string>> = {},
    tokens = TOKENS,
    timeoutMs = TIMEOUT_MS,
  ): Chat {
    const number = this.#next()
    const who: Caller = CALLERS[caller]
    return this.#stage.client.chat({
      baseUrl: this.#stage.baseUrl,
      headers: { ...who.headers, ...headers },
      ...(who.path === undefined ? {} : { path: who.path }),
      model: BIG_MODEL,
      prompt: `Question ${number} of the demo: where were you answered, and why there?`,
      tokens,
      timeoutMs,
    })
  }

  #keep(as: string, seen: readonly ChatSeen[]): void {
    this.#seen[as] = [...(this.#seen[as] ?? []), ...seen]
    this.#story.say(`${as}: ${summary(seen)}`)
  }

  #next(): number {
    this.#count += 1
    return this.#count
  }
}

const quantile = (values: readonly number[], share: number): number =>
  Math.round(values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0)

const plantText = ({ drawMw, supplyC, jobs }: PlantSeen): string =>
  `${drawMw.toFixed(2)} MW, ${supplyC.toFixed(1)} degrees, ${jobs.filter(({ paused }) => paused).length} of ${jobs.length} jobs paused`

const outBy = ({ failing }: TargetSeen): string =>
  failing.length === 0 ? 'not out' : `out by ${[...new Set(failing.map(({ signal }) => signal))].join(', ')}`

/** The scale on which answers are dated. */
const epochNow = (): number => performance.timeOrigin + performance.now()

const since = (
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Record<string, number> =>
  Object.fromEntries(Object.entries(now).map(([key, count]) => [key, count - (before[key] ?? 0)]))
