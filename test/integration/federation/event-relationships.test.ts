import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, eventsAt, type MatrixClient } from '../../support/matrix-client.js'

const PATH = '/_matrix/client/unstable/event_relationships'

describe('Threads by m.relationship on several servers', () => {
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  after(() => servers[Symbol.asyncDispose]())

  function answer(roomId: string, eventId: string): Promise<string> {
    return alice.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'an answer',
      'm.relationship': { rel_type: 'm.reference', event_id: eventId },
    })
  }

  /** a ── b ── c, b ── d; Bob joins afterwards. */
  async function createThread(options: JsonObject = {}) {
    const roomId = await alice.createRoom({ preset: 'public_chat', ...options })
    const a = await alice.sendText(roomId, 'a')
    const b = await answer(roomId, a)
    const c = await answer(roomId, b)
    const d = await answer(roomId, b)
    await bob.join(roomId, { via: ['a.test'] })
    return { roomId, a, b, c, d }
  }

  async function walk(request: JsonObject): Promise<JsonObject[]> {
    return eventsAt(await bob.must('POST', PATH, { body: request }), 'events')
  }
  const idsOf = (events: readonly JsonObject[]) => events.map((event) => event['event_id'])

  for (const version of ['1', '11', '12']) {
    it(`are got from those who have them, in version ${version}`, async () => {
      const { roomId, a, b, c, d } = await createThread({ room_version: version })
      const up = await walk({ event_id: d, room_id: roomId, include_parent: true })
      expect(idsOf(up)).to.deep.equal([d, b])
      expect(dig(up[1], 'unsigned', 'children')).to.deep.equal({ 'm.reference': 2 })
      const down = await walk({ event_id: b, include_parent: true, recent_first: false })
      expect(idsOf(down)).to.deep.equal([b, a, c, d])
      expect(dig(down[1], 'unsigned', 'children')).to.deep.equal({ 'm.reference': 1 })
    })
  }

  it('are not got into rooms that do not show what was before', async () => {
    const { roomId, d } = await createThread({
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
    })
    const response = await bob.request('POST', PATH, { body: { event_id: d, room_id: roomId } })
    expect([response.status, response.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
  })

  it('are shown as far as they are held where nobody can be asked', async () => {
    const { roomId, d } = await createThread()
    await servers.cut('a.test', 'b.test')
    try {
      const response = await bob.request('POST', PATH, { body: { event_id: d, room_id: roomId } })
      expect([response.status, response.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    } finally {
      await servers.heal('a.test', 'b.test')
    }
  })

  it('are told to no server that is not in the room', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const eventId = await alice.sendText(roomId, 'a')
    const stranger = await servers.fake('stranger.test')
    const refused = await stranger.send('a.test', {
      method: 'POST',
      path: '/_matrix/federation/unstable/event_relationships',
      body: { event_id: eventId },
    })
    expect(refused.status).to.equal(403)
  })
})
