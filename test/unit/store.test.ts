import t from 'tap'
import { manualClock, systemClock } from '../../src/clock.ts'
import { emptySnapshot, fold } from '../../src/engine/fold.ts'
import { createLog, transitions } from '../../src/log.ts'
import { Histogram, OTHER, Slots } from '../../src/metrics/slots.ts'
import { METRICS } from '../../src/metrics/table.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Change } from '../../src/model/change.ts'
import { createStore } from '../../src/store.ts'
import { facilityLaws, readinessLaws } from '../helpers/facility-laws.ts'
import { forecastLaws } from '../helpers/forecast-laws.ts'
import { processLaws } from '../helpers/process-laws.ts'
import { T0 } from '../helpers/world.ts'

const tick = (at = T0): Change => ({ kind: 'time-passed', at })
const initial = emptySnapshot(() => () => false)

t.test('a change makes a new snapshot, and the one before is as it was', async (t) => {
  const store = createStore({ fold, initial })
  const before = store.current
  store.apply(tick())
  t.equal(before.data.revision, 0)
  t.equal(store.current.data.revision, 1)
})

t.test('time never goes back in the snapshot, whatever a change says', async (t) => {
  const store = createStore({ fold, initial })
  store.apply(tick(T0))
  store.apply(tick(T0 - 5_000))
  t.equal(store.current.data.at, T0)
})

t.test('every listener hears of every change, also after one that throws', async (t) => {
  const errors: unknown[] = []
  const store = createStore({
    fold,
    initial,
    onError: (error, where) => errors.push([where, (error as Error).message]),
  })
  const heard: number[] = []
  store.subscribe(() => {
    throw new Error('mine')
  })
  const stop = store.subscribe((snapshot) => heard.push(snapshot.data.revision))
  store.apply(tick())
  stop()
  store.apply(tick())
  t.same(heard, [1])
  t.same(errors, [
    ['listener', 'mine'],
    ['listener', 'mine'],
  ])
})

t.test('a change that a listener asks for comes after all have heard of the present one', async (t) => {
  const store = createStore({ fold, initial })
  const heard: string[] = []
  store.subscribe((snapshot) => {
    heard.push(`first ${snapshot.data.revision}`)
    if (snapshot.data.revision === 1) store.apply(tick())
  })
  store.subscribe((snapshot) => heard.push(`second ${snapshot.data.revision}`))
  store.apply(tick())
  t.same(heard, ['first 1', 'second 1', 'first 2', 'second 2'])
})

t.test('a fold that throws leaves the snapshot as it was, and the next change is made', async (t) => {
  const errors: unknown[] = []
  let broken = true
  const faulty: typeof fold = (snapshot, change) => {
    if (broken) throw new Error('ours')
    return fold(snapshot, change)
  }
  const store = createStore({ fold: faulty, initial, onError: (_error, where) => errors.push(where) })
  store.apply(tick())
  t.equal(store.current, initial)
  broken = false
  store.apply(tick())
  t.equal(store.current.data.revision, 1)
  t.same(errors, ['fold'])
})

t.test('the clock goes on at half speed while the wall clock is behind, and never back', async (t) => {
  let wall = T0
  let steady = 0
  const clock = systemClock(
    () => wall,
    () => steady,
  )
  t.equal(clock.now(), T0)
  wall -= 3_600_000
  steady += 1_000
  t.equal(clock.now(), T0 + 500, 'set back by an hour, a second later')
  wall = T0 + 10_000
  t.equal(clock.now(), T0 + 10_000, 'the wall has caught up')
  const manual = manualClock(T0)
  manual.advance(5)
  manual.advance(-5)
  t.equal(manual.now(), T0 + 5)
})

t.test('labels that no document knows share one series, and counts survive a document that goes', async (t) => {
  let known = new Set(['chat', 'ams'])
  const slots = new Slots(['class', 'target'], (label) => (label === 'class' ? known : undefined))
  slots.add(2, 'chat', 'ams')
  for (let i = 0; i < 1_000; i++) slots.add(1, `made-up-${i}`, 'ams')
  t.equal(slots.rows().length, 2)
  t.equal(slots.value(OTHER, 'ams'), 1_000)
  known = new Set()
  slots.refold()
  t.same(slots.rows(), [{ labels: [OTHER, 'ams'], value: 1_002 }])
})

t.test('the number of series has an end even where any value is let in', async (t) => {
  const slots = new Slots(['code'], () => undefined, 10)
  for (let i = 0; i < 1_000; i++) slots.add(1, `code-${i}`)
  t.equal(slots.rows().length, 11)
  t.equal(
    slots.rows().reduce((sum, slot) => sum + slot.value, 0),
    1_000,
  )
})

t.test('a duration counts in the bucket whose edge is next above it', async (t) => {
  const histogram = new Histogram()
  for (const ms of [0, 0.0005, 0.003, 0.00308, 1, 5_000, 1e12]) histogram.observeMs(ms)
  const { cumulative, count } = histogram.read()
  t.equal(count, 7)
  t.equal(cumulative.at(-1), 5, 'what took longer than 1.6 s is in no bucket but the last')
  t.equal(cumulative[0], 2)
  t.equal(cumulative[4], 3, 'up to 3.07 µs')
  t.equal(cumulative[5], 4)
})

t.test(
  'a scrape has every metric of the table, with its help and type, and nothing that looks like another',
  async (t) => {
    const metrics = createMetrics({ process: true })
    t.teardown(() => metrics.close())
    metrics.add('hubward_decisions_total', 3, 'chat', 'route', 'first-choice', 'ams/h100')
    metrics.observeMs('hubward_decide_seconds', 0.002)
    metrics.read('hubward_held', () => [[['chat'], 4]])
    const text = await metrics.text()
    for (const [name, row] of Object.entries(METRICS)) {
      t.ok(text.includes(`# TYPE ${name} ${row.type}\n`), name)
      t.match(name, row.type === 'counter' ? /^hubward_[a-z_]+_total$/ : /^hubward_[a-z_]+$/)
    }
    t.match(text, 'hubward_decisions_total{class="chat",action="route",reason="first-choice",target="ams/h100"} 3\n')
    t.match(text, /hubward_decide_seconds_bucket\{le="\+Inf"\} 1\nhubward_decide_seconds_sum 0.000002\n/)
    t.match(text, 'hubward_held{class="chat"} 4\n')
    t.match(text, /^hubward_snapshot_revision_total 0$/m)
    t.match(text, /^process_resident_memory_bytes \d/m)
  },
)

t.test('a log hides what is secret wherever it stands, and says transitions only', async (t) => {
  const lines: string[] = []
  const log = createLog('info', { write: (line) => void lines.push(line) })
  const secret = 'hunter2'
  log.info({ headers: { authorization: secret, cookie: secret, 'x-hubward-session': secret }, token: secret })
  log.info({ feed: { auth: { password: secret } } })
  t.equal(lines.length, 2)
  t.notMatch(lines.join(''), secret)

  const said: string[] = []
  const on = transitions()
  for (const state of ['ok', 'bad', 'bad', 'ok', 'ok', 'bad']) on('ams', state, () => said.push(state))
  t.same(said, ['bad', 'ok', 'bad'])
})

facilityLaws(t)
readinessLaws(t)
forecastLaws(t)
processLaws(t)
