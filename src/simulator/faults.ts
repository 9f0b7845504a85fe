import type { SiteClock } from './clock.ts'
import type { Command, Lie, Scope } from './commands.ts'
import type { Filling } from './queue.ts'

/** What faults do to the rest of the site. */
export interface FaultHooks {
  /** Closes or opens the listening socket. Opening can fail, if another process took the port meanwhile. */
  readonly door: (open: boolean) => Promise<void>
  readonly fill: (filling: Filling) => void
  /** Called as a lie begins, before the first lying answer. */
  readonly freeze: () => void
  /** Work under way now takes `ratio` times as long as before. */
  readonly repace: (ratio: number) => void
  readonly exit: () => void
}

/** What is wrong with a site right now; plain data, shown by GET /control. */
export interface FaultState {
  readonly slow: number
  readonly fill: Filling
  readonly fail: { readonly status: number; readonly ratio: number; readonly scope: Scope } | null
  readonly flap: { readonly periodMs: number; readonly how: string; readonly down: boolean } | null
  readonly hang: Scope | null
  readonly lie: Lie | null
  readonly dead: boolean
  readonly delayHeadersMs: number
}

const WELL: FaultState = {
  slow: 1,
  fill: { queued: 0, slots: 0 },
  fail: null,
  flap: null,
  hang: null,
  lie: null,
  dead: false,
  delayHeadersMs: 0,
}

/** The faults of one site. Several can be in force at once; a second order of a kind replaces the first. */
export class Faults {
  state: FaultState = WELL
  readonly #clock: SiteClock
  readonly #hooks: FaultHooks
  readonly #held = new Set<() => void>()
  #judged = 0
  #stopFlapping = () => {}

  constructor(clock: SiteClock, hooks: FaultHooks) {
    this.#clock = clock
    this.#hooks = hooks
  }

  /** Carries an order out. Rejects only if a dead site can't have its port back; it stays dead then. */
  async obey(command: Command): Promise<void> {
    switch (command.do) {
      case 'slow':
        return this.#set({ slow: command.factor })
      case 'fill':
        return this.#fill({ queued: command.queued, slots: command.slots })
      case 'fail':
        this.#judged = 0
        return this.#set({
          fail: command.ratio === 0 ? null : { status: command.status, ratio: command.ratio, scope: command.scope },
        })
      case 'flap':
        return this.#flap(command)
      case 'hang':
        return this.#set({ hang: command.scope })
      case 'lie':
        this.#hooks.freeze()
        return this.#set({ lie: command.metrics })
      case 'delay-headers':
        return this.#set({ delayHeadersMs: command.ms })
      case 'die':
        if (command.mode === 'exit') return this.#hooks.exit()
        this.#stopFlapping()
        this.#set({ dead: true, flap: null })
        return this.#hooks.door(false)
      case 'recover':
        return this.#recover()
    }
  }

  /** The status a request of this scope is to be refused with, or undefined. Counts, so ask once for each request. */
  refusal(scope: Scope): number | undefined {
    const { fail, flap } = this.state
    if (flap?.down && flap.how === 'fail') return 503
    if (fail === null || !covers(fail.scope, scope)) return undefined
    this.#judged += 1
    return Math.floor(this.#judged * fail.ratio) > Math.floor((this.#judged - 1) * fail.ratio) ? fail.status : undefined
  }

  /** Keeps `resume` if requests of this scope hang now, and runs it once they don't. The function forgets it again. */
  hold(scope: Scope, resume: () => void): (() => void) | undefined {
    if (this.state.hang === null || !covers(this.state.hang, scope)) return undefined
    this.#held.add(resume)
    return () => void this.#held.delete(resume)
  }

  /** How many requests hang, streams under way among them. */
  held(): number {
    return this.#held.size
  }

  /** Stops what runs by itself. */
  close(): void {
    this.#stopFlapping()
  }

  #set(change: Partial<FaultState>): void {
    const before = this.state
    this.state = { ...before, ...change }
    if (this.state.slow !== before.slow) this.#hooks.repace(this.state.slow / before.slow)
    for (const resume of [...this.#held]) {
      // Each holds again by itself if the new state still covers it.
      this.#held.delete(resume)
      resume()
    }
  }

  #fill(filling: Filling): void {
    this.#set({ fill: filling })
    this.#hooks.fill(filling)
  }

  #flap({ periodMs, how, queued }: Extract<Command, { do: 'flap' }>): void {
    this.#stopFlapping()
    let cancel = () => {}
    const turn = (down: boolean) => {
      cancel = this.#clock.after(periodMs / 2, () => turn(!down))
      this.#set({ flap: { periodMs, how, down } })
      if (how === 'fill') this.#fill({ queued: down ? queued : 0, slots: 0 })
      // A port lost to another process between two halves leaves the site refusing, which a flapping site does anyway.
      if (how === 'refuse') this.#hooks.door(!down).catch(() => {})
    }
    this.#stopFlapping = () => cancel()
    turn(false)
  }

  async #recover(): Promise<void> {
    this.#stopFlapping()
    await this.#hooks.door(true)
    this.#set(WELL)
    this.#hooks.fill(WELL.fill)
  }
}

const covers = (limit: Scope, scope: Scope): boolean => limit === 'all' || limit === scope
