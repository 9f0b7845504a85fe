import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { bootstrapFailures } from '../helpers/bootstrap-failures.ts'
import { ask, childEnvironment, until } from '../helpers/running-envoy.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
// A folder with a space: whoever installs it may have one.
const folder = mkdtempSync(join(tmpdir(), 'hubward pack '))
const installed = join(folder, 'node_modules', 'hubward')
// npm hands its settings for the task at hand on to what it runs; another npm would take them for its own.
const env = Object.fromEntries(
  Object.entries(childEnvironment()).filter(
    ([name]) => !/^npm_(package|lifecycle|config_local|execpath|command)/.test(name),
  ),
)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const npm = (cwd: string, ...args: string[]): string =>
  execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
/** A command of the installed package, as its user runs it. */
const npx = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync('npx', ['--no-install', ...args], { cwd: folder, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

t.test('the package packs what it needs to run, and nothing else', (t) => {
  execFileSync(process.execPath, ['bootstrap.mjs', 'build'], { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'inherit'] })
  const [{ files, filename }] = JSON.parse(
    npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder),
  )
  const paths: string[] = files.map(({ path }: { path: string }) => path)
  for (const needed of [
    'dist/cli/hubward.js',
    'dist/simulator/hubward-site.js',
    'README.md',
    'LICENSE',
    'package.json',
  ])
    t.ok(paths.includes(needed), needed)
  for (const part of ['proto/', 'schemas/', 'envoy/'])
    t.ok(
      paths.some((path) => path.startsWith(part)),
      part,
    )
  t.strictSame(
    paths.filter((path) => /^(src|test|bench|node_modules)\/|\.ts$|^\./.test(path)),
    [],
    'no sources and no tests',
  )
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  npm(folder, 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', `./${filename}`)
  t.ok(existsSync(installed), 'it installs into an empty folder')
  t.end()
})

t.test('the installed command runs what was built, with plain Node', (t) => {
  const said = npx('hubward', 'version')
  t.equal(said.status, 0, said.stderr)
  t.match(said.stdout, version)
  const help = npx('hubward-site', '--help')
  t.equal(help.status, 0, help.stderr)
  t.match(help.stdout, /Usage: hubward-site/)
  const wrong = npx('hubward', 'nonsense')
  t.not(wrong.status, 0, 'its exit code comes through')
  t.end()
})

t.test('the installed command reads documents and knows its schemas', (t) => {
  const documents = join(installed, 'envoy', 'examples', 'documents')
  const made = npx('hubward', 'envoy', '-d', documents)
  t.equal(made.status, 0, made.stderr)
  t.match(made.stdout, /static_resources:/)
  t.equal(npx('hubward', 'schema', 'Site').status, 0)
  t.end()
})

t.test('the installed sidecar serves: its worker, its schemas and its geography come with it', async (t) => {
  const config = join(folder, 'hubward.json')
  const settings = {
    stateDir: join(folder, 'state'),
    listeners: [{ socket: join(folder, 'envoy.sock') }],
    documents: [{ name: 'examples', dir: join(installed, 'envoy', 'examples', 'documents') }],
    admin: { address: '127.0.0.1:0' },
    drain: '0s',
  }
  writeFileSync(config, JSON.stringify(settings))
  const command = join(folder, 'node_modules', '.bin', 'hubward')
  const child = spawn(command, ['serve', '--config', config], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let log = ''
  child.stderr.on('data', (part) => {
    log += part
  })
  const ended = once(child, 'close')
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    ended.then(() => Promise.reject(new Error(`it ended: ${log}`))),
  ])
  const port = Number(new URL(JSON.parse(line).admin).port)
  t.ok(await until('it to be ready', async () => (await ask(port, '/readyz')).status === 200), 'it becomes ready')
  const kept = join(folder, 'state', 'last-good', 'examples.json')
  t.ok(await until('the documents to be kept', () => existsSync(kept)), 'its worker read the documents and kept them')
  child.kill('SIGTERM')
  t.strictSame(await ended, [0, null], 'it ends when asked to')
})

t.test('what the Dockerfile copies is there, and the ignore file lets it through', (t) => {
  const lines = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').split('\n')
  const copied = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(' ').slice(1, -1))
  const allowed = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n')
  t.ok(copied.length > 0, 'it copies something')
  for (const path of copied) {
    t.ok(existsSync(join(ROOT, path)), `${path} is there`)
    t.ok(allowed.includes(`!${path}`), `${path} is let through`)
  }
  t.end()
})

t.test('bootstrap says what can not be had, and what to do about it', bootstrapFailures)
