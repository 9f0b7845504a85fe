import type { Expectation, Match, Turn, When } from './chapter.ts'
import type { ChatSeen } from './client.ts'
import type { Row } from './story.ts'

/** What a chapter brought, for its expectations. */
export interface Evidence {
  /** Answers by the name of the step that got them. */
  readonly seen: Readonly<Record<string, readonly ChatSeen[]>>
  /** Chat requests by site and residency class since the chapter began; `''` is the sum. */
  readonly arrived: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Epoch milliseconds of the moments that orders name. */
  readonly moments?: Readonly<Record<string, number>>
  /** By how much a number of hubward's grew since the chapter began. */
  readonly grown?: (metric: string, labels: Readonly<Record<string, string>> | undefined) => number
  /** Chat requests by site that came since the chapter began and were never answered. */
  readonly unanswered?: Readonly<Record<string, number>>
  /** When the chapter began, in epoch milliseconds. */
  readonly began?: number
  /** What rollouts did since then, by name. */
  readonly turns?: Readonly<Record<string, readonly Turn[]>>
}

/** Whether an answer is as asked. */
export const matches = (seen: ChatSeen, match: Match): boolean =>
  fits(seen.status, match.status) &&
  fits(seen.site, match.site) &&
  fits(seen.model, match.model) &&
  fits(seen.hubward.action ?? '', match.action) &&
  fits(seen.hubward.reason ?? '', match.reason) &&
  fits(seen.refusal, match.refusal) &&
  fits(seen.complete, match.complete) &&
  fits(seen.error ?? '', match.error) &&
  fits(seen.hubward.model ?? '', match.told) &&
  fits(seen.type, match.type) &&
  fits((seen.retryAfterS ?? 0) >= 1, match.retryAfter) &&
  fits(seen.hubward.policy ?? '', match.policy)

const fits = <T>(value: T, wanted: T | readonly T[] | undefined): boolean =>
  wanted === undefined || (Array.isArray(wanted) ? wanted.includes(value) : value === wanted)

/** Answers in a few words: who gave them or why not, and how many. */
export const summary = (seen: readonly ChatSeen[]): string => {
  const counts = new Map<string, number>()
  for (const one of seen) {
    const reason = one.hubward.reason ?? ''
    const answer = one.status === 200 ? one.site || 'no site' : String(one.status || 'no answer')
    const words = [answer, one.status === 200 ? reason : one.refusal || reason, one.error ?? ''].filter(Boolean)
    const text = words.join(' ')
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1]).map(([text, count]) => `${count}x ${text}`)
  return sorted.length === 0 ? 'nothing' : sorted.slice(0, 4).join(', ') + (sorted.length > 4 ? ', …' : '')
}

/** What is asked of an answer, in a few words. */
export const asked = (match: Match): string =>
  Object.entries(match)
    .map(([field, value]) => {
      if (field === 'complete') return value === true ? 'complete' : 'not complete'
      if (field === 'retryAfter') return value === true ? 'Retry-After' : 'no Retry-After'
      if (field === 'told') return `told ${value}`
      if (field === 'error' && value === '') return 'no error'
      const text = Array.isArray(value) ? value.join(' or ') : String(value)
      return field === 'status' || field === 'site' ? text : `${field} ${text}`
    })
    .join(', ')

const between = (min: number | undefined, max: number | undefined): string => {
  if (min !== undefined && min === max) return String(min)
  if (max === undefined) return `at least ${min ?? 0}`
  return min === undefined ? `at most ${max}` : `${min} to ${max}`
}

const inside = (value: number, min: number | undefined, max: number | undefined): boolean =>
  value >= (min ?? 0) && value <= (max ?? Infinity)

/** An expectation held against the evidence. A name that nothing was seen under fails. */
export const judge = (expectation: Expectation, evidence: Evidence): Row => {
  const { what } = expectation
  if ('all' in expectation) {
    const seen = during(evidence.seen[expectation.all], expectation, evidence) ?? []
    const ok = seen.length > 0 && seen.every((one) => matches(one, expectation.match))
    return { what, expected: asked(expectation.match), seen: summary(seen), ok }
  }
  if ('count' in expectation) {
    const { match, min, max } = expectation
    const seen = during(evidence.seen[expectation.count], expectation, evidence)
    const count = (seen ?? []).filter((one) => matches(one, match)).length
    return {
      what,
      expected: `${between(min, max)} of ${asked(match)}`,
      seen: `${count} of ${seen?.length ?? 0}`,
      ok: seen !== undefined && inside(count, min, max),
    }
  }
  if ('arrived' in expectation) {
    const { arrived: site, min, max } = expectation
    const counts = evidence.arrived[site]
    const count = counts?.[''] ?? 0
    return {
      what,
      expected: `${between(min, max)} at ${site}`,
      seen: counts === undefined ? `nobody knows of ${site}` : String(count),
      ok: counts !== undefined && inside(count, min, max),
    }
  }
  if ('onlyTo' in expectation) {
    const { residency, onlyTo } = expectation
    const came = Object.entries(evidence.arrived)
      .map(([site, counts]) => ({ site, count: counts[residency] ?? 0 }))
      .filter(({ count }) => count > 0)
    return {
      what,
      expected: onlyTo.length === 0 ? 'to no site' : `to ${onlyTo.join(', ')} only`,
      seen: came.map(({ site, count }) => `${count} to ${site}`).join(', ') || 'none to any',
      ok: came.every(({ site }) => onlyTo.includes(site)) && onlyTo.every((site) => site in evidence.arrived),
    }
  }
  if ('metric' in expectation) {
    const { metric, labels, min, max } = expectation
    const grown = evidence.grown?.(metric, labels)
    return {
      what,
      expected: between(min, max),
      seen: grown === undefined ? 'hubward was not asked' : `${grown} by ${metric}`,
      ok: grown !== undefined && inside(grown, min, max),
    }
  }
  if ('unanswered' in expectation) {
    const { unanswered: site, by } = expectation
    const clients = by.flatMap((as) => evidence.seen[as] ?? []).filter(({ error }) => error === 'timeout').length
    const held = evidence.unanswered?.[site]
    return {
      what,
      expected: `as many as ${site} left unanswered`,
      seen: `${clients} clients, ${held ?? 'no'} requests`,
      ok: clients > 0 && clients === held,
    }
  }
  if ('turns' in expectation) return turnsRow(expectation, evidence)
  if ('kept' in expectation) return keptRow(expectation, evidence.seen[expectation.kept] ?? [])
  return rampRow(expectation, evidence.seen[expectation.ramp] ?? [])
}

