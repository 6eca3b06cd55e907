import { expect } from 'chai'
import { FakePushGateway } from '../../support/fake-push-gateway.js'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

const SET = '/_matrix/client/v3/pushers/set'
const LOCAL = { ip_range_blacklist: [] }

async function pushersOf(client: MatrixClient): Promise<JsonObject[]> {
  const { pushers } = await client.must('GET', '/_matrix/client/v3/pushers')
  return pushers as JsonObject[]
}

async function roomOfTwo(alice: MatrixClient, bob: MatrixClient, body: JsonObject = {}): Promise<string> {
  const roomId = await alice.createRoom({ preset: 'public_chat', ...body })
  await bob.join(roomId)
  return roomId
}

forEachServerDatabase('HTTP pushers', (database) => {
  let server: TestHomeserver
  let gateway: FakePushGateway
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    server = await startHomeserver({ database, config: LOCAL })
  })
  after(() => server[Symbol.asyncDispose]())
  beforeEach(async function () {
    const id = this.currentTest?.title.replaceAll(/[^a-z]/g, '').slice(0, 20) ?? ''
    gateway = await FakePushGateway.start()
    alice = await server.register(`alice_${id}`)
    bob = await server.register(`bob_${id}`)
  })
  afterEach(() => gateway[Symbol.asyncDispose]())

  it('tell a gateway of a message, with what the app has asked to be passed on', async () => {
    const roomId = await roomOfTwo(alice, bob, { name: 'The room' })
    const body = gateway.pusher({ data: { default_payload: { aps: {} } } })
    await alice.must('POST', SET, { body })
    const eventId = await bob.sendText(roomId, 'Hello')
    const [notification] = await gateway.waitFor(1)
    expect(notification).to.deep.include({
      id: eventId,
      event_id: eventId,
      room_id: roomId,
      type: 'm.room.message',
      sender: bob.userId,
      room_name: 'The room',
      prio: 'high',
      counts: { unread: 1 },
      content: { msgtype: 'm.text', body: 'Hello' },
    })
    const device = dig(notification, 'devices', 0) as JsonObject
    expect(device).to.deep.include({
      app_id: 'org.example.app',
      pushkey: 'a key',
      data: { default_payload: { aps: {} } },
    })
    expect(device['pushkey_ts']).to.be.closeTo(Date.now() / 1000, 600)
  })

  it('say what push rules want: sound, highlight, and nothing where nothing is wanted', async () => {
    const roomId = await roomOfTwo(alice, bob)
    await alice.must('POST', SET, { body: gateway.pusher() })
    await bob.sendEvent(roomId, 'm.reaction', { 'm.relates_to': {} })
    await bob.sendEvent(roomId, 'm.room.message', { msgtype: 'm.notice', body: 'quiet' })
    await bob.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'you',
      'm.mentions': { user_ids: [alice.userId] },
    })
    const [notification] = await gateway.waitFor(1)
    expect(dig(notification, 'content', 'body')).to.equal('you')
    expect(notification?.['prio']).to.equal('high')
    expect(dig(notification, 'devices', 0, 'tweaks')).to.deep.equal({ sound: 'default', highlight: true })
  })

  it('give the ID alone where the app asks for no more', async () => {
    const roomId = await roomOfTwo(alice, bob)
    await alice.must('POST', SET, { body: gateway.pusher({ data: { format: 'event_id_only' } }) })
    const eventId = await bob.sendText(roomId, 'secret')
    const [notification] = await gateway.waitFor(1)
    expect(Object.keys(notification!).sort()).to.deep.equal([
      'counts',
      'devices',
      'event_id',
      'prio',
      'room_id',
    ])
    expect(notification!['event_id']).to.equal(eventId)
    expect(dig(notification, 'devices', 0, 'data')).to.deep.equal({ format: 'event_id_only' })
  })

  it('tell of invitations, and take the badge back when everything is read', async () => {
    await alice.must('POST', SET, { body: gateway.pusher() })
    const roomId = await bob.createRoom({ preset: 'private_chat', invite: [alice.userId] })
    const [invite] = await gateway.waitFor(1)
    expect(invite).to.deep.include({ type: 'm.room.member', user_is_target: true, membership: 'invite' })
    expect(dig(invite, 'counts', 'unread')).to.equal(1)
    await alice.join(roomId)
    const eventId = await bob.sendText(roomId, 'welcome')
    // That the invitation counts no more may be told before or after it.
    const isMessage = ({ type }: JsonObject): boolean => type === 'm.room.message'
    while (!gateway.notifications.some(isMessage)) await gateway.waitFor(gateway.notifications.length + 1)
    expect(dig(gateway.notifications.find(isMessage), 'counts', 'unread')).to.equal(1)
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, { body: {} })
    const isCleared = (one: JsonObject | undefined): boolean =>
      one?.['event_id'] === undefined && dig(one, 'counts', 'unread') === 0
    const last = (): JsonObject | undefined => gateway.notifications.slice(2).at(-1)
    while (!isCleared(last())) await gateway.waitFor(gateway.notifications.length + 1)
  })

  it('are removed when the gateway rejects their key', async () => {
    const roomId = await roomOfTwo(alice, bob)
    await alice.must('POST', SET, { body: gateway.pusher() })
    await alice.must('POST', SET, { body: gateway.pusher({ pushkey: 'another key' }) })
    gateway.answer = { status: 200, body: { rejected: ['a key', 'unknown'] } }
    await bob.sendText(roomId, 'Hello')
    await gateway.waitFor(2)
    let left = await pushersOf(alice)
    for (const deadline = Date.now() + 5_000; left.length > 1 && Date.now() < deadline;) {
      left = await pushersOf(alice)
    }
    expect(left.map(({ pushkey }) => pushkey)).to.deep.equal(['another key'])
  })

  it('are set, changed, deleted, and taken from others with the same key', async () => {
    const body = gateway.pusher({ profile_tag: 'tag' })
    await alice.must('POST', SET, { body })
    const changed = { ...body, lang: 'de' }
    await alice.must('POST', SET, { body: changed })
    expect(await pushersOf(alice)).to.deep.equal([
      {
        ...changed,
        'org.matrix.msc3881.enabled': true,
        'org.matrix.msc3881.device_id': alice.deviceId,
      },
    ])
    await bob.must('POST', SET, { body: { ...body, append: true } })
    expect(await pushersOf(alice)).to.have.length(1)
    await bob.must('POST', SET, { body })
    expect(await pushersOf(alice)).to.have.length(0)
    await bob.must('POST', SET, { body: { app_id: body['app_id']!, pushkey: body['pushkey']!, kind: null } })
    expect(await pushersOf(bob)).to.have.length(0)
  })

  it('go with the session that made them', async () => {
    const other = await server.login(alice.userId)
    await alice.must('POST', SET, { body: gateway.pusher({ pushkey: 'one' }) })
    await other.must('POST', SET, { body: gateway.pusher({ pushkey: 'two' }) })
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: 'correct horse',
    }
    await alice.must('POST', '/_matrix/client/v3/account/password', {
      body: { auth, new_password: 'another' },
    })
    expect((await pushersOf(alice)).map(({ pushkey }) => pushkey)).to.deep.equal(['one'])
  })

  it('are refused where they lead nowhere', async () => {
    for (const [fields, errcode] of [
      [{ data: { url: 'https://example.org/push' } }, 'M_INVALID_PARAM'],
      [{ data: { url: 'ftp://example.org/_matrix/push/v1/notify' } }, 'M_INVALID_PARAM'],
      [{ app_id: 'x'.repeat(65) }, 'M_INVALID_PARAM'],
      [{ pushkey: 'x'.repeat(513) }, 'M_INVALID_PARAM'],
      [{ kind: 'pigeon' }, 'M_INVALID_PARAM'],
      [{ lang: null }, 'M_MISSING_PARAM'],
    ] as const) {
      const response = await alice.request('POST', SET, { body: { ...gateway.pusher(), ...fields } })
      expect([response.status, response.body['errcode']]).to.deep.equal([400, errcode])
    }
  })

  it('list what notified, page by page', async () => {
    const roomId = await roomOfTwo(alice, bob)
    const first = await bob.sendText(roomId, 'one')
    const second = await bob.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'two',
      'm.mentions': { user_ids: [alice.userId] },
    })
    await alice.sendText(roomId, 'own')
    await bob.sendEvent(roomId, 'm.reaction', { 'm.relates_to': {} })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${first}`, { body: {} })
    const list = (query: Record<string, string>) =>
      alice.must('GET', '/_matrix/client/v3/notifications', { query })
    const page = await list({ limit: '1' })
    expect(dig(page, 'notifications', 0, 'event', 'event_id')).to.equal(second)
    expect(dig(page, 'notifications', 0, 'read')).to.equal(false)
    expect(dig(page, 'notifications', 0)).to.include({ room_id: roomId, profile_tag: '' })
    const next = await list({ limit: '1', from: page['next_token'] as string })
    expect(dig(next, 'notifications', 0, 'event', 'event_id')).to.equal(first)
    expect(dig(next, 'notifications', 0, 'read')).to.equal(true)
    expect(next).not.to.have.property('next_token')
    const highlights = await list({ only: 'highlight' })
    expect((highlights['notifications'] as JsonObject[]).length).to.equal(1)
    const bad = await alice.request('GET', '/_matrix/client/v3/notifications', { query: { from: 'x' } })
    expect(bad.body['errcode']).to.equal('M_INVALID_PARAM')
  })
})

describe('HTTP pushers whose gateway fails', () => {
  it('are tried again later, after a restart too, and nothing is lost', async () => {
    await using gateway = await FakePushGateway.start()
    const clock = new ManualClock(Date.now())
    await using server = await startHomeserver({ config: LOCAL, clock })
    const alice = await server.register('alice')
    const bob = await server.register('bob')
    const roomId = await roomOfTwo(alice, bob)
    await alice.must('POST', SET, { body: gateway.pusher() })
    gateway.answer = { status: 503 }
    await bob.sendText(roomId, 'one')
    await gateway.waitFor(1)
    await server.restart()
    gateway.answer = { status: 200, body: { rejected: [] } }
    const again = server.client().withSession(bob)
    await again.sendText(roomId, 'two')
    for (let round = 0; round < 100 && gateway.notifications.length < 3; round++) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const all = await gateway.waitFor(3)
    expect(all.slice(1).map((notification) => dig(notification, 'content', 'body'))).to.deep.equal([
      'one',
      'two',
    ])
  })

  it('are not sent into the operator’s own network', async () => {
    await using gateway = await FakePushGateway.start()
    await using server = await startHomeserver()
    const alice = await server.register('alice')
    const bob = await server.register('bob')
    const roomId = await roomOfTwo(alice, bob)
    await alice.must('POST', SET, { body: gateway.pusher() })
    await bob.sendText(roomId, 'one')
    await server.restart()
    expect(gateway.notifications).to.have.length(0)
  })
})

describe('HTTP pushers of invitations from other servers', () => {
  it('name the room', async () => {
    await using servers = await startFederation(['a.test', 'b.test'], { config: LOCAL })
    await using gateway = await FakePushGateway.start()
    const alice = await servers.get('a.test').register('alice')
    const bob = await servers.get('b.test').register('bob')
    await alice.must('POST', SET, { body: gateway.pusher() })
    const roomId = await bob.createRoom({ name: 'Far away', invite: [alice.userId] })
    const [notification] = await gateway.waitFor(1)
    expect(notification).to.include({
      room_id: roomId,
      type: 'm.room.member',
      membership: 'invite',
      user_is_target: true,
      room_name: 'Far away',
    })
  })
})
