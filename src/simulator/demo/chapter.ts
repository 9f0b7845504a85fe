import type { Command } from '../commands.ts'
import type { CallerName } from './cast.ts'

/** What an answer is compared with; a list means any of them, an absent field means whatever. */
export interface Match {
  readonly status?: number | readonly number[]
  readonly site?: string | readonly string[]
  readonly model?: string
  readonly action?: string | readonly string[]
  readonly reason?: string | readonly string[]
  readonly refusal?: string | readonly string[]
  readonly complete?: boolean
  /** What went wrong on the way, as the client saw it; `''` for nothing. */
  readonly error?: string
  /** The model that hubward's own header names. */
  readonly told?: string
  /** The content type, without parameters. */
  readonly type?: string
  /** Whether there is a Retry-After of at least a second. */
  readonly retryAfter?: boolean
  /** The policy version by which it was decided. */
  readonly policy?: string
}

/** A plant as it really is, whatever its meters say. */
export interface PlantSeen {
  readonly drawMw: number
  /** The first loop's supply temperature, and the highest it has had since it was last told to forget that. */
  readonly supplyC: number
  readonly supplyMaxC: number
  readonly jobs: readonly { readonly id: string; readonly drawMw: number; readonly paused: boolean }[]
}

/** One turn that a rollout took, as the journal has it. */
export interface Turn {
  /** Epoch milliseconds. */
  readonly at: number
  readonly to: string
  readonly stage: string
  /** Why, with the numbers behind it. */
  readonly cause: string
  /** Requests of the treatment by then. */
  readonly treatmentUnits: number
}

/** A rollout as hubward shows it. */
export interface RolloutSeen {
  readonly status: string
  readonly stage: string
  /** Why it stands as it does; of a finished one what came of it, in one sentence. */
  readonly says: string
  readonly arms: Readonly<Record<'control' | 'treatment', { readonly units: number; readonly errors: number }>>
  readonly criteria: readonly {
    readonly metric: string
    readonly control: number | null
    readonly treatment: number | null
    readonly difference: number | null
    readonly low: number | null
    readonly high: number | null
  }[]
}

/** Something that is done in a chapter. `as` names what came of it, for the expectations. */
export type Step =
  | { readonly do: 'say'; readonly text: string }
  /** An order to a simulated site; `as` names the moment at which it has been carried out. */
  | { readonly do: 'order'; readonly site: string; readonly command: Command; readonly as?: string }
  /** New requests, at most `clients` at once; goes on when all have ended. */
  | {
      readonly do: 'send'
      readonly as: string
      readonly caller: CallerName
      readonly count: number
      readonly clients: number
    }
  /** One request in each of that many new sessions. */
  | { readonly do: 'sessions'; readonly as: string; readonly caller: CallerName; readonly count: number }
  /** One more request in each session of an earlier `sessions`. */
  | { readonly do: 'resume'; readonly as: string; readonly sessions: string }
  /** Long answers; goes on when each has its first token. */
  | {
      readonly do: 'streams'
      readonly as: string
      readonly caller: CallerName
      readonly count: number
      readonly tokens: number
    }
  /** Waits for the end of answers that `streams` began. */
  | { readonly do: 'finish'; readonly streams: string }
  /** Requests one after another until so many in a row are as asked; itself a row of the table. */
  | {
      readonly do: 'until'
      readonly as: string
      readonly caller: CallerName
      readonly what: string
      readonly match: Match
      readonly inARow: number
      readonly everyMs: number
      readonly withinMs: number
    }
  /** Waits until hubward itself says so of a site; itself a row of the table. */
  | {
      readonly do: 'await'
      readonly site: string
      readonly what: string
      readonly state?: string
      /** A signal whose threshold keeps the site out. */
      readonly failing?: string
      readonly withinMs: number
    }
  /** Steady traffic from now on, until `halt`; with `sessions` so many take turns, without each request is by itself. */
  | {
      readonly do: 'steady'
      readonly as: string
      readonly caller: CallerName
      readonly perSecond: number
      readonly sessions?: number
      /** How long an answer is; absent: as ordinary ones are. */
      readonly tokens?: number
    }
  | { readonly do: 'halt'; readonly steady: string }
  /** An order to the plant of a site. */
  | { readonly do: 'plant'; readonly site: string; readonly order: object; readonly as?: string }
  /** Waits until the plant of a site is as asked; itself a row of the table. */
  | {
      readonly do: 'plant-until'
      readonly site: string
      readonly what: string
      readonly expected: string
      readonly holds: (seen: PlantSeen) => boolean
      readonly withinMs: number
    }
  /** Waits until a number of hubward's, summed over the series with these labels, grew by so much in this chapter; a row. */
  | {
      readonly do: 'count'
      readonly what: string
      readonly metric: string
      readonly labels: Readonly<Record<string, string>>
      readonly min: number
      readonly withinMs: number
    }
  /** The grid asks for that share less, so many times; themselves rows of the table. */
  | {
      readonly do: 'shed'
      readonly site: string
      readonly ratio: number
      readonly times: number
      readonly caller: CallerName
    }
  /** Waits until a rollout stands so, or at a later stage; itself a row of the table, and `as` names the moment. */
  | {
      readonly do: 'rollout'
      readonly rollout: string
      readonly what: string
      readonly status?: string
      readonly stage?: string
      readonly withinMs: number
      readonly as?: string
    }
  /** Tells what both arms of a rollout have shown so far, as a table, and what came of it. */
  | { readonly do: 'arms'; readonly rollout: string }
  /** Switches a flag in the file that hubward reads: its default variant from now on. */
  | { readonly do: 'flag'; readonly flag: string; readonly variant: string }
  /** Waits until hubward, asked without a request, names these layers for a class: `incident`, `incident shadowed`; a row. */
  | {
      readonly do: 'layers'
      readonly class: string
      readonly what: string
      readonly layers: readonly string[]
      readonly withinMs: number
    }
  | { readonly do: 'drain'; readonly site: string; readonly forText: string; readonly reason: string }
  | { readonly do: 'undrain'; readonly site: string }
  | { readonly do: 'kill-hubward' }
  | { readonly do: 'start-hubward' }

