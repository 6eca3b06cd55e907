import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import { path, type RequestOptions } from '../../support/matrix-client.js'
import { listOf, SLIDING_SYNC } from '../../support/sliding-client.js'

const V3 = '/_matrix/client/v3'
const V1 = '/_matrix/client/v1'
const WORD = 'strawberry'

describe('ignored users', () => {
  it('are not read of at any endpoint, but for the state of rooms', async () => {
    await using hs = await startHomeserver()
    const [alice, eve] = [await hs.register('alice'), await hs.register('eve')]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await eve.join(roomId)
    const root = await alice.sendText(roomId, 'Who is there?')
    await alice.sendState(roomId, 'm.room.power_levels', '', {
      users: {},
      events: { 'm.room.topic': 0 },
    })
    const since = await alice.syncToken()
    const first = await alice.must('GET', `${V3}/initialSync`)
    await alice.must('PUT', path`/_matrix/client/v3/user/${alice.userId}/account_data/m.ignored_user_list`, {
      body: { ignored_users: { [eve.userId]: {} } },
    })
    const said = await eve.sendText(roomId, `${WORD} ${alice.userId}`)
    const saidTs = Date.now()
    await eve.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: `${WORD} in a thread`,
      'm.relates_to': { rel_type: 'm.thread', event_id: root },
    })
    await eve.sendState(roomId, 'm.room.topic', '', { topic: 'Said by somebody' })
    const invited = await eve.createRoom({ name: WORD, invite: [alice.userId] })

    const room = path`rooms/${roomId}`
    const requests: [method: string, target: string, options?: RequestOptions][] = [
      ['GET', `${V3}/sync`],
      ['GET', `${V3}/sync`, { query: { since } }],
      ['POST', SLIDING_SYNC, { body: listOf([0, 9], { timelineLimit: 20 }) }],
      ['GET', `${V3}/initialSync`],
      ['GET', `${V3}/events`, { query: { from: first['end'] as string, timeout: 0 } }],
      ['GET', `${V3}/${room}/initialSync`],
      ['GET', `${V3}/${room}/messages`, { query: { dir: 'b' } }],
      ['GET', `${V3}/${room}/messages`, { query: { dir: 'f' } }],
      ['GET', path`/_matrix/client/v3/rooms/${roomId}/context/${root}`],
      ['GET', path`/_matrix/client/v3/rooms/${roomId}/event/${root}`],
      ['GET', path`/_matrix/client/v1/rooms/${roomId}/relations/${root}`],
      ['GET', `${V1}/${room}/threads`],
      ['GET', `${V1}/${room}/timestamp_to_event`, { query: { ts: saidTs, dir: 'b' } }],
      ['POST', `${V3}/search`, { body: { search_categories: { room_events: { search_term: WORD } } } }],
      ['GET', `${V3}/notifications`],
    ]
    for (const [method, target, options] of requests) {
      const { status, text } = await alice.request(method, target, options)
      expect(status, `${target}: ${text}`).to.equal(200)
      // What was looked for may be said again.
      const found = text.replaceAll(`"${WORD}"`, '')
      expect(found, target).to.not.include(WORD)
      expect(found, target).to.not.include(said)
      expect(found, target).to.not.include(invited)
    }
    for (const target of [
      path`/_matrix/client/v3/rooms/${roomId}/event/${said}`,
      path`/_matrix/client/v3/events/${said}`,
    ])
      expect((await alice.request('GET', target)).status, target).to.equal(404)
    expect(await alice.state(roomId, 'm.room.topic')).to.include({ topic: 'Said by somebody' })
    expect((await alice.request('GET', `${V3}/sync`)).text).to.include('Said by somebody')
  })
})
