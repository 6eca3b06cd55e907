import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'
import {
  eventsIn,
  keysIn,
  listOf,
  roomIn,
  roomsIn,
  SLIDING_SYNC,
  SlidingClient,
  textsIn,
} from '../../support/sliding-client.js'

describe('Lists of sliding sync', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let sliding: SlidingClient
  let users = 0

  before(async () => {
    hs = await startHomeserver()
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    users++
    alice = await hs.register(`alice${users}`)
    bob = await hs.register(`bob${users}`)
    sliding = new SlidingClient(alice)
  })

  /** The rooms that pass filters, newest first. */
  async function filtered(filters: JsonObject, client = alice): Promise<unknown> {
    const answer = await new SlidingClient(client).sync(listOf([0, 99], {}, filters))
    return dig(answer, 'lists', 'all', 'ops', 0, 'room_ids')
  }

  it('are in the order of what happened last, and windows are told as they grow', async () => {
    const [a, b, c] = [await alice.createRoom(), await alice.createRoom(), await alice.createRoom()]
    await alice.sendText(a, 'hello')
    const first = await sliding.sync(listOf([0, 1]))
    expect(dig(first, 'lists', 'all')).to.deep.equal({
      count: 3,
      ops: [{ op: 'SYNC', range: [0, 1], room_ids: [a, c] }],
    })
    expect(roomsIn(first)).to.have.members([a, c])
    const next = await sliding.sync(listOf([0, 99]))
    expect(dig(next, 'lists', 'all', 'ops', 0, 'room_ids')).to.deep.equal([a, c, b])
    expect(roomsIn(next)).to.deep.equal([b])
    expect(roomsIn(await sliding.sync(listOf([0, 99])))).to.deep.equal([])
  })

  it('keep for later what happens outside of their windows', async () => {
    const [a, b] = [await alice.createRoom(), await alice.createRoom()]
    const body = (end: number): JsonObject =>
      listOf([0, end], { timelineLimit: 5, requiredState: [['m.room.topic', '']] })
    await sliding.sync(body(1))
    await alice.sendState(a, 'm.room.topic', '', { topic: 'Leaves' })
    await alice.sendText(a, 'one')
    await alice.sendText(b, 'two')
    const top = await sliding.sync(body(0))
    expect(roomsIn(top)).to.deep.equal([b])
    await alice.sendText(b, 'three')
    expect(roomsIn(await sliding.sync(body(0)))).to.deep.equal([b])
    const late = roomIn(await sliding.sync(body(1)), a)
    expect(late).to.not.have.property('initial')
    expect(textsIn(late)).to.deep.equal(['one'])
    expect(late).to.include({ limited: false, num_live: 0 })
    expect(keysIn(late)).to.deep.equal(['m.room.topic/'])
  })

  it('take several windows, all rooms without any, and none that are empty', async () => {
    const rooms = [await alice.createRoom(), await alice.createRoom(), await alice.createRoom()].reverse()
    const config = { timeline_limit: 0, required_state: [] }
    const answer = await sliding.sync({
      lists: {
        two: {
          ...config,
          ranges: [
            [0, 0],
            [2, 5],
          ],
        },
        all: config,
        slow: { ...config, slow_get_all_rooms: true, ranges: [[0, 0]] },
        none: { ...config, ranges: [] },
      },
    })
    const ids = (name: string, index: number): unknown => dig(answer, 'lists', name, 'ops', index, 'room_ids')
    expect(ids('two', 0)).to.deep.equal([rooms[0]])
    expect(ids('two', 1)).to.deep.equal([rooms[2]])
    expect(ids('all', 0)).to.deep.equal(rooms)
    expect(ids('slow', 0)).to.deep.equal(rooms)
    expect(dig(answer, 'lists', 'none')).to.deep.equal({ count: 3, ops: [] })
  })

  it('take ranges that overlap as one, long names, and no more of a timeline than there may be', async () => {
    const rooms = [await alice.createRoom(), await alice.createRoom(), await alice.createRoom()].reverse()
    const name = 'x'.repeat(255)
    const ranges = [
      [2, 9],
      [0, 1],
      [1, 1],
      [0, 0],
      [5, 7],
    ]
    const list = { ranges, timeline_limit: 5_000, required_state: [] }
    const answer = await sliding.sync({ lists: { [name]: list } })
    expect(dig(answer, 'lists', name, 'ops')).to.deep.equal([
      { op: 'SYNC', range: [0, 1], room_ids: rooms.slice(0, 2) },
      { op: 'SYNC', range: [2, 9], room_ids: rooms.slice(2) },
    ])
    expect(eventsIn(roomIn(answer, rooms[0]!), 'timeline')).to.have.length.greaterThan(3)
  })

  it('unite what all of them want of a room, if it is much too', async () => {
    const roomId = await alice.createRoom({ name: 'Tea' })
    const many = Array.from({ length: 120 }, (_, index) => ['org.example.x', String(index)])
    await alice.sendState(roomId, 'org.example.x', '7', { a: 1 })
    const list = { ranges: [[0, 9]], timeline_limit: 1 }
    const state = [
      [['m.room.name', '']],
      [...many, ['m.room.member', '$ME']],
      [['m.room.create', '']],
      [['m.room.topic', '']],
    ]
    const lists = Object.fromEntries(
      state.map((requiredState, index) => [`list${index}`, { ...list, required_state: requiredState }]),
    )
    const room = roomIn(await sliding.sync({ lists }), roomId)
    const member = `m.room.member/${alice.userId}`
    expect(keysIn(room)).to.deep.equal(['m.room.create/', member, 'm.room.name/', 'org.example.x/7'])
    expect(room['lists']).to.deep.equal(Object.keys(lists))
  })

  it('are filtered by invitation, encryption, type, direct chat and tag', async () => {
    const plain = await alice.createRoom()
    const encrypted = await alice.createRoom()
    await alice.sendState(encrypted, 'm.room.encryption', '', { algorithm: 'm.megolm.v1.aes-sha2' })
    const space = await alice.createRoom({ creation_content: { type: 'm.space' } })
    const invited = await bob.createRoom({ invite: [alice.userId] })
    const user = path`/_matrix/client/v3/user/${alice.userId}`
    await alice.must('PUT', `${user}/account_data/m.direct`, { body: { [bob.userId]: [plain] } })
    await alice.must('PUT', `${user}${path`/rooms/${encrypted}/tags/m.favourite`}`, { body: {} })
    const all = [plain, encrypted, space, invited]
    expect(await filtered({})).to.have.members(all)
    expect(await filtered({ is_invite: true })).to.deep.equal([invited])
    expect(await filtered({ is_invite: false })).to.have.members([plain, encrypted, space])
    expect(await filtered({ is_encrypted: true })).to.deep.equal([encrypted])
    expect(await filtered({ is_encrypted: false })).to.have.members([plain, space, invited])
    expect(await filtered({ room_types: ['m.space'] })).to.deep.equal([space])
    expect(await filtered({ room_types: [null] })).to.have.members([plain, encrypted, invited])
    expect(await filtered({ room_types: ['m.space', null], not_room_types: ['m.space'] })).to.have.members([
      plain,
      encrypted,
      invited,
    ])
    expect(await filtered({ is_dm: true })).to.deep.equal([plain])
    expect(await filtered({ is_dm: false, is_invite: false })).to.have.members([encrypted, space])
    expect(await filtered({ tags: ['m.favourite', 'u.other'] })).to.deep.equal([encrypted])
    expect(await filtered({ not_tags: ['m.favourite'] })).to.have.members([plain, space, invited])
    await alice.sendState(space, 'm.space.child', plain, { via: ['hs.test'] })
    await alice.sendState(space, 'm.space.child', encrypted, {})
    expect(await filtered({ spaces: [space] })).to.deep.equal([plain])
    expect(await filtered({ is_encrypted: true, is_dm: true })).to.deep.equal([])
  })

  it('follow what their filters look at', async () => {
    const roomId = await alice.createRoom()
    const body = listOf([0, 9], {}, { is_encrypted: true })
    expect(dig(await sliding.sync(body), 'lists', 'all', 'count')).to.equal(0)
    await alice.sendState(roomId, 'm.room.encryption', '', { algorithm: 'm.megolm.v1.aes-sha2' })
    const answer = await sliding.sync(body)
    expect(dig(answer, 'lists', 'all', 'count')).to.equal(1)
    expect(roomIn(answer, roomId)).to.include({ initial: true })
  })

  it('are looked through by what rooms are called', async () => {
    const named = await alice.createRoom({ name: 'Café Zürich', room_alias_name: 'elsewhere' })
    const aliased = await alice.createRoom({ room_alias_name: 'cafeteria' })
    const direct = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(direct)
    const invited = await bob.createRoom({ name: 'The cafe', invite: [alice.userId] })
    const left = await bob.createRoom({ name: 'Another CAFE', preset: 'public_chat' })
    await alice.join(left)
    await bob.kick(left, alice.userId)
    await bob.sendState(left, 'm.room.name', '', { name: 'What those who have gone do not see' })
    await bob.ban(left, alice.userId)
    expect(await filtered({ room_name_like: ' cafe' })).to.have.members([named, aliased, invited, left])
    expect(await filtered({ room_name_like: 'elsewhere' })).to.deep.equal([])
    expect(await filtered({ room_name_like: 'those who have gone' })).to.deep.equal([])
    expect(await filtered({ room_name_like: bob.userId.slice(1, 4).toUpperCase() })).to.deep.equal([direct])
    expect(await filtered({ room_name_like: 'cafe', is_invite: true })).to.deep.equal([invited])
    expect(await filtered({ room_name_like: '%' })).to.deep.equal([])
    expect(await filtered({ room_name_like: '' })).to.have.length(5)
  })

  it('have invitations and knocks once, whatever is asked for, and what becomes of them', async () => {
    const ask = (limit: number): JsonObject =>
      listOf([0, 9], { timelineLimit: limit, requiredState: [['*', '*']] })
    const invited = await bob.createRoom({ invite: [alice.userId] })
    const knockable = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }
    const knocked = await bob.createRoom({ initial_state: [knockable] })
    await alice.must('POST', path`/_matrix/client/v3/knock/${knocked}`, { body: {} })
    expect(roomsIn(await sliding.sync(ask(5)))).to.have.members([invited, knocked])
    for (const limit of [5, 5, 50]) expect(roomsIn(await sliding.sync(ask(limit)))).to.deep.equal([])
    await alice.leave(invited)
    await bob.kick(knocked, alice.userId)
    const answer = await sliding.sync(ask(5))
    for (const roomId of [invited, knocked]) {
      const room = roomIn(answer, roomId)
      expect(room).to.include({ membership: 'leave', limited: false })
      expect(room).to.not.have.any.keys('expanded_timeline', 'invite_state')
      expect(keysIn(room)).to.deep.equal([`m.room.member/${alice.userId}`])
    }
    expect(roomsIn(await sliding.sync(ask(5)))).to.deep.equal([])
  })

  it('have invitations and knocks with their stripped state alone', async () => {
    const roomId = await bob.createRoom({ name: 'Tea', invite: [alice.userId] })
    await bob.sendText(roomId, 'not for outsiders')
    const body = listOf([0, 9], { timelineLimit: 5, requiredState: [['*', '*']] })
    const invited = roomIn(await sliding.sync(body), roomId)
    expect(invited).to.include({ initial: true, name: 'Tea' })
    expect(invited).to.not.have.any.keys('timeline', 'required_state', 'joined_count', 'heroes')
    const state = eventsIn(invited, 'invite_state')
    expect(state.map(({ type }) => type)).to.include.members(['m.room.create', 'm.room.name'])
    expect(state.at(-1)).to.include({ type: 'm.room.member', state_key: alice.userId, sender: bob.userId })
    expect(Object.keys(state.at(-1) ?? {})).to.have.members(['type', 'state_key', 'sender', 'content'])
    await alice.join(roomId)
    const joined = roomIn(await sliding.sync(body), roomId)
    expect(joined).to.include({ initial: true, joined_count: 2 })
    expect(textsIn(joined)).to.deep.equal(['not for outsiders'])
    expect(joined).to.not.have.property('invite_state')

    const open = await bob.createRoom({
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
    })
    await alice.must('POST', path`/_matrix/client/v3/knock/${open}`, { body: {} })
    expect(eventsIn(roomIn(await sliding.sync(body), open), 'invite_state').at(-1)?.['content']).to.include({
      membership: 'knock',
    })
  })

  it('say of invitations whether they are to direct chats', async () => {
    const roomId = await bob.createRoom({ invite: [alice.userId], is_direct: true })
    const direct = path`/_matrix/client/v3/user/${alice.userId}/account_data/m.direct`
    expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.not.have.property('is_dm')
    for (const rooms of [[roomId], []]) {
      await alice.must('PUT', direct, { body: { [bob.userId]: rooms } })
      expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.include({ is_dm: rooms.length > 0 })
    }
  })

  it('leave out invitations by ignored users', async () => {
    await alice.must('PUT', path`/_matrix/client/v3/user/${alice.userId}/account_data/m.ignored_user_list`, {
      body: { ignored_users: { [bob.userId]: {} } },
    })
    await bob.createRoom({ invite: [alice.userId] })
    expect(dig(await sliding.sync(listOf([0, 9])), 'lists', 'all', 'count')).to.equal(0)
  })

  it('tell of rooms that are left, up to that point, once', async () => {
    const roomId = await bob.createRoom({ preset: 'public_chat', name: 'Tea' })
    await alice.join(roomId)
    const body = listOf([0, 9], { timelineLimit: 5, requiredState: [['m.room.member', '$ME']] })
    await sliding.sync(body)
    await bob.sendText(roomId, 'bye')
    await alice.leave(roomId)
    await bob.sendText(roomId, 'about you')
    await bob.sendState(roomId, 'm.room.name', '', { name: 'Secret' })
    const answer = await sliding.sync(body)
    const left = roomIn(answer, roomId)
    expect(textsIn(left)).to.deep.equal(['bye'])
    expect(eventsIn(left, 'required_state')[0]?.['content']).to.include({ membership: 'leave' })
    expect(left).to.not.have.property('name')
    const after = await sliding.sync(body)
    expect(roomsIn(after)).to.deep.equal([])
    expect(dig(after, 'lists', 'all', 'count')).to.equal(0)
    expect(roomsIn(await new SlidingClient(alice, 'other').sync(body))).to.deep.equal([])
    await alice.join(roomId)
    expect(roomIn(await sliding.sync(body), roomId)).to.include({ initial: true, name: 'Secret' })
  })

  it('keep rooms that others have thrown the user out of, as they were then', async () => {
    const roomId = await bob.createRoom({ preset: 'public_chat', name: 'Tea' })
    await alice.join(roomId)
    await bob.kick(roomId, alice.userId)
    await bob.sendState(roomId, 'm.room.name', '', { name: 'Secret' })
    await bob.sendText(roomId, 'about you')
    const body = listOf([0, 9], { timelineLimit: 2, requiredState: [['m.room.name', '']] })
    const room = roomIn(await sliding.sync(body), roomId)
    expect(room).to.include({ initial: true, name: 'Tea' })
    expect(eventsIn(room, 'required_state')[0]?.['content']).to.deep.equal({ name: 'Tea' })
    expect(textsIn(room)).to.deep.equal([])
    expect(eventsIn(room, 'timeline').at(-1)).to.include({ type: 'm.room.member', state_key: alice.userId })
    expect(room).to.not.have.any.keys('heroes', 'joined_count')
    await alice.forget(roomId)
    expect(dig(await new SlidingClient(alice, 'other').sync(body), 'lists', 'all', 'count')).to.equal(0)
    const never = await bob.createRoom()
    await bob.ban(never, alice.userId)
    expect(dig(await new SlidingClient(alice, 'other').sync(body), 'lists', 'all', 'count')).to.equal(0)
  })

  it('show rooms that somebody is banned from later as they were when they had to go', async () => {
    const roomId = await bob.createRoom({ preset: 'public_chat', name: 'Tea' })
    await alice.join(roomId)
    await bob.sendText(roomId, 'bye')
    const requiredState = [
      ['m.room.name', ''],
      ['m.room.member', '$ME'],
    ] as const
    const body = listOf([0, 9], { timelineLimit: 3, requiredState })
    await sliding.sync(body)
    await bob.kick(roomId, alice.userId)
    await sliding.sync(body)
    await bob.sendState(roomId, 'm.room.name', '', { name: 'Secret' })
    await bob.sendText(roomId, 'about you')
    await bob.ban(roomId, alice.userId)
    const next = roomIn(await sliding.sync(body), roomId)
    expect(next).to.include({ membership: 'ban' }).and.not.have.any.keys('name', 'initial')
    expect(eventsIn(next, 'timeline').map(({ type }) => type)).to.deep.equal(['m.room.member'])
    const room = roomIn(await new SlidingClient(alice, 'other').sync(body), roomId)
    expect(room).to.include({ initial: true, membership: 'ban', name: 'Tea' })
    const contents = eventsIn(room, 'required_state').map(({ content }) => content as JsonObject)
    expect(contents.map(({ name, membership }) => name ?? membership)).to.have.members(['Tea', 'ban'])
    expect(textsIn(room)).to.deep.equal(['bye'])
    expect(eventsIn(room, 'timeline').at(-1)?.['content']).to.include({ membership: 'ban' })
  })

  it('tell of invitations that were turned down or taken back', async () => {
    const roomId = await bob.createRoom({ name: 'Tea', invite: [alice.userId] })
    const body = listOf([0, 9], { timelineLimit: 5, requiredState: [['*', '*']] })
    await sliding.sync(body)
    await alice.leave(roomId)
    const left = roomIn(await sliding.sync(body), roomId)
    expect(keysIn(left)).to.deep.equal([`m.room.member/${alice.userId}`])
    expect(eventsIn(left, 'timeline')).to.have.length(1)
    expect(left).to.not.have.any.keys('name', 'heroes', 'joined_count')
  })

  it('leave subscriptions to those who were never in the room without an answer', async () => {
    const roomId = await bob.createRoom({ preset: 'private_chat' })
    const open = await bob.createRoom({
      initial_state: [
        {
          type: 'm.room.history_visibility',
          state_key: '',
          content: { history_visibility: 'world_readable' },
        },
      ],
    })
    const config = { timeline_limit: 5, required_state: [['*', '*']] }
    const answer = await sliding.sync({
      room_subscriptions: { [roomId]: config, [open]: config, '!no:hs.test': config, nonsense: config },
    })
    expect(roomsIn(answer)).to.deep.equal([])
    await alice.must('POST', SLIDING_SYNC, { body: {} })
  })

  it('tell of subscribed rooms that the user has left, as they were then, until they are forgotten', async () => {
    const roomId = await bob.createRoom({ preset: 'public_chat', name: 'Tea' })
    await alice.join(roomId)
    await alice.leave(roomId)
    await bob.sendState(roomId, 'm.room.name', '', { name: 'Secret' })
    const body = { room_subscriptions: { [roomId]: { timeline_limit: 5, required_state: [] } } }
    expect(roomIn(await sliding.sync(body), roomId)).to.include({ membership: 'leave', name: 'Tea' })
    await bob.sendText(roomId, 'about you')
    expect(roomsIn(await sliding.sync(body))).to.deep.equal([])
    await alice.forget(roomId)
    expect(roomsIn(await new SlidingClient(alice, 'other').sync(body))).to.deep.equal([])
  })

  it('refuse what cannot be understood', async () => {
    const status = async (body: JsonObject | string): Promise<unknown[]> => {
      const options = typeof body === 'string' ? { rawBody: body } : { body }
      const answer = await alice.request('POST', SLIDING_SYNC, options)
      return [answer.status, answer.body['errcode']]
    }
    const list = (fields: JsonObject): JsonObject => ({
      lists: { a: { timeline_limit: 1, required_state: [], ranges: [[0, 1]], ...fields } },
    })
    expect(await status('{')).to.deep.equal([400, 'M_NOT_JSON'])
    expect(await status({ lists: [] })).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status(list({ ranges: [[0, -1]] }))).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status(list({ ranges: [[0]] }))).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status(list({ timeline_limit: 'x' }))).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status(list({ timeline_limit: -1 }))).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(await status(list({ required_state: [['a']] }))).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status(list({ filters: { is_dm: 'x' } }))).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status(list({ filters: { room_name_like: 5 } }))).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status({ lists: { ['x'.repeat(256)]: {} } })).to.deep.equal([400, 'M_INVALID_PARAM'])
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [String(index), {}]))
    expect(await status({ lists: many })).to.deep.equal([400, 'M_INVALID_PARAM'])
    const pieces = Array.from({ length: 900 }, () => ['m.room.name', ''])
    const three = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, { required_state: pieces }]))
    expect(await status({ lists: three })).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(await status({ conn_id: 5 })).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await status({ pos: 'x' })).to.deep.equal([400, 'M_UNKNOWN_POS'])
    // What clients send though it is not (or no longer) asked for.
    expect(
      await status({ timeout: 0, pos: null, unstable: {}, lists: null, extensions: { other: true } }),
    ).to.deep.equal([200, undefined])
  })
})
