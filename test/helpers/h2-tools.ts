import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { childEnvironment } from './running-envoy.ts'

const H2SPEC = '2.2.1'
const CACHE = join(homedir(), '.cache', 'hubward', `h2spec-${H2SPEC}`)

/** Runs Go; throws with what it said, for without it these tests can't run. */
const go = (args: readonly string[], more: NodeJS.ProcessEnv, cwd: string): void => {
  const done = spawnSync('go', args, {
    cwd,
    encoding: 'utf8',
    env: { ...childEnvironment(), ...more },
    timeout: 280_000,
  })
  if (done.error !== undefined || done.status !== 0)
    throw new Error(
      `not run: go ${args.join(' ')}: ${done.error?.message ?? done.stderr.trim().slice(-600)}; install Go`,
    )
}

/** The path of h2spec: from our cache, else built into it with Go. */
export const h2spec = (): string => {
  const binary = join(CACHE, 'h2spec')
  if (existsSync(binary)) return binary
  // Beside the cache and then into its place at once, for another test may be doing the same.
  mkdirSync(dirname(CACHE), { recursive: true })
  const folder = mkdtempSync(`${CACHE}-`)
  try {
    go(['install', `github.com/summerwind/h2spec/cmd/h2spec@v${H2SPEC}+incompatible`], { GOBIN: folder }, tmpdir())
    mkdirSync(CACHE, { recursive: true })
    renameSync(join(folder, 'h2spec'), binary)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return binary
}

/** Builds the client on grpc-go into a folder; gives its path. */
export const grpcGoClient = (folder: string): string => {
  const binary = join(folder, 'grpc-go-client')
  go(['build', '-o', binary, './client'], {}, join(import.meta.dirname, '../../bench/go-ext-proc'))
  return binary
}
