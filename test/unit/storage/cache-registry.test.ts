import { expect } from 'chai'
import { CacheRegistry, type BulkCache, type RowCache } from '../../../src/storage/cache-registry.js'
import type { Database } from '../../../src/storage/database.js'
import { createMetrics } from '../../../src/telemetry/metrics.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { forEachDatabase } from '../../support/databases.js'

describe('BulkCache', () => {
  let asked: number[][]
  let cache: BulkCache<number, string>

  beforeEach(() => {
    asked = []
    cache = new CacheRegistry(createMetrics()).create({ name: 'numbers', max: 3 })
  })

  const load = (missing: readonly number[]): Promise<Map<number, string>> => {
    asked.push([...missing])
    return Promise.resolve(new Map(missing.filter((key) => key < 100).map((key) => [key, `v${key}`])))
  }

  it('loads what is missing with one call, and remembers what exists', async () => {
    expect(await cache.getMany([1, 2, 100, 1], load)).to.deep.equal(
      new Map([
        [1, 'v1'],
        [2, 'v2'],
      ]),
    )
    expect(await cache.getMany([2, 3], load)).to.deep.equal(
      new Map([
        [2, 'v2'],
        [3, 'v3'],
      ]),
    )
    expect(asked).to.deep.equal([[1, 2, 100], [3]])
    expect(cache.peek(100)).to.equal(undefined)
    await cache.getMany([1, 2, 3], load)
    expect(asked).to.have.length(2)
  })

  it('is bounded', async () => {
    await cache.getMany([1, 2, 3, 4, 5], load)
    expect(cache.size).to.equal(3)
    expect([1, 2, 3, 4, 5].map((key) => cache.peek(key))).to.deep.equal([
      undefined,
      undefined,
      'v3',
      'v4',
      'v5',
    ])
  })

  it('shares loads on their way', async () => {
    const gate = createDeferred<Map<number, string>>()
    const first = cache.getMany([1, 2], () => gate.promise)
    const second = cache.getMany([2, 3], load)
    gate.resolve(
      new Map([
        [1, 'a'],
        [2, 'b'],
      ]),
    )
    expect(await second).to.deep.equal(
      new Map([
        [2, 'b'],
        [3, 'v3'],
      ]),
    )
    expect(await first).to.deep.equal(
      new Map([
        [1, 'a'],
        [2, 'b'],
      ]),
    )
    expect(asked).to.deep.equal([[3]])
  })

  it('asks itself where a shared load fails or finds nothing', async () => {
    const gate = createDeferred<Map<number, string>>()
    const failing = cache.getMany([1], () => gate.promise)
    const own = cache.getMany([1], load)
    gate.reject(new Error('boom'))
    expect(await own).to.deep.equal(new Map([[1, 'v1']]))
    expect(await failing.catch((error: unknown) => (error as Error).message)).to.equal('boom')
    cache.delete(1)
    const empty = cache.getMany([1], () => Promise.resolve(new Map()))
    expect(await cache.getMany([1], load)).to.deep.equal(new Map([[1, 'v1']]))
    expect(await empty).to.deep.equal(new Map())
  })

  it('does not remember what was deleted or set while it was loaded', async () => {
    const gate = createDeferred<Map<number, string>>()
    const loading = cache.getMany([1, 2], () => gate.promise)
    cache.delete(1)
    cache.set(2, 'newer')
    gate.resolve(
      new Map([
        [1, 'old'],
        [2, 'old'],
      ]),
    )
    expect(await loading).to.deep.equal(
      new Map([
        [1, 'old'],
        [2, 'old'],
      ]),
    )
    expect([cache.peek(1), cache.peek(2)]).to.deep.equal([undefined, 'newer'])
  })

  it('loads one', async () => {
    expect(await cache.get(1, () => Promise.resolve('one'))).to.equal('one')
    expect(await cache.get(1, () => Promise.resolve('other'))).to.equal('one')
    expect(await cache.get(2, () => Promise.resolve(undefined))).to.equal(undefined)
  })
})

