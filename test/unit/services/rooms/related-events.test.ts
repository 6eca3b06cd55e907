import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { parsePaginationToken } from '../../../../src/protocol/pagination-token.js'
import type { RelatedEventsRequest } from '../../../../src/services/rooms/related-events.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, ReadingFixture, readerOf } from '../../../support/reading-services.js'

type Answer = JsonObject & { chunk: JsonObject[]; next_batch?: string; prev_batch?: string }

forEachDatabase('RelatedEvents', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId
  let root: EventId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
    root = (await hs.say(ALICE, roomId, 'root'))[0]!
  })

  async function list(
    request: Partial<Omit<RelatedEventsRequest, 'from' | 'to'>> & {
      from?: string
      to?: string
      user?: typeof ALICE
    } = {},
  ): Promise<Answer> {
    const { from, to, user = ALICE, ...rest } = request
    const answer = await hs.services.relatedEvents.list(readerOf(user), {
      roomId,
      eventId: root,
      direction: 'b',
      limit: 10,
      recurse: undefined,
      ...rest,
      from: from === undefined ? undefined : parsePaginationToken(from, 'from'),
      to: to === undefined ? undefined : parsePaginationToken(to, 'to'),
    })
    return answer as Answer
  }

  const idsOf = (answer: Answer): unknown[] => answer.chunk.map((event) => event['event_id'])

  it('narrows by relation and by type', async () => {
    const reply = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root })
    const dummy = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root, type: 'm.dummy' })
    const edit = await hs.edit(ALICE, roomId, root, { body: 'edited' })
    expect(idsOf(await list())).to.deep.equal([edit, dummy, reply])
    expect(idsOf(await list({ relType: 'm.thread' }))).to.deep.equal([dummy, reply])
    expect(idsOf(await list({ relType: 'm.thread', eventType: 'm.room.message' }))).to.deep.equal([reply])
    expect(idsOf(await list({ relType: 'm.reference' }))).to.deep.equal([])
    expect(await list()).to.not.have.any.keys('next_batch', 'prev_batch', 'recursion_depth')
  })

  it('goes through pages both ways', async () => {
    const replies: EventId[] = []
    for (let count = 0; count < 7; count++) {
      replies.push(await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root }))
    }
    for (const direction of ['b', 'f'] as const) {
      const seen: unknown[] = []
      let page = await list({ direction, limit: 3 })
      for (
        ;
        page.next_batch !== undefined;
        page = await list({ direction, limit: 3, from: page.next_batch })
      ) {
        expect(page.chunk).to.have.length(3)
        seen.push(...idsOf(page))
      }
      seen.push(...idsOf(page))
      expect(seen).to.deep.equal(direction === 'f' ? replies : replies.toReversed())
      expect(page.prev_batch).to.be.a('string')
    }
    const [third] = await hs.get(replies[2]!)
    const since = await list({ direction: 'f', from: `s${third!.streamOrdering}_1_2` })
    expect(idsOf(since)).to.deep.equal(replies.slice(3))
    const upTo = await list({ to: `s${third!.streamOrdering}` })
    expect(idsOf(upTo)).to.deep.equal(replies.slice(3).toReversed())
  })

  it('follows relations of relations three deep, and not in circles', async () => {
    const ids = [root]
    for (let level = 0; level < 4; level++) {
      ids.push(await hs.relate(ALICE, roomId, { relType: 'm.reference', eventId: ids[level]! }))
    }
    expect(idsOf(await list())).to.deep.equal([ids[1]])
    const deep = await list({ recurse: true })
    expect(idsOf(deep)).to.deep.equal([ids[3], ids[2], ids[1]])
    expect(deep).to.have.property('recursion_depth', 3)
    expect(await list({ recurse: false })).to.have.property('recursion_depth', 1)
    await hs.alter(root, `relates_to = '${ids[2]!}', rel_type = 'm.reference'`)
    expect(idsOf(await list({ recurse: true }))).to.have.length.at.most(5)
  })

  it('has no redacted, hidden or foreign events, and nothing of ignored users', async () => {
    await hs.join(BOB, roomId)
    const kept = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root })
    const redacted = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root })
    await hs.redact(ALICE, roomId, redacted)
    await hs.relate(ALICE, await hs.createRoom(), { relType: 'm.thread', eventId: root })
    const fromBob = await hs.relate(BOB, roomId, { relType: 'm.thread', eventId: root })
    expect(idsOf(await list())).to.deep.equal([fromBob, kept])
    await hs.ignore(ALICE, [BOB])
    expect(idsOf(await list())).to.deep.equal([kept])
    await hs.leave(BOB, roomId)
    await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root })
    expect(idsOf(await list({ user: BOB }))).to.deep.equal([fromBob, kept])
  })

  it('says 404 for parents that the reader may not read', async () => {
    expect(await rejection(list({ user: BOB }))).to.include({ errcode: 'M_NOT_FOUND', status: 404 })
    expect(await rejection(list({ eventId: '$nothing' as EventId }))).to.include({ errcode: 'M_NOT_FOUND' })
  })
})
