import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Problem } from '../../src/model/problem.ts'
import { generations } from '../../src/request/generations.ts'
import { type Geo, type GeoOptions, openGeo } from '../../src/request/geo.ts'

const fixture = (name: string): string => new URL(`../fixtures/${name}`, import.meta.url).pathname
const NEVER_MS = 3_600_000

/** A geography that hears of its own files, and what it was told. */
async function opened(
  t: Pick<Test, 'teardown'>,
  options: GeoOptions,
): Promise<{ geo: Geo; problems: Problem[]; loaded: Emitted }> {
  const problems: Problem[] = []
  const loaded = emitted()
  const geo = await openGeo({
    pollMs: NEVER_MS,
    onProblem: (problem) => problems.push(problem),
    onLoaded: loaded.emit,
    ...options,
  })
  t.teardown(() => geo.close())
  return { geo, problems, loaded }
}

interface Emitted {
  readonly emit: () => void
  /** Resolves at the next emit after now. */
  readonly next: () => Promise<void>
}

function emitted(): Emitted {
  let waiting = Promise.withResolvers<void>()
  return {
    emit: () => {
      waiting.resolve()
      waiting = Promise.withResolvers()
    },
    next: () => waiting.promise,
  }
}

async function folder(t: Pick<Test, 'teardown'>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hubward-geo-'))
  t.teardown(() => rm(path, { recursive: true }))
  return path
}

t.test('the database that comes along knows countries, and nothing of private addresses', async (t) => {
  const { geo, problems } = await opened(t, {})
  t.same(geo.lookup('8.8.8.8'), { country: 'US' })
  t.same(geo.lookup('193.0.0.1'), { country: 'NL' })
  t.same(geo.lookup('2001:4860:4860::8888'), { country: 'US' })
  for (const address of ['10.0.0.1', '127.0.0.1', '::1', 'fd00::1']) t.same(geo.lookup(address), {}, address)
  t.same(problems, [])
})

t.test("the user's own files give country and network, mapped addresses included", async (t) => {
  const { geo } = await opened(t, { countryFile: fixture('country.mmdb'), asnFile: fixture('asn.mmdb') })
  t.same(geo.lookup('192.0.2.9'), { country: 'DE', asn: 64496 })
  t.same(geo.lookup('2001:db8:1::7'), { country: 'NL', asn: 64498 })
  t.same(geo.lookup('203.0.113.200'), { country: 'AE' })
  t.same(geo.lookup('198.51.100.1'), { asn: 64497 })
  t.same(geo.lookup('8.8.8.8'), {}, 'the embedded database is not asked beside it')
  t.match(geo.status().files, [{ loaded: true, type: 'Test-Country', loads: 1, refusals: 0 }, { type: 'Test-ASN' }])
})

t.test('an address that was asked for is answered from the cache until a file changes', async (t) => {
  const path = join(await folder(t), 'country.mmdb')
  await copyFile(fixture('asn.mmdb'), path)
  const { geo } = await opened(t, { countryFile: path })
  t.same(geo.lookup('192.0.2.9'), {})
  t.same(geo.lookup('192.0.2.9'), {})
  t.match(geo.status(), { lookups: 2, hits: 1 })
  await copyFile(fixture('country.mmdb'), path)
  await geo.refresh()
  t.same(geo.lookup('192.0.2.9'), { country: 'DE' })
  t.match(geo.status(), { lookups: 3, hits: 1, files: [{ loads: 2 }] })
})

t.test('a file that is replaced, or swapped as a ConfigMap does it, is seen by the watch', async (t) => {
  const root = await folder(t)
  for (const [name, file] of [
    ['one', 'asn.mmdb'],
    ['two', 'country.mmdb'],
  ] as const) {
    await mkdir(join(root, name))
    await copyFile(fixture(file), join(root, name, 'geo.mmdb'))
  }
  await symlink('one', join(root, '..data'))
  await symlink(join('..data', 'geo.mmdb'), join(root, 'geo.mmdb'))
  const { geo, loaded } = await opened(t, { countryFile: join(root, 'geo.mmdb') })
  t.same(geo.lookup('192.0.2.9'), {})
  const seen = loaded.next()
  await symlink('two', join(root, '..data_tmp'))
  await rename(join(root, '..data_tmp'), join(root, '..data'))
  await seen
  t.same(geo.lookup('192.0.2.9'), { country: 'DE' })
})

