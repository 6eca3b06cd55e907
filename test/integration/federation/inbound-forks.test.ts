import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, eventsAt, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'
import { FakeRoom } from '../../support/fake-room.js'

const CAROL = '@carol:fake.test'

describe('Branches of rooms', () => {
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient
  let room: FakeRoom

  beforeEach(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    room = (await FakeRoom.join(fake, 'a.test', { roomId, version: '11', userId: CAROL })).serve()
  })
  afterEach(() => servers[Symbol.asyncDispose]())

  const filter = (timeline: Record<string, unknown>): string => JSON.stringify({ room: { timeline } })

  it('hide nothing from those who page back from a sync', async () => {
    const since = await alice.syncToken()
    const late = room.make({ type: 'm.room.message', sender: CAROL, content: { body: 'late' } })
    const first: string[] = []
    for (let index = 0; index < 4; index++) first.push(await alice.sendText(room.roomId, `before ${index}`))
    await room.tell('a.test', late)
    await alice.mustSyncUntil(syncTimelineHasEventId(room.roomId, late.eventId))
    const last: string[] = []
    for (let index = 0; index < 3; index++) last.push(await alice.sendText(room.roomId, `after ${index}`))
    const sync = await alice.sync({ since, filter: filter({ limit: 4 }) })
    const timeline = dig(sync, 'rooms', 'join', room.roomId, 'timeline')
    expect(eventsAt(timeline, 'events').map((event) => event['event_id'])).to.deep.equal([
      late.eventId,
      ...last,
    ])
    const from = dig(timeline, 'prev_batch') as string
    const { chunk } = await alice.messages(room.roomId, { dir: 'b', limit: 4, from })
    expect(eventsAt(chunk).map((event) => event['event_id'])).to.deep.equal(first.toReversed())
  })

  it('change the state for those who see none of their events', async () => {
    await alice.sendState(room.roomId, 'm.room.power_levels', '', {
      users: { '@alice:a.test': 100, [CAROL]: 100 },
    })
    await fake.waitForPdu((pdu) => pdu['type'] === 'm.room.power_levels')
    room.learn(...fake.pdus.filter((pdu) => pdu['room_id'] === room.roomId))
    const name: Event = room.make({
      type: 'm.room.name',
      sender: CAROL,
      stateKey: '',
      content: { name: 'S2' },
    })
    await alice.sendText(room.roomId, 'E3')
    await alice.sendText(room.roomId, 'E4')
    await room.tell('a.test', name)
    await alice.mustSyncUntil(syncTimelineHasEventId(room.roomId, name.eventId))
    await alice.sendEvent(room.roomId, 'please_filter_me', { body: 'E5' })
    const sync = await alice.sync({ filter: filter({ not_types: ['please_filter_me'], limit: 1 }) })
    const state = eventsAt(sync, 'rooms', 'join', room.roomId, 'state', 'events')
    expect(state.map((event) => event['event_id'])).to.include(name.eventId)
  })
})
