import { expect } from 'chai'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { FakeRoom } from '../../support/fake-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, path, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'

const EVE = '@eve:fake.test'
const SEND = '/_matrix/federation/v1/send/:txnId'

describe('a server that is away for long', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test'], {
      // What passes by would make the other server fail before there is anything that it can miss.
      config: { experimental_features: { msc4354_enabled: true }, presence: { enabled: false } },
    })
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  async function openRoom(): Promise<string> {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    await FakeRoom.join(fake, 'a.test', { roomId, userId: EVE, version: '11' })
    return roomId
  }

  function bodies(): unknown[] {
    return fake.pdus.flatMap((pdu) => dig(pdu, 'content', 'body') ?? [])
  }

  function bodiesIn(roomId: string): unknown[] {
    return fake.pdus.filter((pdu) => pdu['room_id'] === roomId).map((pdu) => dig(pdu, 'content', 'body'))
  }

  for (const restarts of [false, true]) {
    const when = restarts ? ', also after a restart' : ''
    it(`gets the newest event of each room that it is in, and all messages to devices${when}`, async () => {
      const [first, second, left] = [await openRoom(), await openRoom(), await openRoom()]
      const before = fake.requests.length
      fake.on('PUT', SEND, () => ({
        status: 429,
        json: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 600_000 },
      }))
      for (const [roomId, name] of [
        [first, 'first'],
        [second, 'second'],
        [left, 'left'],
      ] as const) {
        for (let n = 1; n <= 3; n++) await alice.sendText(roomId, `${name} ${n}`)
      }
      await alice.kick(left, EVE, 'the last thing')
      await alice.sendText(left, 'none of its business')
      for (let n = 1; n <= 2; n++) {
        await alice.must('PUT', path`/_matrix/client/v3/sendToDevice/my.type/${`${restarts} ${n}`}`, {
          body: { messages: { [EVE]: { DEVICE: { n } } } },
        })
      }
      await fake.waitFor('PUT', SEND, (request) => fake.requests.indexOf(request) >= before)
      if (restarts) {
        await servers.get('a.test').restart()
        alice = await servers.get('a.test').client().login(alice.userId, 'correct horse')
      }
      const attempts = fake.received('PUT', SEND).length
      await alice.sendText(first, 'first 4')

      fake.requests.length = 0
      fake.on('PUT', SEND, () => ({ json: { pdus: {} } }))
      await fake.send('a.test', { path: '/_matrix/federation/v1/query/profile?user_id=@alice:a.test' })
      await fake.waitForPdu((pdu) => dig(pdu, 'content', 'body') === 'first 4')
      await fake.waitForPdu((pdu) => dig(pdu, 'content', 'body') === 'second 3')
      await fake.waitForPdu((pdu) => dig(pdu, 'content', 'reason') === 'the last thing')
      await fake.waitForEdu((edu) => dig(edu, 'content', 'messages', EVE, 'DEVICE', 'n') === 2)
      expect(bodies()).not.to.include.members(['none of its business'])
      if (!restarts) expect(bodies()).to.have.members(['first 4', 'second 3'])
      expect(attempts).to.be.lessThan(10)
      const numbers = fake.edus.flatMap((edu) => dig(edu, 'content', 'messages', EVE, 'DEVICE', 'n') ?? [])
      expect(numbers).to.deep.equal([1, 2])

      const next = await alice.sendText(second, 'second 4')
      expect(next).to.be.a('string')
      await fake.waitForPdu((pdu) => dig(pdu, 'content', 'body') === 'second 4')
    })
  }

  it('is told nothing of what was said in a room after it had left, while nobody could tell it anything', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    const room = await FakeRoom.join(fake, 'a.test', { roomId, userId: EVE, version: '11' })
    const before = fake.requests.length
    fake.on('PUT', SEND, () => ({
      status: 429,
      json: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 600_000 },
    }))
    await alice.sendText(roomId, 'while it was there')
    await fake.waitFor('PUT', SEND, (request) => fake.requests.indexOf(request) >= before)
    const content = { membership: 'leave' }
    const leave = room.send({ type: 'm.room.member', sender: EVE, stateKey: EVE, content })
    await room.tell('a.test', leave)
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, leave.eventId))
    await alice.sendText(roomId, 'not for those who have left')

    fake.requests.length = 0
    fake.on('PUT', SEND, () => ({ json: { pdus: {} } }))
    await fake.send('a.test', { path: '/_matrix/federation/v1/query/profile?user_id=@alice:a.test' })
    await fake.waitForPdu((pdu) => dig(pdu, 'room_id') === roomId)
    expect(bodies()).to.deep.equal(['while it was there'])
  })

  for (const count of [1, 49, 50, 120]) {
    it(`gets ${count} events besides that are sticky and not the newest`, async () => {
      const roomId = await openRoom()
      const before = fake.requests.length
      fake.on('PUT', SEND, () => ({
        status: 429,
        json: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 600_000 },
      }))
      const sticky = Array.from({ length: count }, (_, n) => `sticky ${n}`)
      for (const body of sticky) {
        const target = path`/_matrix/client/v3/rooms/${roomId}/send/org.example.here/${body}`
        const query = { 'org.matrix.msc4354.sticky_duration_ms': 3_600_000 }
        await alice.must('PUT', target, { query, body: { body } })
      }
      for (const text of ['one', 'two', 'last']) await alice.sendText(roomId, text)
      await fake.waitFor('PUT', SEND, (request) => fake.requests.indexOf(request) >= before)
      fake.requests.length = 0
      fake.on('PUT', SEND, () => ({ json: { pdus: {} } }))
      await fake.send('a.test', { path: '/_matrix/federation/v1/query/profile?user_id=@alice:a.test' })
      await fake.waitForPdu((pdu) => pdu['room_id'] === roomId && dig(pdu, 'content', 'body') === 'last')
      expect(bodiesIn(roomId)).to.deep.equal([...sticky, 'last'])
      const sizes = fake.requests.map(({ body }) => (dig(body, 'pdus') as unknown[] | undefined)?.length ?? 0)
      expect(Math.max(...sizes)).to.be.at.most(50)
    })
  }
})
