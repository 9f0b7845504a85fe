import type { Log, OnTransition } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Event } from '../model/event.ts'
import { errorsFirst, problemText } from '../model/problem.ts'

/** Counts what happened. */
export function countEvent(metrics: Metrics, event: Event): void {
  switch (event.kind) {
    case 'health-changed':
      metrics.add('hubward_health_transitions_total', 1, event.target, event.to)
      break
    case 'gate-changed':
      metrics.add('hubward_gate_transitions_total', 1, event.target, event.signal, event.to)
      break
    case 'documents-accepted':
    case 'flags-accepted':
      metrics.add('hubward_source_changes_total', 1, event.source, 'accepted')
      break
    case 'documents-refused':
    case 'flags-refused':
    case 'overrides-refused':
      metrics.add('hubward_source_changes_total', 1, event.source, 'refused')
      break
    case 'session-moved':
      metrics.add('hubward_session_moves_total', event.count, event.class, event.to)
      break
    case 'samples-refused':
      metrics.add('hubward_samples_refused_total', event.count, event.why, event.source)
  }
}

/** A line of the log. */
interface Line {
  readonly level: 'info' | 'warn' | 'error'
  readonly says: string
  readonly with: object
}

/** How many problems of a set are written to the log; all of them are in /sources and in the journal. */
const PROBLEMS_SHOWN = 20

/** Says what happened. Every event is a transition, so each is said; refused samples the first time, by source and reason. */
export function logEvent(log: Log, event: Event, on: OnTransition): void {
  const line = lineOf(event)
  const say = (): void => log[line.level](line.with, line.says)
  if (event.kind === 'samples-refused') on(`samples ${event.source} ${event.why}`, 'refused', say)
  else say()
}

function lineOf(event: Event): Line {
  const { kind: _kind, at: _at, ...what } = event
  switch (event.kind) {
    case 'health-changed':
      return { level: event.to === 'down' ? 'warn' : 'info', says: `target is ${event.to}`, with: what }
    case 'red-changed':
      return { level: 'warn', says: event.red ? 'target is red for safety' : 'target is red no more', with: what }
    case 'gate-changed':
      return { level: 'info', says: event.to === 'fail' ? 'threshold crossed' : 'threshold passed again', with: what }
    case 'documents-accepted': {
      const { source, version, fromDisk, added, changed, removed } = event
      const counts = { added: added.length, changed: changed.length, removed: removed.length }
      const warnings = event.warnings.slice(0, PROBLEMS_SHOWN).map(problemText)
      return { level: 'info', says: 'documents accepted', with: { source, version, fromDisk, ...counts, warnings } }
    }
    case 'documents-refused':
    case 'flags-refused':
    case 'overrides-refused': {
      const { source, version } = event
      const problems = errorsFirst(event.problems).slice(0, PROBLEMS_SHOWN).map(problemText)
      const more = event.problems.length - problems.length
      return {
        level: 'error',
        says: 'refused; what was in force before stays',
        with: { source, version, problems, more },
      }
    }
    case 'flags-accepted':
      return {
        level: event.fromDisk || event.warnings.length > 0 ? 'warn' : 'info',
        says: event.fromDisk ? 'flags kept on disk are in force' : 'flags accepted',
        with: {
          source: event.source,
          version: event.version,
          added: event.added.length,
          changed: event.changed.length,
          removed: event.removed.length,
          warnings: event.warnings.slice(0, PROBLEMS_SHOWN).map(problemText),
        },
      }
    case 'flags-stale':
      return event.stale
        ? {
            level: 'error',
            says:
              event.consequence === 'off'
                ? 'flags are stale: all of them are off'
                : 'flags are stale: the last values stay',
            with: what,
          }
        : { level: 'info', says: 'flags are fresh again', with: what }
    case 'rollout-changed':
      return {
        level: event.to === 'rolled-back' || event.to === 'aborted' ? 'warn' : 'info',
        says: `rollout is ${event.to}`,
        with: what,
      }
    case 'override-started':
      return { level: 'warn', says: 'override in force', with: what }
    case 'override-ended':
      return { level: 'warn', says: 'override ended; it leaves a review to be done', with: what }
    case 'routing-switched':
      return { level: 'warn', says: `routing is switched ${event.enabled ? 'on' : 'off'}`, with: what }
    case 'clusters-changed':
      return {
        level: 'info',
        says: 'clusters of Envoy changed',
        with: { added: event.added.length, removed: event.removed.length },
      }
    case 'reservation-made':
      return { level: 'info', says: 'reservation made', with: what }
    case 'reservation-ended':
      return { level: 'info', says: 'reservation ended', with: what }
    case 'readiness-changed':
      return { level: event.to === 'red' ? 'warn' : 'info', says: `readiness is ${event.to}`, with: what }
    case 'session-moved':
      return { level: 'info', says: `${event.count} sessions moved from ${event.from} to ${event.to}`, with: what }
    case 'samples-refused':
      return { level: 'warn', says: 'samples refused', with: what }
    case 'job-advised':
      return {
        level: event.to === 'run' || event.to === 'resume' ? 'info' : 'warn',
        says: event.to === 'run' ? 'job may run' : `job should ${event.to}`,
        with: what,
      }
    default:
      return event satisfies never
  }
}
