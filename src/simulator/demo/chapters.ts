import { SMALL_MODEL } from './cast.ts'
import type { Chapter, Expectation, Step } from './chapter.ts'
import { FLAG_CHAPTERS } from './chapters-flags.ts'
import { PLANT_CHAPTERS } from './chapters-plant.ts'
import { targetOf } from './settings.ts'

/** How many new requests a chapter sends to see where they go, four at a time. */
const probe = (as: string, caller: Extract<Step, { do: 'send' }>['caller'], count = 12): Step => ({
  do: 'send',
  as,
  caller,
  count,
  clients: 4,
})

const REASON_AT = { ams: 'first-choice', fra: 'fallback', lon: 'fallback', 'edge-ams': 'degraded' }

/** Asks every 100 ms until five answers in a row, or so many, come from there. The demo's own timers add up to some 6 s of return. */
const untilAt = (as: string, site: keyof typeof REASON_AT, withinMs: number, inARow = 5): Step => ({
  do: 'until',
  as,
  caller: 'chat',
  what: `new chats settle on ${site}`,
  // With the reason, or the default that Envoy itself takes before hubward answers would pass for a decision.
  match: { status: 200, site, reason: REASON_AT[site] },
  inARow,
  everyMs: 100,
  withinMs,
})

const boundTo = (residency: string, onlyTo: readonly string[]): Expectation => ({
  what: `nothing bound to ${residency} leaves it`,
  residency,
  onlyTo,
})

const WELL = { do: 'recover' } as const
const PROBLEM = 'application/problem+json'
const departureOf = (site: string) => ({ target: targetOf(site), to: 'down' })

