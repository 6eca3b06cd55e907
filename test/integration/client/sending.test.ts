import { expect } from 'chai'
import {
  forEachServerDatabase,
  PASSWORD,
  startHomeserver,
  type TestHomeserver,
} from '../../support/homeserver.js'
import { path, type MatrixClient, type RequestOptions } from '../../support/matrix-client.js'

forEachServerDatabase('sending events', (database) => {
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string
  let counter = 0

  before(async () => {
    server = await startHomeserver({ database })
    alice = await server.register('alice')
    bob = await server.register('bob')
    roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
  })

  const send = async (options: RequestOptions, client = alice, txnId = `txn${counter++}`) => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/org.example.dummy/${txnId}`
    const { status, body } = await client.request('PUT', target, options)
    return [status, body['errcode'] ?? body['event_id']]
  }
  const setState = async (target: string, options: RequestOptions, client = alice) => {
    const { status, body } = await client.request('PUT', target, options)
    return [status, body['errcode'] ?? body['event_id']]
  }

  it('repeats an answer for a repeated transaction, also in another session of the device', async () => {
    const carol = await server.register('carol')
    await carol.join(roomId)
    const first = await send({ body: { n: 1 } }, carol, 'same')
    expect(first[0]).to.equal(200)
    expect(await send({ body: { n: 2 } }, carol, 'same')).to.deep.equal(first)
    const other = await server.login(carol.userId)
    expect((await send({ body: { n: 3 } }, other, 'same'))[1]).not.to.equal(first[1])
    // This ends the first session.
    const again = await server.client().login(carol.userId, PASSWORD, { deviceId: carol.deviceId })
    expect(await send({ body: { n: 3 } }, again, 'same')).to.deep.equal(first)
  })

  it('sends and redacts without a transaction, each time anew', async () => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/org.example.dummy`
    const first = (await alice.must('POST', target, { body: { n: 1 } }))['event_id'] as string
    expect((await alice.must('POST', target, { body: { n: 1 } }))['event_id']).not.to.equal(first)
    await alice.must('POST', path`/_matrix/client/r0/rooms/${roomId}/redact/${first}`, {
      body: { reason: 'x' },
    })
    const redacted = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${first}`)
    expect(redacted['content']).to.deep.equal({})
  })

  it('refuses what cannot be in an event', async () => {
    for (const rawBody of ['{"body": 9007199254740992}', '{"body": -9007199254740992}', '{"body": 1.1}']) {
      expect(await send({ rawBody }), rawBody).to.deep.equal([400, 'M_BAD_JSON'])
    }
    for (const rawBody of ['{"body": Infinity}', '{"body": NaN}', '', '{']) {
      expect(await send({ rawBody }), rawBody).to.deep.equal([400, 'M_NOT_JSON'])
    }
    expect(await send({ rawBody: '[]' })).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await send({ body: { body: 'x'.repeat(70_000) } })).to.deep.equal([413, 'M_TOO_LARGE'])
  })

  it('sets state with and without a key', async () => {
    const room = path`/_matrix/client/v3/rooms/${roomId}/state/org.example.state`
    const [, first] = await setState(room, { body: { n: 1 } })
    expect(await setState(`${room}/`, { body: { n: 1 } })).to.deep.equal([200, first])
    const [, keyed] = await setState(`${room}/key`, { body: { n: 1 } })
    expect(keyed).not.to.equal(first)
    expect(await alice.state(roomId, 'org.example.state', 'key')).to.deep.equal({ n: 1 })
    expect((await setState(`${room}/x`, { body: { n: 1 } }, bob))[0]).to.equal(403)
    const create = path`/_matrix/client/v3/rooms/${roomId}/state/m.room.create/`
    expect((await setState(create, { body: { entropy: 100 } }))[0]).to.equal(400)
  })

  it('redacts with and without a reason', async () => {
    for (const options of [{}, { body: { reason: 'oops' } }]) {
      const eventId = await bob.sendText(roomId, 'hello')
      const target = path`/_matrix/client/v3/rooms/${roomId}/redact/${eventId}/${`txn${counter++}`}`
      const first = await alice.must('PUT', target, options)
      expect(await alice.must('PUT', target, options)).to.deep.equal(first)
      const redacted = await bob.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
      expect(redacted['content']).to.deep.equal({})
    }
    const eventId = await alice.sendText(roomId, 'hello')
    const target = path`/_matrix/client/v3/rooms/${roomId}/redact/${eventId}/x`
    expect((await bob.request('PUT', target, { body: {} })).status).to.equal(403)
  })

  it('keeps the order in which one client sends', async () => {
    const sent: string[] = []
    for (let index = 0; index < 10; index++) sent.push(await alice.sendText(roomId, String(index)))
    const { chunk } = (await bob.messages(roomId, { dir: 'b', limit: 10 })) as {
      chunk: { event_id: string }[]
    }
    expect(chunk.map((event) => event.event_id)).to.deep.equal(sent.toReversed())
  })

  it('takes many messages at once', async () => {
    const senders = [alice, bob]
    const ids = await Promise.all(
      Array.from({ length: 60 }, (_, index) => senders[index % 2]!.sendText(roomId, `message ${index}`)),
    )
    expect(new Set(ids).size).to.equal(60)
  })
})

forEachServerDatabase('limits', (database) => {
  it('hold back who sends too much, and say for how long', async () => {
    await using server = await startHomeserver({
      database,
      config: { rc_message: { per_second: 0.1, burst_count: 3 } },
    })
    const alice = await server.register('alice')
    const roomId = await alice.createRoom()
    for (let index = 0; index < 3; index++) await alice.sendText(roomId, 'hello')
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/x`
    const { status, body, headers } = await alice.request('PUT', target, { body: {} })
    expect([status, body['errcode']]).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
    expect(body['retry_after_ms']).to.be.a('number')
    expect(Number(headers.get('retry-after'))).to.be.greaterThan(0)
  })
})
