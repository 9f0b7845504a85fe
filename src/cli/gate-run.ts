import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Decision } from '../model/decision.ts'
import { siteOf } from '../model/names.ts'
import { type AdminFlags, askAdmin } from './admin-client.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { complain } from './output.ts'

/** A reservation is renewed three times in its life while the command runs, but not more often than this. */
const RENEW_MS_MIN = 1_000
/** The signals that are handed on to the command. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/**
 * Runs the command that a gate was asked for, with the decision in its environment, and gives its exit code: its own, 128
 * and the signal's number where one ended it. While it runs its reservation is renewed; then its end is reported,
 * unless the work goes on without it.
 */
export async function runGated(
  command: readonly string[],
  decision: Decision,
  flags: AdminFlags & { readonly detach?: true },
): Promise<number> {
  const id = decision.reservation
  const renewal = id === undefined ? undefined : await renewing(flags, id)
  const code = await new Promise<number>((resolve) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit', env: { ...process.env, ...told(decision) } })
    const forward = (signal: NodeJS.Signals): void => {
      // A terminal has sent it to the command as well.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    for (const signal of SIGNALS) process.on(signal, forward)
    const end = (ended: number): void => {
      for (const signal of SIGNALS) process.off(signal, forward)
      resolve(ended)
    }
    child.once('error', (error) => {
      complain(`hubward gate: ${command[0]} can't be started: ${error.message}`)
      end(EXIT_CODES.notFound.code)
    })
    child.once('close', (status, signal) => end(status ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 0)))
  })
  clearInterval(renewal)
  if (id !== undefined && flags.detach !== true) await endReservation(flags, id, `the command ended with ${code}`)
  return code
}

/** Reports the end of what a gate had reserved. That it can't be is told; then it ages out. */
export async function endReservation(flags: AdminFlags, id: string, cause: string): Promise<void> {
  try {
    await askAdmin(flags, `/v1/jobs/${id}/ended`, { cause })
  } catch (error) {
    complain(
      `hubward gate: the end of reservation ${id} could not be reported, it will age out: ${(error as Error).message}`,
    )
  }
}

async function renewing(flags: AdminFlags, id: string): Promise<NodeJS.Timeout | undefined> {
  try {
    const { json } = await askAdmin(flags, `/v1/jobs/${id}/running`, {})
    const { admittedAt, expiresAt } = json as { admittedAt: number; expiresAt: number }
    const everyMs = Math.max(RENEW_MS_MIN, (expiresAt - admittedAt) / 3)
    return setInterval(() => void askAdmin(flags, `/v1/jobs/${id}/renew`, {}).catch(() => {}), everyMs)
  } catch {
    // The command was let through; that its reservation can't be renewed is no reason to keep it waiting.
    return undefined
  }
}

const told = (decision: Decision): Record<string, string> => ({
  HUBWARD_ACTION: decision.action,
  HUBWARD_REASON: decision.reason,
  HUBWARD_DECISION: decision.id,
  ...(decision.reservation === undefined ? {} : { HUBWARD_RESERVATION: decision.reservation }),
  ...('target' in decision && decision.target !== undefined
    ? { HUBWARD_TARGET: decision.target, HUBWARD_SITE: siteOf(decision.target), HUBWARD_CLUSTER: decision.cluster }
    : {}),
  ...(decision.action === 'degrade' ? { HUBWARD_MODEL: decision.model } : {}),
})
