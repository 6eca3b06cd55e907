import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'

const TYPE = 'com.example.test'
const LIST = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'
const HOUR_MS = 3_600_000

forEachServerDatabase('Delayed events', (database) => {
  let hs: TestHomeserver
  let clock: ManualClock
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string
  let users = 0

  before(async () => {
    clock = new ManualClock()
    const config = {
      allow_guest_access: true,
      max_event_delay_duration: '24h',
      rc_delayed_event_mgmt: { per_second: 1000, burst_count: 1000 },
      experimental_features: { msc4140_max_delayed_events_per_user: 5 },
    }
    hs = await startHomeserver({ database, config, clock })
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    users++
    alice = await hs.register(`alice${users}`)
    bob = await hs.register(`bob${users}`)
    roomId = await alice.createRoom({
      preset: 'public_chat',
      power_level_content_override: { events: { [TYPE]: 0 } },
    })
    await bob.join(roomId)
  })

  async function delayMessage(content: JsonObject, delay: number, txnId: string): Promise<string> {
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/${TYPE}/${txnId}`
    const answer = await alice.must('PUT', target, {
      query: { 'org.matrix.msc4140.delay': delay },
      body: content,
    })
    return answer['delay_id'] as string
  }

  async function delayState(content: JsonObject, delay: number, key = 'key'): Promise<string> {
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/${TYPE}/${key}`
    const answer = await alice.must('PUT', target, {
      query: { 'org.matrix.msc4140.delay': delay },
      body: content,
    })
    return answer['delay_id'] as string
  }

  async function scheduled(client = alice): Promise<JsonObject[]> {
    return (await client.must('GET', LIST))['delayed_events'] as JsonObject[]
  }

  async function update(delayId: string, action: string): Promise<unknown> {
    const answer = await hs.client().request('POST', `${LIST}/${delayId}/${action}`, { body: {} })
    return answer.status === 200 ? 200 : [answer.status, answer.body['errcode']]
  }

  /** What the piece of state holds, or 404. */
  async function state(key = 'key'): Promise<unknown> {
    const all = await alice.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)
    const events = JSON.parse(all.text) as JsonObject[]
    const found = events.find((event) => event['type'] === TYPE && event['state_key'] === key)
    return found === undefined ? 404 : found['content']
  }

  /** Lets the time pass and what is due be sent. */
  async function pass(ms: number, left: number): Promise<void> {
    clock.advance(ms)
    const deadline = performance.now() + 5_000
    while ((await scheduled()).length !== left) {
      // A timer may have been set after the time had passed.
      clock.advance(1)
      if (performance.now() > deadline) throw new Error(`There are not ${left} left`)
    }
  }

  it('are sent when their time comes, in the order of their times', async () => {
    await delayMessage({ n: 2 }, 800, 'a')
    await delayMessage({ n: 1 }, 700, 'b')
    await delayMessage({ n: 3 }, 900, 'c')
    const waiting = await scheduled()
    expect(waiting.map((event) => dig(event, 'content', 'n'))).to.deep.equal([1, 2, 3])
    expect(waiting[0]).to.include({ room_id: roomId, type: TYPE, delay: 700 })
    expect(waiting[0]).to.have.any.keys('delay_id', 'running_since')
    expect(waiting[0]).to.not.have.property('state_key')
    expect(await scheduled(bob)).to.deep.equal([])
    await pass(1_000, 0)
    const { chunk } = await alice.messages(roomId, { dir: 'b', limit: 3 })
    expect((chunk as JsonObject[]).map((event) => dig(event, 'content', 'n'))).to.deep.equal([3, 2, 1])
  })

  it('are scheduled once by a transaction, whatever it comes with the next time', async () => {
    const delayId = await delayMessage({ n: 1 }, HOUR_MS, 'txn')
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/${TYPE}/txn`
    const query = { 'org.matrix.msc4140.delay': HOUR_MS }
    expect(await alice.must('PUT', target, { query })).to.deep.equal({ delay_id: delayId })
    expect(await scheduled()).to.have.length(1)
    const other = path`/_matrix/client/v3/rooms/${roomId}/send/${TYPE}/other`
    expect(await alice.request('PUT', other, { query })).to.include({ status: 400 })
  })

  it('can be cancelled, restarted and sent by whoever knows their ID', async () => {
    const cancelled = await delayState({ a: 1 }, 1_500, 'cancelled')
    expect(await update(cancelled, 'cancel')).to.equal(200)
    for (const action of ['cancel', 'restart', 'send'])
      expect(await update(cancelled, action)).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(await update(cancelled, 'oops')).to.deep.equal([404, 'M_UNRECOGNIZED'])
    const restarted = await delayState({ a: 2 }, 1_500)
    clock.advance(1_000)
    expect(await update(restarted, 'restart')).to.equal(200)
    clock.advance(1_000)
    expect(await state()).to.equal(404)
    expect((await scheduled())[0]).to.include({ state_key: 'key', running_since: clock.now() - 1_000 })
    await pass(1_000, 0)
    expect(await state()).to.deep.equal({ a: 2 })
    const sent = await delayState({ a: 3 }, HOUR_MS)
    expect(await update(sent, 'send')).to.equal(200)
    expect(await state()).to.deep.equal({ a: 3 })
    expect(await scheduled()).to.deep.equal([])
    expect(await state('cancelled')).to.equal(404)
  })

  it('come back to their sender with the ID that they were scheduled by, and to nobody else', async () => {
    const messageId = await delayMessage({ n: 1 }, 1_000, 'own')
    const stateId = await delayState({ n: 2 }, 1_000)
    await pass(1_500, 0)
    const marks = async (client: MatrixClient): Promise<unknown[]> => {
      const { chunk } = await client.messages(roomId, { dir: 'b', limit: 2 })
      return (chunk as JsonObject[]).map((event) => dig(event, 'unsigned', 'org.matrix.msc4140.delay_id'))
    }
    expect(await marks(alice)).to.have.members([messageId, stateId])
    const second = await hs.client().login(alice.userId, 'correct horse')
    expect(await marks(second)).to.have.members([messageId, stateId])
    expect(await marks(bob)).to.deep.equal([undefined, undefined])
    const { chunk } = await alice.messages(roomId, { dir: 'b', limit: 2 })
    for (const event of chunk as JsonObject[])
      expect(dig(event, 'unsigned', 'transaction_id')).to.equal(undefined)
  })

  it('can be scheduled with everything in the body, and looked at one by one', async () => {
    const target = (room: string, txnId: string): string =>
      path`/_matrix/client/unstable/org.matrix.msc4140/rooms/${room}/delayed_event/${TYPE}/${txnId}`
    const message = { delay_ms: 700, content: { n: 1 } }
    const { delay_id: messageId } = await alice.must('PUT', target(roomId, 'a'), { body: message })
    expect(await alice.must('PUT', target(roomId, 'a'), { body: message })).to.include({
      delay_id: messageId,
    })
    const piece = { delay_ms: 900, state_key: 'key', content: { n: 2 } }
    const { delay_id: stateId } = await alice.must('PUT', target(roomId, 'b'), { body: piece })
    const [first, second] = await scheduled()
    expect(first).to.deep.include({ delay_id: messageId, ...message, room_id: roomId, type: TYPE })
    expect(second).to.deep.include({ delay_id: stateId, ...piece })
    expect(second?.['scheduled_at']).to.be.a('number')
    expect(await alice.must('GET', `${LIST}/${stateId as string}`)).to.deep.equal(second)
    expect(await bob.request('GET', `${LIST}/${stateId as string}`)).to.include({ status: 404 })
    expect(await hs.client().request('GET', `${LIST}/${stateId as string}`)).to.include({ status: 401 })
    const stranger = await hs.register(`outsider${users}`)
    expect(await stranger.request('PUT', target(roomId, 'a'), { body: message })).to.include({ status: 403 })
    for (const body of [
      { content: {} },
      { delay_ms: 0, content: {} },
      { delay_ms: 5 },
      { delay_ms: '5', content: {} },
    ])
      expect(await alice.request('PUT', target(roomId, 'c'), { body })).to.include({ status: 400 })
    await pass(1_000, 0)
    expect(await state()).to.deep.equal({ n: 2 })
  })

  it('are there for guests, who see their limits', async () => {
    const { capabilities } = await alice.must('GET', '/_matrix/client/v3/capabilities')
    expect(dig(capabilities, 'org.matrix.msc4140.delayed_events')).to.deep.equal({
      max_delay_ms: 24 * HOUR_MS,
      max_scheduled: 5,
    })
    const register = '/_matrix/client/v3/register'
    const body = await hs.client().must('POST', register, { query: { kind: 'guest' }, body: {} })
    const guest = hs.client().withSession({
      userId: body['user_id'] as string,
      deviceId: body['device_id'] as string,
      accessToken: body['access_token'] as string,
    })
    expect(await scheduled(guest)).to.deep.equal([])
  })

  it('go on waiting where they cannot be sent before their time', async () => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/${TYPE}/key`
    const query = { 'org.matrix.msc4140.delay': HOUR_MS }
    const { delay_id: delayId } = await bob.must('PUT', target, { query, body: { by: 'bob' } })
    const levels = (level: number): Promise<unknown> =>
      alice.sendState(roomId, 'm.room.power_levels', '', { events: { [TYPE]: level } })
    await levels(50)
    expect(await update(delayId as string, 'send')).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await scheduled(bob)).to.have.length(1)
    await levels(0)
    expect(await update(delayId as string, 'send')).to.equal(200)
    expect(await state()).to.deep.equal({ by: 'bob' })
    expect(await scheduled(bob)).to.deep.equal([])
  })

  it('take the action from the body too', async () => {
    const delayId = await delayState({ a: 1 }, HOUR_MS)
    const act = async (body: JsonObject): Promise<unknown> => {
      const answer = await hs.client().request('POST', `${LIST}/${delayId}`, { body })
      return answer.status === 200 ? 200 : [answer.status, answer.body['errcode']]
    }
    expect(await act({})).to.deep.equal([400, 'M_MISSING_PARAM'])
    expect(await act({ action: 'oops' })).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(await act({ action: 'cancel' })).to.equal(200)
    expect((await hs.client().request('GET', LIST)).status).to.equal(401)
  })

  it('give way to what others do with the same state, not to what the sender does', async () => {
    await delayState({ by: 'delay' }, 1_000)
    await alice.sendState(roomId, TYPE, 'key', { by: 'alice' })
    expect(await scheduled()).to.have.length(1)
    await bob.sendState(roomId, TYPE, 'other', { by: 'bob' })
    await bob.sendState(roomId, TYPE, 'key', { by: 'bob' })
    expect(await scheduled()).to.deep.equal([])
    const late = await delayState({ by: 'delay' }, 1_000)
    await bob.sendState(roomId, TYPE, 'key', { by: 'bob again' })
    expect(await update(late, 'send')).to.deep.equal([404, 'M_NOT_FOUND'])
    await delayState({ by: 'delay' }, 1_000)
    await bob.sendState(roomId, TYPE, 'key', { by: 'bob at last' })
    await pass(2_000, 0)
    expect(await state()).to.deep.equal({ by: 'bob at last' })
  })

  it('can be memberships', async () => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/m.room.member/${alice.userId}`
    const query = { 'org.matrix.msc4140.delay': 1_000 }
    await alice.must('PUT', target, { query, body: { membership: 'leave' } })
    await pass(1_500, 0)
    const { chunk } = await bob.messages(roomId, { dir: 'b', limit: 1 })
    expect(dig(chunk, 0, 'content', 'membership')).to.equal('leave')
  })

  it('are kept while the server does not run', async () => {
    await delayState({ a: 1 }, 1_000, 'soon')
    await delayState({ a: 2 }, HOUR_MS, 'late')
    await hs.server.stop()
    clock.advance(2_000)
    await hs.restart()
    alice = hs.client().withSession(alice)
    await pass(0, 1)
    expect(await state('soon')).to.deep.equal({ a: 1 })
    expect(await state('late')).to.equal(404)
  })

  it('are refused where they wait too long, are too many, or are not the sender’s to send', async () => {
    const put = async (client: MatrixClient, room: string, delay: string): Promise<unknown[]> => {
      const target = path`/_matrix/client/v3/rooms/${room}/state/${TYPE}/x`
      const query = { 'org.matrix.msc4140.delay': delay }
      const { status, body } = await client.request('PUT', target, { query, body: {} })
      const { errcode, 'org.matrix.msc4140.errcode': own, 'org.matrix.msc4140.max_delay': max } = body
      return [status, errcode, own, max].filter((value) => value !== undefined)
    }
    const dayMs = 24 * HOUR_MS
    expect(await put(alice, roomId, String(dayMs + 1))).to.deep.equal([
      400,
      'M_UNKNOWN',
      'M_MAX_DELAY_EXCEEDED',
      dayMs,
    ])
    expect(await put(alice, roomId, '-1')).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(await put(alice, roomId, 'x')).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(await put(alice, '!no:hs.test', '5000')).to.deep.equal([404, 'M_NOT_FOUND'])
    const stranger = await hs.register(`stranger${users}`)
    expect(await put(stranger, roomId, '5000')).to.deep.equal([403, 'M_FORBIDDEN'])
    for (let n = 0; n < 5; n++) await delayState({ n }, HOUR_MS, String(n))
    expect(await put(alice, roomId, '5000')).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
  })
})

describe('Delayed events that are not configured', () => {
  it('are refused, and are no feature', async () => {
    await using hs = await startHomeserver()
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom()
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/${TYPE}/x`
    const query = { 'org.matrix.msc4140.delay': 1 }
    expect(await alice.request('PUT', target, { query, body: {} })).to.include({ status: 403 })
    expect(await alice.request('GET', LIST)).to.include({ status: 404 })
    const versions = await alice.must('GET', '/_matrix/client/versions')
    expect(dig(versions, 'unstable_features', 'org.matrix.msc4140')).to.equal(false)
    const { capabilities } = await alice.must('GET', '/_matrix/client/v3/capabilities')
    expect(capabilities).to.not.have.property('org.matrix.msc4140.delayed_events')
    expect(dig(versions, 'unstable_features', 'org.matrix.simplified_msc3575')).to.equal(true)
  })
})
