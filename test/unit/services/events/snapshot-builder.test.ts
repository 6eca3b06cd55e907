import { expect } from 'chai'
import { SnapshotBuilder, type SnapshotRef } from '../../../../src/services/events/snapshot-builder.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import {
  MAX_SNAPSHOT_HOPS,
  StateSnapshotsStore,
  type SnapshotRow,
} from '../../../../src/storage/stores/state-snapshots.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { IdAllocator } from '../../../../src/storage/streams/sequences.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { rulesOf } from '../../../support/auth-room.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const room: RoomRecord = {
  roomNid: 1,
  roomId: '!room:hs.test' as RoomId,
  rules: rulesOf('12'),
  creator: '@alice:hs.test' as UserId,
  roomType: undefined,
}

forEachDatabase('SnapshotBuilder', (open) => {
  let db: Database
  let store: StateSnapshotsStore
  let builder: SnapshotBuilder
  let empty: SnapshotRef

  beforeEach(async () => {
    db = await open()
    await restart()
    empty = await builder.empty(room, { isNewRoom: true })
    await commit(empty.rows)
  })

  /** Empty caches, as in a process that has just begun. */
  async function restart(): Promise<void> {
    store = new StateSnapshotsStore(new CacheRegistry(createMetrics()))
    const ids = await IdAllocator.open(db, {
      sequence: 'snapshot_nid_seq',
      table: 'state_snapshots',
      column: 'snapshot_nid',
    })
    builder = new SnapshotBuilder(db, store, ids)
  }
  async function commit(rows: readonly SnapshotRow[]): Promise<void> {
    await db.write('test', (tx) => store.insert(tx, rows))
    builder.committed(rows)
  }
  async function entries(nid: number): Promise<[number, number][]> {
    const [snapshot] = await builder.load([nid])
    return [...snapshot!.entries()]
  }

  it('names the same state once, whatever way led there', async () => {
    const a = await builder.build(room, empty, new Map([[1, 10]]))
    const ab = await builder.build(room, a, new Map([[2, 20]]))
    await commit([...a.rows, ...ab.rows])
    const direct = await builder.build(
      room,
      empty,
      new Map([
        [1, 10],
        [2, 20],
      ]),
    )
    expect(direct).to.include({ nid: ab.nid }).and.to.have.property('rows').with.length(0)
    const back = await builder.build(room, ab, new Map([[2, undefined]]))
    expect(back.nid).to.equal(a.nid)
    await restart()
    const again = await builder.build(
      room,
      { ...empty, rows: [] },
      new Map([
        [1, 10],
        [2, 20],
      ]),
    )
    expect(again.nid).to.equal(ab.nid)
    expect((await builder.empty(room, { isNewRoom: false })).nid).to.equal(empty.nid)
  })

  it('keeps rooms apart', async () => {
    const other = { ...room, roomNid: 2 }
    const here = await builder.build(room, empty, new Map([[1, 10]]))
    const there = await builder.build(
      other,
      await builder.empty(other, { isNewRoom: true }),
      new Map([[1, 10]]),
    )
    expect(there.nid).not.to.equal(here.nid)
  })

  it('changes nothing where nothing changes', async () => {
    const a = await builder.build(room, empty, new Map([[1, 10]]))
    expect(
      await builder.build(
        room,
        a,
        new Map([
          [1, 10],
          [2, undefined],
        ]),
      ),
    ).to.deep.equal({ ...a, rows: [] })
  })

  it('gives the row of a state that waits for its commit to everybody who names it', async () => {
    const first = await builder.build(room, empty, new Map([[1, 10]]))
    const second = await builder.build(room, empty, new Map([[1, 10]]))
    expect(second).to.include({ nid: first.nid })
    expect(second.rows).to.deep.equal(first.rows)
    // Both may come to be written.
    await commit([...first.rows, ...second.rows])
    await commit(second.rows)
    expect(await entries(first.nid)).to.deep.equal([[1, 10]])
  })

  it('forgets what was not committed', async () => {
    const lost = await builder.build(room, empty, new Map([[1, 10]]))
    expect(await entries(lost.nid)).to.deep.equal([[1, 10]])
    builder.abandoned(lost.rows)
    expect(await rejection(builder.load([lost.nid]))).to.be.instanceOf(Error)
    const anew = await builder.build(room, empty, new Map([[1, 10]]))
    expect(anew.nid).not.to.equal(lost.nid)
    expect(anew.rows).to.have.length(1)
  })

  it('writes a small delta for each event of a large room, and a whole state now and then', async () => {
    const members = new Map(Array.from({ length: 2000 }, (_, index) => [index + 1, index + 1] as const))
    let state = await builder.build(room, empty, members)
    await commit(state.rows)
    const rows: SnapshotRow[] = []
    for (let index = 0; index < MAX_SNAPSHOT_HOPS + 20; index++) {
      state = await builder.apply(room, state, { keyNid: 5000, eventNid: 10_000 + index })
      rows.push(...state.rows)
      await commit(state.rows)
    }
    const whole = rows.filter((row) => row.baseNid === undefined)
    expect(whole).to.have.length(1)
    for (const row of rows) if (row.baseNid !== undefined) expect(row.delta.length).to.be.below(10)
    await restart()
    const restored = await entries(state.nid)
    expect(restored).to.have.length(2001)
    expect(restored.at(-1)).to.deep.equal([5000, 10_000 + MAX_SNAPSHOT_HOPS + 19])
    const [snapshot] = await builder.load([state.nid])
    expect(snapshot!.hashText).to.equal(state.snapshot.hashText)
  })
})
