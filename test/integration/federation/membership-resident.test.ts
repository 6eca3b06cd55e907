import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import { parseEvent } from '../../../src/protocol/event-format.js'
import type { RoomId, UserId } from '../../../src/protocol/ids.js'
import { buildFromTemplate, pduJson, signEvent } from '../../../src/protocol/pdu.js'
import { isJsonObject, type JsonObject } from '../../../src/util/json.js'
import { rulesOf } from '../../support/auth-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import type { FakeHomeserver, FakeReply } from '../../support/fake-homeserver.js'
import { FakeRoom } from '../../support/fake-room.js'
import { dig, eventsAt, path, syncInvitedTo, type MatrixClient } from '../../support/matrix-client.js'

const ME = 'a.test'
const ZOE = '@zoe:fake.test' as UserId
const V1 = '/_matrix/federation/v1'
const V2 = '/_matrix/federation/v2'

describe('a server in the room, as others see it', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient

  before(async () => {
    servers = await startFederation([ME])
    fake = await servers.fake('fake.test')
    alice = await servers.get(ME).register('alice')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  function make(
    kind: string,
    roomId: string,
    { userId = ZOE, query = '' }: { userId?: string; query?: string } = {},
  ): Promise<FakeReply> {
    const [room, user] = [encodeURIComponent(roomId), encodeURIComponent(userId)]
    return fake.send(ME, { path: `${V1}/make_${kind}/${room}/${user}${query}` })
  }

  function send(endpoint: string, event: Event, query = ''): Promise<FakeReply> {
    const [room, id] = [encodeURIComponent(event.roomId), encodeURIComponent(event.eventId)]
    return fake.send(ME, { method: 'PUT', path: `${endpoint}/${room}/${id}${query}`, body: pduJson(event) })
  }

  /** An event of a template, with something else in it. */
  function fill(
    { json }: FakeReply,
    version: string,
    use: { roomId: string; membership: string; userId?: string },
  ): Event {
    const userId = (use.userId ?? ZOE) as UserId
    const template = { ...(json['event'] as JsonObject), sender: userId, state_key: userId }
    return buildFromTemplate(rulesOf(version), template, {
      use: {
        roomId: use.roomId as RoomId,
        userId,
        membership: use.membership,
        content: {},
        originServerTs: Date.now(),
      },
      signer: fake.signer,
    })
  }

  function keysOf(list: unknown): string[] {
    const events = Array.isArray(list) ? list.filter(isJsonObject) : []
    return events.map((event) => `${event['type'] as string}|${event['state_key'] as string}`).sort()
  }

  for (const version of ['1', '6', '8', '10', '11', '12']) {
    it(`lets users in and out of rooms of version ${version}`, async () => {
      const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version })
      const template = await make('join', roomId, { query: `?ver=${version}` })
      expect(template.json['room_version']).to.equal(version)
      const join = fill(template, version, { roomId, membership: 'join' })
      const joined = await send(`${V2}/send_join`, join)
      expect(joined.status, joined.text).to.equal(200)
      expect(joined.json['members_omitted']).to.equal(false)
      expect(keysOf(joined.json['state'])).to.include(`m.room.member|${alice.userId}`)
      expect(dig(await alice.state(roomId, 'm.room.member', ZOE), 'membership')).to.equal('join')
      // The same again changes nothing.
      expect((await send(`${V2}/send_join`, join)).status).to.equal(200)
      const leave = fill(await make('leave', roomId), version, { roomId, membership: 'leave' })
      const left = await send(`${V2}/send_leave`, leave)
      expect([left.status, left.json]).to.deep.equal([200, {}])
      expect(dig(await alice.state(roomId, 'm.room.member', ZOE), 'membership')).to.equal('leave')
    })
  }

  it('lets the other server know of what was said between the two steps of its join', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    const join = fill(await make('join', roomId, { query: '?ver=11' }), '11', { roomId, membership: 'join' })
    const said = await alice.sendText(roomId, 'meanwhile')
    const joined = await send(`${V2}/send_join`, join)
    expect(joined.status, joined.text).to.equal(200)
    const link = await fake.waitForPdu((pdu) => pdu['room_id'] === roomId)
    expect(link['prev_events']).to.have.members([said, join.eventId])
    // It is nothing that people are shown.
    const seen = eventsAt(await alice.sync(), 'rooms', 'join', roomId, 'timeline', 'events')
    expect(seen.map(({ event_id: id }) => id)).to.include(said)
    expect(seen.map(({ type }) => type)).to.not.include(link['type'])
  })

  it('answers the first forms of the requests with lists', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    const join = fill(await make('join', roomId, { query: '?ver=10' }), '10', { roomId, membership: 'join' })
    const [status, answer] = JSON.parse((await send(`${V1}/send_join`, join)).text) as [number, JsonObject]
    expect(status).to.equal(200)
    expect(keysOf(answer['auth_chain'])).to.include('m.room.create|')
    const leave = fill(await make('leave', roomId), '10', { roomId, membership: 'leave' })
    expect((await send(`${V1}/send_leave`, leave)).text).to.equal('[200,{}]')
  })

  it('leaves members out of what it tells, but for those after whom the room is called', async () => {
    const bob = await servers.get(ME).register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    await bob.join(roomId)
    for (let index = 0; index < 6; index++) {
      await (await servers.get(ME).register(`extra${index}`)).join(roomId)
    }
    const join = fill(await make('join', roomId, { query: '?ver=10' }), '10', { roomId, membership: 'join' })
    const { json } = await send(`${V2}/send_join`, join, '?omit_members=true')
    expect(json['members_omitted']).to.equal(true)
    expect(json['servers_in_room']).to.deep.equal([ME])
    const members = keysOf(json['state']).filter((key) => key.startsWith('m.room.member'))
    expect(members).to.have.length(5)
    expect(members).to.include.members([`m.room.member|${alice.userId}`, `m.room.member|${bob.userId}`])
    expect(keysOf(json['state'])).to.include('m.room.power_levels|')
    // What is in the state need not be told twice.
    expect(keysOf(json['auth_chain'])).to.deep.equal([])
  })

  it('makes templates for those only who may use them', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    const old = await make('join', roomId, { query: '?ver=1&ver=2' })
    expect([old.status, old.json['errcode'], old.json['room_version']]).to.deep.equal([
      400,
      'M_INCOMPATIBLE_ROOM_VERSION',
      '10',
    ])
    expect((await make('join', roomId)).json['errcode']).to.equal('M_INCOMPATIBLE_ROOM_VERSION')
    expect((await make('join', roomId, { userId: '@x:other.test', query: '?ver=10' })).status).to.equal(403)
    expect((await make('join', '!nothing:a.test', { query: '?ver=10' })).status).to.equal(404)
    expect((await make('knock', roomId, { query: '?ver=10' })).status).to.equal(403)
    await alice.ban(roomId, ZOE)
    expect((await make('join', roomId, { query: '?ver=10' })).status).to.equal(403)
    const closed = await alice.createRoom({ preset: 'private_chat', room_version: '10' })
    expect((await make('join', closed, { query: '?ver=10' })).json['errcode']).to.equal('M_FORBIDDEN')
    await alice.sendState(roomId, 'm.room.server_acl', '', { allow: ['*'], deny: ['fake.test'] })
    expect((await make('leave', roomId)).status).to.equal(403)
  })

  it('takes nothing through a handshake but what the handshake is for', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    const room = await FakeRoom.join(fake, ME, { roomId, version: '10', userId: ZOE })
    const member = (membership: string, stateKey: string = ZOE): Event =>
      room.make({ type: 'm.room.member', sender: ZOE, stateKey, content: { membership } })
    const message = room.make({ type: 'm.room.message', sender: ZOE, content: { body: 'x' } })
    const noState = room.make({ type: 'm.room.member', sender: ZOE, content: { membership: 'join' } })
    for (const [endpoint, expected] of [
      [`${V1}/send_join`, 'join'],
      [`${V2}/send_join`, 'join'],
      [`${V1}/send_leave`, 'leave'],
      [`${V2}/send_leave`, 'leave'],
      [`${V1}/send_knock`, 'knock'],
    ] as const) {
      const others = ['join', 'leave', 'knock', 'invite'].filter((one) => one !== expected)
      const wrong = [
        message,
        noState,
        member(expected, '@doris:fake.test'),
        ...others.map((one) => member(one)),
      ]
      for (const event of wrong) {
        const reply = await send(endpoint, event)
        expect(reply.status, `${endpoint} ${JSON.stringify(event.content)} ${reply.text}`).to.equal(400)
      }
    }
    const misnamed = await fake.send(ME, {
      method: 'PUT',
      path: `${V2}/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent('$other')}`,
      body: pduJson(member('join')),
    })
    expect(misnamed.status).to.equal(400)
  })

  it('takes nothing back that is not signed', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    const join = fill(await make('join', roomId, { query: '?ver=10' }), '10', { roomId, membership: 'join' })
    const { hashes, signatures, ...unsigned } = pduJson(join)
    const forged = { [fake.serverName]: { [fake.signer.keyId]: 'a'.repeat(86) } }
    for (const body of [
      unsigned,
      { ...unsigned, hashes },
      { ...unsigned, signatures },
      { ...unsigned, hashes, signatures: forged },
    ]) {
      const [room, id] = [encodeURIComponent(roomId), encodeURIComponent(join.eventId)]
      const { status, json } = await fake.send(ME, {
        method: 'PUT',
        path: `${V2}/send_join/${room}/${id}`,
        body: body as JsonObject,
      })
      expect([status, json['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    }
    expect((await send(`${V2}/send_join`, join)).status).to.equal(200)
  })

  it('does not let the banned in by a template that was made for somebody else', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    await alice.ban(roomId, ZOE)
    const template = await make('join', roomId, { userId: '@zoe2:fake.test', query: '?ver=10' })
    const reply = await send(`${V2}/send_join`, fill(template, '10', { roomId, membership: 'join' }))
    expect([reply.status, reply.json['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(dig(await alice.state(roomId, 'm.room.member', ZOE), 'membership')).to.equal('ban')
  })

  it('signs for those only who are in a room that lets them in', async () => {
    const space = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    const allow = [{ type: 'm.room_membership', room_id: space }]
    const rules = { join_rule: 'restricted', allow }
    const roomId = await alice.createRoom({
      preset: 'public_chat',
      room_version: '10',
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: rules }],
    })
    const query = '?ver=10'
    expect((await make('join', roomId, { query })).json['errcode']).to.equal('M_FORBIDDEN')
    const inSpace = await FakeRoom.join(fake, ME, { roomId: space, version: '10', userId: ZOE })
    const template = await make('join', roomId, { query })
    const join = fill(template, '10', { roomId, membership: 'join' })
    expect(join.content['join_authorised_via_users_server']).to.equal(alice.userId)
    // Who has left meanwhile is not let in any more.
    const leave = inSpace.send({
      type: 'm.room.member',
      sender: ZOE,
      stateKey: ZOE,
      content: { membership: 'leave' },
    })
    await inSpace.tell(ME, leave)
    await alice.mustSyncUntil((response) =>
      eventsAt(response, 'rooms', 'join', space, 'timeline', 'events').some(
        (event) => event['event_id'] === leave.eventId,
      ),
    )
    expect((await send(`${V2}/send_join`, join)).status).to.equal(403)
    await inSpace.joinThrough(ME, ZOE)
    const again = fill(await make('join', roomId, { query }), '10', { roomId, membership: 'join' })
    const { status, json } = await send(`${V2}/send_join`, again)
    expect(status).to.equal(200)
    expect(dig(json, 'event', 'signatures', ME)).to.not.equal(undefined)
    await alice.sendState(roomId, 'm.room.join_rules', '', {
      join_rule: 'restricted',
      allow: [{ type: 'm.room_membership', room_id: '!elsewhere:fake.test' }],
    })
    const unknown = await make('join', roomId, { userId: '@yan:fake.test', query })
    expect([unknown.status, unknown.json['errcode']]).to.deep.equal([400, 'M_UNABLE_TO_AUTHORISE_JOIN'])
  })

  it('tells those who knock what the room is', async () => {
    const rules = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }]
    const roomId = await alice.createRoom({ name: 'Cats', room_version: '10', initial_state: rules })
    const template = await make('knock', roomId, { query: '?ver=10' })
    const reply = await send(`${V1}/send_knock`, fill(template, '10', { roomId, membership: 'knock' }))
    expect(reply.status, reply.text).to.equal(200)
    const state = eventsAt(reply.json, 'knock_room_state')
    expect(keysOf(state)).to.include.members(['m.room.create|', 'm.room.name|', 'm.room.join_rules|'])
    for (const event of state) expect(event).to.include.keys('hashes', 'signatures', 'depth')
    expect(dig(await alice.state(roomId, 'm.room.member', ZOE), 'membership')).to.equal('knock')
  })

  describe('when it invites', () => {
    const invites = `${V2}/invite/:roomId/:eventId`
    const accept = ({ body }: { body: unknown }): { json: JsonObject } => {
      const { event, room_version: version } = body as { event: JsonObject; room_version: string }
      return { json: { event: pduJson(signEvent(parseEvent(rulesOf(version), event), fake.signer)) } }
    }

    it('has the other server sign first, and shows it the room', async () => {
      fake.on('PUT', invites, accept)
      const roomId = await alice.createRoom({ preset: 'private_chat', name: 'Cats', room_version: '12' })
      await alice.invite(roomId, ZOE)
      const { body } = await fake.waitFor('PUT', invites, ({ params }) => params['roomId'] === roomId)
      const state = eventsAt(body, 'invite_room_state')
      expect(keysOf(state)).to.include.members(['m.room.create|', 'm.room.name|', 'm.room.join_rules|'])
      expect(keysOf(state)).to.include(`m.room.member|${alice.userId}`)
      for (const event of state) expect(event).to.include.keys('hashes', 'signatures', 'depth')
      const member = await alice.must(
        'GET',
        path`/_matrix/client/v3/rooms/${roomId}/state/m.room.member/${ZOE}`,
      )
      expect(member['membership']).to.equal('invite')
    })

    it('passes on why it is refused', async () => {
      const roomId = await alice.createRoom({ preset: 'private_chat' })
      const attempt = async (): Promise<[number, unknown]> => {
        const target = path`/_matrix/client/v3/rooms/${roomId}/invite`
        const { status, body } = await alice.request('POST', target, { body: { user_id: ZOE } })
        return [status, body['errcode']]
      }
      fake.on('PUT', invites, () => ({ status: 403, json: { errcode: 'M_FORBIDDEN', error: 'no' } }))
      expect(await attempt()).to.deep.equal([403, 'M_FORBIDDEN'])
      fake.on('PUT', invites, () => ({ status: 403, json: { errcode: 'M_INVITE_BLOCKED', error: 'no' } }))
      expect(await attempt()).to.deep.equal([403, 'M_INVITE_BLOCKED'])
      fake.on('PUT', invites, () => ({ status: 400, json: { errcode: 'M_INVALID_PARAM', error: 'no' } }))
      expect((await attempt())[0]).to.equal(502)
      fake.on('PUT', invites, ({ body }) => ({ json: { event: (body as JsonObject)['event']! } }))
      expect((await attempt())[0]).to.equal(502)
      // Signed, but with something that nobody has sent to be signed.
      for (const change of [{ more: 1.1 }, { content: { membership: 'invite', reason: 'changed' } }]) {
        fake.on('PUT', invites, (request) => {
          const { event } = accept(request).json
          return { json: { event: { ...(event as JsonObject), ...change } } }
        })
        expect(await attempt()).to.deep.equal([400, 'M_BAD_JSON'])
      }
      const members = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/members`)
      expect(eventsAt(members, 'chunk').map((event) => event['state_key'])).to.deep.equal([alice.userId])
      fake.on('PUT', invites, accept)
    })
  })

  describe('when it is invited', () => {
    let room: FakeRoom
    const inviteOf = (userId: string, content: JsonObject = { membership: 'invite' }): Event =>
      room.make({ type: 'm.room.member', sender: ZOE, stateKey: userId, content })
    const offer = (event: Event, change: JsonObject = {}): Promise<FakeReply> =>
      fake.send(ME, {
        method: 'PUT',
        path: `${V2}/invite/${encodeURIComponent(event.roomId)}/${encodeURIComponent(event.eventId)}`,
        body: {
          room_version: room.rules.version,
          event: pduJson(event),
          invite_room_state: ['m.room.create', 'm.room.join_rules'].map((type) =>
            pduJson(room.current(type)),
          ),
          ...change,
        },
      })

    for (const version of ['1', '10', '12']) {
      it(`signs invitations to rooms of version ${version}, and tells the user`, async () => {
        room = FakeRoom.create(fake, version, ZOE)
        const event = inviteOf(alice.userId)
        const reply = await offer(event)
        expect(reply.status, reply.text).to.equal(200)
        expect(dig(reply.json, 'event', 'signatures', ME)).to.not.equal(undefined)
        await alice.mustSyncUntil(syncInvitedTo(room.roomId))
        const state = eventsAt(await alice.sync(), 'rooms', 'invite', room.roomId, 'invite_state', 'events')
        const create = state.find(({ type }) => type === 'm.room.create')
        expect(create).to.deep.include({ sender: ZOE, state_key: '' })
        expect(create).to.not.have.any.keys('hashes', 'signatures')
        // The same again is no other invitation.
        expect((await offer(event)).status).to.equal(200)
        await alice.leave(room.roomId)
      })
    }

    it('signs nothing else', async () => {
      room = FakeRoom.create(fake, '12', ZOE)
      const refused = async (reply: Promise<FakeReply>, errcode = 'M_INVALID_PARAM'): Promise<void> => {
        const { status, json } = await reply
        expect([status, json['errcode']]).to.deep.equal([errcode === 'M_FORBIDDEN' ? 403 : 400, errcode])
      }
      const good = inviteOf(alice.userId)
      await refused(offer(good, { room_version: '99' }), 'M_INCOMPATIBLE_ROOM_VERSION')
      await refused(offer(inviteOf(alice.userId, { membership: 'join' })))
      await refused(offer(inviteOf('@somebody:other.test')))
      await refused(offer(inviteOf('@nobody:a.test')), 'M_FORBIDDEN')
      await refused(offer(room.make({ type: 'm.room.message', sender: ZOE, content: { body: 'x' } })))
      await refused(offer(good, { event: { ...pduJson(good), signatures: {} } }), 'M_FORBIDDEN')
      await refused(offer(good, { event: { ...pduJson(good), depth: 'x' } }), 'M_BAD_JSON')
      const rules = pduJson(room.current('m.room.join_rules'))
      await refused(offer(good, { invite_room_state: [rules] }))
      await refused(
        offer(good, { invite_room_state: [{ type: 'm.room.create', state_key: '', content: {} }] }),
      )
      const other = FakeRoom.create(fake, '12', ZOE)
      await refused(offer(good, { invite_room_state: [pduJson(other.current('m.room.create'))] }))
      const create = pduJson(room.current('m.room.create'))
      await refused(offer(good, { invite_room_state: [{ ...create, signatures: {} }] }))
      const stranger = room.make({
        type: 'm.room.member',
        sender: '@eve:other.test',
        stateKey: alice.userId,
        content: { membership: 'invite' },
      })
      await refused(offer(stranger))
      expect(dig(await alice.sync(), 'rooms', 'invite')).to.equal(undefined)
    })
  })
})
