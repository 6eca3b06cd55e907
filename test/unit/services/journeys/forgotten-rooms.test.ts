import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import { ForgottenRooms } from '../../../../src/services/journeys/forgotten-rooms.js'
import { ForgottenRoomsStore } from '../../../../src/storage/stores/forgotten-rooms.js'
import { forEachDatabase } from '../../../support/databases.js'
import { createEventFixture, createRoom, type EventFixture } from '../../../support/event-services.js'

const RETENTION_MS = 10_000

forEachDatabase('ForgottenRooms', (open) => {
  let fixture: EventFixture
  let removed: string[]
  let failures: unknown[]
  let refuses: boolean
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
    ;[removed, failures, refuses] = [[], [], false]
  })

  async function run(ms: number): Promise<string[]> {
    const { db, clock } = fixture
    clock.advance(ms)
    removed.length = 0
    const rooms = new ForgottenRooms({
      ...{ db, clock, store: new ForgottenRoomsStore(), retentionMs: RETENTION_MS },
      shutdowns: {
        removeForgotten: (roomId) => {
          if (refuses) return Promise.reject(new Error('It is being done'))
          removed.push(roomId)
          return Promise.resolve('1')
        },
      },
      onError: (error) => failures.push(error),
    })
    await rooms.run(new AbortController().signal)
    return [...removed]
  }

  /** Whether the one who made the room remembers it. */
  async function remember(roomId: RoomId, isRemembered: boolean): Promise<void> {
    const { roomNid } = await fixture.roomState.requireRoom(roomId)
    await fixture.db.write('test', (tx) =>
      tx.execute('UPDATE room_members SET forgotten = ? WHERE room_nid = ?', [isRemembered ? 0 : 1, roomNid]),
    )
  }

  it('removes rooms that have been forgotten for long enough, and others not', async () => {
    const [forgotten, remembered, foreign] = [
      await createRoom(fixture),
      await createRoom(fixture),
      await createRoom(fixture),
    ]
    await remember(forgotten, false)
    const { roomNid } = await fixture.roomState.requireRoom(foreign)
    await fixture.db.write('test', (tx) =>
      tx.execute('DELETE FROM room_members WHERE room_nid = ?', [roomNid]),
    )
    expect(await run(0)).to.deep.equal([])
    expect(await run(RETENTION_MS - 1)).to.deep.equal([])
    expect(await run(1)).to.deep.equal([forgotten])
    await remember(remembered, true)
    expect(await run(RETENTION_MS)).to.deep.equal([forgotten])
  })

  it('begins anew where somebody came back in between', async () => {
    const roomId = await createRoom(fixture)
    await remember(roomId, false)
    await run(0)
    await remember(roomId, true)
    expect(await run(RETENTION_MS)).to.deep.equal([])
    await remember(roomId, false)
    expect(await run(RETENTION_MS)).to.deep.equal([])
    expect(await run(RETENTION_MS)).to.deep.equal([roomId])
  })

  it('removes so many in one run, and others in the next', async () => {
    const roomId = await createRoom(fixture)
    await remember(roomId, false)
    const rows = Array.from({ length: 150 }, (_, n) => ({ nid: 1_000 + n, id: `!gone${n}:hs.test` }))
    await fixture.db.write('test', async (tx) => {
      const rooms = rows.map(({ nid, id }) => `(${nid}, '${id}', '12', '@a:hs.test', 1, 1)`).join()
      await tx.execute(
        `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts, forgotten_ts) VALUES ${rooms}`,
      )
      const members = rows
        .map(({ nid }) => `(${nid}, '@a:hs.test', 'leave', 1, 1, '@a:hs.test', 1, 1)`)
        .join()
      await tx.execute(
        `INSERT INTO room_members
           (room_nid, user_id, membership, event_nid, stream_ordering, sender, is_local, forgotten) VALUES ${members}`,
      )
    })
    expect(await run(0)).to.deep.equal(rows.slice(0, 100).map(({ id }) => id))
  })

  it('looks at any number of rooms, and goes on past one that is not to be removed now', async () => {
    const roomIds: RoomId[] = []
    for (let index = 0; index < 3; index++) roomIds.push(await createRoom(fixture))
    for (const roomId of roomIds) await remember(roomId, false)
    await run(0)
    refuses = true
    expect(await run(RETENTION_MS)).to.deep.equal([])
    expect(failures).to.have.lengthOf(3)
    refuses = false
    expect(await run(1)).to.deep.equal(roomIds)
  })
})
