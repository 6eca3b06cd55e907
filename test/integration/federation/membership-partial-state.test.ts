import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { createDeferred, type Deferred } from '../../../src/util/deferred.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { LinearRoom } from '../../support/linear-room.js'
import {
  dig,
  eventsAt,
  path,
  syncJoinedTo,
  syncLeftFrom,
  syncTimelineHasEventId,
  type MatrixClient,
} from '../../support/matrix-client.js'
import { keysIn, listOf, roomIn, roomsIn, SlidingClient } from '../../support/sliding-client.js'

const LAZY = { room: { state: { lazy_load_members: true }, timeline: { lazy_load_members: true } } }
const ME = 'b.test'

describe('rooms that are joined without their members', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation([ME])
    fake = await servers.fake('fake.test')
    bob = await servers.get(ME).register('bob')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  /** A room with a few members, which bob joins; its state is `asked` for, and told once `told` resolves. */
  async function begin(
    version: string,
  ): Promise<{ room: LinearRoom; asked: Promise<undefined>; told: Deferred<undefined> }> {
    const room = new LinearRoom(fake, version)
    room.join('derek')
    room.join('fred')
    const [asked, told] = [createDeferred<undefined>(), createDeferred<undefined>()]
    room.serve({
      omitsMembers: true,
      beforeState: () => {
        asked.resolve(undefined)
        return told.promise
      },
    })
    await bob.join(room.roomId, { via: [fake.serverName] })
    return { room, asked: asked.promise, told }
  }

  async function members(room: LinearRoom): Promise<string[]> {
    const target = path`/_matrix/client/v3/rooms/${room.roomId}/members`
    const answer = await bob.must('GET', target, { query: { membership: 'join' } })
    return eventsAt(answer, 'chunk')
      .map((event) => event['state_key'] as string)
      .sort()
  }

  /** The events that this server wants to know the state at. */
  function statesAskedFor({ roomId }: LinearRoom): (string | null)[] {
    const asked = fake.received('GET', '/_matrix/federation/v1/state_ids/:roomId')
    const ofRoom = asked.filter(({ params }) => params['roomId'] === roomId)
    return [...new Set(ofRoom.map(({ query }) => query.get('event_id')))]
  }

  for (const version of ['6', '10', '12']) {
    it(`can be used at once, and are whole later (version ${version})`, async () => {
      const since = await bob.syncToken()
      const { room, told } = await begin(version)
      const { roomId } = room
      await bob.mustSyncUntil(syncJoinedTo(roomId), { since, filter: LAZY })
      // Clients that want all members do not see the room yet.
      const eager = await bob.sync({ since })
      expect(dig(eager, 'rooms', 'join', roomId)).to.equal(undefined)
      const sent = await bob.sendText(roomId, 'hello')
      await fake.waitForPdu((pdu) => dig(pdu, 'content', 'body') === 'hello')
      const waiting = members(room)
      const said = room.add({
        type: 'm.room.message',
        sender: room.user('derek'),
        content: { msgtype: 'm.text', body: 'hi' },
      })
      await room.tell(ME)
      await bob.mustSyncUntil(syncTimelineHasEventId(roomId, said.eventId), { since, filter: LAZY })
      const lazy = await bob.sync({ filter: LAZY })
      const shown = eventsAt(lazy, 'rooms', 'join', roomId, 'state', 'events').map(
        (event) => event['state_key'],
      )
      expect(shown).to.include(room.user('derek'))
      expect(sent).to.be.a('string')
      told.resolve(undefined)
      const everybody = [bob.userId, room.creator, room.user('derek'), room.user('fred')].sort()
      expect(await waiting).to.deep.equal(everybody)
      await bob.mustSyncUntil(
        (response) => {
          const joined = dig(response, 'rooms', 'join', roomId)
          const state = [...eventsAt(joined, 'state', 'events'), ...eventsAt(joined, 'timeline', 'events')]
          const found = state
            .filter(({ type }) => type === 'm.room.member')
            .map((event) => event['state_key'])
          return everybody.every((userId) => found.includes(userId))
        },
        { since: eager['next_batch'] as string },
      )
    })
  }

  it("shows the members' devices, and the user's own, with the room", async () => {
    const { room, told } = await begin('10')
    const before = await bob.syncToken()
    told.resolve(undefined)
    const changedIn = (response: JsonObject): unknown[] =>
      (dig(response, 'device_lists', 'changed') ?? []) as unknown[]
    let shown: JsonObject = {}
    const since = await bob.mustSyncUntil(
      (response) => {
        shown = response
        return dig(response, 'rooms', 'join', room.roomId) !== undefined
      },
      { since: before },
    )
    const everybody = [bob.userId, room.creator, room.user('derek'), room.user('fred')]
    expect(changedIn(shown)).to.have.members(everybody)
    // All servers had been told when bob came: there is nothing to tell anew.
    await bob.sendText(room.roomId, 'hello')
    const later: unknown[] = []
    await bob.mustSyncUntil(
      (response) => {
        later.push(...changedIn(response))
        return JSON.stringify(response).includes('hello')
      },
      { since },
    )
    expect(later).to.deep.equal([])
  })

  it('tell those who saw them at once of devices that have changed, not of all that are found', async () => {
    const { room, told } = await begin('10')
    const { next_batch: since } = await bob.sync({ filter: LAZY })
    const edu = { edu_type: 'm.device_list_update', content: { user_id: room.user('derek'), device_id: 'D' } }
    await fake.sendTransaction(ME, { edus: [edu] })
    told.resolve(undefined)
    const changed: unknown[] = []
    await bob.mustSyncUntil(
      (response) => {
        changed.push(...((dig(response, 'device_lists', 'changed') ?? []) as unknown[]))
        return changed.length > 0
      },
      { since: since as string, filter: LAZY },
    )
    expect(changed).to.deep.equal([room.user('derek')])
  })

  it('tell sliding sync who is in them once that is known', async () => {
    const { room, told } = await begin('10')
    const ask = (...members: readonly (readonly [string, string])[]): JsonObject =>
      listOf([0, 0], { timelineLimit: 10, requiredState: members })
    const lazy = new SlidingClient(bob, 'lazy')
    const eager = new SlidingClient(bob, 'eager')
    const other = new SlidingClient(bob, 'other')
    const { roomId } = room
    expect(roomIn(await lazy.sync(ask(['m.room.member', '$LAZY'])), roomId)).to.include({ joined_count: 1 })
    await eager.sync(ask(['m.room.member', '*']))
    await other.sync(ask())
    told.resolve(undefined)
    expect(await members(room)).to.have.length(4)
    const heroes = (answer: JsonObject): unknown[] =>
      eventsAt(roomIn(answer, roomId), 'heroes').map((hero) => hero['user_id'])
    const shown = await lazy.sync(ask(['m.room.member', '$LAZY']))
    expect(roomIn(shown, roomId)).to.include({ joined_count: 4 })
    expect(heroes(shown)).to.include.members([room.user('derek'), room.user('fred')])
    expect(keysIn(roomIn(shown, roomId))).to.deep.equal([])
    expect(keysIn(roomIn(await eager.sync(ask(['m.room.member', '*'])), roomId))).to.include.members([
      `m.room.member/${room.user('derek')}`,
      `m.room.member/${room.user('fred')}`,
    ])
    // What nobody of this server remembers is looked up.
    await servers.get(ME).restart()
    bob = servers.get(ME).client().withSession(bob)
    const again = (connId: string, pos = ''): Promise<JsonObject> =>
      new SlidingClient(bob, connId).sync(ask(), { pos })
    expect(roomsIn(await again('lazy', lazy.pos))).to.deep.equal([])
    expect(roomIn(await again('other', other.pos), roomId)).to.include({ joined_count: 4 })
  })

  it('are shown as they are now to who asks for the members of back then', async () => {
    const { room, told } = await begin('11')
    const at = await bob.mustSyncUntil(syncJoinedTo(room.roomId), { filter: LAZY })
    const target = path`/_matrix/client/v3/rooms/${room.roomId}/members`
    const asked = bob.must('GET', target, { query: { at, membership: 'join' } })
    told.resolve(undefined)
    const shown = eventsAt(await asked, 'chunk').map((event) => event['state_key'])
    expect(shown).to.have.members([bob.userId, room.creator, room.user('derek'), room.user('fred')])
  })

  it('are led to by aliases, through the servers that are said to be there', async () => {
    const { room, told } = await begin('10')
    const alias = path`/_matrix/client/v3/directory/room/${'#unfinished:b.test'}`
    await bob.must('PUT', alias, { body: { room_id: room.roomId } })
    const { servers: through } = await bob.must('GET', alias)
    expect(through).to.deep.equal([ME, fake.serverName])
    told.resolve(undefined)
  })

  it('goes on after a restart', async () => {
    const { room, told } = await begin('10')
    await servers.get(ME).restart()
    bob = await servers.get(ME).login(bob.userId)
    expect(dig(await bob.sync(), 'rooms', 'join', room.roomId)).to.equal(undefined)
    told.resolve(undefined)
    await bob.mustSyncUntil(syncJoinedTo(room.roomId))
    expect(await members(room)).to.have.length(4)
  })

  it('asks for no more when a server does not tell the state', async () => {
    const room = new LinearRoom(fake, '10')
    room.serve({ omitsMembers: true })
    let asked = 0
    fake.on('GET', '/_matrix/federation/v1/state_ids/:roomId', ({ params }) => {
      // Rooms of other tests may be asked for still.
      if (params['roomId'] !== room.roomId)
        return { status: 404, json: { errcode: 'M_NOT_FOUND', error: '' } }
      asked++
      return { json: asked === 1 ? {} : room.stateIds(room.events.at(-2)!.eventId) }
    })
    await bob.join(room.roomId, { via: [fake.serverName] })
    expect(await members(room)).to.have.length(2)
    expect(asked).to.equal(2)
    const states = fake.received('GET', '/_matrix/federation/v1/state/:roomId')
    expect(states.filter(({ params }) => params['roomId'] === room.roomId)).to.deep.equal([])
  })

  it('asks again when a server tells nonsense', async () => {
    const room = new LinearRoom(fake, '10')
    let asked = 0
    room.serve({
      omitsMembers: true,
      beforeState: () => {
        asked++
        return asked === 1 ? Promise.reject(new Error('overloaded')) : Promise.resolve()
      },
    })
    fake.on('GET', '/_matrix/federation/v1/state_ids/:roomId', () => {
      asked++
      if (asked === 1) return { json: { pdu_ids: ['$nonsense'], auth_chain_ids: [] } }
      return { json: room.stateIds(room.events.at(-2)!.eventId) }
    })
    await bob.join(room.roomId, { via: [fake.serverName] })
    expect(await members(room)).to.deep.equal([bob.userId, room.creator].sort())
    expect(asked).to.be.greaterThan(1)
  })

  it('can be left, and joined again, before they are whole', async () => {
    const { room, told } = await begin('11')
    const since = await bob.mustSyncUntil(syncJoinedTo(room.roomId), { filter: LAZY })
    await bob.leave(room.roomId)
    await fake.waitForPdu(
      (pdu) => dig(pdu, 'content', 'membership') === 'leave' && pdu['room_id'] === room.roomId,
    )
    const later = await bob.mustSyncUntil(syncLeftFrom(room.roomId), { since, filter: LAZY })
    await bob.join(room.roomId, { via: [fake.serverName] })
    await bob.mustSyncUntil(syncJoinedTo(room.roomId), { since: later, filter: LAZY })
    told.resolve(undefined)
    expect(await members(room)).to.have.length(4)
    expect(statesAskedFor(room)).to.have.length(1)
  })

  it('can be joined by another who comes when the first has left', async () => {
    const ben = await servers.get(ME).register('ben')
    const { room, told } = await begin('10')
    await bob.leave(room.roomId)
    await fake.waitForPdu(
      (pdu) => dig(pdu, 'content', 'membership') === 'leave' && pdu['room_id'] === room.roomId,
    )
    await ben.join(room.roomId, { via: [fake.serverName] })
    await ben.mustSyncUntil(syncJoinedTo(room.roomId), { filter: LAZY })
    told.resolve(undefined)
    const target = path`/_matrix/client/v3/rooms/${room.roomId}/members`
    const joined = await ben.must('GET', target, { query: { membership: 'join' } })
    const names = eventsAt(joined, 'chunk').map((event) => event['state_key'])
    expect(names).to.have.members([ben.userId, room.creator, room.user('derek'), room.user('fred')])
    expect(statesAskedFor(room)).to.have.length(1)
  })

  it('can be joined by a second, whose join goes to nobody who has it', async () => {
    const ben = await servers.get(ME).register('bert')
    const { room, told } = await begin('11')
    await ben.join(room.roomId, { via: [fake.serverName] })
    const sent = await ben.sendText(room.roomId, 'hello')
    await fake.waitForPdu((pdu) => dig(pdu, 'content', 'body') === 'hello' && pdu['sender'] === ben.userId)
    expect(sent).to.be.a('string')
    expect(fake.pdus.filter((pdu) => pdu['state_key'] === ben.userId)).to.deep.equal([])
    told.resolve(undefined)
  })

  it('are asked for anew by who comes when more has happened than is known', async () => {
    const { room, told } = await begin('10')
    await bob.leave(room.roomId)
    await fake.waitForPdu(
      (pdu) => dig(pdu, 'content', 'membership') === 'leave' && pdu['room_id'] === room.roomId,
    )
    // Nobody tells what came before it.
    const zoe = room.join('zoe')
    await bob.join(room.roomId, { via: [fake.serverName] })
    told.resolve(undefined)
    expect(await members(room)).to.include(zoe.stateKey)
    expect(statesAskedFor(room)).to.include(zoe.eventId)
  })

  it('can be removed by an administrator before they are whole, and joined again', async () => {
    const admin = await servers.get(ME).register('admin', { isAdmin: true })
    const { room, asked, told } = await begin('10')
    await asked
    const removed = await admin.must('DELETE', path`/_synapse/admin/v1/rooms/${room.roomId}`, { body: {} })
    expect(removed['kicked_users']).to.deep.equal([bob.userId])
    const gone = await admin.request('GET', path`/_synapse/admin/v1/rooms/${room.roomId}`)
    expect(gone.status).to.equal(404)
    told.resolve(undefined)
    await bob.join(room.roomId, { via: [fake.serverName] })
    expect(await members(room)).to.have.members([
      bob.userId,
      room.creator,
      room.user('derek'),
      room.user('fred'),
    ])
  })

  it('are not told to others as if they were whole', async () => {
    const { room, told } = await begin('10')
    const user = encodeURIComponent('@zoe:fake.test')
    const id = encodeURIComponent(room.roomId)
    const make = await fake.send(ME, { path: `/_matrix/federation/v1/make_join/${id}/${user}?ver=10` })
    expect([make.status, make.json['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    const said = room.add({ type: 'm.room.message', sender: room.user('derek'), content: { body: 'x' } })
    await room.tell(ME)
    await bob.mustSyncUntil(syncTimelineHasEventId(room.roomId, said.eventId), { filter: LAZY })
    const query = `?event_id=${encodeURIComponent(said.eventId)}`
    const before = await fake.send(ME, { path: `/_matrix/federation/v1/state_ids/${id}${query}` })
    expect(before.status).to.equal(403)
    told.resolve(undefined)
    await members(room)
    const after = await fake.send(ME, { path: `/_matrix/federation/v1/state_ids/${id}${query}` })
    expect(after.status).to.equal(200)
    expect([...(after.json['pdu_ids'] as string[])].sort()).to.deep.equal(
      [...room.state.values()].map(({ eventId }) => eventId as string).sort(),
    )
  })
})