/** The demo's story. Each chapter begins with what the one before has left. */
export const CHAPTERS: readonly Chapter[] = [
  {
    id: 'first',
    title: 'Amsterdam first',
    do: [untilAt('settling', 'ams', 20_000), probe('new', 'chat')],
    expect: [
      {
        what: 'new chats go to the first choice',
        all: 'new',
        match: { status: 200, site: 'ams', action: 'route', reason: 'first-choice', complete: true },
      },
      { what: 'they came there by its own count', arrived: 'ams', min: 12 },
      { what: 'none of them to Dubai', arrived: 'dxb', max: 0 },
    ],
  },
  {
    id: 'queue',
    title: 'Its queue fills: new requests go to Frankfurt, running sessions stay',
    do: [
      { do: 'sessions', as: 'begun', caller: 'chat', count: 4 },
      { do: 'streams', as: 'running', caller: 'chat', count: 3, tokens: 320 },
      { do: 'order', site: 'ams', command: { do: 'fill', queued: 40, slots: 0 } },
      {
        do: 'await',
        site: 'ams',
        what: 'hubward reports it',
        failing: 'queue.depth',
        withinMs: 10_000,
      },
      untilAt('settling', 'fra', 10_000),
      probe('new', 'chat'),
      { do: 'resume', as: 'resumed', sessions: 'begun' },
      { do: 'finish', streams: 'running' },
    ],
    expect: [
      { what: 'sessions begin at the first choice', all: 'begun', match: { status: 200, site: 'ams' } },
      {
        what: 'new chats fall back',
        all: 'new',
        match: { status: 200, site: 'fra', reason: 'fallback', complete: true },
      },
      { what: 'sessions stay', all: 'resumed', match: { status: 200, site: 'ams', reason: 'session', complete: true } },
      {
        what: 'answers under way come to their end',
        all: 'running',
        match: { status: 200, site: 'ams', complete: true },
      },
    ],
  },
  {
    id: 'refuse',
    title: 'Frankfurt refuses connections: no client sees an error, and London serves',
    do: [
      { do: 'steady', as: 'steady', caller: 'chat', perSecond: 10 },
      untilAt('before', 'fra', 5_000),
      { do: 'streams', as: 'running', caller: 'chat', count: 3, tokens: 400 },
      { do: 'order', site: 'fra', command: { do: 'die', mode: 'refuse' }, as: 'death' },
      probe('at-once', 'chat', 20),
      { do: 'await', site: 'fra', what: 'hubward reports it', state: 'down', withinMs: 10_000 },
      untilAt('settling', 'lon', 10_000),
      probe('new', 'chat'),
      { do: 'halt', steady: 'steady' },
      { do: 'finish', streams: 'running' },
    ],
    expect: [
      {
        what: 'nobody who asked after the death sees an error',
        all: 'at-once',
        match: { status: 200, site: ['lon', 'ams'], complete: true },
      },
      { what: 'new chats go to the third', all: 'new', match: { status: 200, site: 'lon', reason: 'fallback' } },
      {
        what: 'refused connections cost nobody an error',
        all: 'steady',
        since: 'death',
        match: { status: 200, complete: true, error: '' },
      },
      {
        what: 'streams begun there are cut: nothing heals those',
        all: 'running',
        match: { status: 200, site: 'fra', complete: false, error: 'cut' },
      },
      {
        what: 'others that the death itself cut off',
        count: 'steady',
        before: 'death',
        match: { complete: false },
        max: 6,
      },
      { what: 'it left once', metric: 'hubward_health_transitions_total', labels: departureOf('fra'), min: 1, max: 1 },
    ],
  },
  {
    id: 'hang',
    title: 'Frankfurt comes back and hangs: counted, reported, and left',
    do: [
      { do: 'order', site: 'fra', command: WELL },
      untilAt('returning', 'fra', 20_000),
      { do: 'steady', as: 'steady', caller: 'chat', perSecond: 5 },
      { do: 'order', site: 'fra', command: { do: 'hang', scope: 'all' }, as: 'hang' },
      { do: 'await', site: 'fra', what: 'hubward reports it', state: 'down', withinMs: 20_000 },
      untilAt('settling', 'lon', 10_000),
      probe('new', 'chat'),
      { do: 'halt', steady: 'steady' },
    ],
    expect: [
      {
        what: 'who asked before it was noticed waits in vain',
        count: 'steady',
        match: { complete: false, error: 'timeout' },
        min: 1,
        max: 20,
      },
      {
        what: 'each of them is counted where it hung',
        unanswered: 'fra',
        by: ['steady', 'settling'],
      },
      {
        what: 'hubward counts it',
        metric: 'hubward_health_transitions_total',
        labels: departureOf('fra'),
        min: 1,
        max: 1,
      },
      { what: 'new chats go to the third', all: 'new', match: { status: 200, site: 'lon', reason: 'fallback' } },
    ],
  },
  {
    id: 'edge',
    title: 'All hubs out: the edge answers with the smaller model',
    do: [
      { do: 'order', site: 'lon', command: { do: 'die', mode: 'refuse' } },
      untilAt('settling', 'edge-ams', 10_000),
      probe('new', 'chat'),
      probe('premium', 'premium', 4),
    ],
    expect: [
      {
        what: 'new chats are degraded, and told so',
        all: 'new',
        match: {
          status: 200,
          site: 'edge-ams',
          model: SMALL_MODEL,
          told: SMALL_MODEL,
          action: 'degrade',
          reason: 'degraded',
        },
      },
      {
        what: 'premium chats are refused rather',
        all: 'premium',
        match: { status: 503, refusal: 'no-target', type: PROBLEM, retryAfter: true },
      },
    ],
  },
  {
    id: 'residency',
    title: 'Bound by residency: refused with the reason, never sent elsewhere',
    do: [probe('uk', 'chatUk', 8), probe('ch', 'chatCh', 8), probe('ae', 'chatAe', 8)],
    expect: [
      {
        what: 'chat bound to the UK, whose only site is out',
        all: 'uk',
        match: { status: 503, refusal: 'no-target', type: PROBLEM, retryAfter: true },
      },
      boundTo('uk', ['lon']),
      {
        what: 'chat bound to where no site is',
        all: 'ch',
        match: { status: 403, refusal: 'residency-unservable', type: PROBLEM },
      },
      boundTo('ch', []),
      { what: 'chat bound to the Emirates', all: 'ae', match: { status: 200, site: 'dxb' } },
      { what: 'all of it came to Dubai', arrived: 'dxb', min: 8, max: 8 },
      boundTo('ae', ['dxb']),
      boundTo('emea', ['ams', 'fra', 'lon', 'edge-ams']),
    ],
  },
  {
    id: 'recovery',
    title: 'Recovery: a wait, then a ramp, and no flapping',
    do: [
      { do: 'steady', as: 'steady', caller: 'chat', perSecond: 20 },
      { do: 'order', site: 'ams', command: WELL },
      { do: 'order', site: 'fra', command: WELL },
      { do: 'order', site: 'lon', command: WELL },
      {
        do: 'until',
        as: 'returning',
        caller: 'chat',
        what: 'new chats settle on ams',
        match: { status: 200, site: 'ams', reason: 'first-choice' },
        inARow: 15,
        everyMs: 100,
        withinMs: 25_000,
      },
      { do: 'halt', steady: 'steady' },
      probe('after', 'chat', 20),
    ],
    expect: [
      { what: 'its share grows', ramp: 'steady', match: { site: 'ams' }, windows: 6, from: 0.2, to: 0.9, dip: 0.25 },
      { what: 'nobody sees an error', all: 'steady', match: { status: 200, complete: true } },
      { what: 'it stays', all: 'after', match: { status: 200, site: 'ams', reason: 'first-choice' } },
      {
        what: 'no site left again: by health',
        metric: 'hubward_health_transitions_total',
        labels: { to: 'down' },
        max: 0,
      },
      {
        what: 'no site left again: by threshold',
        metric: 'hubward_gate_transitions_total',
        labels: { to: 'fail' },
        max: 0,
      },
    ],
  },
  {
    id: 'drain',
    title: 'An operator drains Amsterdam',
    do: [
      { do: 'sessions', as: 'begun', caller: 'chat', count: 4 },
      { do: 'drain', site: 'ams', forText: '5m', reason: 'pump test' },
      { do: 'await', site: 'ams', what: 'hubward reports it', state: 'draining', withinMs: 10_000 },
      untilAt('settling', 'fra', 10_000),
      probe('new', 'chat'),
      { do: 'resume', as: 'resumed', sessions: 'begun' },
      { do: 'undrain', site: 'ams' },
      // Fifteen in a row: while its share still grows five would come by luck, and the next chapter wants all of them.
      untilAt('returning', 'ams', 25_000, 15),
    ],
    expect: [
      { what: 'new chats go elsewhere', all: 'new', match: { status: 200, site: 'fra', reason: 'fallback' } },
      { what: 'sessions leave too', all: 'resumed', match: { status: 200, site: 'fra' } },
    ],
  },
  {
    id: 'spoof',
    title: 'A client that sends its own routing header',
    do: [probe('liar', 'liar')],
    expect: [
      {
        what: 'it is served like everybody else',
        all: 'liar',
        match: { status: 200, site: 'ams', reason: 'first-choice' },
      },
      { what: 'nothing came to Dubai', arrived: 'dxb', max: 0 },
    ],
  },
  {
    id: 'killed',
    title: 'hubward is killed: chat goes on inside its residency, jobs are refused',
    do: [
      probe('job-before', 'job', 4),
      { do: 'steady', as: 'steady', caller: 'chat', perSecond: 10 },
      { do: 'kill-hubward' },
      probe('chat', 'chat'),
      probe('chat-eu', 'chatEu'),
      probe('chat-ae', 'chatAe', 4),
      probe('chat-ch', 'chatCh', 4),
      probe('job', 'job', 4),
      probe('liar', 'liar', 8),
      { do: 'start-hubward' },
      {
        do: 'until',
        as: 'returning',
        caller: 'chat',
        what: 'decisions are made again',
        match: { status: 200, site: 'ams', reason: 'first-choice' },
        inARow: 5,
        everyMs: 100,
        withinMs: 20_000,
      },
      { do: 'halt', steady: 'steady' },
      probe('job-after', 'job', 4),
    ],
    expect: [
      { what: 'jobs run before', all: 'job-before', match: { status: 200 } },
      {
        what: 'chat goes to the default of its residency class',
        all: 'chat',
        match: { status: 200, site: ['ams', 'fra', 'lon'], complete: true },
      },
      {
        what: 'chat bound to the EU stays there',
        all: 'chat-eu',
        match: { status: 200, site: ['fra', 'ams'], complete: true },
      },
      { what: 'chat bound to the Emirates stays there', all: 'chat-ae', match: { status: 200, site: 'dxb' } },
      {
        what: 'chat bound to where no site is',
        all: 'chat-ch',
        match: { status: 503, site: '', type: PROBLEM, retryAfter: true },
      },
      {
        what: 'jobs are refused',
        all: 'job',
        match: { status: 503, site: '', refusal: 'hubward-down', type: PROBLEM, retryAfter: true },
      },
      {
        what: 'routing headers of a client still lead nowhere',
        all: 'liar',
        match: { status: 200, site: ['ams', 'fra', 'lon'] },
      },
      { what: 'no chat saw an error from kill to start', all: 'steady', match: { status: 200, complete: true } },
      { what: 'jobs run after', all: 'job-after', match: { status: 200 } },
      boundTo('emea', ['ams', 'fra', 'lon', 'edge-ams']),
    ],
  },
  ...FLAG_CHAPTERS,
  ...PLANT_CHAPTERS,
]
