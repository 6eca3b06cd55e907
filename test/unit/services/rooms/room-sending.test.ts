import { expect } from 'chai'
import type { DeviceId, EventId, RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

const HELLO = { msgtype: 'm.text', body: 'hello' }

forEachDatabase('sending into rooms', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let roomId: RoomId
  let counter = 0

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    roomId = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.join(bob, roomId)
  })

  const send = (
    content: JsonObject = HELLO,
    {
      by = alice,
      type = 'm.room.message',
      txnId = `txn${counter++}`,
      to = roomId,
      ts,
    }: { by?: Requester; type?: string; txnId?: string; to?: RoomId; ts?: number } = {},
  ) => fixture.services.roomSending.sendMessage(by, { roomId: to, type, content, txnId, ts })
  const setState = (type: string, content: JsonObject, { stateKey = '', by = alice } = {}) =>
    fixture.services.roomSending.setState(by, { roomId, type, stateKey, content })
  const redact = (eventId: EventId, by = alice, content: JsonObject = {}) =>
    fixture.services.roomSending.redact(by, { roomId, eventId, content, txnId: `txn${counter++}` })
  const refused = async (attempt: Promise<unknown>, errcode: string, status?: number): Promise<void> => {
    const error = await rejection(attempt)
    expect(error).to.have.property('errcode', errcode)
    if (status !== undefined) expect(error).to.have.property('status', status)
  }
  const get = async (eventId: EventId) => (await fixture.stores.events.get(fixture.db.reader, eventId))?.event

  it('is done once per device and transaction ID', async () => {
    const first = await send(HELLO, { txnId: 'same' })
    expect(await send({ body: 'other' }, { txnId: 'same' })).to.equal(first)
    const elsewhere = { ...alice, deviceId: 'OTHER' as DeviceId }
    expect(await send(HELLO, { txnId: 'same', by: elsewhere })).not.to.equal(first)
    const [one, two] = await Promise.all([send(HELLO, { txnId: 'x' }), send(HELLO, { txnId: 'x' })])
    expect(one).to.equal(two)
    const other = await fixture.createRoom(alice)
    expect(await send(HELLO, { txnId: 'same', to: other })).not.to.equal(first)
  })

  it('is for members', async () => {
    const carol = await fixture.user('carol')
    await refused(send(HELLO, { by: carol }), 'M_FORBIDDEN', 403)
    await refused(send(HELLO, { to: '!unknown:hs.test' as RoomId }), 'M_NOT_FOUND', 404)
    await refused(setState('m.room.name', { name: 'x' }, { by: bob }), 'M_FORBIDDEN', 403)
  })

  it('keeps to the limits of events', async () => {
    await refused(send({ ...HELLO, body: 'x'.repeat(70_000) }), 'M_TOO_LARGE', 413)
    await refused(setState('org.example', { body: 'x'.repeat(70_000) }), 'M_TOO_LARGE', 413)
    await refused(send(HELLO, { type: 'x'.repeat(300) }), 'M_TOO_LARGE', 413)
    await refused(setState('org.example', {}, { stateKey: 'x'.repeat(300) }), 'M_TOO_LARGE', 413)
    await refused(send({ ...HELLO, number: 1.5 }), 'M_BAD_JSON', 400)
    await refused(send({ ...HELLO, number: 2 ** 53 }), 'M_BAD_JSON', 400)
  })

  it('is not for messages without text, nor names and tombstones that are none', async () => {
    await refused(send({ msgtype: 'm.text' }), 'M_BAD_JSON', 400)
    await refused(setState('m.room.name', { name: 1 }), 'M_BAD_JSON', 400)
    await refused(setState('m.room.tombstone', { body: 'Moved' }), 'M_BAD_JSON', 400)
  })

  it('does not call everybody in a public room', async () => {
    const call = { call_id: '1', version: '1', lifetime: 60_000, offer: { type: 'offer', sdp: '' } }
    await refused(send(call, { type: 'm.call.invite' }), 'M_FORBIDDEN', 403)
    const room = await fixture.createRoom(alice, { preset: 'private_chat' })
    expect((await get(await send(call, { type: 'm.call.invite', to: room })))?.type).to.equal('m.call.invite')
  })

  it('does not make create events, nor state for others', async () => {
    await refused(setState('m.room.create', { entropy: 1 }), 'M_INVALID_PARAM', 400)
    await refused(send({}, { type: 'm.room.create' }), 'M_INVALID_PARAM', 400)
    await refused(setState('org.example', {}, { stateKey: bob.userId }), 'M_FORBIDDEN', 403)
    await setState('org.example', {}, { stateKey: alice.userId })
  })

  it('does not repeat state that says the same', async () => {
    const first = await setState('org.example', { a: 1 })
    expect(await setState('org.example', { a: 1 })).to.equal(first)
    expect(await setState('org.example', { a: 2 })).not.to.equal(first)
  })

  it('tells mistakes in power levels from lack of power', async () => {
    await refused(setState('m.room.power_levels', { users: { [alice.userId]: 100 } }), 'M_INVALID_PARAM', 400)
    await refused(setState('m.room.power_levels', { users: { [bob.userId]: 2 ** 53 } }), 'M_BAD_JSON', 400)
    await refused(setState('m.room.power_levels', { ban: 'fifty' }), 'M_BAD_JSON', 400)
    await refused(setState('m.room.power_levels', { events: [] }), 'M_BAD_JSON', 400)
    await refused(setState('m.room.power_levels', { ban: 0 }, { by: bob }), 'M_FORBIDDEN', 403)
    await setState('m.room.power_levels', { users: { [bob.userId]: 100 } })
    await refused(setState('m.room.server_acl', { allow: ['example.org'] }), 'M_INVALID_PARAM', 400)
    await setState('m.room.server_acl', { allow: ['*'], deny: ['evil.example'] })
    await refused(setState('m.room.tombstone', { replacement_room: roomId }), 'M_INVALID_PARAM', 400)
  })

  for (const version of ['1', '10', '11', '12']) {
    it(`redacts, whichever way it is asked to (version ${version})`, async () => {
      const room = await fixture.createRoom(alice, { preset: 'public_chat', roomVersion: version })
      await fixture.services.roomMembership.join(bob, room)
      const own = await send(HELLO, { by: bob, to: room })
      const redaction = await fixture.services.roomSending.redact(bob, {
        roomId: room,
        eventId: own,
        content: { reason: 'oops' },
        txnId: `txn${counter++}`,
      })
      expect((await get(redaction))?.redacts).to.equal(own)
      expect((await get(redaction))?.content).to.include({ reason: 'oops' })
      expect((await get(own))?.content).to.deep.equal({})
      const other = await send(HELLO, { by: bob, to: room })
      const sent = await send({ redacts: other }, { type: 'm.room.redaction', to: room })
      expect((await get(sent))?.redacts).to.equal(other)
      expect((await get(other))?.content).to.deep.equal({})
    })
  }

  it('redacts only what one may', async () => {
    const message = await send()
    await refused(redact(message, bob), 'M_FORBIDDEN', 403)
    const other = await fixture.createRoom(bob, { preset: 'public_chat' })
    const elsewhere = await send(HELLO, { by: bob, to: other })
    await refused(redact(elsewhere), 'M_INVALID_PARAM', 400)
    await refused(send({}, { type: 'm.room.redaction' }), 'M_BAD_JSON', 400)
    const create = await fixture.roomState.getStateEvent(roomId, 'm.room.create', '')
    await refused(redact(create!.event.eventId), 'M_FORBIDDEN', 403)
  })

  it('lets suspended users redact what is theirs, and nothing else', async () => {
    const suspended = { ...bob, isSuspended: true }
    const own = await send(HELLO, { by: bob })
    await refused(send(HELLO, { by: suspended }), 'M_USER_SUSPENDED', 403)
    await refused(setState('org.example', {}, { by: suspended }), 'M_USER_SUSPENDED', 403)
    await redact(own, suspended)
    await refused(redact(await send(), suspended), 'M_USER_SUSPENDED', 403)
  })

  it('pretends to the shadow-banned', async () => {
    const banned = { ...bob, isShadowBanned: true }
    for (const pretended of [
      await send(HELLO, { by: banned }),
      await setState('org.example', {}, { by: banned }),
      await redact(await send(), banned),
    ]) {
      expect(pretended).to.match(/^\$[\w-]{43}$/)
      expect(await get(pretended)).to.equal(undefined)
    }
  })

  it('takes times only from application services', async () => {
    const bridge = { ...alice, appserviceId: 'bridge' }
    expect((await get(await send(HELLO, { by: bridge, ts: 5 })))?.originServerTs).to.equal(5)
    expect((await get(await send(HELLO, { ts: 5 })))?.originServerTs).to.equal(fixture.clock.now())
    await refused(send(HELLO, { by: bridge, ts: -1 }), 'M_INVALID_PARAM', 400)
  })

  it('reacts once in the same way', async () => {
    const target = await send()
    const reaction = (key: string, txnId?: string, by = alice) =>
      send(
        { 'm.relates_to': { rel_type: 'm.annotation', event_id: target, key } },
        { type: 'm.reaction', by, ...(txnId !== undefined && { txnId }) },
      )
    const first = await reaction('🐈', 'first')
    expect(await reaction('🐈', 'first')).to.equal(first)
    await refused(reaction('🐈'), 'M_DUPLICATE_ANNOTATION', 400)
    await reaction('🐕')
    await reaction('🐈', undefined, bob)
    await redact(first)
    await reaction('🐈')
    await refused(reaction('x'.repeat(501)), 'M_INVALID_PARAM', 400)
    const keyless = { 'm.relates_to': { rel_type: 'm.annotation', event_id: target } }
    await refused(send(keyless, { type: 'm.reaction' }), 'M_BAD_JSON', 400)
  })

  it('relates to events of the room', async () => {
    const relate = (relType: string, eventId: string) =>
      send({ ...HELLO, 'm.relates_to': { rel_type: relType, event_id: eventId } })
    const root = await send()
    const reply = await relate('m.thread', root)
    await refused(relate('m.thread', reply), 'M_UNKNOWN', 400)
    await refused(relate('m.thread', '$unknown'), 'M_UNKNOWN', 400)
    await refused(relate('m.thread', 'unknown'), 'M_BAD_JSON', 400)
    const other = await fixture.createRoom(alice)
    await refused(relate('m.reference', await send(HELLO, { to: other })), 'M_INVALID_PARAM', 400)
    await relate('m.replace', reply)
    await send({ ...HELLO, 'm.relates_to': { 'm.in_reply_to': { event_id: root } } })
  })
})

forEachDatabase('limits of sending', (open) => {
  it('count messages and others’ redactions apart', async () => {
    const fixture = await createRoomFixture(await open(), {
      limits: {
        message: { perSecond: 0.1, burstCount: 1 },
        adminRedaction: { perSecond: 0.1, burstCount: 1 },
      },
    })
    const alice = await fixture.user('alice')
    const bob = await fixture.user('bob')
    const roomId = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.join(bob, roomId)
    const { roomSending } = fixture.services
    const say = (by: Requester, txnId: string) =>
      roomSending.sendMessage(by, { roomId, type: 'm.room.message', content: HELLO, txnId })
    const eventId = await say(bob, '1')
    expect(await rejection(say(bob, '2'))).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
    await say(alice, '1')
    await roomSending.redact(alice, { roomId, eventId, content: {}, txnId: '2' })
    const again = roomSending.redact(alice, { roomId, eventId, content: {}, txnId: '3' })
    expect(await rejection(again)).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
  })
})
