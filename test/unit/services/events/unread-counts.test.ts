import { expect } from 'chai'
import type { EventId, UserId } from '../../../../src/protocol/ids.js'
import { totalUnread } from '../../../../src/services/events/unread-counts.js'
import { EventStatesStore } from '../../../../src/storage/stores/event-states.js'
import { NotificationsStore } from '../../../../src/storage/stores/notifications.js'
import {
  createEphemeralFixture,
  requesterOf,
  type EphemeralFixture,
} from '../../../support/ephemeral-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { RoomRows, type TestEvent } from '../../../support/room-rows.js'

const alice = requesterOf('alice')
const bob = requesterOf('bob')

forEachDatabase('UnreadCounts', (open) => {
  let fixture: EphemeralFixture
  let room: RoomRows
  beforeEach(async () => {
    fixture = await createEphemeralFixture(await open())
    room = await RoomRows.create(fixture.db)
    await room.setMembership(bob.userId, 'join')
  })

  const say = (options: Partial<TestEvent> = {}): Promise<EventId> =>
    room.send({ sender: alice.userId, ...options })
  const inThread = (eventId: EventId): Partial<TestEvent> => ({ relation: { relType: 'm.thread', eventId } })
  const read = (eventId: EventId, threadId?: string, type: 'm.read' | 'm.read.private' = 'm.read') =>
    fixture.receipts.send(bob, room.roomId, [{ type, eventId, threadId }])
  const counts = async (userId: UserId = bob.userId) => {
    const result = await fixture.unreadCounts.forRooms(fixture.db.reader, userId, [room.roomNid])
    const { notifications, highlights, threads } = result.get(room.roomNid)!
    return { main: [notifications, highlights], threads: Object.fromEntries(threads) }
  }

  it('counts what others have sent since the user joined', async () => {
    const carol = requesterOf('carol')
    await say()
    await say()
    await room.setMembership(carol.userId, 'join')
    await say()
    await say({ notifies: false })
    expect((await counts()).main).to.deep.equal([3, 0])
    expect((await counts(carol.userId)).main).to.deep.equal([1, 0])
  })

  it('counts from the last joining, which a change of profile is not', async () => {
    await say()
    await room.setMembership(bob.userId, 'join')
    await say()
    expect((await counts()).main).to.deep.equal([2, 0])
    await room.setMembership(bob.userId, 'leave')
    await say()
    await room.setMembership(bob.userId, 'join')
    await say()
    expect((await counts()).main).to.deep.equal([1, 0])
  })

  it('counts nothing in rooms that the user is not in', async () => {
    await say()
    expect(await counts(requesterOf('carol').userId)).to.deep.equal({ main: [0, 0], threads: {} })
  })

  it('takes everything up to a receipt for read, whichever type is ahead', async () => {
    const first = await say()
    const second = await say({ highlights: [bob.userId] })
    await say({ highlights: [bob.userId] })
    await read(first)
    expect((await counts()).main).to.deep.equal([2, 2])
    await read(second, undefined, 'm.read.private')
    expect((await counts()).main).to.deep.equal([1, 1])
  })

  it('takes everything up to an own message for read', async () => {
    await say({ highlights: [bob.userId] })
    await say()
    await room.send({ sender: bob.userId })
    expect((await counts()).main).to.deep.equal([0, 0])
    await say({ highlights: ['*'] })
    await room.send({ sender: bob.userId, notifies: false })
    expect((await counts()).main).to.deep.equal([1, 1])
  })

  it('does not highlight own events, nor those that are redacted', async () => {
    await room.send({ sender: bob.userId, notifies: false, highlights: ['*', bob.userId] })
    const eventId = await say({ highlights: [bob.userId] })
    await fixture.db.write('test', (tx) =>
      tx.execute(`UPDATE events SET redacted_by = '$r', notifies = 0 WHERE event_id = ?`, [eventId]),
    )
    expect((await counts()).main).to.deep.equal([0, 0])
  })

  it('leaves out what is rejected later', async () => {
    const said = [
      await say(),
      await say({ highlights: [bob.userId] }),
      await say({ notifies: false, highlights: ['*'] }),
    ]
    const rows = await fixture.db.reader.all<{ event_id: EventId; event_nid: number }>(
      'SELECT event_id, event_nid FROM events',
    )
    const judge = (verdict: string | null): Promise<void> =>
      fixture.db.write('test', (tx) => {
        const judged = rows.filter(({ event_id: id }) => said.includes(id))
        return new EventStatesStore().judge(tx, new Map(judged.map(({ event_nid: nid }) => [nid, verdict])))
      })
    const list = {
      userId: bob.userId,
      upTo: 1_000,
      rooms: [{ roomNid: room.roomNid, position: 0, isQuiet: false }],
    }
    const notified = () =>
      new NotificationsStore().list(fixture.db.reader, { users: [list], onlyHighlights: false, limit: 10 })
    expect((await notified())[0]).to.have.length(3)
    await judge('banned')
    expect(await counts()).to.deep.equal({ main: [0, 0], threads: {} })
    expect(await notified()).to.deep.equal([[]])
    await judge(null)
    expect((await notified())[0]).to.have.length(2)
  })

  it('counts what notifies only the highlighted', async () => {
    await say({ notifies: false, highlights: [bob.userId] })
    await say({ notifies: false, highlights: [alice.userId] })
    expect((await counts()).main).to.deep.equal([1, 1])
  })

  it('follows receipts in threads and outside', async () => {
    const a = await say()
    const b = await say(inThread(a))
    await say({ ...inThread(a), highlights: [bob.userId] })
    const d = await say({ highlights: [bob.userId] })
    const e = await say(inThread(a))
    await say({ relation: { relType: 'm.reference', eventId: a } })
    expect(await counts()).to.deep.equal({
      main: [3, 1],
      threads: { [a]: { notifications: 3, highlights: 1 } },
    })
    await read(a, 'main')
    expect(await counts()).to.deep.equal({
      main: [2, 1],
      threads: { [a]: { notifications: 3, highlights: 1 } },
    })
    await read(b, a)
    expect((await counts()).threads).to.deep.equal({ [a]: { notifications: 2, highlights: 1 } })
    await read(d)
    expect(await counts()).to.deep.equal({
      main: [1, 0],
      threads: { [a]: { notifications: 1, highlights: 0 } },
    })
    await read(e, a)
    expect(await counts()).to.deep.equal({ main: [1, 0], threads: {} })
  })

  it('takes an own message in a thread for reading that thread only', async () => {
    const root = await say()
    await say(inThread(root))
    await room.send({ sender: bob.userId, ...inThread(root) })
    expect(await counts()).to.deep.equal({ main: [1, 0], threads: {} })
  })

  it('goes on counting from where it was, and begins anew with a receipt', async () => {
    const sent: EventId[] = []
    const expectSame = async () => {
      const forgetful = fixture.forgetfulCounts()
      const anew = await forgetful.forRooms(fixture.db.reader, bob.userId, [room.roomNid])
      const before = await fixture.unreadCounts.forRooms(fixture.db.reader, bob.userId, [room.roomNid])
      expect(before).to.deep.equal(anew)
      return totalUnread(before.get(room.roomNid)!)
    }
    sent.push(await say())
    const steps: Partial<TestEvent>[] = [
      {},
      { highlights: [bob.userId] },
      { ...inThread(sent[0]!), highlights: [bob.userId] },
      { notifies: false, highlights: [bob.userId] },
      { highlights: ['*'] },
      inThread(sent[0]!),
    ]
    for (const step of steps) {
      sent.push(await say(step))
      await expectSame()
    }
    expect(await expectSame()).to.deep.equal({ notifications: 7, highlights: 4 })
    await read(sent[3]!, sent[0])
    expect(await expectSame()).to.deep.equal({ notifications: 6, highlights: 3 })
    await say()
    await read(sent[2]!)
    expect(await expectSame()).to.deep.equal({ notifications: 4, highlights: 2 })
    await room.send({ sender: bob.userId })
    expect(await expectSame()).to.deep.equal({ notifications: 1, highlights: 0 })
    await say({ highlights: [bob.userId] })
    expect(await expectSame()).to.deep.equal({ notifications: 2, highlights: 1 })
    await room.setMembership(bob.userId, 'leave')
    await room.setMembership(bob.userId, 'join')
    expect(await expectSame()).to.deep.equal({ notifications: 0, highlights: 0 })
  })

  it('leaves out those whom the user ignores', async () => {
    await say({ highlights: [bob.userId] })
    const count = async (...ignored: UserId[]) => {
      const rooms = [room.roomNid]
      const options = { ignored: new Set(ignored) }
      const result = await fixture.unreadCounts.forRooms(fixture.db.reader, bob.userId, rooms, options)
      return totalUnread(result.get(room.roomNid)!)
    }
    expect(await count()).to.deep.equal({ notifications: 1, highlights: 1 })
    expect(await count(alice.userId)).to.deep.equal({ notifications: 0, highlights: 0 })
    expect(await count()).to.deep.equal({ notifications: 1, highlights: 1 })
  })

  it('takes no second connection within a transaction', async () => {
    await say()
    const users = Array.from({ length: 40 }, (_, n) => requesterOf(`user${n}`).userId)
    for (const userId of users) await room.setMembership(userId, 'join')
    await say()
    const all = await Promise.all(
      users.map((userId) =>
        fixture.db.read('test', (q) => fixture.unreadCounts.forRooms(q, userId, [room.roomNid])),
      ),
    )
    for (const counted of all) expect(counted.get(room.roomNid)?.notifications).to.equal(1)
  })

  it('counts many rooms at once, each for itself', async () => {
    const other = await RoomRows.create(fixture.db, { value: 1000 })
    await other.setMembership(bob.userId, 'join')
    await other.sendMany([1, 2, 3].map(() => ({ sender: alice.userId })))
    await say()
    const result = await fixture.unreadCounts.forRooms(fixture.db.reader, bob.userId, [
      room.roomNid,
      other.roomNid,
    ])
    expect([...result.values()].map(totalUnread)).to.deep.equal([
      { notifications: 1, highlights: 0 },
      { notifications: 3, highlights: 0 },
    ])
  })

  it('counts at most a thousand events of a room', async () => {
    await room.sendMany(
      Array.from({ length: 1200 }, () => ({ sender: alice.userId, highlights: [bob.userId] })),
    )
    expect((await counts()).main).to.deep.equal([1000, 1000])
  })
})
