import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'

async function guestOf(hs: TestHomeserver): Promise<MatrixClient> {
  const body = await hs.client().must('POST', `${V3}/register`, { query: { kind: 'guest' }, body: {} })
  const [userId, deviceId, accessToken] = ['user_id', 'device_id', 'access_token'].map(
    (key) => body[key] as string,
  )
  return hs.client().withSession({ userId: userId!, deviceId: deviceId!, accessToken: accessToken! })
}

const worldReadable = {
  type: 'm.room.history_visibility',
  state_key: '',
  content: { history_visibility: 'world_readable' },
}
const idsIn = (answer: JsonObject, ...keys: string[]) =>
  eventsAt(answer, ...keys).map((event) => event['event_id'])

async function outcome(client: MatrixClient, target: string, query = {}) {
  const { status, body } = await client.request('GET', target, { query })
  return [status, body['errcode']]
}

describe('the first way of syncing', () => {
  it('begins with a picture of all rooms', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice', { isAdmin: true }), await hs.register('bob')]
    const joined = await alice.createRoom({ preset: 'public_chat', visibility: 'public', topic: 'One' })
    const invited = await bob.createRoom({ preset: 'private_chat', invite: [alice.userId] })
    const left = await bob.createRoom({ preset: 'public_chat' })
    await alice.join(left)
    await alice.leave(left)
    const sent = []
    for (const text of ['1', '2', '3']) sent.push(await alice.sendText(joined, text))
    await alice.must('PUT', path`/_matrix/client/v3/user/${alice.userId}/rooms/${joined}/tags/work`, {
      body: { order: 1 },
    })
    await alice.must('PUT', path`/_matrix/client/v3/user/${alice.userId}/account_data/org.example.x`, {
      body: { a: 1 },
    })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${joined}/receipt/m.read/${sent[1]!}`, {
      body: {},
    })
    const answer = await alice.must('GET', `${V3}/initialSync`, { query: { limit: 2 } })
    const [receipt] = eventsAt(answer, 'receipts')
    expect(receipt).to.deep.include({ type: 'm.receipt', room_id: joined })
    expect(dig(receipt, 'content', sent[1]!, 'm.read')).to.have.property(alice.userId)
    const own = eventsAt(answer, 'presence').find(({ sender }) => sender === alice.userId)
    expect(own?.['content']).to.include({ user_id: alice.userId, presence: 'online' })
    const rooms = new Map(eventsAt(answer, 'rooms').map((room) => [room['room_id'], room]))
    expect([...rooms.keys()]).to.have.members([joined, invited])
    const room = rooms.get(joined)!
    expect(room).to.deep.include({ membership: 'join', visibility: 'public' })
    expect(idsIn(room, 'messages', 'chunk')).to.deep.equal(sent.slice(1))
    expect(eventsAt(room, 'state').map((event) => event['type'])).to.include.members([
      'm.room.create',
      'm.room.topic',
      'm.room.member',
    ])
    expect(eventsAt(room, 'state').every((event) => event['room_id'] === joined)).to.equal(true)
    expect(eventsAt(room, 'account_data').map((event) => event['type'])).to.deep.equal(['m.tag'])
    expect(eventsAt(answer, 'account_data').map((event) => event['type'])).to.deep.equal(['org.example.x'])
    const older = await alice.messages(joined, {
      dir: 'b',
      from: dig(room, 'messages', 'start') as string,
      limit: 1,
    })
    expect(idsIn(older, 'chunk')).to.deep.equal([sent[0]])
    expect(dig(rooms.get(invited), 'membership')).to.equal('invite')
    expect(dig(rooms.get(invited), 'invite', 'state_key')).to.equal(alice.userId)
    const archived = await alice.must('GET', `${V3}/initialSync`, { query: { archived: true } })
    const gone = eventsAt(archived, 'rooms').find((entry) => entry['room_id'] === left)
    expect(gone).to.have.property('membership', 'leave')
  })

  it('goes on with what happens, and waits for it', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const { end } = await bob.must('GET', `${V3}/initialSync`)
    const nothing = await bob.must('GET', `${V3}/events`, { query: { from: end as string, timeout: 0 } })
    expect(idsIn(nothing, 'chunk').filter((id) => id !== undefined)).to.deep.equal([])
    const waiting = bob.must('GET', `${V3}/events`, {
      query: { from: nothing['end'] as string, timeout: 10_000 },
    })
    const eventId = await alice.sendText(roomId, 'news')
    const news = await waiting
    expect(news['start']).to.equal(nothing['end'])
    const [event] = eventsAt(news, 'chunk').filter((entry) => entry['event_id'] === eventId)
    expect(event).to.deep.include({ room_id: roomId, type: 'm.room.message', sender: alice.userId })
    await bob.must('PUT', path`/_matrix/client/v3/user/${bob.userId}/rooms/${roomId}/tags/work`, { body: {} })
    await bob.must('PUT', path`/_matrix/client/v3/user/${bob.userId}/account_data/org.example.x`, {
      body: { a: 1 },
    })
    // What has no event ID is not what the schema says, and what those clients expect.
    const options = { query: { from: news['end'] as string }, isPartial: true as const }
    const kept = await bob.must('GET', `${V3}/events`, options)
    expect(eventsAt(kept, 'chunk').filter(({ type }) => type !== 'm.presence')).to.deep.equal([
      { type: 'm.tag', content: { tags: { work: {} } }, room_id: roomId },
      { type: 'org.example.x', content: { a: 1 } },
    ])
    for (const limit of ['x', '-1'])
      expect((await outcome(bob, `${V3}/events`, { limit }))[0], limit).to.equal(400)
    expect(await outcome(bob, `${V3}/events`, { from: 'x' })).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect((await bob.must('GET', path`/_matrix/client/v3/events/${eventId}`))['event_id']).to.equal(eventId)
    const eve = await hs.register('eve')
    expect(await outcome(eve, path`/_matrix/client/v3/events/${eventId}`)).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(await outcome(eve, path`/_matrix/client/v3/events/${'$unknown'}`)).to.deep.equal([
      404,
      'M_NOT_FOUND',
    ])
  })

  it('takes no messages away that wait for a device', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const since = await bob.syncToken()
    const messages = { [bob.userId]: { [bob.deviceId]: { a: 1 } } }
    await alice.must('PUT', `${V3}/sendToDevice/org.example.x/1`, { body: { messages } })
    const { end } = await bob.must('GET', `${V3}/initialSync`)
    await bob.must('GET', `${V3}/events`, { query: { from: end as string } })
    expect(eventsAt(await bob.sync({ since }), 'to_device', 'events')).to.have.length(1)
  })
})

describe('looking into rooms', () => {
  it('is for everybody, guests too, where history is world-readable', async () => {
    await using hs = await startHomeserver({ config: { allow_guest_access: true } })
    const alice = await hs.register('alice')
    const eve = await hs.register('eve')
    const guest = await guestOf(hs)
    const open = await alice.createRoom({ preset: 'public_chat', initial_state: [worldReadable] })
    const closed = await alice.createRoom({ preset: 'public_chat' })
    const first = await alice.sendText(open, 'first')
    for (const client of [eve, guest]) {
      const start = await client.must('GET', path`/_matrix/client/v3/rooms/${open}/initialSync`)
      expect(idsIn(start, 'messages', 'chunk')).to.include(first)
      const from = dig(start, 'messages', 'end') as string
      const none = await client.must('GET', `${V3}/events`, {
        query: { room_id: open, timeout: 0, ...(from.startsWith('s') && { from }) },
      })
      expect(idsIn(none, 'chunk').filter((id) => id !== undefined)).to.deep.equal([])
      const waiting = client.must('GET', `${V3}/events`, {
        query: { room_id: open, from: none['end'] as string, timeout: 10_000 },
      })
      const eventId = await alice.sendText(open, 'second')
      const news = eventsAt(await waiting, 'chunk').filter((event) => event['event_id'] !== undefined)
      expect(news.map((event) => [event['event_id'], event['user_id']])).to.deep.equal([
        [eventId, alice.userId],
      ])
      expect(eventsAt(await client.messages(open), 'chunk')).not.to.have.length(0)
      const state = await client.request('GET', path`/_matrix/client/v3/rooms/${open}/state`)
      expect(state.status).to.equal(200)
      expect(await outcome(client, `${V3}/events`, { room_id: closed })).to.deep.equal([403, 'M_FORBIDDEN'])
      expect(await outcome(client, `${V3}/events`, { room_id: 'x' })).to.deep.equal([400, 'M_INVALID_PARAM'])
      expect(await outcome(client, path`/_matrix/client/v3/rooms/${closed}/initialSync`)).to.deep.equal([
        403,
        'M_FORBIDDEN',
      ])
    }
    expect(await outcome(guest, `${V3}/events`)).to.deep.equal([403, 'M_GUEST_ACCESS_FORBIDDEN'])
    expect(await outcome(guest, `${V3}/initialSync`)).to.deep.equal([403, 'M_GUEST_ACCESS_FORBIDDEN'])
  })

  it('shows who types, who reads, and who has come, of rooms that anybody may join', async () => {
    await using hs = await startHomeserver({ config: { allow_guest_access: true } })
    const alice = await hs.register('alice')
    const guest = await guestOf(hs)
    const room = { initial_state: [worldReadable] }
    const roomId = await alice.createRoom({ ...room, preset: 'public_chat' })
    const closed = await alice.createRoom({ ...room, preset: 'private_chat' })
    const sent = await alice.sendText(roomId, 'hello')
    let from = await alice.syncToken()
    const follow = async (room_id: string): Promise<JsonObject[]> => {
      const query = { room_id, from, timeout: 10_000 }
      const answer = await guest.must('GET', `${V3}/events`, { query, isPartial: true })
      from = answer['end'] as string
      return eventsAt(answer, 'chunk')
    }
    const until = async (isMeant: (event: JsonObject) => boolean): Promise<JsonObject> => {
      for (;;) {
        const found = (await follow(roomId)).find(isMeant)
        if (found !== undefined) return found
      }
    }
    await alice.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${alice.userId}`, {
      body: { typing: true, timeout: 30_000 },
    })
    const content = { user_ids: [alice.userId] }
    expect(await until(({ type }) => type === 'm.typing')).to.deep.include({ room_id: roomId, content })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${sent}`, { body: {} })
    const receipt = await until(({ type }) => type === 'm.receipt')
    expect(dig(receipt, 'content', sent, 'm.read')).to.have.property(alice.userId)
    const before = from
    await alice.must('PUT', path`/_matrix/client/v3/presence/${alice.userId}/status`, {
      body: { presence: 'online', status_msg: 'here' },
    })
    const presence = await until((event) => dig(event, 'content', 'status_msg') === 'here')
    expect(presence['content']).to.include({ user_id: alice.userId, presence: 'online' })
    from = before
    await alice.sendText(closed, 'hello')
    expect((await follow(closed)).map(({ type }) => type)).to.deep.equal(['m.room.message'])
  })

  it('shows nothing of before history became world-readable, and ends when it is not any more', async () => {
    await using hs = await startHomeserver()
    const [alice, eve] = [await hs.register('alice'), await hs.register('eve')]
    const roomId = await alice.createRoom({ preset: 'private_chat' })
    const token = await eve.syncToken()
    const secret = await alice.sendText(roomId, 'secret')
    await alice.sendState(roomId, 'm.room.history_visibility', '', { history_visibility: 'world_readable' })
    const open = await alice.sendText(roomId, 'open')
    const query = { room_id: roomId, from: token.split('_')[0]! }
    const ids = idsIn(await eve.must('GET', `${V3}/events`, { query }), 'chunk')
    expect(ids).to.include(open)
    expect(ids).not.to.include(secret)
    await alice.sendState(roomId, 'm.room.history_visibility', '', { history_visibility: 'shared' })
    expect(await outcome(eve, `${V3}/events`, query)).to.deep.equal([403, 'M_FORBIDDEN'])
  })
})

describe('guests', () => {
  it('may do what the specification lets them, and nothing else', async () => {
    await using hs = await startHomeserver({ config: { allow_guest_access: true } })
    const alice = await hs.register('alice')
    const guest = await guestOf(hs)
    const guestAccess = { type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }
    const open = await alice.createRoom({ preset: 'public_chat', initial_state: [guestAccess] })
    const closed = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ ...guestAccess, content: { guest_access: 'forbidden' } }],
    })
    await guest.join(open)
    await guest.sendText(open, 'hello')
    await guest.sendState(open, 'org.example.x', guest.userId, {}).catch(() => undefined)
    expect(
      (await guest.request('POST', path`/_matrix/client/v3/join/${closed}`, { body: {} })).status,
    ).to.equal(403)
    const name = path`/_matrix/client/v3/profile/${guest.userId}/displayname`
    await guest.must('PUT', name, { body: { displayname: 'Guest' } })
    const refused: [string, string, JsonObject][] = [
      ['POST', `${V3}/createRoom`, {}],
      ['POST', path`/_matrix/client/v3/rooms/${open}/invite`, { user_id: alice.userId }],
      ['PUT', path`/_matrix/client/v3/profile/${guest.userId}/avatar_url`, { avatar_url: 'mxc://hs.test/a' }],
      ['POST', `${V3}/search`, { search_categories: {} }],
      ['POST', `${V3}/user_directory/search`, { search_term: 'a' }],
      ['POST', path`/_matrix/client/v3/user/${guest.userId}/openid/request_token`, {}],
      ['POST', path`/_matrix/client/v3/knock/${closed}`, {}],
    ]
    for (const [method, target, body] of refused) {
      const answer = await guest.request(method, target, { body })
      expect([answer.status, answer.body['errcode']], target).to.deep.equal([403, 'M_GUEST_ACCESS_FORBIDDEN'])
    }
    expect((await guest.must('GET', `${V3}/account/whoami`))['is_guest']).to.equal(true)
  })

  it('are made to leave a room that they may no longer be in', async () => {
    await using hs = await startHomeserver({ config: { allow_guest_access: true } })
    const alice = await hs.register('alice')
    const guest = await guestOf(hs)
    const guestAccess = { type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }
    const roomId = await alice.createRoom({ preset: 'public_chat', initial_state: [guestAccess] })
    await guest.join(roomId)
    const since = await alice.syncToken()
    await alice.sendState(roomId, 'm.room.guest_access', '', { guest_access: 'forbidden' })
    await alice.mustSyncUntil(
      (response) =>
        eventsAt(response, 'rooms', 'join', roomId, 'timeline', 'events').some(
          (event) => event['state_key'] === guest.userId && dig(event, 'content', 'membership') === 'leave',
        ),
      { since },
    )
  })
})
