import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import type { FakeHomeserver, FakeReply } from '../../support/fake-homeserver.js'
import { FakeRoom, toJson } from '../../support/fake-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, path, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'

const ME = 'a.test'
/** In the room, with no power. */
const CAROL = '@carol:fake.test'
/** Who wants to get in. */
const MALLORY = '@mallory:fake.test'
const V1 = '/_matrix/federation/v1'
const V2 = '/_matrix/federation/v2'

describe('those who do not belong into a room', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient

  before(async () => {
    servers = await startFederation([ME])
    fake = await servers.fake('fake.test')
    alice = await servers.get(ME).register('alice')
  })
  after(() => servers[Symbol.asyncDispose]())

  /** A room that was open when Carol came, and is closed since. */
  async function closedRoom(version: string, joinRules = { join_rule: 'invite' }): Promise<FakeRoom> {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version })
    const room = (await FakeRoom.join(fake, ME, { roomId, version, userId: CAROL })).serve()
    const closing = await alice.sendState(roomId, 'm.room.join_rules', '', joinRules)
    const pdu = await fake.waitForPdu(
      ({ type, room_id: of }) => type === 'm.room.join_rules' && of === roomId,
    )
    room.learn(pdu)
    expect(room.current('m.room.join_rules').eventId).to.equal(closing)
    return room
  }

  function joinOf(room: FakeRoom, draft: Partial<Parameters<FakeRoom['make']>[0]> = {}): Event {
    const content = { membership: 'join' }
    return room.make({ type: 'm.room.member', sender: MALLORY, stateKey: MALLORY, content, ...draft })
  }

  function handIn(event: Event, endpoint = `${V2}/send_join`): Promise<FakeReply> {
    const target = `${endpoint}${path`/${event.roomId}/${event.eventId}`}`
    return fake.send(ME, { method: 'PUT', path: target, body: toJson(event) })
  }

  /** Nobody has heard of Mallory, whatever has been sent. */
  async function isOutside({ roomId }: FakeRoom): Promise<void> {
    const last = await alice.sendText(roomId, 'anybody here?')
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, last))
    const members = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/joined_members`)
    expect(Object.keys(dig(members, 'joined') as object)).to.have.members([alice.userId, CAROL])
    const known = await alice.request(
      'GET',
      path`/_matrix/client/v3/rooms/${roomId}/state/m.room.member/${MALLORY}`,
    )
    expect([undefined, 'leave', 'knock']).to.include(dig(known.body as object as never, 'membership'))
  }

  for (const version of ['1', '10', '12']) {
    it(`do not get in where it was open once, in version ${version}`, async () => {
      const room = await closedRoom(version)
      const open = [...room.events.values()].filter(({ type }) => type === 'm.room.join_rules')
      const before = room.events.get(room.current('m.room.member', CAROL).eventId)!
      const rules = room.current('m.room.join_rules')
      const template = await fake.send(ME, {
        path: `${V1}/make_join${path`/${room.roomId}/${MALLORY}`}?ver=${version}`,
      })
      expect([template.status, template.json['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
      const authOf = (joinRules: Event): Event[] => [
        ...(room.rules.roomIdIsCreateHash ? [] : [room.current('m.room.create')]),
        room.current('m.room.power_levels'),
        joinRules,
      ]
      const forged = [
        // As the room is.
        joinOf(room),
        // As if nothing had changed since Carol came.
        joinOf(room, { after: [before] }),
        // After the change, with what allowed it before, and with what never allowed it.
        ...open.map((joinRules) => joinOf(room, { authEvents: authOf(joinRules) })),
        joinOf(room, { authEvents: [...authOf(rules), ...authOf(open[0]!)] }),
        joinOf(room, { authEvents: [] }),
      ]
      for (const [index, event] of forged.entries()) {
        const reply = await handIn(event)
        expect(reply.status, `${index} ${reply.text}`).to.be.within(400, 403)
      }
      await room.tell(
        ME,
        ...forged.map((event) =>
          joinOf(room, { after: event.prevEventIds.map((id) => room.events.get(id)!) }),
        ),
      )
      await isOutside(room)
    })
  }

  it('are not invited, and do not let themselves in, by those who may not invite', async () => {
    const room = await closedRoom('11')
    const levels = room.current('m.room.power_levels').content
    expect(levels['invite']).to.equal(50)
    const content = { membership: 'invite' }
    const invite = room.make({ type: 'm.room.member', sender: CAROL, stateKey: MALLORY, content })
    const join = joinOf(room, { after: [invite] })
    const promotion = room.make({
      type: 'm.room.power_levels',
      sender: CAROL,
      stateKey: '',
      content: { ...levels, users: { ...(levels['users'] as object), [MALLORY]: 100 } },
    })
    await room.tell(ME, invite, join, promotion)
    expect((await handIn(join)).status).to.be.within(400, 403)
    await isOutside(room)
    expect(dig(await alice.state(room.roomId, 'm.room.power_levels'), 'users', MALLORY)).to.equal(undefined)
  })

  it('do not get in by a knock, or as somebody else', async () => {
    const room = await closedRoom('11', { join_rule: 'knock' })
    const knock = joinOf(room, { content: { membership: 'knock' } })
    expect((await handIn(knock, `${V1}/send_knock`)).status).to.equal(200)
    room.add(knock)
    expect((await handIn(joinOf(room))).status).to.equal(403)
    const foreign = room.make({
      type: 'm.room.member',
      sender: alice.userId,
      stateKey: alice.userId,
      content: { membership: 'leave' },
    })
    expect((await handIn(foreign, `${V2}/send_leave`)).status).to.be.within(400, 403)
    await room.tell(ME, foreign)
    await isOutside(room)
  })

  it('do not get into a restricted room in the name of those who cannot let them in', async () => {
    const space = await alice.createRoom({ preset: 'private_chat', room_version: '11' })
    const allow = [{ type: 'm.room_membership', room_id: space }]
    const room = await closedRoom('11', { join_rule: 'restricted', allow } as { join_rule: string })
    for (const by of [alice.userId, CAROL, MALLORY, '@nobody:a.test', '@nobody:else.test', 'nonsense']) {
      const content = { membership: 'join', join_authorised_via_users_server: by }
      const reply = await handIn(joinOf(room, { content }))
      expect(reply.status, `${by} ${reply.text}`).to.be.within(400, 403)
    }
    await isOutside(room)
  })

  it('are not believed who have made a room of version 12 in somebody’s name', async () => {
    const room = await closedRoom('12')
    const create = room.current('m.room.create')
    const power = room.make({
      type: 'm.room.power_levels',
      sender: MALLORY,
      stateKey: '',
      content: { users: { [MALLORY]: 100 } },
      after: [create],
    })
    const again = room.make({
      type: 'm.room.create',
      sender: MALLORY,
      stateKey: '',
      content: { room_version: '12', additional_creators: [MALLORY] },
      after: [create],
      authEvents: [],
    })
    const named = joinOf(room, { authEvents: [create, room.current('m.room.power_levels')] })
    await room.tell(ME, power, again, named)
    expect((await handIn(named)).status).to.be.within(400, 403)
    await isOutside(room)
    expect(dig(await alice.state(room.roomId, 'm.room.create'), 'additional_creators')).to.equal(undefined)
  })

  it('learn nothing of a room, or of its events, whichever way they ask', async () => {
    const other = await servers.fake('outside.test')
    const room = await closedRoom('11')
    const [at, eventId] = [room.roomId, await alice.sendText(room.roomId, 'between us')]
    const asked: Parameters<FakeHomeserver['send']>[1][] = [
      { path: `${V1}/state/${at}?event_id=${eventId}` },
      { path: `${V1}/state_ids/${at}?event_id=${eventId}` },
      { path: `${V1}/backfill/${at}?v=${eventId}&limit=10` },
      { path: `${V1}/event_auth/${at}/${eventId}` },
      { path: `${V1}/event/${eventId}` },
      { path: `${V1}/timestamp_to_event/${at}?ts=1&dir=f` },
      { path: `${V1}/hierarchy/${at}` },
      { path: `${V1}/make_join/${at}/@eve:outside.test?ver=11` },
      { path: `${V1}/make_knock/${at}/@eve:outside.test?ver=11` },
      { path: `${V1}/make_leave/${at}/@eve:outside.test` },
      {
        method: 'POST',
        path: `${V1}/get_missing_events/${at}`,
        body: { earliest_events: [], latest_events: [eventId] },
      },
    ]
    for (const request of asked) {
      const { status, text } = await other.send(ME, request)
      expect(status, request.path).to.be.oneOf([403, 404])
      expect(text, request.path).to.not.include('between us')
    }
  })
})
