import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { Destinations } from '../../../../src/services/remote/destinations.js'
import type { Database } from '../../../../src/storage/database.js'
import { DestinationsStore } from '../../../../src/storage/stores/destinations.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'

const A = 'a.test' as ServerName
const B = 'b.test' as ServerName
const MINUTE_MS = 60_000

forEachDatabase('Destinations', (open) => {
  const store = new DestinationsStore()
  let db: Database
  let clock: ManualClock
  let destinations: Destinations
  let errors: unknown[]

  function start(random = 0): Destinations {
    return new Destinations({
      db,
      store,
      clock,
      random: () => random,
      onError: (error) => errors.push(error),
      options: {
        retries: { count: 3, maxDelayMs: 2_000 },
        backoff: { minMs: 10 * MINUTE_MS, factor: 2, maxMs: 60 * MINUTE_MS },
      },
    })
  }

  /** Fails once more and gives how long the server is left alone now. */
  async function fail(serverName = A): Promise<number> {
    clock.advance(Math.max(0, (await destinations.retryAtTs(serverName)) - clock.now()))
    const retryAtTs = await destinations.markFailed(serverName, { startedTs: clock.now(), error: 'down' })
    return retryAtTs - clock.now()
  }

  beforeEach(async () => {
    db = await open()
    clock = new ManualClock()
    errors = []
    destinations = start()
  })

  afterEach(async () => {
    await destinations.stop()
    expect(errors).to.deep.equal([])
  })

  it('are well until they fail', async () => {
    expect(await destinations.retryAtTs(A)).to.equal(0)
    expect(await destinations.mayTry(A)).to.be.true
    expect(await destinations.failureOf(A)).to.equal(undefined)
  })

  it('are left alone for longer and longer, up to a bound', async () => {
    const waits: number[] = []
    for (let count = 0; count < 18; count++) waits.push((await fail()) / 1000)
    expect(waits).to.deep.equal([
      0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 1200, 2400, 3600, 3600, 3600,
    ])
    expect(await destinations.failureOf(A)).to.include({ failures: 18, lastError: 'down' })
  })

  it('are tried at different times though they failed together', async () => {
    destinations = start(0.99)
    expect(await fail()).to.be.within(300, 400)
  })

  it('count what failed together once', async () => {
    const startedTs = clock.now()
    const failures = ['one', 'two', 'three'].map((error) => destinations.markFailed(A, { startedTs, error }))
    await Promise.all(failures)
    clock.advance(5_000)
    await destinations.markFailed(A, { startedTs, error: 'late' })
    expect(await destinations.failureOf(A)).to.include({ failures: 1, lastError: 'one' })
  })

  it('are not left alone for longer because of those who do not wait', async () => {
    for (let count = 0; count < 6; count++) await fail()
    const before = await destinations.retryAtTs(A)
    clock.advance(1000)
    await destinations.markFailed(A, { startedTs: clock.now(), error: 'still down' })
    expect(await destinations.retryAtTs(A)).to.equal(before)
  })

  it('come back when they say so, within bounds', async () => {
    const failure = { startedTs: clock.now(), error: 'busy' }
    expect(await destinations.markFailed(A, { ...failure, retryAfterMs: 90_000 })).to.equal(
      clock.now() + 90_000,
    )
    const forever = { ...failure, retryAfterMs: 1e12 }
    expect(await destinations.markFailed(B, forever)).to.equal(clock.now() + 60 * MINUTE_MS)
  })

  it('are well again at the first sign of life, and those who wait are told once', async () => {
    const alive: string[] = []
    const end = destinations.onAlive((serverName) => alive.push(serverName))
    for (let count = 0; count < 5; count++) await fail()
    destinations.markAlive(B)
    destinations.markAlive(A)
    destinations.markAlive(A)
    await destinations.stop()
    expect(alive).to.deep.equal([A])
    expect(await destinations.mayTry(A)).to.be.true
    expect(await fail()).to.equal(500)
    end()
    destinations.markAlive(A)
    await destinations.stop()
    expect(alive).to.deep.equal([A])
  })

  it('are remembered by the database', async () => {
    for (let count = 0; count < 5; count++) await fail()
    await fail(B)
    destinations.markAlive(B)
    await destinations.stop()
    const known = await destinations.failureOf(A)
    destinations = start()
    expect(await destinations.failureOf(A)).to.deep.equal(known)
    expect(await destinations.failureOf(B)).to.equal(undefined)
    expect(await store.list(db.reader, { limit: 10 })).to.deep.equal([known])
    destinations.markAlive(A)
    await destinations.stop()
    expect(await store.list(db.reader, { limit: 10 })).to.deep.equal([])
  })

  it('can be asked for together', async () => {
    await fail()
    await destinations.stop()
    destinations = start()
    expect(await destinations.filterReachable([A, B])).to.deep.equal([B])
    clock.advance(1000)
    expect(await destinations.filterReachable([B, A])).to.deep.equal([B, A])
  })

  it('are tried at once when an operator wishes it', async () => {
    const alive: string[] = []
    destinations.onAlive((serverName) => alive.push(serverName))
    destinations.start()
    for (let count = 0; count < 8; count++) await fail()
    await db.write('wait', () => Promise.resolve())
    const requested = await db.write('retry', (tx) => store.requestRetry(tx, A))
    expect(requested).to.be.true
    expect(await db.write('retry', (tx) => store.requestRetry(tx, B))).to.be.false
    while (alive.length === 0) {
      await clock.advanceAsync(15_000)
      await db.reader.all('SELECT 1')
    }
    expect(alive).to.deep.equal([A])
    expect(await destinations.mayTry(A)).to.be.true
  })

  it('are reset on demand', async () => {
    await fail()
    await destinations.reset(A)
    expect(await destinations.mayTry(A)).to.be.true
  })

  it('keep errors that a database would refuse', async () => {
    const error = `\0\ud800${'x'.repeat(2000)}`
    await destinations.markFailed(A, { startedTs: clock.now(), error })
    await destinations.stop()
    const [stored] = await store.list(db.reader, { limit: 1 })
    expect(stored?.lastError).to.match(/^\ufffdx{499}$/)
  })

  it('know when a server failed last, also after a restart', async () => {
    await fail()
    const lastFailedTs = clock.now() + 500
    await fail()
    await destinations.stop()
    destinations = start()
    expect(await destinations.failureOf(A)).to.include({
      failingSinceTs: lastFailedTs - 500,
      lastFailedTs,
      retryAtTs: lastFailedTs + 1_000,
    })
    await destinations.markFailed(A, { startedTs: lastFailedTs - 1, error: 'late' })
    expect(await destinations.failureOf(A)).to.include({ failures: 2 })
  })

  it('are forgotten when nobody has wanted anything of them for a month', async () => {
    await fail(A)
    await fail(B)
    await destinations.stop()
    const waiting = { destination: B, room_nid: 1, missed_at: 1, is_last: 0 }
    await db.write('miss', (tx) =>
      tx.insertMany('missed_rooms', [waiting], {
        columns: { destination: 'text', room_nid: 'integer', missed_at: 'integer', is_last: 'integer' },
      }),
    )
    const kept = async (days: number): Promise<string[]> => {
      clock.advance(days * 24 * 60 * MINUTE_MS)
      await destinations.forgetUnneeded()
      return (await store.list(db.reader, { limit: 10 })).map(({ serverName }) => serverName)
    }
    expect(await kept(29)).to.deep.equal([A, B])
    expect(await kept(2)).to.deep.equal([B])
  })
})
