import { SMALL_MODEL } from './cast.ts'
import type { Chapter, Expectation, Step } from './chapter.ts'

/** How many new requests a chapter sends to see where they go, four at a time. */
const probe = (as: string, caller: Extract<Step, { do: 'send' }>['caller'], count = 12): Step => ({
  do: 'send',
  as,
  caller,
  count,
  clients: 4,
})

/** Asks every 100 ms until five answers in a row come from there. The demo's own timers add up to some 6 s of return. */
const untilAt = (as: string, site: string, withinMs: number): Step => ({
  do: 'until',
  as,
  caller: 'chat',
  what: `new chats settle on ${site}`,
  match: { status: 200, site },
  inARow: 5,
  everyMs: 100,
  withinMs,
})

const nobodyElse = (residency: string, sites: readonly string[]): Expectation[] =>
  sites.map((site) => ({ what: `nothing bound to ${residency} came to ${site}`, arrived: site, residency, max: 0 }))

const WELL = { do: 'recover' } as const

/** The demo's story. Each chapter begins with what the one before has left. */
export const CHAPTERS: readonly Chapter[] = [
  {
    title: 'Amsterdam first',
    do: [untilAt('settling', 'ams', 20_000), probe('new', 'chat')],
    expect: [
      {
        what: 'new chats go to the first choice',
        all: 'new',
        match: { status: 200, site: 'ams', action: 'route', reason: 'first-choice', complete: true },
      },
      { what: 'none of them to Dubai', arrived: 'dxb', max: 0 },
    ],
  },
  {
    title: 'Its queue fills: new requests go to Frankfurt, running sessions stay',
    do: [
      { do: 'sessions', as: 'begun', caller: 'chat', count: 4 },
      { do: 'streams', as: 'running', caller: 'chat', count: 3, tokens: 320 },
      { do: 'order', site: 'ams', command: { do: 'fill', queued: 40, slots: 0 } },
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
    title: 'Frankfurt refuses connections: no client sees an error, and London serves',
    do: [
      { do: 'steady', as: 'steady', caller: 'chat', perSecond: 10 },
      untilAt('before', 'fra', 5_000),
      { do: 'order', site: 'fra', command: { do: 'die', mode: 'refuse' } },
      probe('at-once', 'chat', 20),
      untilAt('settling', 'lon', 10_000),
      probe('new', 'chat'),
      { do: 'halt', steady: 'steady' },
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
        count: 'steady',
        match: { status: [0, 500, 502, 503, 504] },
        max: 0,
      },
    ],
  },
  {
    title: 'Frankfurt comes back and hangs: counted, reported, and left',
    do: [
      { do: 'order', site: 'fra', command: WELL },
      untilAt('returning', 'fra', 20_000),
      { do: 'order', site: 'fra', command: { do: 'hang', scope: 'all' } },
      untilAt('settling', 'lon', 30_000),
      probe('new', 'chat'),
    ],
    expect: [
      { what: 'new chats go to the third', all: 'new', match: { status: 200, site: 'lon', reason: 'fallback' } },
      {
        what: 'what had gone there meanwhile is counted',
        count: 'settling',
        match: { complete: false },
        min: 0,
        max: 6,
      },
    ],
  },
  {
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
        match: { status: 200, site: 'edge-ams', model: SMALL_MODEL, action: 'degrade', reason: 'degraded' },
      },
      { what: 'premium chats are refused rather', all: 'premium', match: { status: 503, refusal: 'no-target' } },
    ],
  },
  {
    title: 'Bound by residency: refused with the reason, never sent elsewhere',
    do: [probe('uk', 'chatUk', 8), probe('ch', 'chatCh', 8), probe('ae', 'chatAe', 8)],
    expect: [
      { what: 'chat bound to the UK, whose only site is out', all: 'uk', match: { status: 503, refusal: 'no-target' } },
      ...nobodyElse('uk', ['ams', 'fra', 'dxb', 'edge-ams']),
      { what: 'chat bound to where no site is', all: 'ch', match: { status: 403, refusal: 'residency-unservable' } },
      ...nobodyElse('ch', ['ams', 'fra', 'lon', 'dxb', 'edge-ams']),
      { what: 'chat bound to the Emirates', all: 'ae', match: { status: 200, site: 'dxb' } },
      ...nobodyElse('ae', ['ams', 'fra', 'lon', 'edge-ams']),
      ...nobodyElse('emea', ['dxb']),
    ],
  },
  {
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
    ],
  },
  {
    title: 'An operator drains Amsterdam',
    do: [
      { do: 'sessions', as: 'begun', caller: 'chat', count: 4 },
      { do: 'drain', site: 'ams', forText: '5m', reason: 'pump test' },
      untilAt('settling', 'fra', 10_000),
      probe('new', 'chat'),
      { do: 'resume', as: 'resumed', sessions: 'begun' },
      { do: 'undrain', site: 'ams' },
      untilAt('returning', 'ams', 20_000),
    ],
    expect: [
      { what: 'new chats go elsewhere', all: 'new', match: { status: 200, site: 'fra', reason: 'fallback' } },
      { what: 'sessions leave too', all: 'resumed', match: { status: 200, site: 'fra' } },
    ],
  },
  {
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
      { what: 'chat bound to where no site is', all: 'chat-ch', match: { status: 503 } },
      { what: 'jobs are refused', all: 'job', match: { status: 503, site: '' } },
      {
        what: 'routing headers of a client still lead nowhere',
        all: 'liar',
        match: { status: 200, site: ['ams', 'fra', 'lon'] },
      },
      { what: 'no chat saw an error from kill to start', all: 'steady', match: { status: 200, complete: true } },
      { what: 'jobs run after', all: 'job-after', match: { status: 200 } },
      ...nobodyElse('emea', ['dxb']),
    ],
  },
]