t.test('a bad file is refused by what is wrong with it, and the last good one stays', async (t) => {
  const path = join(await folder(t), 'country.mmdb')
  const good = await readFile(fixture('country.mmdb'))
  await writeFile(path, good)
  const { geo, problems } = await opened(t, { countryFile: path })
  const at = good.lastIndexOf('\xab\xcd\xefMaxMind.com', undefined, 'latin1')
  const separator = good.indexOf(Buffer.alloc(16))
  const bad: [string, Buffer, RegExp][] = [
    ['cut short', good.subarray(0, good.length - 200), /cut short/],
    ['empty', Buffer.alloc(0), /cut short/],
    ['a web page', Buffer.from('<html>404</html>'), /cut short/],
    ['its metadata garbled', changed(good, at + 14, 0xff), /metadata|version|tree|record/i],
    ['its tree leading out of the file', changed(good, 0, 0xff), /leads nowhere/],
    ['its tree moved', Buffer.concat([Buffer.alloc(6, 1), good]), /tree|leads/],
    ['its separator gone', changed(good, separator + 15, 7), /tree/],
    ['its data garbled', garbled(good, separator + 16, at), /data cannot be read|leads/],
  ]
  for (const [name, bytes, why] of bad) {
    await writeFile(path, bytes)
    await geo.refresh()
    const [file] = geo.status().files
    t.match(file?.refused, why, name)
    t.equal(file?.loaded, true, name)
    t.same(geo.lookup('192.0.2.9'), { country: 'DE' }, `${name}: the last good one answers`)
  }
  t.ok(problems.length >= 4 && problems.every(({ code, path: at }) => code === 'geo/unusable-file' && at === path))
  await writeFile(path, good)
  await geo.refresh()
  t.notOk('refused' in geo.status().files[0]!, 'a good file again')
  t.equal(geo.status().files[0]?.loads, 1, 'and the same one: nothing was loaded')
  await rm(path)
  await geo.refresh()
  t.match(geo.status().files[0]?.refused, /ENOENT/)
  t.same(geo.lookup('192.0.2.9'), { country: 'DE' })
})

t.test('without a usable file at the start the embedded countries serve until there is one', async (t) => {
  const path = join(await folder(t), 'country.mmdb')
  await writeFile(path, 'no database')
  const { geo, problems } = await opened(t, { countryFile: path, asnFile: join(path, 'not-a-folder.mmdb') })
  t.equal(problems.length, 2)
  t.same(geo.lookup('193.0.0.1'), { country: 'NL' })
  await copyFile(fixture('country.mmdb'), path)
  await geo.refresh()
  t.same(geo.lookup('192.0.2.9'), { country: 'DE' })
  t.same(geo.lookup('193.0.0.1'), {})
})

t.test('a cache of generations keeps what is asked for and never grows past its bound', async (t) => {
  const cache = generations<number>(100)
  for (let i = 0; i < 10_000; i++) {
    cache.set(`k${i}`, i)
    if (cache.get('k0') !== 0) t.fail('k0 was asked for all the time')
  }
  let kept = 0
  for (let i = 0; i < 10_000; i++) if (cache.get(`k${i}`) !== undefined) kept++
  t.ok(kept <= 200 && kept >= 100, `${kept} kept`)
  cache.clear()
  t.equal(cache.get('k0'), undefined)
})

function changed(bytes: Buffer, at: number, byte: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = byte
  return copy
}

function garbled(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.fill(0xff, from, to)
  return copy
}
