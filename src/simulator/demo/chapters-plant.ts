import type { CallerName } from './cast.ts'
import type { Chapter, Match, Step } from './chapter.ts'

/** Requests one after another until three in a row are as asked. */
const untilIs = (as: string, caller: CallerName, what: string, match: Match, withinMs = 10_000): Step => ({
  ...{ do: 'until', as, caller, what, match, withinMs },
  inARow: 3,
  everyMs: 100,
})
/** Requests one after another until one is as asked: the first to return, or a job of which exactly one is to run. */
const once = (as: string, caller: CallerName, what: string, match: Match, withinMs = 15_000): Step => ({
  ...{ do: 'until', as, caller, what, match, withinMs },
  inARow: 1,
  everyMs: 200,
})
const send = (as: string, caller: CallerName, count = 4): Step => ({ do: 'send', as, caller, count, clients: 2 })
const told = (site: string, order: object): Step => ({ do: 'plant', site, order })
const AT_AMS: Match = { status: 200, site: 'ams' }
const PROBLEM = 'application/problem+json'

/** Power at ams beyond its base, so that what is left of the budget is green, amber or red by the demo's limits. */
const LOAD_MW = { green: 0, amber: 6.5, red: 8 } as const

/** The chapters about power, cooling, prices and the grid. Each leaves the plants as it found them. */
export const PLANT_CHAPTERS: readonly Chapter[] = [
  {
    id: 'amber',
    title: 'Power in Amsterdam goes amber: training waits in line, everything else stays',
    do: [
      untilIs('before', 'training', 'training may run', { ...AT_AMS, reason: 'first-choice' }),
      told('ams', { do: 'end-all' }),
      told('ams', { do: 'load', mw: LOAD_MW.amber }),
      { do: 'await', site: 'ams', what: 'hubward reports it', failing: 'power.headroom_pct', withinMs: 10_000 },
      untilIs('waiting', 'training', 'training is held, then sent away', { status: 503, refusal: 'readiness' }),
      send('chats', 'chat'),
      send('summaries', 'summaries'),
      send('training', 'training', 2),
    ],
    expect: [
      {
        what: 'training is told to come back, with the reason',
        all: 'training',
        match: { status: 503, action: 'delay', refusal: 'readiness', type: PROBLEM, retryAfter: true },
      },
      { what: 'it was held before', metric: 'hubward_holds_total', labels: { class: 'training' }, min: 2 },
      { what: 'chat stays', all: 'chats', match: { ...AT_AMS, reason: 'first-choice' } },
      { what: 'so do summaries, which can move and need not', all: 'summaries', match: AT_AMS },
    ],
  },
  {
    id: 'red',
    title: 'Power goes red: only critical work stays',
    do: [
      told('ams', { do: 'load', mw: LOAD_MW.red }),
      untilIs('leaving', 'summaries', 'summaries leave', { status: 200, site: 'fra' }),
      send('chats', 'chat'),
      send('summaries', 'summaries'),
      told('ams', { do: 'load', mw: LOAD_MW.green }),
      untilIs('back', 'training', 'training comes back below the release point', AT_AMS, 15_000),
      once('returning', 'summaries', 'and summaries begin to', AT_AMS, 30_000),
      told('ams', { do: 'end-all' }),
    ],
    expect: [
      { what: 'chat, which is critical, stays', all: 'chats', match: { ...AT_AMS, reason: 'first-choice' } },
      { what: 'summaries go to Frankfurt', all: 'summaries', match: { status: 200, site: 'fra', reason: 'fallback' } },
    ],
  },
  {
    id: 'pump',
    title: 'A coolant pump fails in Frankfurt: fine-tuning leaves the liquid pool in time',
    do: [
      once('begun', 'largeTuning', 'a job begins in Frankfurt', { status: 200, site: 'fra', reason: 'first-choice' }),
      {
        ...{ do: 'plant-until', site: 'fra', what: 'the job draws its power', expected: '3 MW', withinMs: 5_000 },
        holds: ({ jobs }) => jobs.some(({ drawMw }) => drawMw > 2.9),
      },
      told('fra', { do: 'forget' }),
      told('fra', { do: 'pump', loop: 'cdu-1', ratio: 0 }),
      {
        ...{ do: 'plant-until', site: 'fra', what: 'it is told to pause, and does', withinMs: 10_000 },
        expected: 'nothing is drawn any more',
        holds: ({ jobs }) => jobs.length > 0 && jobs.every(({ drawMw }) => drawMw < 0.01),
      },
      untilIs('moved', 'tuning', 'new jobs go to Amsterdam', { ...AT_AMS, reason: 'fallback' }),
      {
        ...{ do: 'plant-until', site: 'fra', what: 'the loop never reached its limit', withinMs: 0 },
        expected: 'under 40 degrees at its hottest',
        holds: ({ supplyMaxC }) => supplyMaxC < 40,
      },
      told('fra', { do: 'well' }),
      told('fra', { do: 'end-all' }),
      told('ams', { do: 'end-all' }),
    ],
    expect: [
      { what: 'jobs were told so', metric: 'hubward_job_advice_total', labels: { class: 'fine-tuning' }, min: 1 },
    ],
  },
  {
    id: 'maintenance',
    title: 'The plant in Amsterdam says that it is being worked on',
    do: [
      told('ams', { do: 'maintain', on: true }),
      { do: 'await', site: 'ams', what: 'hubward reports it', state: 'maintenance', withinMs: 10_000 },
      send('chats', 'chat'),
      told('ams', { do: 'maintain', on: false }),
      untilIs('returning', 'chat', 'chats come back', { ...AT_AMS, reason: 'first-choice' }, 25_000),
    ],
    expect: [
      // Frankfurt may still be coming back from its pump.
      { what: 'chats go elsewhere', all: 'chats', match: { status: 200, site: ['fra', 'lon'], reason: 'fallback' } },
    ],
  },
  {
    id: 'off-peak',
    title: 'A batch waits for cheap hours: Retry-After names them, and then it runs',
    do: [
      told('ams', { do: 'prices', steps: [140, 35], stepMs: 6_000 }),
      told('fra', { do: 'prices', steps: [150, 120], stepMs: 6_000 }),
      untilIs('dear', 'batch', 'it is sent away while power is dear', { status: 503, refusal: 'no-target' }),
      send('waiting', 'batch', 2),
      untilIs('cheap', 'batch', 'it runs where power is cheap', { ...AT_AMS, action: 'route' }, 20_000),
      told('ams', { do: 'prices', steps: [], stepMs: 3_600_000 }),
      told('fra', { do: 'prices', steps: [], stepMs: 3_600_000 }),
    ],
    expect: [
      {
        what: 'it is told when',
        all: 'waiting',
        match: { status: 503, action: 'delay', retryAfter: true, type: PROBLEM },
      },
    ],
  },
  {
    id: 'telemetry',
    title: 'Telemetry is five minutes old: jobs wait, inference goes where the risk is lowest',
    do: [
      once('job', 'largeTraining', 'a job begins', { ...AT_AMS, reason: 'first-choice' }),
      {
        ...{ do: 'plant-until', site: 'ams', what: 'a job runs', expected: '2.5 MW', withinMs: 5_000 },
        holds: ({ jobs }) => jobs.some(({ drawMw }) => drawMw > 2.4),
      },
      told('ams', { do: 'meter', name: '*', fault: 'late', ms: 300_000 }),
      told('fra', { do: 'meter', name: '*', fault: 'late', ms: 300_000 }),
      untilIs('stale', 'training', 'training is not sent blind', { status: 503, refusal: 'stale' }, 15_000),
      untilIs(
        'lowest',
        'summaries',
        'summaries go by what was seen last',
        { status: 200, reason: 'lowest-risk' },
        15_000,
      ),
      {
        ...{ do: 'plant-until', site: 'ams', what: 'the job that runs is told to pause', withinMs: 15_000 },
        expected: 'nothing is drawn any more',
        holds: ({ jobs }) => jobs.every(({ drawMw }) => drawMw < 0.01),
      },
      send('chats', 'chat'),
      told('ams', { do: 'well' }),
      told('fra', { do: 'well' }),
      untilIs('fresh', 'training', 'and all goes on once it is fresh', AT_AMS, 20_000),
      told('ams', { do: 'end-all' }),
    ],
    expect: [
      { what: 'chat does not ask for it', all: 'chats', match: { ...AT_AMS, reason: 'first-choice' } },
      { what: 'somebody is told', metric: 'hubward_stale_alerts_total', labels: { class: 'training' }, min: 1 },
      { what: 'violations are counted', metric: 'hubward_freshness_violations_total', labels: {}, min: 1 },
    ],
  },
  {
    id: 'liar',
    title: 'A temperature sensor lies: what it says is refused, counted, and not followed',
    do: [
      told('fra', { do: 'meter', name: 'cdu-1/supply_c', fault: 'spike', by: 60 }),
      {
        ...{ do: 'count', what: 'its readings are refused and counted', min: 1, withinMs: 10_000 },
        metric: 'hubward_samples_refused_total',
        labels: { why: 'absurd' },
      },
      untilIs('tuning', 'tuning', 'fine-tuning stays', { status: 200, site: 'fra', reason: 'first-choice' }),
      send('more', 'tuning', 8),
      told('fra', { do: 'well' }),
      told('fra', { do: 'end-all' }),
    ],
    expect: [{ what: 'no job followed it', count: 'more', match: { status: 200, site: 'ams' }, max: 0 }],
  },
  {
    id: 'grid',
    title: 'A grid emergency asks for 30 % off',
    do: [
      once('jobs', 'largeTraining', 'one job is admitted', { ...AT_AMS, reason: 'first-choice' }),
      once('jobs', 'largeTraining', 'and another', { ...AT_AMS, reason: 'first-choice' }),
      {
        ...{ do: 'plant-until', site: 'ams', what: 'two jobs run', expected: '5 MW', withinMs: 8_000 },
        holds: ({ jobs }) => jobs.reduce((sum, { drawMw }) => sum + drawMw, 0) > 4.8,
      },
      { do: 'shed', site: 'ams', ratio: 0.3, times: 3, caller: 'chat' },
      told('ams', { do: 'end-all' }),
    ],
    expect: [
      {
        what: 'both are told to pause, each time',
        metric: 'hubward_job_advice_total',
        labels: { advice: 'pause' },
        min: 6,
      },
    ],
  },
]
