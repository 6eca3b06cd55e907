import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { FakeRoom, toJson } from '../../support/fake-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { syncTimelineHasEventId } from '../../support/matrix-client.js'

const CAROL = '@carol:fake.test'
const MISSING = '/_matrix/federation/v1/get_missing_events/:roomId'

describe('a server that is stopped while it waits for others', function () {
  this.timeout(60_000)
  let servers: TestFederation
  let fake: FakeHomeserver

  beforeEach(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
  })
  afterEach(() => servers[Symbol.asyncDispose]())

  it('does not wait for what was asked about an event, and deals with the event after the next start', async () => {
    const server = servers.get('a.test')
    const alice = await server.register('alice')
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    const room = await FakeRoom.join(fake, 'a.test', { roomId, version: '11', userId: CAROL })
    fake.on('POST', MISSING, () => ({ raw: () => undefined }))
    const [kept, sent] = room.say(CAROL, 'kept back', 'sent')
    await room.tell('a.test', sent!)
    await fake.waitFor('POST', MISSING)
    // Which ends long before the question would.
    await server.server.stop()

    fake.on('POST', MISSING, () => ({ json: { events: [toJson(kept!)] } }))
    await server.restart()
    const again = await server.login(alice.userId)
    await again.mustSyncUntil(syncTimelineHasEventId(roomId, sent!.eventId))
  })
})
