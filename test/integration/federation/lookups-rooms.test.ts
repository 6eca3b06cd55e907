import { expect } from 'chai'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, eventsAt, path, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

describe('what servers ask each other about', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'], {
      config: {
        allow_public_rooms_over_federation: true,
        room_list_publication_rules: [{ action: 'allow' }],
      },
    })
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  describe('profiles', () => {
    it('are shown to users of the other server, field by field', async () => {
      const profile = path`/_matrix/client/v3/profile/${alice.userId}`
      await alice.must('PUT', `${profile}/displayname`, { body: { displayname: 'Alice Cooper' } })
      await alice.must('PUT', `${profile}/m.tz`, { body: { 'm.tz': 'Europe/Berlin' } })
      expect(await bob.must('GET', profile)).to.deep.equal({
        displayname: 'Alice Cooper',
        'm.tz': 'Europe/Berlin',
      })
      expect(await bob.must('GET', `${profile}/m.tz`)).to.deep.equal({ 'm.tz': 'Europe/Berlin' })
      expect(await bob.must('GET', `${profile}/avatar_url`)).to.deep.equal({ avatar_url: null })
      const missing = await bob.request('GET', `${profile}/m.status`)
      expect([missing.status, missing.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    })

    it('do not exist for users who do not, and servers that do not', async () => {
      const nobody = await bob.request('GET', path`/_matrix/client/v3/profile/${'@nobody:a.test'}`)
      expect([nobody.status, nobody.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
      const nowhere = await bob.request('GET', path`/_matrix/client/v3/profile/${'@nobody:gone.test'}`)
      expect(nowhere.status).to.equal(502)
    })
  })

  describe('aliases', () => {
    const ALIAS = '#老虎Â£я🤨👉ඞ:a.test'

    it('lead to rooms of the other server', async () => {
      const roomId = await alice.createRoom({ preset: 'public_chat' })
      const directory = path`/_matrix/client/v3/directory/room/${ALIAS}`
      await alice.must('PUT', directory, { body: { room_id: roomId } })
      expect(await bob.must('GET', directory)).to.deep.equal({ room_id: roomId, servers: ['a.test'] })
      expect(await bob.join(ALIAS)).to.equal(roomId)
      const missing = await bob.request('GET', path`/_matrix/client/v3/directory/room/${'#none:a.test'}`)
      expect([missing.status, missing.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    })
  })

  describe('directories', () => {
    it('are searched from afar', async () => {
      const cats = await alice.createRoom({ preset: 'public_chat', visibility: 'public', name: 'Cats' })
      const dogs = await alice.createRoom({ preset: 'public_chat', visibility: 'public', name: 'Dogs' })
      const all = await bob.must('GET', '/_matrix/client/v3/publicRooms', { query: { server: 'a.test' } })
      expect(roomIds(all)).to.include.members([cats, dogs])
      const found = await bob.must('POST', '/_matrix/client/v3/publicRooms', {
        query: { server: 'a.test' },
        body: { filter: { generic_search_term: 'cat' } },
      })
      expect(roomIds(found)).to.deep.equal([cats])
      const first = await bob.must('GET', '/_matrix/client/v3/publicRooms', {
        query: { server: 'a.test', limit: 1 },
      })
      expect(roomIds(first)).to.have.length(1)
      expect(first['next_batch']).to.be.a('string')
    })
  })

  describe('spaces', () => {
    it('show rooms of the other server to those who may join them', async () => {
      const carol = await servers.get('a.test').register('carol')
      const space = await alice.createRoom({
        preset: 'public_chat',
        name: 'Space',
        creation_content: { type: 'm.space' },
      })
      const restricted = await bob.createRoom({
        preset: 'public_chat',
        name: 'Room',
        room_version: '8',
        initial_state: [
          {
            type: 'm.room.join_rules',
            state_key: '',
            content: {
              join_rule: 'restricted',
              allow: [{ type: 'm.room_membership', room_id: space, via: ['a.test'] }],
            },
          },
        ],
      })
      await alice.sendState(space, 'm.space.child', restricted, { via: ['b.test'] })
      // The other server does not know who is in the space.
      expect(await hierarchyOf(alice, space)).to.deep.equal([space])
      await bob.join(space, { via: ['a.test'] })
      await alice.mustSyncUntil(syncJoinedTo(space, bob.userId))
      expect(await hierarchyOf(alice, space)).to.deep.equal([space, restricted])
      expect(await hierarchyOf(carol, space)).to.deep.equal([space])
    })

    it('are walked across servers', async () => {
      const space = await alice.createRoom({ preset: 'public_chat', creation_content: { type: 'm.space' } })
      const inner = await bob.createRoom({ preset: 'public_chat', creation_content: { type: 'm.space' } })
      const room = await bob.createRoom({ preset: 'public_chat', name: 'far away' })
      const secret = await bob.createRoom({ preset: 'private_chat' })
      await alice.sendState(space, 'm.space.child', inner, { via: ['b.test'] })
      await bob.sendState(inner, 'm.space.child', room, { via: ['b.test'] })
      await bob.sendState(inner, 'm.space.child', secret, { via: ['b.test'] })
      expect(await hierarchyOf(alice, space)).to.deep.equal([space, inner, room])
      const summary = await alice.must('GET', path`/_matrix/client/v1/room_summary/${room}`, {
        query: { via: 'b.test' },
      })
      expect(summary).to.include({
        room_id: room,
        name: 'far away',
        membership: 'leave',
        join_rule: 'public',
      })
      const hidden = await alice.request('GET', path`/_matrix/client/v1/room_summary/${secret}`, {
        query: { via: 'b.test' },
      })
      expect(hidden.status).to.equal(404)
    })
  })

  describe('OpenID', () => {
    it('tells whose token it is', async () => {
      const fake = await servers.fake('service.test')
      const token = await alice.must(
        'POST',
        path`/_matrix/client/v3/user/${alice.userId}/openid/request_token`,
        { body: {} },
      )
      const ask = (value: string): ReturnType<typeof fake.send> =>
        fake.send('a.test', {
          path: `/_matrix/federation/v1/openid/userinfo?access_token=${value}`,
          authorization: null,
        })
      const known = await ask(dig(token, 'access_token') as string)
      expect([known.status, known.json]).to.deep.equal([200, { sub: alice.userId }])
      const unknown = await ask('nonsense')
      expect([unknown.status, unknown.json['errcode']]).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    })
  })
})

function roomIds(answer: JsonObject): unknown[] {
  return eventsAt(answer, 'chunk').map((room) => dig(room, 'room_id'))
}

async function hierarchyOf(client: MatrixClient, space: string): Promise<unknown[]> {
  const answer = await client.must('GET', path`/_matrix/client/v1/rooms/${space}/hierarchy`)
  return eventsAt(answer, 'rooms').map((room) => dig(room, 'room_id'))
}
