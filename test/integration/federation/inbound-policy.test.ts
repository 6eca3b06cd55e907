import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import { signedText } from '../../../src/protocol/hashes.js'
import { signEvent } from '../../../src/protocol/pdu.js'
import { createSigner, makeSigningKey } from '../../../src/protocol/signing-keys.js'
import type { JsonSigner } from '../../../src/protocol/signed-json.js'
import { parseEvent } from '../../../src/protocol/event-format.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { path, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'
import { FakeRoom } from '../../support/fake-room.js'

const CAROL = '@carol:fake.test'
const SIGN = '/_matrix/policy/v1/sign'

describe('The policy server of a room', () => {
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient
  let room: FakeRoom
  let signer: JsonSigner
  let content: JsonObject

  beforeEach(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
    const key = makeSigningKey('policy_server', Buffer.alloc(32, 7))
    signer = createSigner(fake.serverName, key)
    content = { via: 'fake.test', public_keys: { ed25519: key.key.verifyKey.base64 } }
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    room = (await FakeRoom.join(fake, 'a.test', { roomId, version: '11', userId: CAROL })).serve()
    // Signs what does not speak of spam.
    fake.on('POST', SIGN, ({ body }) => {
      if (JSON.stringify(body).includes('spam')) {
        return { status: 400, json: { errcode: 'M_FORBIDDEN', error: 'This is spam' } }
      }
      const event = parseEvent(room.rules, body as JsonObject)
      return { json: { 'fake.test': { 'ed25519:policy_server': signer.sign(signedText(event)) } } }
    })
  })
  afterEach(() => servers[Symbol.asyncDispose]())

  const send = (body: string): Promise<{ status: number; body: unknown }> =>
    alice.request('PUT', path`/_matrix/client/v3/rooms/${room.roomId}/send/m.room.message/${body}`, {
      body: { msgtype: 'm.text', body },
    })
  async function name(): Promise<void> {
    await alice.sendState(room.roomId, 'm.room.policy', '', content)
    await fake.waitForPdu((pdu) => pdu['type'] === 'm.room.policy')
    room.learn(...fake.pdus.filter((pdu) => pdu['room_id'] === room.roomId))
  }

  it('is not asked before the room names it, nor about the event that does', async () => {
    await send('spam')
    await name()
    expect(fake.received('POST', SIGN)).to.be.empty
  })

  it('signs what is sent, or what it answers is told to the sender', async () => {
    await name()
    expect((await send('fine')).status).to.equal(200)
    const pdu = await fake.waitForPdu((json) => JSON.stringify(json).includes('"fine"'))
    const signatures = (pdu['signatures'] as Record<string, JsonObject>)['fake.test']
    expect(signatures).to.have.property('ed25519:policy_server')
    const refused = await send('spam')
    expect(refused.status).to.equal(400)
    expect(refused.body).to.deep.equal({ errcode: 'M_FORBIDDEN', error: 'This is spam' })
    expect((await send('after')).status).to.equal(200)
  })

  it('decides about what others send', async () => {
    await name()
    const [good, bad] = ['good', 'spam'].map((body) =>
      room.make({ type: 'm.room.message', sender: CAROL, content: { body } }),
    ) as [Event, Event]
    const signed = signEvent(
      room.make({ type: 'm.room.message', sender: CAROL, content: { body: 'spam, but signed' } }),
      signer,
    )
    await room.tell('a.test', bad, good, signed)
    await alice.mustSyncUntil([
      syncTimelineHasEventId(room.roomId, good.eventId),
      syncTimelineHasEventId(room.roomId, signed.eventId),
    ])
    const target = path`/_matrix/client/v3/rooms/${room.roomId}/event/${bad.eventId}`
    expect((await alice.request('GET', target)).status).to.equal(404)
    expect(fake.received('POST', SIGN)).to.have.length(2)
  })

  it('is asked no more when what names it is redacted', async () => {
    await name()
    const { event_id: eventId } = await alice.must(
      'GET',
      path`/_matrix/client/v3/rooms/${room.roomId}/state/m.room.policy`,
      { query: { format: 'event' } },
    )
    expect((await send('spam')).status).to.equal(400)
    const redact = path`/_matrix/client/v3/rooms/${room.roomId}/redact/${eventId as string}/1`
    await alice.must('PUT', redact, { body: {} })
    expect((await send('spam')).status).to.equal(200)
  })

  it('is asked no more when it has left', async () => {
    await name()
    const leave = signEvent(
      room.make({ type: 'm.room.member', sender: CAROL, stateKey: CAROL, content: { membership: 'leave' } }),
      signer,
    )
    await room.tell('a.test', leave)
    await alice.mustSyncUntil(syncTimelineHasEventId(room.roomId, leave.eventId))
    expect((await send('spam')).status).to.equal(200)
  })
})
