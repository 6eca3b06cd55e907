import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ClientError, dig, type MatrixClient } from '../../support/matrix-client.js'
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

describe('Rooms in sliding sync', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let sliding: SlidingClient

  before(async () => {
    hs = await startHomeserver()
  })

  after(() => hs[Symbol.asyncDispose]())

  let users = 0

  beforeEach(async () => {
    users++
    alice = await hs.register(`alice${users}`)
    bob = await hs.register(`bob${users}`)
    sliding = new SlidingClient(alice)
  })

  const ME = ['m.room.member', '$ME'] as const
  const LAZY = ['m.room.member', '$LAZY'] as const

  /** A room of Alice's with Bob in it. */
  async function commonRoom(body: JsonObject = {}): Promise<string> {
    const roomId = await alice.createRoom({ preset: 'public_chat', ...body })
    await bob.join(roomId)
    return roomId
  }

  /** Follows a room by a subscription. */
  function subscribe(
    roomId: string,
    config: { limit?: number; state?: readonly (readonly [string, string])[] } = {},
  ): JsonObject {
    const { limit = 1, state = [] } = config
    const subscription = { timeline_limit: limit, required_state: state.map((pair) => [...pair]) }
    return { room_subscriptions: { [roomId]: subscription } }
  }

  describe('Timelines', () => {
    it('begin with the last events and go on with what is new, all of it live', async () => {
      const roomId = await commonRoom()
      for (const text of ['a', 'b', 'c']) await alice.sendText(roomId, text)
      const first = roomIn(await sliding.sync(listOf([0, 9], { timelineLimit: 2 })), roomId)
      expect(textsIn(first)).to.deep.equal(['b', 'c'])
      expect(first).to.include({ initial: true, limited: true, num_live: 0 })
      const before = await alice.messages(roomId, { dir: 'b', from: first['prev_batch'] as string, limit: 1 })
      expect(dig(before, 'chunk', 0, 'content', 'body')).to.equal('a')
      await bob.sendText(roomId, 'd')
      const next = roomIn(await sliding.sync(listOf([0, 9], { timelineLimit: 2 })), roomId)
      expect(textsIn(next)).to.deep.equal(['d'])
      expect(next).to.include({ limited: false, num_live: 1 })
      expect(next).to.not.have.any.keys('initial', 'unstable_expanded_timeline', 'name', 'joined_count')
    })

    it('say where something is left out', async () => {
      const roomId = await commonRoom()
      await sliding.sync(listOf([0, 9], { timelineLimit: 2 }))
      for (const text of ['a', 'b', 'c']) await bob.sendText(roomId, text)
      const room = roomIn(await sliding.sync(listOf([0, 9], { timelineLimit: 2 })), roomId)
      expect(textsIn(room)).to.deep.equal(['b', 'c'])
      expect(room).to.include({ limited: true, num_live: 2 })
    })

    it('are told again, further back, when more is asked for', async () => {
      const roomId = await commonRoom()
      for (const text of ['a', 'b', 'c', 'd']) await alice.sendText(roomId, text)
      expect(textsIn(roomIn(await sliding.sync(subscribe(roomId)), roomId))).to.deep.equal(['d'])
      const wider = roomIn(await sliding.sync(subscribe(roomId, { limit: 3 }), { timeout: 10_000 }), roomId)
      expect(textsIn(wider)).to.deep.equal(['b', 'c', 'd'])
      expect(wider).to.include({ unstable_expanded_timeline: true, limited: true, num_live: 0 })
      expect(wider).to.not.have.any.keys('initial', 'required_state')
      expect(roomsIn(await sliding.sync(subscribe(roomId, { limit: 3 })))).to.deep.equal([])
      // Less is no news, and more again neither as long as nothing was left out.
      const all = roomIn(await sliding.sync(subscribe(roomId, { limit: 100 })), roomId)
      expect(all).to.include({ unstable_expanded_timeline: true, limited: true })
      await alice.sendText(roomId, 'e')
      expect(textsIn(roomIn(await sliding.sync(subscribe(roomId)), roomId))).to.deep.equal(['e'])
      expect(roomsIn(await sliding.sync(subscribe(roomId, { limit: 3 })))).to.deep.equal([])
    })

    it('are told again after a gap', async () => {
      const roomId = await commonRoom()
      await sliding.sync(subscribe(roomId, { limit: 3 }))
      for (const text of ['a', 'b', 'c']) await alice.sendText(roomId, text)
      await sliding.sync(subscribe(roomId))
      const again = roomIn(await sliding.sync(subscribe(roomId, { limit: 3 })), roomId)
      expect(textsIn(again)).to.deep.equal(['a', 'b', 'c'])
    })

    it('are left out where none are asked for', async () => {
      const roomId = await commonRoom()
      const room = roomIn(await sliding.sync(listOf([0, 9], { timelineLimit: 0 })), roomId)
      expect(room).to.not.have.any.keys('timeline', 'prev_batch', 'limited', 'num_live')
      expect(room).to.have.property('bump_stamp').that.is.greaterThan(0)
    })

    it('count as live in rooms that come into the window by what is new', async () => {
      const older = await commonRoom()
      await commonRoom()
      await sliding.sync(listOf([0, 0], { timelineLimit: 3 }))
      await bob.sendText(older, 'hello')
      const room = roomIn(await sliding.sync(listOf([0, 0], { timelineLimit: 3 })), older)
      expect(room).to.include({ initial: true, num_live: 1 })
      expect(eventsIn(room, 'timeline')).to.have.length(3)
    })
  })

  describe('Required state', () => {
    it('is told at first, and when it changes', async () => {
      const roomId = await commonRoom({ name: 'Tea', topic: 'Leaves' })
      const state = [['m.room.create', ''], ['m.room.topic', ''], ME] as const
      const body = listOf([0, 9], { requiredState: state })
      const first = roomIn(await sliding.sync(body), roomId)
      expect(keysIn(first)).to.deep.equal([
        'm.room.create/',
        `m.room.member/${alice.userId}`,
        'm.room.topic/',
      ])
      await alice.sendState(roomId, 'm.room.topic', '', { topic: 'Water' })
      await alice.sendState(roomId, 'org.example.other', '', { a: 1 })
      const next = roomIn(await sliding.sync(body), roomId)
      expect(keysIn(next)).to.deep.equal(['m.room.topic/'])
    })

    it('can be everything, everything of a type, and one key of every type', async () => {
      const roomId = await commonRoom()
      await alice.sendState(roomId, 'org.example.x', 'one', {})
      await alice.sendState(roomId, 'org.example.x', 'two', {})
      const keys = async (state: readonly (readonly [string, string])[]): Promise<string[]> =>
        keysIn(roomIn(await new SlidingClient(alice, 'other').sync(subscribe(roomId, { state })), roomId))
      const all = await keys([['*', '*']])
      expect(all).to.include.members([
        'm.room.create/',
        'm.room.power_levels/',
        `m.room.member/${alice.userId}`,
        `m.room.member/${bob.userId}`,
        'org.example.x/two',
      ])
      expect(await keys([['org.example.x', '*']])).to.deep.equal(['org.example.x/one', 'org.example.x/two'])
      expect(await keys([['*', 'two']])).to.deep.equal(['org.example.x/two'])
      expect(await keys([['*', bob.userId]])).to.deep.equal([`m.room.member/${bob.userId}`])
      expect(await keys([['org.example.none', '']])).to.deep.equal([])
    })

    it('of everything is narrowed for types that are named too', async () => {
      const roomId = await commonRoom()
      await alice.sendText(roomId, 'hello')
      const keys = async (...state: (readonly [string, string])[]): Promise<string[]> => {
        const body = subscribe(roomId, { state: [['*', '*'], ...state] })
        return keysIn(roomIn(await new SlidingClient(bob).sync(body), roomId))
      }
      const own = await keys(ME)
      expect(own).to.include.members(['m.room.create/', `m.room.member/${bob.userId}`])
      expect(own).to.not.include(`m.room.member/${alice.userId}`)
      const lazy = await keys(LAZY)
      expect(lazy).to.include.members(['m.room.create/', `m.room.member/${alice.userId}`])
      expect(lazy).to.not.include(`m.room.member/${bob.userId}`)
    })

    it('is told at once when more is asked for', async () => {
      const roomId = await commonRoom({ topic: 'Leaves' })
      await sliding.sync(subscribe(roomId, { state: [['m.room.create', '']] }))
      const state = [
        ['m.room.create', ''],
        ['m.room.topic', ''],
      ] as const
      const room = roomIn(await sliding.sync(subscribe(roomId, { state }), { timeout: 10_000 }), roomId)
      expect(keysIn(room)).to.deep.equal(['m.room.topic/'])
      expect(room).to.not.have.any.keys('initial', 'timeline')
    })

    it('is not told again when it is asked for again, unless it has changed', async () => {
      const roomId = await commonRoom({ topic: 'Leaves' })
      const narrow = subscribe(roomId, { state: [['m.room.create', '']] })
      const wide = subscribe(roomId, {
        state: [
          ['m.room.create', ''],
          ['m.room.topic', ''],
        ],
      })
      await sliding.sync(wide)
      await sliding.sync(narrow)
      expect(roomsIn(await sliding.sync(wide))).to.deep.equal([])
      await sliding.sync(narrow)
      await alice.sendState(roomId, 'm.room.topic', '', { topic: 'Water' })
      expect(keysIn(roomIn(await sliding.sync(narrow), roomId))).to.deep.equal([])
      const again = roomIn(await sliding.sync(wide), roomId)
      expect(eventsIn(again, 'required_state').map(({ content }) => content)).to.deep.equal([
        { topic: 'Water' },
      ])
    })

    it('has the members that the timeline needs, once', async () => {
      const carol = await hs.register(`carol${users}`)
      const roomId = await commonRoom()
      await carol.join(roomId)
      await bob.sendText(roomId, 'a')
      const body = listOf([0, 9], { requiredState: [LAZY] })
      expect(keysIn(roomIn(await sliding.sync(body), roomId))).to.deep.equal([`m.room.member/${bob.userId}`])
      await bob.sendText(roomId, 'b')
      expect(keysIn(roomIn(await sliding.sync(body), roomId))).to.deep.equal([])
      await carol.sendText(roomId, 'c')
      expect(keysIn(roomIn(await sliding.sync(body), roomId))).to.deep.equal([
        `m.room.member/${carol.userId}`,
      ])
    })

    it('has all members that change, where nothing of the timeline is left out', async () => {
      const roomId = await commonRoom()
      const body = listOf([0, 9], { timelineLimit: 10, requiredState: [LAZY] })
      await sliding.sync(body)
      await bob.leave(roomId)
      expect(keysIn(roomIn(await sliding.sync(body), roomId))).to.deep.equal([`m.room.member/${bob.userId}`])
      await bob.join(roomId)
      for (const text of ['a', 'b']) await alice.sendText(roomId, text)
      const gappy = roomIn(
        await sliding.sync(listOf([0, 9], { timelineLimit: 1, requiredState: [LAZY] })),
        roomId,
      )
      expect(keysIn(gappy)).to.not.include(`m.room.member/${bob.userId}`)
      await bob.sendText(roomId, 'c')
      expect(keysIn(roomIn(await sliding.sync(body), roomId))).to.deep.equal([`m.room.member/${bob.userId}`])
    })

    it('of all that match a room is told together', async () => {
      const roomId = await commonRoom({ topic: 'Leaves' })
      const body = {
        ...listOf([0, 9], { timelineLimit: 1, requiredState: [['m.room.create', '']] }),
        ...subscribe(roomId, { limit: 3, state: [['m.room.topic', '']] }),
      }
      const room = roomIn(await sliding.sync(body), roomId)
      expect(keysIn(room)).to.deep.equal(['m.room.create/', 'm.room.topic/'])
      expect(eventsIn(room, 'timeline')).to.have.length(3)
    })
  })

  describe('What rooms are called', () => {
    it('is told at first and when it changes; null where it is taken away', async () => {
      const roomId = await commonRoom({ name: 'Tea' })
      await alice.sendState(roomId, 'm.room.avatar', '', { url: 'mxc://hs.test/a' })
      const first = roomIn(await sliding.sync(listOf([0, 9])), roomId)
      expect(first).to.include({ name: 'Tea', avatar: 'mxc://hs.test/a', joined_count: 2, invited_count: 0 })
      expect(first).to.not.have.property('heroes')
      await alice.sendState(roomId, 'm.room.name', '', { name: 'Coffee' })
      const renamed = roomIn(await sliding.sync(listOf([0, 9])), roomId)
      expect(renamed).to.include({ name: 'Coffee' })
      expect(renamed).to.not.have.any.keys('avatar', 'joined_count')
      await alice.sendState(roomId, 'm.room.avatar', '', {})
      await alice.sendState(roomId, 'm.room.name', '', { name: '' })
      const bare = roomIn(await sliding.sync(listOf([0, 9])), roomId)
      expect(bare).to.include({ name: null, avatar: null })
      expect(dig(bare, 'heroes', 0, 'user_id')).to.equal(bob.userId)
    })

    it('is by its people where it has no name, five at most', async () => {
      const roomId = await alice.createRoom({ preset: 'public_chat' })
      const first = roomIn(await sliding.sync(listOf([0, 9])), roomId)
      expect(first).to.not.have.any.keys('name', 'heroes')
      await bob.join(roomId)
      const next = roomIn(await sliding.sync(listOf([0, 9])), roomId)
      expect(next['heroes']).to.deep.equal([{ user_id: bob.userId, displayname: `bob${users}` }])
      expect(next).to.include({ joined_count: 2 })
      for (let index = 0; index < 5; index++) await (await hs.register(`guest${users}-${index}`)).join(roomId)
      expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)['heroes']).to.have.length(5)
    })

    it('is by those who are in it before those who are invited', async () => {
      const carol = await hs.register(`carol${users}`)
      const invited = [bob.userId, carol.userId]
      const roomId = await alice.createRoom({ preset: 'public_chat', invite: invited })
      await carol.join(roomId)
      const room = roomIn(await sliding.sync(listOf([0, 9])), roomId)
      expect((room['heroes'] as JsonObject[]).map((hero) => hero['user_id'])).to.deep.equal([
        carol.userId,
        bob.userId,
      ])
    })
  })

  it('are brought to the fore by messages, not by other events', async () => {
    const roomId = await commonRoom()
    await bob.sendText(roomId, 'a')
    const first = roomIn(await sliding.sync(listOf([0, 9])), roomId)
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'Leaves' })
    expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.not.have.property('bump_stamp')
    const elsewhere = roomIn(await new SlidingClient(alice, 'other').sync(listOf([0, 9])), roomId)
    expect(elsewhere['bump_stamp']).to.equal(first['bump_stamp'])
    await bob.sendText(roomId, 'b')
    const stamp = roomIn(await sliding.sync(listOf([0, 9])), roomId)['bump_stamp']
    expect(stamp).to.be.greaterThan(Number(first['bump_stamp']))
  })

  it('keep their place however much of something else has happened since', async () => {
    const state = Array.from({ length: 210 }, (_, index) => {
      return { type: 'org.example.x', state_key: String(index), content: {} }
    })
    const quiet = await bob.createRoom({ preset: 'public_chat', initial_state: state })
    const roomId = await commonRoom()
    await bob.sendText(roomId, 'a')
    await alice.join(quiet)
    const answer = await sliding.sync(listOf([0, 9]))
    const stamp = Number(roomIn(answer, quiet)['bump_stamp'])
    expect(stamp).to.be.lessThan(Number(roomIn(answer, roomId)['bump_stamp']))
  })

  it('are said to be direct chats, and not to be any more', async () => {
    const roomId = await commonRoom()
    const direct = `/_matrix/client/v3/user/${encodeURIComponent(alice.userId)}/account_data/m.direct`
    expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.not.have.property('is_dm')
    await alice.must('PUT', direct, { body: { [bob.userId]: [roomId] } })
    expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.include({ is_dm: true })
    await alice.must('PUT', direct, { body: {} })
    expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.include({ is_dm: false })
  })

  it('carry the counts of what is unread', async () => {
    const roomId = await commonRoom()
    await sliding.sync(listOf([0, 9]))
    await bob.sendText(roomId, 'one')
    await bob.sendText(roomId, alice.userId)
    const room = roomIn(await sliding.sync(listOf([0, 9])), roomId)
    expect(room).to.include({ notification_count: 2 })
  })

  it('are told when the user has read on in them, on whatever device', async () => {
    const roomId = await commonRoom()
    await bob.sendText(roomId, 'one')
    const last = await bob.sendText(roomId, 'two')
    expect(roomIn(await sliding.sync(listOf([0, 9])), roomId)).to.include({ notification_count: 2 })
    const receipt = `/_matrix/client/v3/rooms/${roomId}/receipt/m.read.private/${last}`
    await alice.must('POST', receipt, { body: {} })
    const read = roomIn(await sliding.sync(listOf([0, 9])), roomId)
    expect(read).to.include({ notification_count: 0, limited: false, num_live: 0 })
    expect(read).to.not.have.any.keys('timeline', 'initial', 'name')
    await bob.must('POST', `/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${last}`, { body: {} })
    expect(roomsIn(await sliding.sync(listOf([0, 9])))).to.deep.equal([])
  })

  it('are asked for and told as later drafts of the proposal have it, too', async () => {
    const roomId = await commonRoom({ name: 'Room' })
    await bob.sendText(roomId, 'hello')
    const ask = (requiredState: JsonObject, rest: JsonObject = {}): Promise<JsonObject> => {
      const list = { range: [0, 9], timeline_limit: 1 }
      const lists = {
        all: { ...list, required_state: requiredState },
        dms: { ...list, required_state: {}, filters: { is_dm: true } },
      }
      return alice.must('POST', SLIDING_SYNC, {
        body: { lists, timeout: 0, set_presence: 'offline', ...rest },
      })
    }
    const named = { type: 'm.room.name', state_key: '' }
    const first = await ask({ include: [named, { type: 'm.room.create' }], lazy_members: true })
    const room = roomIn(first, roomId)
    expect(room).to.deep.include({ membership: 'join', lists: ['all'] })
    expect(keysIn(room)).to.deep.equal(['m.room.create/', `m.room.member/${bob.userId}`, 'm.room.name/'])
    const rest = { include: [{}], exclude: [{ type: 'm.room.member' }, named] }
    const second = await ask(rest, { pos: first['pos'] as string })
    const keys = keysIn(roomIn(second, roomId))
    expect(keys).to.include('m.room.join_rules/')
    expect(keys).to.not.include.members(['m.room.name/', `m.room.member/${alice.userId}`])
    const other = await bob.createRoom({ invite: [alice.userId] })
    const invited = roomIn(await ask(rest, { pos: second['pos'] as string }), other)
    expect(invited).to.deep.include({ membership: 'invite', stripped_state: invited['invite_state'] })
    for (const body of [{ set_presence: 'busy' }, { conn_id: 5 }])
      expect(await ask(rest, body).catch((error: unknown) => error)).to.be.instanceOf(ClientError)
    for (const wrong of [{ include: [5] }, { exclude: {} }, { include: [{ type: 5 }] }])
      expect(await ask(wrong).catch((error: unknown) => error)).to.be.instanceOf(ClientError)
  })
})