/** Which answers of a name are meant: those to requests that began before or since the moment of an order. */
export interface When {
  readonly before?: string
  readonly since?: string
}

/** Something a chapter expects of what was seen. */
export type Expectation =
  /** Every answer of a name is as asked, and there is at least one. */
  | ({ readonly what: string; readonly all: string; readonly match: Match } & When)
  /** At least so many, at most so many answers of a name are as asked. */
  | ({
      readonly what: string
      readonly count: string
      readonly match: Match
      readonly min?: number
      readonly max?: number
    } & When)
  /** So many chat requests arrived at a site in this chapter, by its own count. */
  | {
      readonly what: string
      readonly arrived: string
      readonly min?: number
      readonly max?: number
    }
  /** By the sites' own counts, requests of a residency class came in this chapter only to these sites. */
  | { readonly what: string; readonly residency: string; readonly onlyTo: readonly string[] }
  /** A number of hubward's, summed over the series with these labels, grew by so much in this chapter. */
  | {
      readonly what: string
      readonly metric: string
      readonly labels?: Readonly<Record<string, string>>
      readonly min?: number
      readonly max?: number
    }
  /** The turns of a rollout in this chapter, by the journal, are these: a stage that began, or how it ended. */
  | {
      readonly what: string
      readonly turns: string
      readonly to: readonly string[]
      /** At most so many requests of the treatment until the last of them. */
      readonly unitsMax?: number
      /** Counted from this moment; absent: from the chapter's begin. */
      readonly from?: string
    }
  /** In sessions of steady traffic: at least so many came to this policy, and none of them left it again. */
  | { readonly what: string; readonly kept: string; readonly policy: string; readonly min: number }
  /** As many clients gave up waiting as a site counts requests that it never answered, and there were some. */
  | { readonly what: string; readonly unanswered: string; readonly by: readonly string[] }
  /**
   * The share of answers as asked, in so many windows of equal length, begins at or below `from`, ends at or above
   * `to`, and never falls by more than `dip` from the highest window before.
   */
  | {
      readonly what: string
      readonly ramp: string
      readonly match: Match
      readonly windows: number
      readonly from: number
      readonly to: number
      readonly dip: number
    }

/** A chapter of the demo. */
export interface Chapter {
  /** One word for --chapters. */
  readonly id: string
  readonly title: string
  readonly do: readonly Step[]
  readonly expect: readonly Expectation[]
}
