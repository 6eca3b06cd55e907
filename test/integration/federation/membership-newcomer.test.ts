import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import { pduJson } from '../../../src/protocol/pdu.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../src/util/json.js'
import { createLogger } from '../../../src/telemetry/logger.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { LinearRoom } from '../../support/linear-room.js'
import { dig, eventsAt, path, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'

const ME = 'b.test'

describe('a server that comes into a room', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let bob: MatrixClient

  before(async () => {
    // What others do wrong is logged, and is expected here.
    const log = await createLogger({ level: 'silent', destination: { write: () => undefined } })
    servers = await startFederation([ME], { log })
    fake = await servers.fake('fake.test')
    bob = await servers.get(ME).register('bob')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  async function join(
    room: LinearRoom,
    via = fake.serverName as string,
  ): Promise<[number, JsonValue | undefined]> {
    const target = path`/_matrix/client/v3/join/${room.roomId}`
    const { status, body } = await bob.request('POST', target, { query: { via }, body: {} })
    return [status, body['errcode']]
  }

  /** The answer with its lists of events changed. */
  function changing(change: (events: JsonObject[]) => JsonObject[]): (answer: JsonObject) => JsonObject {
    const changed = (list: unknown): JsonObject[] =>
      change(Array.isArray(list) ? list.filter(isJsonObject) : [])
    return (answer) => ({
      ...answer,
      state: changed(answer['state']),
      auth_chain: changed(answer['auth_chain']),
    })
  }

  for (const version of ['1', '6', '8', '10', '11', '12']) {
    it(`takes over the state of a room of version ${version}`, async () => {
      const room = new LinearRoom(fake, version)
      room.join('derek')
      room.add({ type: 'm.room.name', stateKey: '', content: { name: 'Cats' } })
      room.serve()
      const since = await bob.syncToken()
      expect(await join(room)).to.deep.equal([200, undefined])
      await bob.mustSyncUntil(syncJoinedTo(room.roomId), { since })
      expect(room.member(bob.userId)).to.equal('join')
      expect(await bob.state(room.roomId, 'm.room.name')).to.deep.equal({ name: 'Cats' })
      const said = room.add({ type: 'm.room.message', sender: room.user('derek'), content: { body: 'hi' } })
      await room.tell(ME)
      await bob.mustSyncUntil((response) =>
        eventsAt(response, 'rooms', 'join', room.roomId, 'timeline', 'events').some(
          (event) => event['event_id'] === said.eventId,
        ),
      )
    })
  }

  it('takes in what is said while it is being let in', async () => {
    const room = new LinearRoom(fake, '11')
    const message = { type: 'm.room.message', content: { body: 'hi' } }
    room.serve({
      beforeJoined: async () => {
        for (let index = 0; index < 3; index++) {
          room.add(message)
          await room.tell(ME)
        }
      },
    })
    expect(await join(room)).to.deep.equal([200, undefined])
    const said = room.events.filter(({ type }) => type === message.type).map(({ eventId }) => eventId)
    const seen = new Set<unknown>()
    await bob.mustSyncUntil((response) => {
      const timeline = eventsAt(response, 'rooms', 'join', room.roomId, 'timeline', 'events')
      for (const { event_id: id } of timeline) seen.add(id)
      return said.every((id) => seen.has(id))
    })
  })

  it('does without events that cannot be verified', async () => {
    const spoil: ((event: Event) => JsonObject)[] = [
      (event) => ({ ...pduJson(event), signatures: {} }),
      (event) => ({ ...pduJson(event), signatures: { 'fake.test': { 'ed25519:fake': 'A'.repeat(86) } } }),
      (event) => ({ ...pduJson(event), signatures: { 'fake.test': { 'ed25519:gone': 'A'.repeat(86) } } }),
      (event) => ({ ...pduJson(event), type: 7 }),
    ]
    for (const spoiled of spoil) {
      const room = new LinearRoom(fake, '10')
      const name = room.add({ type: 'm.room.name', stateKey: '', content: { name: 'Cats' } })
      const isName = (event: JsonObject): boolean => event['type'] === 'm.room.name'
      room.serve({
        answerJoin: changing((events) => events.map((event) => (isName(event) ? spoiled(name) : event))),
      })
      expect(await join(room)).to.deep.equal([200, undefined])
      const gone = await bob.request('GET', path`/_matrix/client/v3/rooms/${room.roomId}/state/m.room.name`)
      expect(gone.status).to.equal(404)
    }
  })

  it('does without events that those authorize', async () => {
    const room = new LinearRoom(fake, '10')
    const derek = room.join('derek')
    const leave = { type: 'm.room.member', sender: 'derek', stateKey: room.user('derek') }
    room.add({ ...leave, content: { membership: 'leave' } })
    room.serve({
      answerJoin: changing((events) =>
        events.map((event) =>
          JSON.stringify(event) === JSON.stringify(pduJson(derek)) ? { ...event, signatures: {} } : event,
        ),
      ),
    })
    expect(await join(room)).to.deep.equal([200, undefined])
  })

  it('does not believe what cannot be a room', async () => {
    const tricks: Record<string, (room: LinearRoom) => (answer: JsonObject) => JsonObject> = {
      'no create event': () => changing((events) => events.filter(({ type }) => type !== 'm.room.create')),
      'a forged create event': () =>
        changing((events) =>
          events.map((event) => (event['type'] === 'm.room.create' ? { ...event, signatures: {} } : event)),
        ),
      'two events for one key': (room) =>
        changing((events) => {
          const more = room.build({ type: 'm.room.history_visibility', stateKey: '', content: {} })
          return [...events, pduJson(more)]
        }),
      'no lists': () => (answer) => ({ ...answer, state: 'all of it', auth_chain: 7 }),
      'an empty state': () => (answer) => ({ ...answer, state: [], auth_chain: [] }),
      'events of another room': () => {
        const other = new LinearRoom(fake, '10')
        return (answer) => ({ ...answer, state: [...other.state.values()].map(pduJson) })
      },
    }
    for (const [what, trick] of Object.entries(tricks)) {
      const room = new LinearRoom(fake, '10')
      room.serve({ answerJoin: trick(room) })
      const [status] = await join(room)
      expect(status, what).to.equal(502)
      const joined = await bob.must('GET', '/_matrix/client/v3/joined_rooms')
      expect(joined['joined_rooms'], what).to.not.include(room.roomId)
    }
  })

  it('does not come in where the state does not let it', async () => {
    const room = new LinearRoom(fake, '10', { joinRule: 'invite' })
    room.serve()
    expect(await join(room)).to.deep.equal([403, 'M_FORBIDDEN'])
  })

  it('says so when a room has a version that it does not know', async () => {
    const room = new LinearRoom(fake, '10')
    room.serve()
    const make = '/_matrix/federation/v1/make_join/:roomId/:userId'
    fake.on('GET', make, () => ({ json: { room_version: 'org.example.99', event: {} } }))
    expect(await join(room)).to.deep.equal([400, 'M_INCOMPATIBLE_ROOM_VERSION'])
    fake.on('GET', make, () => ({
      status: 400,
      json: { errcode: 'M_INCOMPATIBLE_ROOM_VERSION', error: 'no', room_version: '77' },
    }))
    const target = path`/_matrix/client/v3/join/${room.roomId}`
    const { body } = await bob.request('POST', target, { query: { via: fake.serverName }, body: {} })
    expect(body['room_version']).to.equal('77')
    fake.on('GET', make, () => ({ json: { room_version: '10', event: { depth: -1 } } }))
    expect(await join(room)).to.deep.equal([502, 'M_CONNECTION_FAILED'])
  })

  it('asks the next server where one refuses', async () => {
    const room = new LinearRoom(fake, '11')
    room.serve()
    const other = await servers.fake('other.test')
    for (const answer of [
      { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'no' } },
      { status: 403, json: { errcode: 'M_FORBIDDEN', error: 'no' } },
      { status: 502, json: {} },
    ]) {
      other.on('GET', '/_matrix/federation/v1/make_join/:roomId/:userId', () => answer)
      const target = path`/_matrix/client/v3/join/${room.roomId}`
      const query = { via: ['other.test', 'nowhere.test', fake.serverName] }
      expect((await bob.request('POST', target, { query, body: {} })).status).to.equal(200)
      await bob.leave(room.roomId)
    }
  })

  it('joins once for two who join at the same time', async () => {
    const room = new LinearRoom(fake, '10')
    room.serve()
    const ben = await servers.get(ME).register('ben')
    await Promise.all([bob, ben].map((client) => client.join(room.roomId, { via: [fake.serverName] })))
    const asked = fake.received('PUT', '/_matrix/federation/v2/send_join/:roomId/:eventId')
    expect(asked.filter(({ params }) => params['roomId'] === room.roomId)).to.have.length(1)
    const members = await ben.must('GET', path`/_matrix/client/v3/rooms/${room.roomId}/members`)
    expect(
      eventsAt(members, 'chunk').filter((event) => dig(event, 'content', 'membership') === 'join'),
    ).to.have.length(3)
  })
})
