import { expect } from 'chai'
import { StateKeyInterner } from '../../../../src/services/events/state-key-interner.js'
import { stateKeyOf } from '../../../../src/protocol/state-map.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import { StateKeysStore } from '../../../../src/storage/stores/state-keys.js'
import { IdAllocator } from '../../../../src/storage/streams/sequences.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('StateKeyInterner', (open, kind) => {
  let db: Database
  let transactions: number
  let failures: number

  beforeEach(async () => {
    const inner = await open()
    transactions = 0
    failures = 0
    db = {
      dialect: inner.dialect,
      reader: inner.reader,
      read: (name, fn) => inner.read(name, fn),
      write: (name, fn) => {
        transactions++
        return failures-- > 0 ? Promise.reject(new Error('lost')) : inner.write(name, fn)
      },
      close: () => inner.close(),
    }
  })

  async function create(): Promise<StateKeyInterner> {
    const ids = await IdAllocator.open(db, {
      sequence: 'state_key_nid_seq',
      table: 'state_keys',
      column: 'key_nid',
    })
    transactions = 0
    return new StateKeyInterner(db, new StateKeysStore(new CacheRegistry(createMetrics())), ids)
  }
  const key = (name: string) => stateKeyOf('m.room.member', name)

  it('gives each key one integer for good', async () => {
    const interner = await create()
    const keys = [key('a'), key('b'), stateKeyOf('a', ''), stateKeyOf('', 'a')]
    const first = await interner.intern(keys)
    expect(new Set(first.values()).size).to.equal(4)
    expect(await interner.intern(keys)).to.deep.equal(first)
    expect(await (await create()).intern(keys)).to.deep.equal(first)
    expect(interner.knows(keys)).to.be.true
    expect(interner.knows([...keys, key('c')])).to.be.false
  })

  it('writes nothing for known keys, and new ones of many callers together', async () => {
    const interner = await create()
    await interner.intern([key('a')])
    transactions = 0
    await interner.intern([key('a')])
    await interner.intern([])
    expect(transactions).to.equal(0)
    const names = Array.from({ length: 50 }, (_, index) => key(`u${index % 40}`))
    const found = await Promise.all(names.map((name) => interner.intern([name])))
    // They come in a few waves, as connections for reading become free.
    expect(transactions).to.be.below(15)
    expect(new Set(found.flatMap((nids) => [...nids.values()])).size).to.equal(40)
  })

  it('tells all who wait of a failure, and goes on', async () => {
    const interner = await create()
    failures = 1
    const results = await Promise.allSettled(['a', 'b'].map((name) => interner.intern([key(name)])))
    expect(results.map(({ status }) => status)).to.include('rejected')
    expect((await interner.intern([key('a'), key('b')])).size).to.equal(2)
    failures = 1
    expect(await rejection(interner.intern([key('c')]))).to.be.instanceOf(Error)
    expect((await interner.intern([key('c')])).size).to.equal(1)
  })

  if (kind === 'postgres') {
    it('agrees with other processes', async () => {
      const interners = await Promise.all([create(), create(), create()])
      const names = Array.from({ length: 30 }, (_, index) => key(String(index)))
      const found = await Promise.all(interners.map((interner) => interner.intern(names)))
      expect(found[1]).to.deep.equal(found[0])
      expect(found[2]).to.deep.equal(found[0])
    })
  }
})
