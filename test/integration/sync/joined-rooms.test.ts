import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

forEachServerDatabase('Syncing joined rooms', (database) => {
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
    roomId = await alice.createRoom({ preset: 'public_chat' })
  })

  const roomIn = (answer: JsonObject, id = roomId): JsonObject =>
    dig(answer, 'rooms', 'join', id) as JsonObject
  const timelineOf = (answer: JsonObject, id = roomId): JsonObject[] =>
    eventsAt(roomIn(answer, id), 'timeline', 'events')
  const stateOf = (answer: JsonObject, name = 'state'): JsonObject[] =>
    eventsAt(roomIn(answer), name, 'events')
  const bodiesOf = (answer: JsonObject): unknown[] =>
    timelineOf(answer).flatMap((event) => dig(event, 'content', 'body') ?? [])
  const typesOf = (events: readonly JsonObject[]): unknown[] => events.map((event) => event['type'])
  const membersOf = (events: readonly JsonObject[]): unknown[] =>
    events.filter((event) => event['type'] === 'm.room.member').map((event) => event['state_key'])
  const say = async (client: MatrixClient, ...texts: string[]): Promise<void> => {
    for (const text of texts) await client.sendText(roomId, text)
  }
  const timeline = (filter: JsonObject): JsonObject => ({ room: { timeline: filter } })

  it('shows a room with timeline and state at first, and then only what is new', async () => {
    await say(alice, 'one')
    const first = await alice.sync()
    const room = roomIn(first)
    expect(room).to.include.keys(
      'timeline',
      'state',
      'ephemeral',
      'account_data',
      'unread_notifications',
      'summary',
    )
    expect(bodiesOf(first)).to.deep.equal(['one'])
    expect(dig(room, 'timeline', 'limited')).to.equal(false)
    expect(timelineOf(first)[0]).to.include({ type: 'm.room.create' })
    expect(timelineOf(first)[0]).to.not.have.property('room_id')
    expect(stateOf(first)).to.deep.equal([])
    const since = first['next_batch'] as string
    const nothing = await alice.sync({ since })
    expect(nothing['rooms']).to.equal(undefined)
    await say(alice, 'two')
    const second = await alice.sync({ since: nothing['next_batch'] as string })
    expect(bodiesOf(second)).to.deep.equal(['two'])
    expect(Object.keys(dig(second, 'rooms', 'join') as JsonObject)).to.deep.equal([roomId])
    // The same token gives the same again.
    expect(bodiesOf(await alice.sync({ since }))).to.deep.equal(['two'])
  })

  it('marks own events with the transaction ID of the device that sent them', async () => {
    const since = await alice.syncToken()
    await alice.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'mine' }, 'txn-1')
    const [event] = timelineOf(await alice.sync({ since }))
    expect(dig(event, 'unsigned', 'transaction_id')).to.equal('txn-1')
    const other = await hs.login(alice.userId)
    const [elsewhere] = timelineOf(await other.sync({ since }))
    expect(dig(elsewhere, 'unsigned', 'transaction_id')).to.equal(undefined)
  })

  it('cuts timelines at the limit, with a token to read on from and the state before', async () => {
    const since = await alice.syncToken()
    await say(alice, '1')
    await alice.sendState(roomId, 'm.room.name', '', { name: 'first' })
    await say(alice, '2', '3')
    await alice.sendState(roomId, 'm.room.name', '', { name: 'second' })
    await say(alice, '4')
    const answer = await alice.sync({ since, filter: timeline({ limit: 3 }) })
    expect(dig(roomIn(answer), 'timeline', 'limited')).to.equal(true)
    expect(typesOf(timelineOf(answer))).to.deep.equal(['m.room.message', 'm.room.name', 'm.room.message'])
    // The name changed in the gap, and again in the timeline.
    expect(stateOf(answer).map((event) => dig(event, 'content', 'name'))).to.deep.equal(['first'])
    const from = dig(roomIn(answer), 'timeline', 'prev_batch') as string
    const page = await alice.messages(roomId, { dir: 'b', from, limit: 2 })
    expect(eventsAt(page, 'chunk').map((event) => dig(event, 'content'))).to.deep.equal([
      { msgtype: 'm.text', body: '2' },
      { name: 'first' },
    ])
  })

  it('gives the state at the start of the first timeline, or that after it to those who ask', async () => {
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'old' })
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'new' })
    await say(alice, 'x')
    const before = await alice.sync({ filter: timeline({ limit: 2 }) })
    const topics = (events: readonly JsonObject[]): unknown[] =>
      events
        .filter((event) => event['type'] === 'm.room.topic')
        .map((event) => dig(event, 'content', 'topic'))
    expect(topics(stateOf(before))).to.deep.equal(['old'])
    expect(typesOf(stateOf(before))).to.include('m.room.create')
    for (const [param, name] of [
      ['use_state_after', 'state_after'],
      ['org.matrix.msc4222.use_state_after', 'org.matrix.msc4222.state_after'],
    ] as const) {
      const query = { [param]: true, filter: JSON.stringify(timeline({ limit: 2 })) }
      const after = await alice.must('GET', '/_matrix/client/v3/sync', { query })
      expect(roomIn(after)).to.not.have.property('state')
      expect(topics(stateOf(after, name))).to.deep.equal(['new'])
    }
    const since = await alice.syncToken()
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'newest' })
    const query = { use_state_after: true, since }
    const later = await alice.must('GET', '/_matrix/client/v3/sync', { query })
    expect(topics(stateOf(later, 'state_after'))).to.deep.equal(['newest'])
    expect(topics(timelineOf(later))).to.deep.equal(['newest'])
  })

  it('puts state into `state` that a filter keeps out of the timeline', async () => {
    const since = await alice.syncToken()
    await alice.sendState(roomId, 'm.room.name', '', { name: 'unseen' })
    const answer = await alice.sync({ since, filter: timeline({ types: ['m.room.message'] }) })
    expect(timelineOf(answer)).to.deep.equal([])
    expect(typesOf(stateOf(answer))).to.deep.equal(['m.room.name'])
  })

  it('obeys filters, given with the request or uploaded before', async () => {
    const since = await alice.syncToken()
    await say(alice, 'kept')
    await alice.sendEvent(roomId, 'org.example.other', {})
    const filter = { room: { timeline: { types: ['m.room.*'] } }, event_fields: ['content.body'] }
    expect(timelineOf(await alice.sync({ since, filter, isPartial: true }))).to.deep.equal([
      { content: { body: 'kept' } },
    ])
    const target = path`/_matrix/client/v3/user/${alice.userId}/filter`
    const uploaded = await alice.must('POST', target, { body: filter })
    const answer = await alice.sync({ since, filter: uploaded['filter_id'] as string, isPartial: true })
    expect(timelineOf(answer)).to.deep.equal([{ content: { body: 'kept' } }])
    const elsewhere = await alice.sync({ since, filter: { room: { not_rooms: [roomId] } } })
    expect(roomIn(elsewhere)).to.equal(undefined)
    const whole = await alice.sync({ since, filter: { event_format: 'federation' } })
    expect(timelineOf(whole)[0]).to.include.keys(
      'auth_events',
      'prev_events',
      'hashes',
      'signatures',
      'room_id',
    )
  })

  for (const [query, errcode] of [
    [{ since: 'rubbish' }, 'M_INVALID_PARAM'],
    [{ filter: '{"room":' }, 'M_NOT_JSON'],
    [{ filter: '{"room":1}' }, 'M_BAD_JSON'],
    [{ filter: '999' }, 'M_INVALID_PARAM'],
    [{ timeout: 'soon' }, 'M_INVALID_PARAM'],
    [{ timeout: -1 }, 'M_INVALID_PARAM'],
    [{ full_state: 'maybe' }, 'M_INVALID_PARAM'],
    [{ set_presence: 'busy?' }, 'M_INVALID_PARAM'],
  ] as const) {
    it(`refuses ${JSON.stringify(query)}`, async () => {
      const { status, body } = await alice.request('GET', '/_matrix/client/v3/sync', { query })
      expect([status, body['errcode']]).to.deep.equal([400, errcode])
    })
  }

  it('tells all of the state again to those who ask, with the timeline from the token on', async () => {
    await say(alice, 'old')
    const since = await alice.syncToken()
    await say(alice, 'new')
    const answer = await alice.sync({ since, fullState: true })
    expect(bodiesOf(answer)).to.deep.equal(['new'])
    expect(typesOf(stateOf(answer))).to.include.members([
      'm.room.create',
      'm.room.member',
      'm.room.join_rules',
    ])
    const quiet = await alice.sync({ since: answer['next_batch'] as string, fullState: true })
    expect(timelineOf(quiet)).to.deep.equal([])
    expect(typesOf(stateOf(quiet))).to.include('m.room.create')
  })

  it('shows a room that the user has come to as a whole, with a gap before it', async () => {
    await say(alice, 'before')
    const since = await bob.syncToken()
    await bob.join(roomId)
    await say(alice, 'after')
    const answer = await bob.sync({ since, filter: timeline({ limit: 3 }) })
    expect(dig(roomIn(answer), 'timeline', 'limited')).to.equal(true)
    expect(bodiesOf(answer)).to.deep.equal(['before', 'after'])
    expect(typesOf(stateOf(answer))).to.include('m.room.create')
    expect(membersOf(stateOf(answer))).to.deep.equal([alice.userId])
    // Away and back in between: everything again, and nothing under `leave`.
    const away = answer['next_batch'] as string
    await bob.leave(roomId)
    await bob.join(roomId)
    const back = await bob.sync({ since: away })
    expect(dig(back, 'rooms', 'leave')).to.equal(undefined)
    expect(dig(roomIn(back), 'timeline', 'limited')).to.equal(true)
    expect(typesOf([...stateOf(back), ...timelineOf(back)])).to.include('m.room.create')
  })

  it('keeps from newcomers what the room’s history visibility keeps from them', async () => {
    await alice.sendState(roomId, 'm.room.history_visibility', '', { history_visibility: 'joined' })
    await say(alice, 'secret')
    await bob.join(roomId)
    await say(alice, 'open')
    expect(bodiesOf(await bob.sync())).to.deep.equal(['open'])
  })

  it('shows the state of now, though it was set while the history was not for the user', async () => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/m.room.history_visibility`
    const carol = await hs.register('caroline')
    await bob.join(roomId)
    await alice.must('PUT', target, { body: { history_visibility: 'joined' } })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/invite`, {
      body: { user_id: carol.userId },
    })
    const since = await bob.syncToken()
    await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/leave`, { body: {} })
    await carol.join(roomId)
    await say(carol, 'not for Bob')
    await bob.join(roomId)
    const answer = await bob.sync({ since })
    const ofCarol = [...stateOf(answer), ...timelineOf(answer)]
      .filter((event) => event['state_key'] === carol.userId)
      .map((event) => dig(event, 'content', 'membership'))
    // As a client applies them, one after the other.
    expect(ofCarol).to.deep.equal(['invite', 'join'])
    expect(bodiesOf(answer)).to.deep.equal([])
    // Who has left is told no more of it.
    await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/leave`, { body: {} })
    await carol.must('PUT', path`/_matrix/client/v3/profile/${carol.userId}/displayname`, {
      body: { displayname: 'Caroline' },
    })
    const left = await bob.sync({ since, filter: JSON.stringify({ room: { include_leave: true } }) })
    const seen = JSON.stringify(dig(left, 'rooms', 'leave', roomId))
    expect(seen).to.contain(bob.userId)
    expect(seen).to.not.contain('Caroline')
    expect(seen).to.not.contain('not for Bob')
  })

  it('sums a room up: counts, and heroes where it has no name', async () => {
    await bob.join(roomId)
    const summary = async (since?: string): Promise<unknown> =>
      dig(roomIn(await alice.sync({ since })), 'summary')
    expect(await summary()).to.deep.equal({
      'm.heroes': [bob.userId],
      'm.joined_member_count': 2,
      'm.invited_member_count': 0,
    })
    const since = await alice.syncToken()
    await say(alice, 'x')
    expect(await summary(since)).to.deep.equal({})
    await bob.leave(roomId)
    expect(await summary(since)).to.deep.equal({
      'm.heroes': [bob.userId],
      'm.joined_member_count': 1,
      'm.invited_member_count': 0,
    })
    await alice.sendState(roomId, 'm.room.name', '', { name: 'Named' })
    expect(await summary()).to.deep.equal({ 'm.joined_member_count': 1, 'm.invited_member_count': 0 })
  })

  it('counts what is unread, by thread for those who ask, until it is read', async () => {
    await bob.join(roomId)
    const root = await alice.sendText(roomId, 'root')
    const since = await bob.syncToken()
    const relation = { rel_type: 'm.thread', event_id: root }
    await alice.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'in',
      'm.relates_to': relation,
    })
    const last = await alice.sendText(roomId, 'out')
    const total = await bob.sync({ since })
    expect(dig(roomIn(total), 'unread_notifications')).to.deep.equal({
      notification_count: 3,
      highlight_count: 0,
    })
    expect(roomIn(total)).to.not.have.property('unread_thread_notifications')
    const threads = await bob.sync({ since, filter: timeline({ unread_thread_notifications: true }) })
    expect(dig(roomIn(threads), 'unread_notifications', 'notification_count')).to.equal(2)
    expect(dig(roomIn(threads), 'unread_thread_notifications')).to.deep.equal({
      [root]: { notification_count: 1, highlight_count: 0 },
    })
    await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${last}`, { body: {} })
    const read = await bob.sync({ since: total['next_batch'] as string })
    expect(dig(roomIn(read), 'unread_notifications', 'notification_count')).to.equal(0)
    expect(eventsAt(roomIn(read), 'ephemeral', 'events')).to.have.lengthOf(1)
  })

  it('hides what ignored users say, but not what they do to the room', async () => {
    await bob.join(roomId)
    const target = path`/_matrix/client/v3/user/${alice.userId}/account_data/m.ignored_user_list`
    await alice.must('PUT', target, { body: { ignored_users: { [bob.userId]: {} } } })
    const since = await alice.syncToken()
    await say(bob, 'unheard')
    await bob.leave(roomId)
    const answer = await alice.sync({ since })
    expect(typesOf(timelineOf(answer))).to.deep.equal(['m.room.member'])
    await alice.must('PUT', target, { body: { ignored_users: {} } })
  })

  describe('with lazily loaded members', () => {
    const lazy = { room: { state: { lazy_load_members: true }, timeline: { limit: 1 } } }

    beforeEach(async () => {
      await alice.sendState(roomId, 'm.room.name', '', { name: 'Named' })
      await bob.join(roomId)
      await say(alice, 'x')
    })

    it('sends the members that the timeline needs, and the user’s own', async () => {
      expect(membersOf(stateOf(await alice.sync({ filter: lazy })))).to.deep.equal([alice.userId])
      await say(bob, 'y')
      expect(membersOf(stateOf(await alice.sync({ filter: lazy })))).to.have.members([
        alice.userId,
        bob.userId,
      ])
    })

    it('sends a member once, unless redundant ones are asked for', async () => {
      const first = await alice.sync({ filter: lazy })
      await say(bob, '1')
      const second = await alice.sync({ filter: lazy, since: first['next_batch'] as string })
      expect(membersOf(stateOf(second))).to.deep.equal([bob.userId])
      // An answer that was lost is given again.
      const again = await alice.sync({ filter: lazy, since: first['next_batch'] as string })
      expect(membersOf(stateOf(again))).to.deep.equal([bob.userId])
      await say(bob, '2')
      const third = await alice.sync({ filter: lazy, since: again['next_batch'] as string })
      expect(bodiesOf(third)).to.deep.equal(['2'])
      expect(membersOf(stateOf(third))).to.deep.equal([])
      const redundant = {
        room: { ...lazy.room, state: { lazy_load_members: true, include_redundant_members: true } },
      }
      const fourth = await alice.sync({ filter: redundant, since: again['next_batch'] as string })
      expect(membersOf(stateOf(fourth))).to.deep.equal([bob.userId])
    })

    it('sends what changed about members in a gap, whoever they are', async () => {
      const carol = await hs.register('carol')
      const first = await alice.sync({ filter: lazy })
      await carol.join(roomId)
      await say(bob, '1', '2')
      const answer = await alice.sync({ filter: lazy, since: first['next_batch'] as string })
      expect(dig(roomIn(answer), 'timeline', 'limited')).to.equal(true)
      expect(membersOf(stateOf(answer))).to.have.members([carol.userId, bob.userId])
    })

    it('sends heroes where the room has no name', async () => {
      await alice.sendState(roomId, 'm.room.name', '', {})
      await say(alice, 'z')
      expect(membersOf(stateOf(await alice.sync({ filter: lazy })))).to.have.members([
        alice.userId,
        bob.userId,
      ])
    })
  })
})
