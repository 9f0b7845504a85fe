import { realClock, type SiteClock } from '../clock.ts'
import type { Command } from '../commands.ts'
import { BIG_MODEL, CALLERS, type Caller, type CallerName } from './cast.ts'
import type { Chapter, PlantSeen, RolloutSeen, Step, Turn } from './chapter.ts'
import type { Chat, ChatClient, ChatSeen } from './client.ts'
import type { Numbers, TargetSeen } from './hubward-view.ts'
import { asked, judge, matches, summary } from './judge.ts'
import { awaitLayers, awaitRollout, tellArms } from './rollout-steps.ts'
import { shed } from './shed.ts'
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
  /** How a rollout stands; undefined: hubward knows of none by that name, or does not answer. */
  rollout?(name: string): Promise<RolloutSeen | undefined>
  /** What a rollout did since then (epoch milliseconds), by hubward's journal. */
  turns?(rollout: string, since: number): Promise<readonly Turn[]>
  /** Gives a flag another default variant, in the file that hubward reads. */
  setFlag?(flag: string, variant: string): Promise<void>
  /** The layers that would have a say in a request of a class, strongest first, as `incident` or `incident shadowed`. */
  layers?(className: string): Promise<readonly string[]>
  readonly clock?: SiteClock
}

/** How long an ordinary answer is, in tokens. */
const TOKENS = 12
/** How long a client waits for an ordinary answer; for a long one it waits a minute. */
const TIMEOUT_MS = 4_000
/** How many requests of steady traffic may be under way. */
const STEADY_MAX = 128

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
    const [unanswered, turns] = await Promise.all([this.#unanswered(chapter, began), this.#turns(chapter, began)])
    const [seen, moments] = [this.#seen, this.#moments]
    const evidence = { seen, arrived, moments, unanswered, began, turns, ...(grown && { grown }) }
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

  async #turns(chapter: Chapter, since: number): Promise<Record<string, readonly Turn[]>> {
    const names = chapter.expect.flatMap((one) => ('turns' in one ? [one.turns] : []))
    const turns = await Promise.all(names.map(async (name) => (await this.#stage.turns?.(name, since)) ?? []))
    return Object.fromEntries(names.map((name, index) => [name, turns[index]!]))
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
        this.#steady.set(step.as, openLoop(step.perSecond, STEADY_MAX, this.#steadily(step), this.#clock))
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
        return shed(step, {
          stage,
          clock: this.#clock,
          story: this.#story,
          chats: () => this.#burst(2, 12, () => this.#ask(step.caller)),
        })
      case 'rollout': {
        const at = await awaitRollout(step, this.#props())
        if (step.as !== undefined) this.#moments[step.as] = at
        return
      }
      case 'arms':
        return tellArms(step.rollout, this.#props())
      case 'flag':
        this.#story.say(`the flag ${step.flag} is switched to ${step.variant}`)
        return stage.setFlag?.(step.flag, step.variant)
      case 'layers':
        return awaitLayers(step, this.#props())
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

  /** Makes the requests of steady traffic: sessions take turns where it has some. */
  #steadily({ as, caller, sessions, tokens }: Extract<Step, { do: 'steady' }>): (index: number) => Chat {
    return (index) => {
      const headers = sessions === undefined ? {} : { 'x-session-id': `${as}-${index % sessions}` }
      return this.#ask(caller, headers, tokens)
    }
  }

  #props() {
    return { stage: this.#stage, clock: this.#clock, story: this.#story }
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
