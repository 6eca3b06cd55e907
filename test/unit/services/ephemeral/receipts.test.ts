import { expect } from 'chai'
import type { EventId, RoomId, UserId } from '../../../../src/protocol/ids.js'
import type { RemoteReceipt } from '../../../../src/services/ephemeral/receipts.js'
import type { ReceiptType } from '../../../../src/storage/stores/receipts.js'
import {
  createEphemeralFixture,
  requesterOf,
  type EphemeralFixture,
} from '../../../support/ephemeral-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { RoomRows } from '../../../support/room-rows.js'

const alice = requesterOf('alice')
const bob = requesterOf('bob')

forEachDatabase('Receipts', (open) => {
  let fixture: EphemeralFixture
  let room: RoomRows
  let events: EventId[]
  beforeEach(async () => {
    fixture = await createEphemeralFixture(await open())
    room = await RoomRows.create(fixture.db)
    await room.setMembership(alice.userId, 'join')
    await room.setMembership(bob.userId, 'join')
    events = await room.sendMany([1, 2, 3].map(() => ({ sender: bob.userId })))
  })

  const read = (
    requester: typeof alice,
    eventId: EventId,
    { type = 'm.read', threadId }: { type?: ReceiptType; threadId?: unknown } = {},
  ): Promise<void> => fixture.receipts.send(requester, room.roomId, [{ type, eventId, threadId }])

  const list = async (since: number | undefined, userId = bob.userId) => {
    const range = { since, upTo: fixture.streams.receipts.position(), userId }
    const rooms = [{ roomNid: room.roomNid, roomId: room.roomId }]
    return (await fixture.receipts.listForRooms(fixture.db.reader, rooms, range)).get(room.roomId)
  }

  it('shows a receipt to the room and wakes it', async () => {
    await read(alice, events[1]!)
    const ts = fixture.clock.now()
    expect(await list(undefined)).to.deep.equal({ [events[1]!]: { 'm.read': { [alice.userId]: { ts } } } })
    expect(fixture.positions.filter(({ stream }) => stream === 'receipts')).to.deep.equal([
      { stream: 'receipts', hints: { rooms: [room.roomId], users: [alice.userId] } },
    ])
  })

  it('shows only what has changed in a range', async () => {
    await read(alice, events[0]!)
    const since = fixture.streams.receipts.position()
    expect(await list(since)).to.equal(undefined)
    await read(bob, events[1]!)
    expect(Object.keys((await list(since)) ?? {})).to.deep.equal([events[1]])
    expect(Object.keys((await list(undefined)) ?? {})).to.have.members([events[0], events[1]])
  })

  it('never moves backwards', async () => {
    await read(alice, events[2]!)
    const since = fixture.streams.receipts.position()
    await read(alice, events[0]!)
    await read(alice, events[2]!)
    expect(await list(since)).to.equal(undefined)
    expect(Object.keys((await list(undefined)) ?? {})).to.deep.equal([events[2]])
  })

  it('keeps the furthest of receipts that come at once', async () => {
    await Promise.all([read(alice, events[0]!), read(alice, events[2]!), read(alice, events[1]!)])
    expect(Object.keys((await list(undefined)) ?? {})).to.deep.equal([events[2]])
  })

  it('shows private receipts to their owner alone', async () => {
    await read(alice, events[1]!, { type: 'm.read.private' })
    expect(await list(undefined, bob.userId)).to.equal(undefined)
    expect(Object.keys((await list(undefined, alice.userId))?.[events[1]!] ?? {})).to.deep.equal([
      'm.read.private',
    ])
    expect(fixture.positions.at(-1)?.hints).to.deep.equal({ rooms: [], users: [alice.userId] })
  })

  it('keeps a receipt for each thread and one without, of which the latter is shown where both are', async () => {
    const root = events[0]!
    const relation = { relType: 'm.thread', eventId: root }
    const [inThread] = await room.sendMany([{ sender: bob.userId, relation }])
    await read(alice, events[1]!, { threadId: 'main' })
    await read(alice, inThread!, { threadId: root })
    const ts = fixture.clock.now()
    expect(await list(undefined)).to.deep.equal({
      [events[1]!]: { 'm.read': { [alice.userId]: { ts, thread_id: 'main' } } },
      [inThread!]: { 'm.read': { [alice.userId]: { ts, thread_id: root } } },
    })
    await read(alice, inThread!)
    expect((await list(undefined))?.[inThread!]).to.deep.equal({ 'm.read': { [alice.userId]: { ts } } })
  })

  it('does not put a receipt of a thread in the place of one without that was there before', async () => {
    await read(alice, events[1]!)
    const since = fixture.streams.receipts.position()
    await read(alice, events[1]!, { threadId: 'main' })
    await read(alice, events[1]!, { threadId: 'main', type: 'm.read.private' })
    expect(await list(since)).to.equal(undefined)
    expect(Object.keys((await list(since, alice.userId))?.[events[1]!] ?? {})).to.deep.equal([
      'm.read.private',
    ])
    await read(alice, events[2]!, { threadId: 'main' })
    expect(Object.keys((await list(since)) ?? {})).to.deep.equal([events[2]])
  })

  describe('with threads', () => {
    let root: EventId
    let inThread: EventId
    let reaction: EventId
    let reference: EventId
    beforeEach(async () => {
      root = events[0]!
      inThread = await room.send({ sender: bob.userId, relation: { relType: 'm.thread', eventId: root } })
      reaction = await room.send({
        sender: bob.userId,
        relation: { relType: 'm.annotation', eventId: inThread },
      })
      reference = await room.send({ sender: bob.userId, relation: { relType: 'm.reference', eventId: root } })
    })

    it('takes events of the thread, what relates to them, and the root', async () => {
      for (const eventId of [root, inThread, reaction, reference])
        await read(alice, eventId, { threadId: root })
    })

    it('takes what is in no thread for the main timeline', async () => {
      for (const eventId of [root, reference, events[1]!]) await read(alice, eventId, { threadId: 'main' })
      for (const eventId of [inThread, reaction]) {
        const error = await rejection(read(alice, eventId, { threadId: 'main' }))
        expect(error).to.include({ errcode: 'M_INVALID_PARAM' })
      }
    })

    it('refuses threads that cannot be, and those the event is not in', async () => {
      for (const threadId of ['', 7, null, {}, events[1]!, '$other']) {
        const error = await rejection(read(alice, inThread, { threadId }))
        expect(error).to.include({ status: 400, errcode: 'M_INVALID_PARAM' })
      }
    })
  })

  it('knows only events of the room, and only members', async () => {
    const other = await RoomRows.create(fixture.db, { value: 500 })
    const elsewhere = await other.send({ sender: bob.userId })
    for (const eventId of [elsewhere, '$unknown' as EventId]) {
      expect(await rejection(read(alice, eventId))).to.include({ errcode: 'M_NOT_FOUND' })
    }
    expect(await rejection(read(requesterOf('carol'), events[0]!))).to.include({ errcode: 'M_FORBIDDEN' })
    const nowhere = fixture.receipts.send(alice, '!none:hs.test' as RoomId, [])
    expect(await rejection(nowhere)).to.include({ errcode: 'M_FORBIDDEN' })
  })

  it('takes receipts of other servers for events that may come later, but for no thread that is not there', async () => {
    const other = await RoomRows.create(fixture.db, { value: 500 })
    const elsewhere = await other.send({ sender: bob.userId })
    const said = (changes: { threadId?: string; eventId?: EventId; userId?: UserId }): RemoteReceipt => {
      const receipt = { roomId: room.roomId, userId: bob.userId, eventId: events[1]!, ts: 7 }
      return { ...receipt, threadId: undefined, ...changes }
    }
    const count = async (): Promise<number> =>
      (await fixture.db.reader.all('SELECT event_id FROM receipts')).length
    await fixture.receipts.receive([
      said({ threadId: '$unknown' }),
      said({ threadId: elsewhere }),
      said({ eventId: elsewhere }),
      said({ userId: requesterOf('carol').userId }),
      { ...said({}), roomId: '!none:hs.test' as RoomId },
    ])
    expect(await count()).to.equal(0)
    const later = said({ threadId: 'main', eventId: '$later' as EventId })
    await fixture.receipts.receive([said({}), later, said({ threadId: events[0]! })])
    expect(await count()).to.equal(3)
  })

  it('shows the newest receipts of a room, and always the own', async () => {
    await read(alice, events[0]!)
    await fixture.db.write('test', async (tx) => {
      const ids = await fixture.streams.receipts.allocate(tx, 2100)
      await fixture.stores.receipts.upsert(
        tx,
        ids.map((streamId, index) => ({
          roomNid: room.roomNid,
          userId: requesterOf(`user${index}`).userId,
          type: 'm.read' as const,
          threadId: undefined,
          eventId: events[1]!,
          eventPosition: 5,
          ts: 1,
          streamId,
        })),
      )
    })
    const ofAlice = await list(undefined, alice.userId)
    expect(Object.keys((ofAlice?.[events[1]!] as { 'm.read': object })['m.read'])).to.have.length(2000)
    expect(ofAlice).to.have.property(events[0]!)
    expect(await list(undefined, bob.userId)).not.to.have.property(events[0]!)
  })
})
