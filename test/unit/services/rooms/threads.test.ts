import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import type { ThreadsRequest } from '../../../../src/services/rooms/threads.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, CAROL, ReadingFixture, readerOf } from '../../../support/reading-services.js'

type Answer = JsonObject & { chunk: JsonObject[]; next_batch?: string }

forEachDatabase('Threads', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
    await hs.join(BOB, roomId)
  })

  async function list(request: Partial<ThreadsRequest> & { user?: typeof ALICE } = {}): Promise<Answer> {
    const { user = ALICE, ...rest } = request
    const answer = await hs.services.threads.list(readerOf(user), {
      roomId,
      participatedOnly: false,
      limit: 10,
      from: undefined,
      ...rest,
    })
    return answer as Answer
  }

  async function createThreads(): Promise<[EventId, EventId, EventId]> {
    const roots = [
      (await hs.say(ALICE, roomId, 'one'))[0]!,
      (await hs.say(BOB, roomId, 'two'))[0]!,
      (await hs.say(BOB, roomId, 'three'))[0]!,
    ] as const
    for (const eventId of roots) await hs.relate(BOB, roomId, { relType: 'm.thread', eventId })
    return [...roots]
  }

  const idsOf = (answer: Answer): unknown[] => answer.chunk.map((event) => event['event_id'])

  it('lists roots by their latest replies, with what is in them', async () => {
    const [one, two, three] = await createThreads()
    expect(idsOf(await list())).to.deep.equal([three, two, one])
    const reply = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: one })
    const answer = await list()
    expect(idsOf(answer)).to.deep.equal([one, three, two])
    expect(answer).to.not.have.property('next_batch')
    expect(answer.chunk[0]).to.have.nested.property(
      'unsigned.m\\.relations.m\\.thread.latest_event.event_id',
      reply,
    )
  })

  it('goes on page by page', async () => {
    const [one, two, three] = await createThreads()
    const first = await list({ limit: 2 })
    expect(idsOf(first)).to.deep.equal([three, two])
    const second = await list({ limit: 2, from: first.next_batch })
    expect(idsOf(second)).to.deep.equal([one])
    expect(second).to.not.have.property('next_batch')
    expect(await rejection(list({ from: 'nonsense' }))).to.include({ errcode: 'M_INVALID_PARAM' })
  })

  it('lists those that the reader has a part in', async () => {
    const [one, two] = await createThreads()
    expect(idsOf(await list({ participatedOnly: true }))).to.deep.equal([one])
    await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: two })
    expect(idsOf(await list({ participatedOnly: true }))).to.deep.equal([two, one])
    await hs.join(CAROL, roomId)
    expect(idsOf(await list({ participatedOnly: true, user: CAROL }))).to.deep.equal([])
  })

  it('hides what ignored users say: their replies make no thread, their roots are empty', async () => {
    const [one, two] = await createThreads()
    await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: two })
    await hs.edit(BOB, roomId, two, { body: 'edited' })
    await hs.ignore(ALICE, [BOB])
    const answer = await list()
    expect(idsOf(answer)).to.deep.equal([two])
    expect(answer.chunk[0]).to.have.deep.property('content', {})
    expect(answer.chunk[0]).to.not.have.nested.property('unsigned.m\\.relations.m\\.replace')
    await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: one })
    expect(idsOf(await list())).to.deep.equal([one, two])
  })

  it('refuses strangers, and shows those who have left what was there', async () => {
    const [one] = await createThreads()
    await hs.leave(BOB, roomId)
    await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: one })
    expect(idsOf(await list({ user: BOB })).at(-1)).to.equal(one)
    expect(await rejection(list({ user: CAROL }))).to.include({ errcode: 'M_FORBIDDEN' })
  })
})
