import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../documents/duration.ts'
import { signalOf } from '../model/signal.ts'
import { parseNeeds } from '../request/needs.ts'

/** What a gate asks about, as flags. */
export interface GateFacts {
  readonly class: string
  readonly needs?: readonly string[]
  readonly need?: readonly string[]
  readonly model?: string
  readonly tenant?: string
  readonly tier?: string
  readonly region?: string
  readonly residency?: string
  readonly residencyClass?: string
  readonly deadline?: string
}

const SHORT = /^([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)\s*=\s*(-?[0-9]+(?:\.[0-9]+)?)$/

/**
 * One text of needs, every part understood; of a signal `power.headroom_mw=2` means at least where less of it is worse,
 * at most where more is.
 */
export function needsFlag(text: string, before: readonly string[] = []): readonly string[] {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const [, name, value] = SHORT.exec(part) ?? []
      if (name === undefined) return part
      const signal = signalOf(name)
      if (signal === undefined)
        throw new InvalidArgumentError(`no signal is called "${name}"; see docs/reference/signals.md`)
      return `${name}${signal.worseWhen === 'lower' ? '>=' : '<='}${value}`
    })
  const { unread } = parseNeeds(parts.join(', '))
  if (unread.length > 0)
    throw new InvalidArgumentError(
      `"${unread[0]}" is not understood; write power.headroom_mw=2, gpu=H100, cooling=liquid or may-delay`,
    )
  return [...before, ...parts]
}

/** A duration in milliseconds. */
export function waitFlag(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('write a duration such as 10m')
  return ms
}

/** The facts as `POST /v1/decide` takes them. */
export function factsOf({ needs = [], need = [], residency, ...facts }: GateFacts): object {
  const listed = residency?.split(',').flatMap((one) => one.trim() || [])
  const all = [...needs, ...need]
  const { class: name, model, tenant, tier, region, residencyClass, deadline } = facts
  return {
    class: name,
    ...{ model, tenant, tier, region, residencyClass, deadline },
    ...(listed === undefined ? {} : { residency: listed }),
    ...(all.length === 0 ? {} : { needs: all.join(', ') }),
  }
}
