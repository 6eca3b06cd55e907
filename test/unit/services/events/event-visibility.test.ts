import { expect } from 'chai'
import type { EventId, RoomId, UserId } from '../../../../src/protocol/ids.js'
import type { Query } from '../../../../src/storage/database.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, BOB, CAROL, ReadingFixture } from '../../../support/reading-services.js'

forEachDatabase('EventVisibility', (open) => {
  let hs: ReadingFixture

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
  })

  async function visibleTo(userId: UserId, ids: readonly EventId[]): Promise<EventId[]> {
    const events = await hs.get(...ids)
    return (await hs.reading.visibility.filter(userId, events)).map(({ event }) => event.eventId)
  }

  /** Before Bob's invite, while he is invited, while he is in the room, after he left. */
  async function story(historyVisibility: string): Promise<{ roomId: RoomId; ids: Record<string, EventId> }> {
    const roomId = await hs.createRoom({ historyVisibility })
    const [before] = await hs.say(ALICE, roomId, 'before')
    const invite = await hs.setMembership(roomId, 'invite', { target: BOB, by: ALICE })
    const [invited] = await hs.say(ALICE, roomId, 'invited')
    const join = await hs.join(BOB, roomId)
    const [joined] = await hs.say(ALICE, roomId, 'joined')
    const leave = await hs.leave(BOB, roomId)
    const [after] = await hs.say(ALICE, roomId, 'after')
    const ids = { before, invite, invited, join, joined, leave, after } as Record<string, EventId>
    return { roomId, ids }
  }

  async function namesVisibleTo(userId: UserId, ids: Readonly<Record<string, EventId>>): Promise<string[]> {
    const visible = new Set(await visibleTo(userId, Object.values(ids)))
    return Object.keys(ids).filter((name) => visible.has(ids[name]!))
  }

  const expected = {
    joined: ['join', 'joined', 'leave'],
    invited: ['invite', 'invited', 'join', 'joined', 'leave'],
    shared: ['before', 'invite', 'invited', 'join', 'joined', 'leave'],
    world_readable: ['before', 'invite', 'invited', 'join', 'joined', 'leave', 'after'],
  }
  for (const [historyVisibility, names] of Object.entries(expected)) {
    it(`shows those who have left what ${historyVisibility} history lets them see`, async () => {
      const { ids } = await story(historyVisibility)
      expect(await namesVisibleTo(BOB, ids)).to.deep.equal(names)
      expect(await namesVisibleTo(CAROL, ids)).to.deep.equal(
        historyVisibility === 'world_readable' ? Object.keys(ids) : [],
      )
    })
  }

  it('shows shared history between two stays to those who came back', async () => {
    const { roomId, ids } = await story('shared')
    await hs.join(BOB, roomId)
    expect(await namesVisibleTo(BOB, ids)).to.deep.equal(Object.keys(ids))
    const other = await story('joined')
    await hs.join(BOB, other.roomId)
    expect(await namesVisibleTo(BOB, other.ids)).to.deep.equal(expected.joined)
  })

  it('takes history that nobody has set for shared', async () => {
    const roomId = await hs.createRoom()
    const [before] = await hs.say(ALICE, roomId, 'before')
    expect(await visibleTo(BOB, [before!])).to.deep.equal([])
    await hs.join(BOB, roomId)
    expect(await visibleTo(BOB, [before!])).to.deep.equal([before])
  })

  it('judges each event by the visibility at that event', async () => {
    const roomId = await hs.createRoom({ historyVisibility: 'joined' })
    const [hidden] = await hs.say(ALICE, roomId, 'hidden')
    const set = (historyVisibility: string): Promise<EventId> =>
      hs.send(ALICE, roomId, {
        type: 'm.room.history_visibility',
        stateKey: '',
        content: { history_visibility: historyVisibility },
      })
    const opened = await set('world_readable')
    const [shown] = await hs.say(ALICE, roomId, 'shown')
    const closed = await set('joined')
    const [hiddenAgain] = await hs.say(ALICE, roomId, 'hidden again')
    const ids = [hidden!, opened, shown!, closed, hiddenAgain!]
    expect(await visibleTo(BOB, ids)).to.deep.equal([opened, shown, closed])
  })

  it('shows people their kick, their ban and its end, and nothing between', async () => {
    const roomId = await hs.createRoom({ historyVisibility: 'joined' })
    await hs.join(BOB, roomId)
    const kick = await hs.setMembership(roomId, 'leave', { target: BOB, by: ALICE })
    const ban = await hs.setMembership(roomId, 'ban', { target: BOB, by: ALICE })
    const [between] = await hs.say(ALICE, roomId, 'between')
    expect(await visibleTo(BOB, [kick, ban, between!])).to.deep.equal([kick])
    const other = await hs.createRoom({ historyVisibility: 'joined' })
    await hs.join(BOB, other)
    const direct = await hs.setMembership(other, 'ban', { target: BOB, by: ALICE })
    expect(await visibleTo(BOB, [direct])).to.deep.equal([direct])
  })

  it('shows people that their invite is gone', async () => {
    const roomId = await hs.createRoom({ historyVisibility: 'joined' })
    const invite = await hs.setMembership(roomId, 'invite', { target: BOB, by: ALICE })
    const declined = await hs.leave(BOB, roomId)
    const [after] = await hs.say(ALICE, roomId, 'after')
    expect(await visibleTo(BOB, [invite, declined, after!])).to.deep.equal([declined])
    expect(await visibleTo(CAROL, [invite, declined, after!])).to.deep.equal([])
  })

  it('never shows rejected, soft-failed and outlying events', async () => {
    const roomId = await hs.createRoom({ historyVisibility: 'world_readable' })
    const ids = await hs.say(ALICE, roomId, 'rejected', 'soft-failed', 'outlier', 'good')
    await hs.alter(ids[0]!, "rejected = 'for a reason'")
    await hs.alter(ids[1]!, 'soft_failed = 1')
    await hs.alter(ids[2]!, 'stream_ordering = NULL')
    expect(await visibleTo(ALICE, ids)).to.deep.equal([ids[3]])
  })

  it('drops what ignored users say, but not what they do to the state', async () => {
    const roomId = await hs.createRoom()
    const join = await hs.join(BOB, roomId)
    const [fromBob] = await hs.say(BOB, roomId, 'from Bob')
    const [fromAlice] = await hs.say(ALICE, roomId, 'from Alice')
    const events = await hs.get(join, fromBob!, fromAlice!)
    const shown = await hs.reading.visibility.filter(ALICE, events, { ignored: new Set([BOB, ALICE]) })
    expect(shown.map(({ event }) => event.eventId)).to.deep.equal([join, fromAlice])
  })

  it('asks a constant number of questions for events of many rooms, in their order', async () => {
    const ids: EventId[] = []
    for (let count = 0; count < 4; count++) {
      const roomId = await hs.createRoom({ historyVisibility: count % 2 === 0 ? 'joined' : 'shared' })
      ids.push(...(await hs.say(ALICE, roomId, 'one', 'two')))
      await hs.join(BOB, roomId)
      ids.push(...(await hs.say(ALICE, roomId, 'three')))
    }
    const fresh = await ReadingFixture.create(hs.db)
    const events = await fresh.get(...ids)
    let statements = 0
    const { reader } = hs.db
    const counting: Query = {
      dialect: reader.dialect,
      knex: reader.knex,
      snapshotAt: reader.snapshotAt,
      run: (builder) => reader.run(builder),
      all: (sql, params) => {
        statements++
        return reader.all(sql, params)
      },
      first: (sql, params) => {
        statements++
        return reader.first(sql, params)
      },
    }
    const shown = await fresh.reading.visibility.filter(BOB, events, { q: counting })
    const mustSee = ids.filter((_, index) => Math.floor(index / 3) % 2 === 1 || index % 3 === 2)
    expect(shown.map(({ event }) => event.eventId)).to.deep.equal(mustSee)
    expect(statements).to.be.at.most(5)
  })
})