/** A turn in one word: the stage that began, or the status by which it ended or stands. */
const turnName = ({ to, stage }: Turn): string => (to === 'running' ? stage : to)

const turnsRow = (
  { what, turns: rollout, to, unitsMax, from }: Extract<Expectation, { turns: string }>,
  { turns = {}, moments = {}, began = 0 }: Evidence,
): Row => {
  // Held between two stages, it only waits for what it needs, and is then where it was.
  const taken = (turns[rollout] ?? [])
    .filter((turn) => turn.to !== 'held')
    .filter((turn, index, all) => index === 0 || turnName(turn) !== turnName(all[index - 1]!))
  const last = taken.at(-1)
  const start = from === undefined ? began : (moments[from] ?? Infinity)
  const names = taken.map((turn) => `${turnName(turn)} after ${((turn.at - start) / 1_000).toFixed(1)} s`)
  const units = last === undefined ? '' : `, ${last.treatmentUnits} requests of the treatment`
  // What a finished one has shown is a long sentence of its own.
  const why = last === undefined || last.to === 'finished' ? '' : `; ${last.cause}`
  const isTurned = taken.map(turnName).join() === to.join()
  return {
    what,
    expected: `${to.join(', ')}${unitsMax === undefined ? '' : ` by at most ${unitsMax} requests of the treatment`}`,
    seen: names.length === 0 ? 'the journal has nothing of it' : `${names.join(', ')}${units}${why}`,
    ok: isTurned && last !== undefined && last.treatmentUnits <= (unitsMax ?? Infinity),
  }
}

const keptRow = ({ what, policy, min }: Extract<Expectation, { kept: string }>, seen: readonly ChatSeen[]): Row => {
  const came = new Set<string>()
  const left = new Set<string>()
  for (const { sessionKey, hubward } of [...seen].sort((a, b) => a.at - b.at)) {
    // Answers that hubward had no part in say nothing of policies.
    if (sessionKey === '' || hubward.policy === undefined) continue
    if (hubward.policy === policy) came.add(sessionKey)
    else if (came.has(sessionKey)) left.add(sessionKey)
  }
  return {
    what,
    expected: `at least ${min} came to ${policy}, none left it`,
    seen: `${came.size} came, ${left.size} left`,
    ok: came.size >= min && left.size === 0,
  }
}

/** The answers that are meant, by when their requests began. A moment that nobody has seen means nothing fits. */
const during = (
  seen: readonly ChatSeen[] | undefined,
  { before, since }: When,
  { moments = {} }: Evidence,
): readonly ChatSeen[] | undefined =>
  seen?.filter(
    ({ at }) =>
      (before === undefined || at < (moments[before] ?? -Infinity)) &&
      (since === undefined || at >= (moments[since] ?? Infinity)),
  )

/** Shares by window of time; a window without answers has none. */
export const shares = (seen: readonly ChatSeen[], match: Match, windows: number): number[] => {
  const sorted = [...seen].sort((a, b) => a.at - b.at)
  const from = sorted[0]?.at ?? 0
  const width = ((sorted.at(-1)?.at ?? 0) - from) / windows || 1
  const parts = Array.from({ length: windows }, () => ({ all: 0, fitting: 0 }))
  for (const one of sorted) {
    const part = parts[Math.min(windows - 1, Math.floor((one.at - from) / width))]!
    part.all += 1
    if (matches(one, match)) part.fitting += 1
  }
  return parts.filter((part) => part.all > 0).map((part) => part.fitting / part.all)
}

const rampRow = (expectation: Extract<Expectation, { ramp: string }>, seen: readonly ChatSeen[]): Row => {
  const { what, match, windows, from, to, dip } = expectation
  const found = shares(seen, match, windows)
  const steady = found.every((share, index) => share >= Math.max(0, ...found.slice(0, index)) - dip)
  const ok = found.length > 1 && found[0]! <= from && found.at(-1)! >= to && steady
  const percent = (share: number) => `${Math.round(share * 100)} %`
  return {
    what,
    expected: `share of ${asked(match)} from ${percent(from)} or less to ${percent(to)} or more, rising`,
    seen: found.map(percent).join(' ') || 'nothing',
    ok,
  }
}
