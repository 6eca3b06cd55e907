import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

forEachServerDatabase('Syncing rooms that the user is not in', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string

  before(async () => {
    hs = await startHomeserver({ database })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    roomId = await alice.createRoom({ preset: 'public_chat', name: 'Tea' })
  })

  const includeLeave = { room: { include_leave: true } }
  const leftIn = (answer: JsonObject): JsonObject | undefined =>
    dig(answer, 'rooms', 'leave', roomId) as JsonObject | undefined
  const bodiesOf = (room: JsonObject | undefined): unknown[] =>
    eventsAt(room, 'timeline', 'events').flatMap((event) => dig(event, 'content', 'body') ?? [])

  it('tells of invitations with what the room is, once', async () => {
    const since = await bob.syncToken()
    await alice.invite(roomId, bob.userId)
    const answer = await bob.sync({ since })
    const state = eventsAt(answer, 'rooms', 'invite', roomId, 'invite_state', 'events')
    const byType = Object.fromEntries(state.map((event) => [keyOf(event), event]))
    expect(dig(byType['m.room.name|'], 'content', 'name')).to.equal('Tea')
    expect(byType).to.include.keys('m.room.create|', 'm.room.join_rules|', `m.room.member|${alice.userId}`)
    expect(dig(byType[`m.room.member|${bob.userId}`], 'content', 'membership')).to.equal('invite')
    expect(byType['m.room.name|']).to.have.all.keys('type', 'state_key', 'sender', 'content')
    const next = answer['next_batch'] as string
    expect((await bob.sync({ since: next }))['rooms']).to.equal(undefined)
    expect(dig(await bob.sync(), 'rooms', 'invite', roomId)).to.not.equal(undefined)
    await bob.join(roomId)
    const joined = await bob.sync({ since: next })
    expect(dig(joined, 'rooms', 'invite')).to.equal(undefined)
    expect(dig(joined, 'rooms', 'join', roomId)).to.not.equal(undefined)
  })

  it('does not tell of invitations by ignored users', async () => {
    const target = path`/_matrix/client/v3/user/${bob.userId}/account_data/m.ignored_user_list`
    await bob.must('PUT', target, { body: { ignored_users: { [alice.userId]: {} } } })
    const since = await bob.syncToken()
    await alice.invite(roomId, bob.userId)
    expect((await bob.sync({ since }))['rooms']).to.equal(undefined)
    await bob.must('PUT', target, { body: { ignored_users: {} } })
  })

  it('tells of knocks, and of what becomes of them', async () => {
    await alice.sendState(roomId, 'm.room.join_rules', '', { join_rule: 'knock' })
    const since = await bob.syncToken()
    await bob.must('POST', path`/_matrix/client/v3/knock/${roomId}`, { body: {} })
    const answer = await bob.sync({ since })
    const state = eventsAt(answer, 'rooms', 'knock', roomId, 'knock_state', 'events')
    expect(state.some((event) => dig(event, 'content', 'membership') === 'knock')).to.equal(true)
    expect(state.some((event) => dig(event, 'content', 'name') === 'Tea')).to.equal(true)
    await alice.kick(roomId, bob.userId)
    expect(leftIn(await bob.sync({ since: answer['next_batch'] as string }))).to.not.equal(undefined)
  })

  it('shows a room that was left up to the leaving, once', async () => {
    await bob.join(roomId)
    const since = await bob.syncToken()
    await alice.sendText(roomId, 'before')
    await bob.leave(roomId)
    await alice.sendText(roomId, 'after')
    await alice.sendState(roomId, 'm.room.name', '', { name: 'later' })
    const answer = await bob.sync({ since })
    const room = leftIn(answer)
    expect(bodiesOf(room)).to.deep.equal(['before'])
    expect(eventsAt(room, 'state', 'events')).to.deep.equal([])
    expect(dig(room, 'timeline', 'limited')).to.equal(false)
    expect((await bob.sync({ since: answer['next_batch'] as string }))['rooms']).to.equal(undefined)
    // Who begins anew sees it only on request.
    expect(leftIn(await bob.sync())).to.equal(undefined)
    const archived = leftIn(await bob.sync({ filter: includeLeave }))
    expect(bodiesOf(archived)).to.deep.equal(['before'])
    await bob.forget(roomId)
    expect(leftIn(await bob.sync({ filter: includeLeave }))).to.equal(undefined)
  })

  it('gives archived rooms the state that they had when the user left', async () => {
    await bob.join(roomId)
    await alice.sendState(roomId, 'org.example.state', '', { key: 'before' })
    await bob.leave(roomId)
    await alice.sendState(roomId, 'org.example.state', '', { key: 'after' })
    const filter = { room: { include_leave: true, timeline: { limit: 0 } } }
    const room = leftIn(await bob.sync({ filter }))
    const state = eventsAt(room, 'state', 'events')
    expect(eventsAt(room, 'timeline', 'events')).to.deep.equal([])
    const custom = state.filter((event) => event['type'] === 'org.example.state')
    expect(custom.map((event) => dig(event, 'content', 'key'))).to.deep.equal(['before'])
    const own = state.find((event) => event['state_key'] === bob.userId)
    expect(dig(own, 'content', 'membership')).to.equal('leave')
    const types = ['m.room.message', 'org.example.state']
    const narrow = {
      room: { include_leave: true, timeline: { types }, state: { types: ['org.example.state'] } },
    }
    const narrowed = leftIn(await bob.sync({ filter: narrow }))
    expect(eventsAt(narrowed, 'state', 'events')).to.deep.equal([])
    expect(eventsAt(narrowed, 'timeline', 'events')).to.have.lengthOf(1)
  })

  it('shows the leaving even where history is only for members', async () => {
    await alice.sendState(roomId, 'm.room.history_visibility', '', { history_visibility: 'joined' })
    await bob.join(roomId)
    const since = await bob.syncToken()
    await bob.leave(roomId)
    const room = leftIn(await bob.sync({ since }))
    expect(
      eventsAt(room, 'timeline', 'events').map((event) => dig(event, 'content', 'membership')),
    ).to.deep.equal(['leave'])
  })

  it('shows invitations turned down without anything of the room', async () => {
    await alice.invite(roomId, bob.userId)
    const since = await bob.syncToken()
    await alice.sendText(roomId, 'not for you')
    await bob.leave(roomId)
    const room = leftIn(await bob.sync({ since }))
    expect(eventsAt(room, 'timeline', 'events')).to.have.lengthOf(1)
    expect(eventsAt(room, 'state', 'events')).to.deep.equal([])
  })

  it('tells those who were kicked or banned, also when they begin anew', async () => {
    await bob.join(roomId)
    const since = await bob.syncToken()
    await alice.kick(roomId, bob.userId, 'go')
    const kicked = leftIn(await bob.sync({ since }))
    expect(
      eventsAt(kicked, 'timeline', 'events').map((event) => dig(event, 'content', 'reason')),
    ).to.deep.equal(['go'])
    expect(leftIn(await bob.sync())).to.not.equal(undefined)
    const before = await bob.syncToken()
    await alice.ban(roomId, bob.userId)
    await alice.sendText(roomId, 'unseen')
    const banned = leftIn(await bob.sync({ since: before }))
    expect(
      eventsAt(banned, 'timeline', 'events').map((event) => dig(event, 'content', 'membership')),
    ).to.deep.equal(['ban'])
    expect(eventsAt(banned, 'state', 'events')).to.deep.equal([])
  })

  it('shows a room that was joined and left since the token as left, with its state', async () => {
    const since = await bob.syncToken()
    await bob.join(roomId)
    await bob.leave(roomId)
    const answer = await bob.sync({ since })
    const room = leftIn(answer)
    expect(dig(answer, 'rooms', 'join')).to.equal(undefined)
    const types = [...eventsAt(room, 'state', 'events'), ...eventsAt(room, 'timeline', 'events')].map(
      (event) => event['type'],
    )
    expect(types).to.include.members(['m.room.create', 'm.room.name', 'm.room.member'])
  })
})

function keyOf({ type, state_key: stateKey }: JsonObject): string {
  return `${type as string}|${stateKey as string}`
}
