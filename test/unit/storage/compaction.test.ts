import { expect } from 'chai'
import { compact, type CompactionReport } from '../../../src/storage/compaction.js'
import type { Database } from '../../../src/storage/database.js'
import { AccessTokensStore } from '../../../src/storage/stores/access-tokens.js'
import { DatabaseSizeStore } from '../../../src/storage/stores/database-size.js'
import { LoginTokensStore } from '../../../src/storage/stores/login-tokens.js'
import { StateSnapshot } from '../../../src/storage/state-snapshot.js'
import { noProgress } from '../../../src/util/progress-sink.js'
import { forEachDatabase } from '../../support/databases.js'
import { ALICE, createEventFixture, createRoom, type EventFixture } from '../../support/event-services.js'

const NOW = 1_000_000_000_000

forEachDatabase('compact', (open, kind) => {
  let db: Database
  let fixture: EventFixture

  beforeEach(async () => {
    db = await open()
    fixture = await createEventFixture(db)
  })

  const run = (dryRun: boolean): Promise<CompactionReport> =>
    compact(db, { dryRun, now: NOW, sessionsExpiredBefore: NOW, rewrites: false, progress: noProgress })

  const count = async (table: string): Promise<number> =>
    (await db.reader.first<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`))?.n ?? 0

  /** A chain of three states that no event has, the first a delta on one that an event has. */
  async function addDeadSnapshots(): Promise<void> {
    const base = await db.reader.first<{ nid: number; room_nid: number }>(
      'SELECT MAX(snapshot_nid) AS nid, room_nid FROM state_snapshots GROUP BY room_nid',
    )
    await db.write('dead_snapshots', (tx) =>
      fixture.stores.snapshots.insert(
        tx,
        [1, 2, 3].map((step) => ({
          // The last has the smallest number: order is no matter of numbers.
          snapshotNid: 1_000_000 - step,
          roomNid: base!.room_nid,
          hash: `${step}`.repeat(32),
          baseNid: step === 1 ? base!.nid : 1_000_000 - step + 1,
          hops: 50 + step,
          entries: 1,
          delta: Buffer.from([step, 1]),
        })),
      ),
    )
  }

  it('deletes states at no event, and nothing that others need', async () => {
    const roomId = await createRoom(fixture)
    await fixture.sender.send({ userId: ALICE }, { roomId, type: 'm.room.message', content: {} })
    expect((await run(false)).dead[0]).to.deep.equal({ what: 'stateSnapshots', rows: 0 })
    const kept = await count('state_snapshots')
    await addDeadSnapshots()
    expect((await run(true)).dead[0]).to.deep.equal({ what: 'stateSnapshots', rows: 3 })
    expect(await count('state_snapshots')).to.equal(kept + 3)
    const report = await run(false)
    expect(report.dead[0]).to.deep.equal({ what: 'stateSnapshots', rows: 3 })
    expect(report.bytesAfter).to.be.a('number')
    expect(await count('state_snapshots')).to.equal(kept)
    // Read back by a process that has nothing in memory.
    const again = await fixture.restart()
    for (const { stateAfter } of await again.timeline(roomId)) {
      expect(await again.stores.snapshots.get(db.reader, stateAfter!)).to.be.instanceOf(StateSnapshot)
    }
    await again.sender.send({ userId: ALICE }, { roomId, type: 'm.room.message', content: {} })
  })

  it('knows every column that refers to a state', async () => {
    const columns = await db.reader.all<{ place: string }>(
      kind === 'postgres'
        ? `SELECT table_name || '.' || column_name AS place FROM information_schema.columns
           WHERE table_schema = current_schema()`
        : `SELECT m.name || '.' || c.name AS place FROM sqlite_master m JOIN pragma_table_info(m.name) c
           WHERE m.type = 'table'`,
    )
    const places = columns
      .map(({ place }) => place)
      .filter((place) => /snapshot_nid|base_nid|\.state_/.test(place))
    // Keys of state, groups of another server, and what sign-ons call their state.
    const others = /\.state_(?:key|group|hash)$/
    expect(places.filter((place) => !others.test(place)).sort()).to.deep.equal([
      'events.state_after',
      'events.state_before',
      'state_snapshots.base_nid',
      'state_snapshots.snapshot_nid',
      'takeover_state_groups.snapshot_nid',
    ])
  })

  it('deletes tokens that have expired, and counts them in a dry run', async () => {
    await db.write('tokens', async (tx) => {
      const token = { userId: ALICE, deviceId: undefined, createdTs: 0 }
      await new AccessTokensStore().insert(tx, { ...token, tokenHash: 'a', validUntilTs: NOW - 1 })
      await new AccessTokensStore().insert(tx, { ...token, tokenHash: 'b', validUntilTs: NOW + 1 })
      await new LoginTokensStore().insert(tx, { tokenHash: 'c', userId: ALICE, expiryTs: NOW - 1 })
    })
    const expected = [
      { what: 'stateSnapshots', rows: 0 },
      { what: 'refreshTokens', rows: 0 },
      { what: 'accessTokens', rows: 1 },
      { what: 'loginTokens', rows: 1 },
      { what: 'openIdTokens', rows: 0 },
      { what: 'transactionIds', rows: 0 },
    ]
    expect((await run(true)).dead).to.deep.equal(expected)
    expect(await count('access_tokens')).to.equal(2)
    expect((await run(false)).dead).to.deep.equal(expected)
    expect(await count('access_tokens')).to.equal(1)
    expect(await count('login_tokens')).to.equal(0)
  })

  it('knows how much room everything takes', async () => {
    const roomId = await createRoom(fixture)
    const store = new DatabaseSizeStore()
    const { bytes, freeBytes } = await store.total(db.reader)
    expect(bytes).to.be.greaterThan(50_000)
    expect(typeof freeBytes).to.equal(kind === 'sqlite' ? 'number' : 'undefined')
    const tables = await store.byTable(db.reader)
    expect(tables.map(({ name }) => name)).to.include.members(['events', 'state_snapshots', 'users'])
    expect(tables[0]!.bytes + tables[0]!.indexBytes).to.be.greaterThan(0)
    const [room] = await store.byRoom(db.reader, 10)
    expect(room).to.deep.include({ roomId, events: 4, stateEvents: 4 })
    expect(room?.eventBytes).to.be.greaterThan(500)
  })
})
