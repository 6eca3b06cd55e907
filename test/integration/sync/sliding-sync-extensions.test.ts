import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, path, type ClientError, type MatrixClient } from '../../support/matrix-client.js'
import { extensionIn, listOf, roomsIn, SlidingClient } from '../../support/sliding-client.js'

const LONG_MS = 60_000

describe('Extensions of sliding sync', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let sliding: SlidingClient
  let roomId: string
  let users = 0

  before(async () => {
    hs = await startHomeserver({ config: { experimental_features: { msc4306_enabled: true } } })
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    users++
    alice = await hs.register(`alice${users}`)
    bob = await hs.register(`bob${users}`)
    sliding = new SlidingClient(alice)
    roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
  })

  function body(name: string, settings: JsonObject = {}, end = 9): JsonObject {
    return { ...listOf([0, end]), extensions: { [name]: { enabled: true, ...settings } } }
  }

  async function part(name: string, settings: JsonObject = {}, end = 9): Promise<JsonObject> {
    return extensionIn(await sliding.sync(body(name, settings, end)), name)
  }

  async function putAccountData(type: string, content: JsonObject, room?: string): Promise<void> {
    const user = path`/_matrix/client/v3/user/${alice.userId}`
    const of = room === undefined ? '' : path`/rooms/${room}`
    await alice.must('PUT', `${user}${of}${path`/account_data/${type}`}`, { body: content })
  }

  it('are left out where they are not enabled or not known', async () => {
    const answer = await sliding.sync({
      extensions: { typing: {}, receipts: { enabled: false }, presence: { enabled: true }, odd: 5 },
    })
    expect(answer['extensions']).to.deep.equal({})
  })

  describe('Account data', () => {
    it('are all told at first, then what changes', async () => {
      await putAccountData('org.example.a', { a: 1 })
      await putAccountData('org.example.b', { b: 1 }, roomId)
      const first = await part('account_data')
      const types = (json: JsonObject): unknown[] => (json['global'] as JsonObject[]).map(({ type }) => type)
      expect(types(first)).to.include.members(['org.example.a', 'm.push_rules'])
      expect(first['rooms']).to.deep.equal({ [roomId]: [{ type: 'org.example.b', content: { b: 1 } }] })
      expect(await part('account_data')).to.deep.equal({ global: [], rooms: {} })
      const waiting = sliding.sync(body('account_data'), { timeout: LONG_MS })
      await putAccountData('org.example.a', { a: 2 })
      expect(extensionIn(await waiting, 'account_data')).to.deep.equal({
        global: [{ type: 'org.example.a', content: { a: 2 } }],
        rooms: {},
      })
      const rule = '/_matrix/client/v3/pushrules/global/override/.m.rule.master/enabled'
      await alice.must('PUT', rule, { body: { enabled: true } })
      expect(types(await part('account_data'))).to.deep.equal(['m.push_rules'])
    })

    it('of rooms outside of the window are told when they come into it', async () => {
      await putAccountData('org.example.a', { a: 1 }, roomId)
      await part('account_data')
      const other = await alice.createRoom()
      await putAccountData('org.example.b', { b: 1 }, roomId)
      expect(dig(await part('account_data', {}, 0), 'rooms')).to.deep.equal({})
      await putAccountData('org.example.c', { c: 1 }, other)
      await part('account_data', {}, 0)
      const rooms = dig(await part('account_data'), 'rooms')
      expect(rooms).to.deep.equal({ [roomId]: [{ type: 'org.example.b', content: { b: 1 } }] })
    })

    it('that change while the client does not ask are told when it does again', async () => {
      await part('account_data')
      await putAccountData('org.example.b', { b: 1 }, roomId)
      await sliding.sync(listOf([0, 9]))
      await sliding.sync(listOf([0, 9]))
      expect(dig(await part('account_data'), 'rooms', roomId)).to.have.length(1)
    })

    it('are all told when the client begins to ask for them, then what it has missed whenever it goes on', async () => {
      const types = (json: JsonObject): unknown[] => (json['global'] as JsonObject[]).map(({ type }) => type)
      await putAccountData('org.example.a', { a: 1 })
      await putAccountData('org.example.b', { b: 1 }, roomId)
      await sliding.sync(listOf([0, 9]))
      const pos = sliding.pos!
      for (const at of [pos, pos]) {
        // The same again, in case the answer was lost.
        sliding.pos = at
        const first = await part('account_data')
        expect(types(first)).to.include.members(['org.example.a', 'm.push_rules'])
        expect(dig(first, 'rooms', roomId)).to.have.length(1)
      }
      expect(types(await part('account_data'))).to.deep.equal([])
      await sliding.sync(listOf([0, 9]))
      await putAccountData('org.example.c', { c: 1 })
      await sliding.sync(listOf([0, 9]))
      await sliding.sync(listOf([0, 9]))
      expect(types(await part('account_data'))).to.deep.equal(['org.example.c'])
      expect(types(await part('account_data'))).to.deep.equal([])
    })

    it('are those of the lists and rooms that are asked for', async () => {
      const other = await alice.createRoom()
      for (const room of [roomId, other]) await putAccountData('org.example.a', {}, room)
      const config = { timeline_limit: 0, required_state: [] }
      const rooms = async (settings: JsonObject): Promise<string[]> => {
        const answer = await new SlidingClient(alice).sync({
          lists: { top: { ...config, ranges: [[0, 0]] } },
          room_subscriptions: { [roomId]: config },
          extensions: { account_data: { enabled: true, ...settings } },
        })
        return Object.keys(dig(extensionIn(answer, 'account_data'), 'rooms') as JsonObject)
      }
      expect(await rooms({})).to.have.members([roomId, other])
      expect(await rooms({ lists: [], rooms: [] })).to.deep.equal([])
      expect(await rooms({ lists: ['top'], rooms: [] })).to.deep.equal([other])
      expect(await rooms({ lists: ['none'], rooms: [roomId, '!no:hs.test'] })).to.deep.equal([roomId])
      expect(await rooms({ lists: [], rooms: ['*'] })).to.have.members([roomId, other])
    })
  })

  describe('Receipts', () => {
    async function read(client: MatrixClient, eventId: string, type = 'm.read'): Promise<void> {
      await client.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/${type}/${eventId}`, {
        body: {},
      })
    }

    it('are at first those on the events that are told and the own, then what changes', async () => {
      const early = await alice.sendText(roomId, 'early')
      await read(alice, early)
      await read(bob, early)
      const late = await alice.sendText(roomId, 'late')
      const first = dig(await part('receipts'), 'rooms', roomId) as JsonObject
      expect(first['type']).to.equal('m.receipt')
      expect(Object.keys(dig(first, 'content', early, 'm.read') as JsonObject)).to.deep.equal([alice.userId])
      const waiting = sliding.sync(body('receipts'), { timeout: LONG_MS })
      await read(bob, late)
      const changed = dig(extensionIn(await waiting, 'receipts'), 'rooms', roomId, 'content')
      expect(Object.keys(changed as JsonObject)).to.deep.equal([late])
      await read(bob, late, 'm.read.private')
      expect(await part('receipts')).to.deep.equal({ rooms: {} })
    })

    it('are those on the events that the client has, when it begins to ask for them', async () => {
      const [early, late] = [await alice.sendText(roomId, 'early'), await alice.sendText(roomId, 'late')]
      for (const client of [alice, bob]) await read(client, early)
      await sliding.sync(listOf([0, 9], { timelineLimit: 1 }))
      expect(
        Object.keys(dig(await part('receipts'), 'rooms', roomId, 'content') as JsonObject),
      ).to.deep.equal([early])
      const other = new SlidingClient(alice, 'other')
      await read(bob, late)
      await other.sync(listOf([0, 9]))
      const answer = extensionIn(await other.sync(body('receipts')), 'receipts')
      expect(dig(answer, 'rooms', roomId, 'content', late, 'm.read', bob.userId)).to.not.equal(undefined)
      expect(extensionIn(await other.sync(body('receipts')), 'receipts')).to.deep.equal({ rooms: {} })
    })

    it('of rooms outside of the window are told when they come into it', async () => {
      const eventId = await alice.sendText(roomId, 'hello')
      await part('receipts')
      await alice.createRoom()
      await part('receipts', {}, 0)
      await read(bob, eventId)
      expect(await part('receipts', {}, 0)).to.deep.equal({ rooms: {} })
      await part('receipts', {}, 0)
      expect(
        dig(await part('receipts'), 'rooms', roomId, 'content', eventId, 'm.read', bob.userId),
      ).to.not.equal(undefined)
    })
  })

  it('Typing: who types, when it changes', async () => {
    const typing = path`/_matrix/client/v3/rooms/${roomId}/typing/${bob.userId}`
    await bob.must('PUT', typing, { body: { typing: true, timeout: 30_000 } })
    expect(dig(await part('typing'), 'rooms', roomId)).to.deep.equal({
      type: 'm.typing',
      content: { user_ids: [bob.userId] },
    })
    expect(await part('typing')).to.deep.equal({ rooms: {} })
    const waiting = sliding.sync(body('typing'), { timeout: LONG_MS })
    await bob.must('PUT', typing, { body: { typing: false } })
    expect(dig(extensionIn(await waiting, 'typing'), 'rooms', roomId, 'content')).to.deep.equal({
      user_ids: [],
    })
  })

  it('Typing: who types when the client begins to ask, or goes on', async () => {
    const put = (typing: boolean): Promise<JsonObject> =>
      bob.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${bob.userId}`, {
        body: typing ? { typing, timeout: LONG_MS } : { typing },
      })
    await put(true)
    await sliding.sync(listOf([0, 9]))
    const typing = (userIds: string[]): JsonObject => ({
      rooms: { [roomId]: { type: 'm.typing', content: { user_ids: userIds } } },
    })
    expect(await part('typing')).to.deep.equal(typing([bob.userId]))
    expect(await part('typing')).to.deep.equal({ rooms: {} })
    await put(false)
    await sliding.sync(listOf([0, 9]))
    expect(await part('typing')).to.deep.equal(typing([]))
  })

  it('Typing: who types in a room that the client comes back to', async () => {
    const other = await alice.createRoom()
    const subscribed = { room_subscriptions: { [roomId]: { timeline_limit: 1, required_state: [] } } }
    const extensions = { typing: { enabled: true } }
    const put = (typing: boolean): Promise<JsonObject> =>
      bob.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${bob.userId}`, {
        body: typing ? { typing, timeout: LONG_MS } : { typing },
      })
    const look = async (rest: JsonObject): Promise<unknown> =>
      dig(extensionIn(await sliding.sync({ ...rest, extensions }), 'typing'), 'rooms')
    const bobTypes = { [roomId]: { type: 'm.typing', content: { user_ids: [bob.userId] } } }
    await alice.sendText(other, 'above')
    await look(listOf([0, 9]))
    expect(await look(listOf([0, 0]))).to.deep.equal({})
    await put(true)
    expect(await look(listOf([0, 0]))).to.deep.equal({})
    const { pos } = sliding
    for (let attempt = 0; attempt < 2; attempt++) {
      sliding.pos = pos
      expect(await look(subscribed)).to.deep.equal(bobTypes)
    }
    expect(await look(subscribed)).to.deep.equal({})
    expect(await look(listOf([0, 0]))).to.deep.equal({})
    expect(await look(listOf([0, 9]))).to.deep.equal(bobTypes)
    await put(false)
    expect(await look(listOf([0, 0]))).to.deep.equal({})
    expect(await look(listOf([0, 9]))).to.deep.equal({})
  })

  it('To-device: messages until the client says it has them', async () => {
    const send = (n: number): Promise<JsonObject> =>
      bob.must('PUT', `/_matrix/client/v3/sendToDevice/org.example.x/${users}-${n}`, {
        body: { messages: { [alice.userId]: { [alice.deviceId]: { n } } } },
      })
    for (const n of [1, 2, 3]) await send(n)
    const numbers = (json: JsonObject): unknown[] =>
      (json['events'] as JsonObject[]).map((event) => dig(event, 'content', 'n'))
    const first = await part('to_device', { limit: 2 })
    expect(numbers(first)).to.deep.equal([1, 2])
    expect(dig(first, 'events', 0)).to.include({ type: 'org.example.x', sender: bob.userId })
    expect(numbers(await part('to_device', { limit: 2 }))).to.deep.equal([1, 2])
    const since = first['next_batch'] as string
    const next = await part('to_device', { since })
    expect(numbers(next)).to.deep.equal([3])
    expect(numbers(await part('to_device', { since: next['next_batch'] as string }))).to.deep.equal([])
    expect(numbers(await part('to_device'))).to.deep.equal([])
    const status = (since: unknown): Promise<unknown> =>
      sliding.sync(body('to_device', { since } as JsonObject)).then(
        () => 'answered',
        (error: unknown) => (error as ClientError).status,
      )
    expect(await status('x')).to.equal(400)
    expect(await status(5)).to.equal(400)
  })

  it('E2EE: counts always, device lists when they change', async () => {
    const first = await part('e2ee')
    expect(first).to.deep.equal({
      device_one_time_keys_count: { signed_curve25519: 0 },
      device_unused_fallback_key_types: [],
    })
    expect(await part('e2ee')).to.deep.include({ device_lists: { changed: [], left: [] } })
    const waiting = sliding.sync(body('e2ee'), { timeout: LONG_MS })
    await hs
      .client()
      .login(`bob${users}`, 'correct horse')
      .then((phone) =>
        phone.must('PUT', path`/_matrix/client/v3/devices/${phone.deviceId}`, {
          body: { display_name: 'x' },
        }),
      )
    expect(dig(extensionIn(await waiting, 'e2ee'), 'device_lists', 'changed')).to.deep.equal([bob.userId])
    await bob.leave(roomId)
    const left = await sliding.sync(body('e2ee'))
    expect(dig(extensionIn(left, 'e2ee'), 'device_lists', 'left')).to.deep.equal([bob.userId])
  })

  describe('Thread subscriptions', () => {
    const NAME = 'io.element.msc4308.thread_subscriptions'

    async function thread(): Promise<{ rootId: string; url: string }> {
      const rootId = await alice.sendText(roomId, 'root')
      const url = path`/_matrix/client/unstable/io.element.msc4306/rooms/${roomId}/thread/${rootId}/subscription`
      return { rootId, url }
    }

    async function errorOf(answer: Promise<unknown>): Promise<unknown> {
      return answer.then(
        () => undefined,
        (error: unknown) => [(error as ClientError).status, (error as ClientError).errcode],
      )
    }

    it('are kept, and automatic ones do not come back by themselves', async () => {
      const { rootId, url } = await thread()
      const relation = { rel_type: 'm.thread', event_id: rootId }
      const reply = (): Promise<string> =>
        bob.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 're', 'm.relates_to': relation })
      const cause = await reply()
      expect(await errorOf(alice.must('GET', url))).to.deep.equal([404, 'M_NOT_FOUND'])
      await alice.must('PUT', url, { body: { automatic: cause } })
      expect(await alice.must('GET', url)).to.deep.equal({ automatic: true })
      await alice.must('PUT', url, { body: {} })
      await alice.must('PUT', url, { body: { automatic: cause } })
      expect(await alice.must('GET', url)).to.deep.equal({ automatic: false })
      await alice.must('DELETE', url)
      await alice.must('DELETE', url)
      expect(await errorOf(alice.must('PUT', url, { body: { automatic: cause } }))).to.deep.equal([
        409,
        'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
      ])
      await alice.must('PUT', url, { body: { automatic: await reply() } })
      expect(await alice.must('GET', url)).to.deep.equal({ automatic: true })
      expect(await errorOf(alice.must('PUT', url, { body: { automatic: rootId } }))).to.deep.equal([
        400,
        'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD',
      ])
      expect(await errorOf(alice.must('PUT', url, { body: { automatic: 5 } }))).to.deep.equal([
        400,
        'M_BAD_JSON',
      ])
      const stranger = await hs.register(`stranger${users}`)
      const closed = await alice.createRoom()
      const hidden = path`/_matrix/client/unstable/io.element.msc4306/rooms/${closed}/thread/${rootId}/subscription`
      expect(await errorOf(stranger.must('PUT', hidden, { body: {} }))).to.deep.equal([404, 'M_NOT_FOUND'])
    })

    it('decide who is notified of what is said in a thread, but for those who are mentioned', async () => {
      const { rootId, url } = await thread()
      const carol = await hs.register(`carol${users}`)
      await carol.join(roomId)
      await carol.must('PUT', url, { body: {} })
      const mute = path`/_matrix/client/v3/pushrules/global/room/${roomId}`
      await carol.must('PUT', mute, { body: { actions: [] } })
      const say = (text: string, rest: JsonObject = {}): Promise<string> =>
        alice.sendEvent(roomId, 'm.room.message', {
          msgtype: 'm.text',
          body: text,
          'm.relates_to': { rel_type: 'm.thread', event_id: rootId },
          ...rest,
        })
      await say('for those who have subscribed')
      await say('for Bob', { 'm.mentions': { user_ids: [bob.userId] } })
      const notified = async (client: MatrixClient): Promise<unknown[]> => {
        const { notifications } = await client.must('GET', '/_matrix/client/v3/notifications')
        return (notifications as JsonObject[]).map((one) => dig(one, 'event', 'content', 'body'))
      }
      expect(await notified(bob)).to.deep.equal(['for Bob', 'root'])
      expect(await notified(carol)).to.deep.equal(['for Bob', 'for those who have subscribed'])
      const counts = await carol.must('GET', '/_matrix/client/v3/sync', { query: { timeout: 0 } })
      expect(dig(counts, 'rooms', 'join', roomId, 'unread_notifications', 'notification_count')).to.equal(2)
      await carol.must('DELETE', url)
      await say('for nobody')
      expect(await notified(carol)).to.not.include('for nobody')
    })

    it('have push rules that clients can change, and add none to', async () => {
      const rules = '/_matrix/client/v3/pushrules/global'
      const { global } = await alice.must('GET', '/_matrix/client/v3/pushrules/')
      const ids = (dig(global, 'postcontent') as JsonObject[]).map(({ rule_id: id }) => id as string)
      expect(ids).to.deep.equal([
        '.io.element.msc4306.rule.unsubscribed_thread',
        '.io.element.msc4306.rule.subscribed_thread',
      ])
      expect(
        await errorOf(alice.must('PUT', `${rules}/postcontent/mine`, { body: { actions: [] } })),
      ).to.deep.equal([400, 'M_INVALID_PARAM'])
      const rule = `${rules}/postcontent/${ids[1]}/enabled`
      await alice.must('PUT', rule, { body: { enabled: false } })
      expect(await alice.must('GET', rule)).to.deep.equal({ enabled: false })
    })

    it('are told, and what a limit leaves out can be read', async () => {
      expect((await sliding.sync(body(NAME)))['extensions']).to.deep.equal({})
      const first = await thread()
      await sliding.sync(body(NAME))
      const waiting = sliding.sync(body(NAME), { timeout: LONG_MS })
      await alice.must('PUT', first.url, { body: {} })
      const told = extensionIn(await waiting, NAME)
      expect(dig(told, 'subscribed', roomId, first.rootId)).to.include({ automatic: false })
      await alice.must('DELETE', first.url)
      const ended = extensionIn(await sliding.sync(body(NAME)), NAME)
      expect(dig(ended, 'unsubscribed', roomId, first.rootId, 'bump_stamp')).to.be.a('number')
      const pos = sliding.pos ?? ''
      const threads = [await thread(), await thread(), await thread(), await thread()]
      for (const { url } of threads) await alice.must('PUT', url, { body: {} })
      const limited = extensionIn(await sliding.sync(body(NAME, { limit: 2 })), NAME)
      const ids = (json: JsonObject): string[] =>
        Object.keys((dig(json, 'subscribed', roomId) ?? {}) as JsonObject)
      expect(ids(limited)).to.have.members(threads.slice(2).map(({ rootId }) => rootId))
      const list = '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions'
      const query = { dir: 'b', from: limited['prev_batch'] as string, to: pos }
      const rest = await alice.must('GET', list, { query })
      expect(ids(rest)).to.have.members(threads.slice(0, 2).map(({ rootId }) => rootId))
      expect(rest).to.not.have.any.keys('end', 'unsubscribed')
      const page = await alice.must('GET', list, { query: { dir: 'b', limit: 3 } })
      expect(page).to.have.property('end')
      expect(await errorOf(alice.must('GET', list, { query: { dir: 'b', from: 'x' } }))).to.deep.equal([
        400,
        'M_INVALID_PARAM',
      ])
    })
  })

  it('wake the client for what they tell alone', async () => {
    await sliding.sync(body('typing'))
    await putAccountData('org.example.a', {})
    expect(roomsIn(await sliding.sync(body('typing'), { timeout: 20 }))).to.deep.equal([])
  })
})
