import { expect } from 'chai'
import { NO_EVENT_FILTER, parseRoomEventFilter } from '../../../../src/protocol/event-filter.js'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { parsePaginationToken } from '../../../../src/protocol/pagination-token.js'
import type { MessagesRequest } from '../../../../src/services/rooms/pagination.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, CAROL, ReadingFixture, readerOf } from '../../../support/reading-services.js'

type Page = JsonObject & { chunk: JsonObject[]; start: string; end?: string; state?: JsonObject[] }

forEachDatabase('Pagination', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
  })

  async function list(
    request: Partial<Omit<MessagesRequest, 'from' | 'to' | 'filter'>> & {
      from?: string
      to?: string
      filter?: JsonObject
      user?: typeof ALICE
    } = {},
  ): Promise<Page> {
    const { from, to, filter, user = ALICE, ...rest } = request
    const page = await hs.services.pagination.listMessages(readerOf(user), {
      roomId,
      direction: 'b',
      limit: 10,
      ...rest,
      from: from === undefined ? undefined : parsePaginationToken(from, 'from'),
      to: to === undefined ? undefined : parsePaginationToken(to, 'to'),
      filter: filter ? parseRoomEventFilter(filter) : NO_EVENT_FILTER,
    })
    return page as Page
  }

  function idsOf(events: readonly JsonObject[]): unknown[] {
    return events.map((event) => event['event_id'])
  }

  it('goes back to the beginning, page by page, and says when it is there', async () => {
    const ids = await hs.say(ALICE, roomId, '1', '2', '3', '4', '5', '6', '7')
    const seen: unknown[] = []
    let page = await list({ limit: 4 })
    const sizes: number[] = []
    let oldest: JsonObject | undefined
    for (; page.end !== undefined; page = await list({ limit: 4, from: page.end })) {
      sizes.push(page.chunk.length)
      seen.push(...idsOf(page.chunk))
      oldest = page.chunk.at(-1)
    }
    expect(page.chunk).to.deep.equal([])
    expect(sizes).to.deep.equal([4, 4, 3])
    expect(seen.slice(0, 7)).to.deep.equal(ids.toReversed())
    expect(oldest).to.include({ type: 'm.room.create', room_id: roomId })
    expect(seen).to.have.length(11)
    expect(new Set(seen)).to.have.property('size', 11)
  })

  it('goes forward from the beginning and on from where it stopped', async () => {
    const ids = await hs.say(ALICE, roomId, '1', '2', '3')
    const first = await list({ direction: 'f', limit: 5 })
    expect(first.chunk[0]).to.have.property('type', 'm.room.create')
    const second = await list({ direction: 'f', from: first.end! })
    expect(idsOf([...first.chunk, ...second.chunk]).slice(-3)).to.deep.equal(ids)
    expect(second.start).to.equal(first.end)
    const none = await list({ direction: 'f', from: second.end! })
    expect(none.chunk).to.deep.equal([])
    expect(none).to.not.have.property('end')
    const later = await hs.say(ALICE, roomId, '4', '5')
    expect(idsOf((await list({ direction: 'f', from: second.end! })).chunk)).to.deep.equal(later)
  })

  it('turns around at its own tokens without losing or repeating anything', async () => {
    await hs.say(ALICE, roomId, '1', '2', '3', '4')
    const back = await list({ limit: 3 })
    const forth = await list({ direction: 'f', from: back.end! })
    expect(idsOf(forth.chunk)).to.deep.equal(idsOf(back.chunk).toReversed())
    const fromStart = await list({ from: back.start, limit: 3 })
    expect(idsOf(fromStart.chunk)).to.deep.equal(idsOf(back.chunk))
    expect((await list({ direction: 'f', from: back.start })).chunk).to.deep.equal([])
    const between = await list({ from: back.start, to: back.end! })
    expect(idsOf(between.chunk)).to.deep.equal(idsOf(back.chunk))
    const beyond = await list({ from: between.end!, to: back.end! })
    expect(beyond.chunk).to.deep.equal([])
    expect(beyond).to.not.have.property('end')
  })

  it('takes tokens of /sync, and shows nothing that is newer', async () => {
    const [first, second] = await hs.say(ALICE, roomId, '1', '2')
    const [stored] = await hs.get(first!)
    const token = `s${stored!.streamOrdering}_0_0`
    expect(idsOf((await list({ from: token, limit: 1 })).chunk)).to.deep.equal([first])
    expect(idsOf((await list({ from: token, direction: 'f' })).chunk)).to.deep.equal([second])
    expect(idsOf((await list({ to: token })).chunk)).to.deep.equal([second])
  })

  it('filters by type, sender, URL and relation, and goes on where there is more', async () => {
    await hs.join(BOB, roomId)
    const [fromBob] = await hs.say(BOB, roomId, 'from Bob')
    const image = await hs.send(ALICE, roomId, { content: { msgtype: 'm.image', url: 'mxc://hs.test/a' } })
    const reply = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: fromBob! })
    const filtered = async (filter: JsonObject): Promise<unknown[]> => idsOf((await list({ filter })).chunk)
    expect(await filtered({ types: ['m.room.message'], senders: [BOB] })).to.deep.equal([fromBob])
    expect(
      await filtered({ types: ['m.room.me*'], not_types: ['m.room.member'], contains_url: false }),
    ).to.deep.equal([reply, fromBob])
    expect(await filtered({ contains_url: true })).to.deep.equal([image])
    expect(await filtered({ types: ['*.m*ss*e'], contains_url: true })).to.deep.equal([image])
    expect(await filtered({ types: ['M.ROOM.*'] })).to.deep.equal([])
    expect(await filtered({ related_by_rel_types: ['m.thread'] })).to.deep.equal([fromBob])
    expect(await filtered({ related_by_rel_types: ['m.thread'], related_by_senders: [BOB] })).to.deep.equal(
      [],
    )
    expect(await filtered({ types: [] })).to.deep.equal([])
    expect(await filtered({ not_rooms: [roomId] })).to.deep.equal([])
    const page = await list({ filter: { types: ['m.room.message'] }, limit: 2 })
    expect(idsOf(page.chunk)).to.deep.equal([reply, image])
    const next = await list({ filter: { types: ['m.room.message'] }, limit: 2, from: page.end! })
    expect(idsOf(next.chunk)).to.deep.equal([fromBob])
    const last = await list({ filter: { types: ['m.room.message'] }, limit: 2, from: next.end! })
    expect(last.chunk).to.deep.equal([])
    expect(last).to.not.have.property('end')
  })

  it('adds the members who have sent what is shown', async () => {
    await hs.join(BOB, roomId)
    await hs.join(CAROL, roomId)
    await hs.say(BOB, roomId, 'old')
    const [stored] = await hs.get((await hs.say(CAROL, roomId, 'new'))[0]!)
    const from = `s${stored!.streamOrdering! - 1}`
    const page = await list({ direction: 'f', from, filter: { lazy_load_members: true } })
    expect(page.state).to.have.length(1)
    expect(page.state![0]).to.deep.include({
      type: 'm.room.member',
      state_key: CAROL,
      content: { membership: 'join' },
    })
    expect(await list({ direction: 'f', from })).to.not.have.property('state')
  })

  it('hides what ignored users say', async () => {
    await hs.join(BOB, roomId)
    await hs.say(BOB, roomId, 'noise')
    const [own] = await hs.say(ALICE, roomId, 'music')
    await hs.ignore(ALICE, [BOB])
    const page = await list({ filter: { types: ['m.room.message'] } })
    expect(idsOf(page.chunk)).to.deep.equal([own])
  })

  it('fills pages although much is hidden, and ends where nothing more can be seen', async () => {
    roomId = await hs.createRoom({ historyVisibility: 'joined' })
    await hs.say(ALICE, roomId, ...Array.from({ length: 30 }, (_, index) => `hidden ${index}`))
    const join = await hs.join(BOB, roomId)
    const shown = await hs.say(ALICE, roomId, 'shown', 'shown too')
    const page = await list({ user: BOB, limit: 4 })
    expect(idsOf(page.chunk).slice(0, 3)).to.deep.equal([...shown.toReversed(), join])
    // Before its visibility was set, the history was shared.
    expect(page.chunk[3]).to.have.property('type', 'm.room.history_visibility')
    const rest = await list({ user: BOB, from: page.end! })
    expect(rest.chunk.map((event) => event['type'])).to.deep.equal([
      'm.room.join_rules',
      'm.room.power_levels',
      'm.room.member',
      'm.room.create',
    ])
    expect(await list({ user: BOB, from: rest.end! })).to.not.have.property('end')
    const forward = await list({ user: BOB, limit: 7, direction: 'f' })
    expect(idsOf(forward.chunk).slice(5)).to.deep.equal([join, shown[0]])
  })

  it('shows those who have left the room as it was then', async () => {
    await hs.join(BOB, roomId)
    const [seen] = await hs.say(ALICE, roomId, 'seen')
    const leave = await hs.leave(BOB, roomId)
    const unseen = await hs.say(ALICE, roomId, 'unseen', 'unseen too')
    const [last] = await hs.get(unseen[1]!)
    for (const from of [undefined, `s${last!.streamOrdering}`, `t1000-${last!.streamOrdering}`]) {
      const page = await list({ user: BOB, limit: 2, ...(from !== undefined && { from }) })
      expect(idsOf(page.chunk)).to.deep.equal([leave, seen])
    }
    const [left] = await hs.get(leave)
    const forward = await list({ user: BOB, direction: 'f', from: `s${left!.streamOrdering}` })
    expect(forward.chunk).to.deep.equal([])
    expect(forward).to.not.have.property('end')
  })

  it('refuses strangers, those who have forgotten, the invited, and rooms that are not there', async () => {
    const errors = [await rejection(list({ user: BOB }))]
    await hs.setMembership(roomId, 'invite', { target: BOB, by: ALICE })
    errors.push(await rejection(list({ user: BOB })))
    await hs.leave(BOB, roomId)
    errors.push(await rejection(list({ user: BOB })))
    await hs.join(BOB, roomId)
    await hs.leave(BOB, roomId)
    await hs.db.write('test', async (tx) => {
      const room = await hs.stores.rooms.get(tx, roomId)
      await hs.stores.members.setForgotten(tx, room!.roomNid, BOB)
    })
    errors.push(await rejection(list({ user: BOB })))
    errors.push(await rejection(list({ roomId: '!nowhere:hs.test' as RoomId })))
    for (const error of errors) expect(error).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
  })

  it('lets everybody read what is world-readable, while it is', async () => {
    roomId = await hs.createRoom({ historyVisibility: 'joined' })
    await hs.say(ALICE, roomId, 'private')
    const opened = await hs.send(ALICE, roomId, {
      type: 'm.room.history_visibility',
      stateKey: '',
      content: { history_visibility: 'world_readable' },
    })
    const [shown] = await hs.say(ALICE, roomId, 'shown')
    const page = await list({ user: BOB })
    expect(idsOf(page.chunk)).to.deep.equal([shown, opened])
  })

  it('gives nothing but the place for a limit of 0', async () => {
    const page = await list({ limit: 0 })
    expect(page.chunk).to.deep.equal([])
    expect((await list({ from: page.end! })).chunk).to.have.length(4)
  })

  it('orders backfilled events by depth', async () => {
    const ids = await hs.say(ALICE, roomId, '1', '2', '3')
    await hs.alter(ids[0]!, 'stream_ordering = -7')
    await hs.alter(ids[1]!, 'stream_ordering = -9')
    const order: EventId[] = ids.toReversed()
    expect(idsOf((await list({ limit: 3 })).chunk)).to.deep.equal(order)
    const page = await list({ limit: 1 })
    expect(idsOf((await list({ limit: 2, from: page.end! })).chunk)).to.deep.equal(order.slice(1))
  })
})
