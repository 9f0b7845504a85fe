import type { CallerName } from './cast.ts'
import type { Chapter, Match, Step } from './chapter.ts'

const send = (as: string, caller: CallerName, count = 12): Step => ({ do: 'send', as, caller, count, clients: 4 })

/** Requests one after another until five in a row, or so many, are as asked. */
const untilIs = (as: string, caller: CallerName, what: string, match: Match, inARow = 5): Step => ({
  ...{ do: 'until', as, caller, what, match, withinMs: 25_000 },
  inARow,
  everyMs: 50,
})

const PAUSE = 'assistants-pause-during-model-incident'
const STOP = 'assistants-stop-all-traffic'
const AT_AMS: Match = { status: 200, site: 'ams' }
const PROBLEM = 'application/problem+json'

/**
 * Sessions that take turns, `talk-0` and so on. Three of these names fall into the first percent and 26 into the first
 * tenth, by the hash of `assistants-prefer-amsterdam-first/arms/<name>`; other names could be less lucky.
 */
export const ASSISTANT_SESSIONS = 300

/** The chapters about flags and rollouts. Each leaves the sites and flags as it found them. */
export const FLAG_CHAPTERS: readonly Chapter[] = [
  {
    id: 'rollout',
    title: 'An Amsterdam-first policy goes 1 %, 10 %, 100 % and wins',
    do: [
      // A version that is to be faster in Amsterdam is none while Amsterdam is still coming back for work that can move.
      untilIs('settling', 'summaries', 'Amsterdam takes work that can move', { ...AT_AMS, reason: 'first-choice' }, 10),
      // Later rather than slower: at this rate a slower site would run out of slots, and the rollout be about that.
      { do: 'order', site: 'fra', command: { do: 'delay-headers', ms: 120 } },
      untilIs('before', 'assistants', 'assistants go to Frankfurt, by version 1', {
        ...{ status: 200, site: 'fra', policy: 'assistants@1' },
      }),
      { do: 'steady', as: 'talk', caller: 'assistants', perSecond: 100, sessions: ASSISTANT_SESSIONS, tokens: 1 },
      {
        ...{ do: 'rollout', rollout: 'amsterdam-first', what: 'one percent have shown no harm', withinMs: 60_000 },
        stage: 'ten-percent',
      },
      {
        ...{ do: 'rollout', rollout: 'amsterdam-first', what: 'ten percent are faster for certain', withinMs: 90_000 },
        stage: 'everybody',
      },
      {
        ...{ do: 'rollout', rollout: 'amsterdam-first', what: 'everybody has it', withinMs: 30_000 },
        ...{ status: 'finished', as: 'won' },
      },
      untilIs('new', 'assistants', 'whoever asks now gets version 2', { status: 200, policy: 'assistants@2' }),
      { do: 'halt', steady: 'talk' },
      send('after', 'assistants', 20),
      { do: 'arms', rollout: 'amsterdam-first' },
      { do: 'layers', class: 'assistants', what: 'the flag is retired', layers: [], withinMs: 5_000 },
      { do: 'order', site: 'fra', command: { do: 'delay-headers', ms: 0 } },
    ],
    expect: [
      {
        what: 'stage by stage, by the journal',
        turns: 'amsterdam-first',
        to: ['ten-percent', 'everybody', 'finished'],
      },
      { what: 'nobody sees an error', all: 'talk', match: { status: 200, complete: true, error: '' } },
      {
        ...{ what: 'sessions under way get version 2 too', count: 'talk', since: 'won' },
        ...{ match: { policy: 'assistants@2' }, min: 10 },
      },
      {
        ...{ what: 'and nobody is left in version 1', count: 'talk', since: 'won' },
        ...{ match: { policy: 'assistants@1' }, max: 0 },
      },
      { what: 'who came to Amsterdam stays there', kept: 'talk', policy: 'assistants@2', min: 100 },
      {
        ...{ what: 'version 2 is the default', count: 'after' },
        ...{ match: { status: 200, site: 'ams', policy: 'assistants@2' }, min: 15, max: 20 },
      },
    ],
  },
  {
    id: 'rollback',
    title: 'A bad version is rolled back by itself, in seconds',
    do: [
      { do: 'order', site: 'lon', command: { do: 'fail', status: 500, ratio: 0.5, scope: 'chat' }, as: 'begun' },
      { do: 'steady', as: 'steady', caller: 'translation', perSecond: 50, tokens: 1 },
      {
        ...{ do: 'rollout', rollout: 'london-first', what: 'the judge takes it back', withinMs: 60_000 },
        ...{ status: 'rolled-back', as: 'back' },
      },
      untilIs('since', 'translation', 'translations go on', { status: 200, policy: 'translation@1' }),
      { do: 'halt', steady: 'steady' },
      send('after', 'translation', 40),
      { do: 'arms', rollout: 'london-first' },
      { do: 'order', site: 'lon', command: { do: 'recover' } },
    ],
    expect: [
      {
        ...{ what: 'by itself, by the journal', turns: 'london-first', to: ['rolled-back'] },
        ...{ from: 'begun', unitsMax: 200 },
      },
      {
        ...{ what: 'until then some saw errors', count: 'steady' },
        ...{ match: { status: 500, policy: 'translation@2' }, min: 1, max: 200 },
      },
      {
        ...{ what: 'nobody of the control did', count: 'steady' },
        ...{ match: { status: 500, policy: 'translation@1' }, max: 0 },
      },
      {
        // On a machine that is busy with other things Envoy may send one or another by itself, by no version at all.
        ...{ what: 'what is asked after it goes by the control', count: 'after' },
        ...{ match: { status: 200, policy: 'translation@1' }, min: 30, max: 40 },
      },
      {
        ...{ what: 'none of it by version 2', count: 'after' },
        ...{ match: { policy: 'translation@2' }, max: 0 },
      },
      {
        ...{ what: 'nor what was under way', count: 'steady', since: 'back' },
        ...{ match: { policy: 'translation@2' }, max: 0 },
      },
    ],
  },
  {
    id: 'flags',
    title: 'Flags of the two emergency layers: switched on in a file, and off again',
    do: [
      { do: 'flag', flag: PAUSE, variant: 'pause' },
      untilIs('pausing', 'assistants', 'an incident asks assistants to come back', { status: 503, action: 'delay' }),
      send('paused', 'assistants'),
      send('others', 'chat', 4),
      { do: 'layers', class: 'assistants', what: 'decisions name the layer', layers: ['incident'], withinMs: 5_000 },
      { do: 'flag', flag: STOP, variant: 'stop' },
      untilIs('stopping', 'assistants', 'a kill switch goes before it', { status: 503, action: 'deny' }),
      {
        ...{ do: 'layers', class: 'assistants', what: 'and shadows it', withinMs: 5_000 },
        layers: ['kill-switch', 'incident shadowed'],
      },
      { do: 'flag', flag: STOP, variant: 'off' },
      { do: 'flag', flag: PAUSE, variant: 'off' },
      untilIs('back', 'assistants', 'switched off, they are answered again', { status: 200, complete: true }),
    ],
    expect: [
      {
        what: 'refusals say so, and when to come back',
        all: 'paused',
        match: { status: 503, action: 'delay', reason: 'flag', type: PROBLEM, retryAfter: true },
      },
      { what: 'no other class is touched', all: 'others', match: { status: 200, complete: true } },
      {
        ...{ what: 'counted by layer', metric: 'hubward_layer_decisions_total' },
        ...{ labels: { class: 'assistants', layer: 'incident' }, min: 12 },
      },
      {
        ...{ what: 'counted by layer', metric: 'hubward_layer_decisions_total' },
        ...{ labels: { class: 'assistants', layer: 'kill-switch' }, min: 5 },
      },
    ],
  },
]
