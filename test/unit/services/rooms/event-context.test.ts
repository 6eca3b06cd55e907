import { expect } from 'chai'
import { NO_EVENT_FILTER, parseRoomEventFilter } from '../../../../src/protocol/event-filter.js'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { parsePaginationToken } from '../../../../src/protocol/pagination-token.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, ReadingFixture, readerOf } from '../../../support/reading-services.js'

interface Context {
  start: string
  end: string
  event: JsonObject
  events_before: JsonObject[]
  events_after: JsonObject[]
  state: JsonObject[]
}

forEachDatabase('EventContext', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId
  let ids: EventId[]

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
    await hs.join(BOB, roomId)
    ids = await hs.say(ALICE, roomId, '0', '1', '2', '3', '4', '5')
  })

  async function get(
    eventId: EventId,
    { limit = 10, filter, user = ALICE }: { limit?: number; filter?: JsonObject; user?: typeof ALICE } = {},
  ): Promise<Context> {
    const context = await hs.services.eventContext.get(readerOf(user), {
      roomId,
      eventId,
      limit,
      filter: filter ? parseRoomEventFilter(filter) : NO_EVENT_FILTER,
    })
    return context as unknown as Context
  }

  const bodies = (events: readonly JsonObject[]): unknown[] =>
    events.map((event) => (event['content'] as JsonObject)['body'])

  it('has what was before, from new to old, and after, from old to new', async () => {
    const context = await get(ids[2]!, { limit: 4 })
    expect(context.event).to.have.property('event_id', ids[2])
    expect(bodies(context.events_before)).to.deep.equal(['1', '0'])
    expect(bodies(context.events_after)).to.deep.equal(['3', '4'])
  })

  it('gives the event alone for a limit of 0', async () => {
    const context = await get(ids[2]!, { limit: 0 })
    expect(context.event).to.have.property('event_id', ids[2])
    expect([...context.events_before, ...context.events_after]).to.deep.equal([])
  })

  it('has tokens to go on with in both directions', async () => {
    const context = await get(ids[2]!, { limit: 2 })
    const read = async (direction: 'b' | 'f', token: string): Promise<unknown[]> => {
      const from = parsePaginationToken(token, 'from')
      const request = { roomId, direction, from, to: undefined, limit: 1, filter: NO_EVENT_FILTER }
      return bodies(
        (await hs.services.pagination.listMessages(readerOf(ALICE), request))['chunk'] as JsonObject[],
      )
    }
    expect(await read('b', context.start)).to.deep.equal(['0'])
    expect(await read('f', context.end)).to.deep.equal(['4'])
  })

  it('has the state at its last event', async () => {
    await hs.send(ALICE, roomId, { type: 'm.room.name', stateKey: '', content: { name: 'later' } })
    const context = await get(ids[2]!, { limit: 2 })
    expect(context.state.map((event) => event['type'])).to.include.members([
      'm.room.create',
      'm.room.power_levels',
    ])
    expect(context.state.filter((event) => event['type'] === 'm.room.name')).to.deep.equal([])
    expect(context.state.filter((event) => event['type'] === 'm.room.member')).to.have.length(2)
  })

  it('has of the members only those who have sent something where they are loaded lazily', async () => {
    const filter = { lazy_load_members: true }
    const { state } = await get(ids[2]!, { limit: 2, filter })
    const members = state.filter((event) => event['type'] === 'm.room.member')
    expect(members.map((event) => event['state_key'])).to.deep.equal([ALICE])
  })

  it('filters what is around the event and the state, but not the event', async () => {
    const { events_before, events_after, event, state } = await get(ids[0]!, {
      filter: { types: ['m.room.member'] },
    })
    expect(event).to.have.property('type', 'm.room.message')
    expect(events_before.map((one) => one['type'])).to.deep.equal(['m.room.member', 'm.room.member'])
    expect(events_after).to.deep.equal([])
    expect(state.map((one) => one['type'])).to.deep.equal(['m.room.member', 'm.room.member'])
  })

  it('refuses strangers with 403, and what is hidden or not there with 404', async () => {
    expect(await rejection(get(ids[0]!, { user: '@stranger:hs.test' as typeof ALICE }))).to.include({
      errcode: 'M_FORBIDDEN',
    })
    expect(await rejection(get('$nothing' as EventId))).to.include({ errcode: 'M_NOT_FOUND' })
    const [elsewhere] = await hs.say(ALICE, await hs.createRoom(), 'elsewhere')
    expect(await rejection(get(elsewhere!))).to.include({ errcode: 'M_NOT_FOUND' })
    await hs.leave(BOB, roomId)
    const [unseen] = await hs.say(ALICE, roomId, 'unseen')
    expect(await rejection(get(unseen!, { user: BOB }))).to.include({ errcode: 'M_NOT_FOUND' })
    expect((await get(ids[5]!, { user: BOB })).events_after).to.have.length(1)
  })
})