describe('CacheRegistry', () => {
  it('sizes caches by the factors of the configuration', () => {
    const caches = new CacheRegistry(createMetrics(), { globalFactor: 0.5, perCacheFactors: { big: 2 } })
    const [plain, big, weighed] = [
      caches.create<number, string>({ name: 'plain', max: 4 }),
      caches.create<number, string>({ name: 'big', max: 4 }),
      caches.create<number, string>({ name: 'weighed', maxSize: 8, sizeOf: (value) => value.length }),
    ]
    for (let key = 0; key < 20; key++) for (const cache of [plain, big, weighed]) cache.set(key, 'ab')
    expect([plain.size, big.size, weighed.size]).to.deep.equal([2, 8, 2])
  })

  it('counts hits, misses and evictions by name', async () => {
    const metrics = createMetrics()
    const cache = new CacheRegistry(metrics).create<number, string>({ name: 'counted', max: 1 })
    await cache.get(1, () => Promise.resolve('a'))
    await cache.get(1, () => Promise.resolve('a'))
    await cache.get(2, () => Promise.resolve('b'))
    const text = await metrics.render()
    expect(text).to.include('synapse_util_caches_cache_hits{name="counted"} 1\n')
    expect(text).to.include('mxhs_caches_misses{name="counted"} 2\n')
    expect(text).to.include('synapse_util_caches_cache_evicted_size{name="counted"} 1\n')
    expect(text).to.include('synapse_util_caches_cache_size{name="counted"} 1\n')
  })

  it('refuses two caches of one name', () => {
    const caches = new CacheRegistry(createMetrics())
    caches.create({ name: 'one' })
    expect(() => caches.create({ name: 'one' })).to.throw('one')
  })

  it('forgets what others have changed, and everything when asked', () => {
    const caches = new CacheRegistry(createMetrics())
    const cache = caches.create<string, number>({ name: 'shared' })
    cache.set('a', 1)
    cache.set('b', 2)
    caches.invalidateFromElsewhere('shared', 'a')
    caches.invalidateFromElsewhere('unknown', 'a')
    expect([cache.peek('a'), cache.peek('b')]).to.deep.equal([undefined, 2])
    caches.clear()
    expect(cache.size).to.equal(0)
  })
})

forEachDatabase('RowCache', (open) => {
  let db: Database
  let caches: CacheRegistry
  let cache: RowCache<number, string>

  beforeEach(async () => {
    db = await open()
    caches = new CacheRegistry(createMetrics())
    cache = caches.createMutable({ name: 'rows' })
    await db.write('create', async (tx) => {
      await tx.execute('CREATE TABLE things (id BIGINT PRIMARY KEY, v TEXT NOT NULL)')
      await tx.execute("INSERT INTO things (id, v) VALUES (1, 'old')")
    })
  })

  const get = (q: Database['reader']): Promise<string | undefined> =>
    cache.getRow(q, 1, async () => (await q.first<{ v: string }>('SELECT v FROM things WHERE id = 1'))?.v)
  const change = (value: string): Promise<void> =>
    db.write('change', async (tx) => {
      await tx.execute('UPDATE things SET v = ?', [value])
      cache.invalidate(tx, 1)
    })

  it('remembers a row until it is changed', async () => {
    const told: unknown[] = []
    caches.onInvalidate((...change) => told.push(change))
    expect(await get(db.reader)).to.equal('old')
    expect(cache.peek(1)).to.equal('old')
    await change('new')
    expect(cache.peek(1)).to.equal(undefined)
    expect(await get(db.reader)).to.equal('new')
    expect(told).to.deep.equal([['rows', 1]])
  })

  it('keeps the row when the change is rolled back', async () => {
    await get(db.reader)
    await db
      .write('change', async (tx) => {
        await tx.execute("UPDATE things SET v = 'new'")
        cache.invalidate(tx, 1)
        throw new Error('no')
      })
      .catch(() => undefined)
    expect(cache.peek(1)).to.equal('old')
  })

  it('does not remember what a reader of an older state sees, nor gives it newer rows', async () => {
    await db.read('old', async (q) => {
      await q.first('SELECT v FROM things')
      await change('new')
      expect(await get(q)).to.equal('old')
      expect(cache.peek(1)).to.equal(undefined)
      expect(await get(db.reader)).to.equal('new')
      expect(await get(q)).to.equal('old')
    })
    expect(cache.peek(1)).to.equal('new')
  })

  it('is passed by in a write transaction', async () => {
    await db
      .write('change', async (tx) => {
        await tx.execute("UPDATE things SET v = 'mine'")
        expect(await get(tx)).to.equal('mine')
        expect(cache.peek(1)).to.equal(undefined)
        throw new Error('no')
      })
      .catch(() => undefined)
    expect(await get(db.reader)).to.equal('old')
  })
})
