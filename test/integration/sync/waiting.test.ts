import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const LONG_MS = 60_000

forEachServerDatabase('Waiting for news', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string

  before(async () => {
    hs = await startHomeserver({ database })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
  })

  after(() => hs[Symbol.asyncDispose]())

  /** A sync that waits, from the current position on. Presence would wake it otherwise. */
  async function waiting(client: MatrixClient): Promise<{ answer: Promise<JsonObject> }> {
    const filter = { presence: { types: [] } }
    const first = await client.sync({ filter, setPresence: 'offline' })
    const since = first['next_batch'] as string
    return { answer: client.sync({ since, timeout: LONG_MS, filter, setPresence: 'offline' }) }
  }

  it('answers when something is said', async () => {
    const { answer } = await waiting(bob)
    const eventId = await alice.sendText(roomId, 'hello')
    const events = eventsAt(await answer, 'rooms', 'join', roomId, 'timeline', 'events')
    expect(events.map((event) => event['event_id'])).to.deep.equal([eventId])
  })

  it('answers when the user is invited, and when a room of theirs is joined elsewhere', async () => {
    const invited = await waiting(bob)
    const other = await alice.createRoom({ invite: [bob.userId] })
    expect(dig(await invited.answer, 'rooms', 'invite', other)).to.not.equal(undefined)
    const joined = await waiting(bob)
    await bob.join(other)
    expect(dig(await joined.answer, 'rooms', 'join', other)).to.not.equal(undefined)
    const talked = await waiting(bob)
    await alice.sendText(other, 'welcome')
    expect(dig(await talked.answer, 'rooms', 'join', other)).to.not.equal(undefined)
  })

  it('answers when somebody types, and when they stop', async () => {
    const typing = path`/_matrix/client/v3/rooms/${roomId}/typing/${alice.userId}`
    for (const [isTyping, expected] of [
      [true, [alice.userId]],
      [false, []],
    ] as const) {
      const { answer } = await waiting(bob)
      await alice.must('PUT', typing, { body: { typing: isTyping, timeout: 30_000 } })
      const [event] = eventsAt(await answer, 'rooms', 'join', roomId, 'ephemeral', 'events')
      expect(event).to.deep.equal({ type: 'm.typing', content: { user_ids: expected } })
    }
  })

  it('answers when account data, tags or receipts change', async () => {
    const global = await waiting(bob)
    const user = path`/_matrix/client/v3/user/${bob.userId}`
    await bob.must('PUT', `${user}/account_data/org.example.x`, { body: { a: 1 } })
    expect(eventsAt(await global.answer, 'account_data', 'events')).to.deep.equal([
      { type: 'org.example.x', content: { a: 1 } },
    ])
    const ofRoom = await waiting(bob)
    await bob.must('PUT', user + path`/rooms/${roomId}/tags/m.favourite`, { body: { order: 0.5 } })
    expect(eventsAt(await ofRoom.answer, 'rooms', 'join', roomId, 'account_data', 'events')).to.deep.equal([
      { type: 'm.tag', content: { tags: { 'm.favourite': { order: 0.5 } } } },
    ])
    const eventId = await alice.sendText(roomId, 'read me')
    const read = await waiting(alice)
    await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, { body: {} })
    const [receipt] = eventsAt(await read.answer, 'rooms', 'join', roomId, 'ephemeral', 'events')
    expect(dig(receipt, 'content', eventId, 'm.read', bob.userId)).to.not.equal(undefined)
  })

  it('delivers messages to the device until they are acknowledged', async () => {
    const { answer } = await waiting(bob)
    const target = path`/_matrix/client/v3/sendToDevice/m.test/txn-${database}`
    await alice.must('PUT', target, { body: { messages: { [bob.userId]: { [bob.deviceId]: { n: 1 } } } } })
    const first = await answer
    const expected = [{ type: 'm.test', sender: alice.userId, content: { n: 1 } }]
    expect(eventsAt(first, 'to_device', 'events')).to.deep.equal(expected)
    expect(eventsAt(await bob.sync(), 'to_device', 'events')).to.deep.equal(expected)
    const next = await bob.sync({ since: first['next_batch'] as string })
    expect(eventsAt(next, 'to_device', 'events')).to.deep.equal([])
    expect(eventsAt(await bob.sync(), 'to_device', 'events')).to.deep.equal([])
  })

  it('gives the push rules at first, and when they change', async () => {
    const rulesIn = (response: JsonObject): JsonObject[] =>
      eventsAt(response, 'account_data', 'events').filter((event) => event['type'] === 'm.push_rules')
    expect(dig(rulesIn(await bob.sync())[0], 'content', 'global')).to.include.keys('override', 'underride')
    const { answer } = await waiting(bob)
    const target = path`/_matrix/client/v3/pushrules/global/override/.m.rule.master/enabled`
    await bob.must('PUT', target, { body: { enabled: true } })
    expect(rulesIn(await answer)).to.have.lengthOf(1)
    await bob.must('PUT', target, { body: { enabled: false } })
  })

  it('says whose devices have changed, and who is no longer met', async () => {
    const carol = await hs.register('carol')
    const met = await waiting(alice)
    await carol.join(roomId)
    const first = await met.answer
    expect(dig(first, 'device_lists', 'changed')).to.deep.equal([carol.userId])
    const lazy = { room: { state: { lazy_load_members: true } } }
    await carol.leave(roomId)
    const parted = await alice.sync({ since: first['next_batch'] as string, filter: lazy })
    expect(dig(parted, 'device_lists', 'left')).to.deep.equal([carol.userId])
    const { answer } = await waiting(alice)
    await bob.must('PUT', path`/_matrix/client/v3/devices/${bob.deviceId}`, { body: { display_name: 'New' } })
    expect(dig(await answer, 'device_lists', 'changed')).to.deep.equal([bob.userId])
  })

  it('says whose devices matter since they are invited', async () => {
    const since = await bob.syncToken()
    const guest = await hs.register('invited')
    await alice.invite(roomId, guest.userId)
    const { device_lists: lists } = await bob.sync({ since })
    expect(lists).to.deep.equal({ changed: [guest.userId] })
    await guest.leave(roomId)
  })

  it('shows who is online among those in the same rooms', async () => {
    const dave = await hs.register('dave')
    const since = await dave.syncToken()
    await alice.sync({ setPresence: 'online' })
    await dave.join(roomId)
    const seen = await dave.mustSyncUntil(
      (response) =>
        eventsAt(response, 'presence', 'events').some((event) => event['sender'] === alice.userId),
      { since },
    )
    expect(eventsAt(await dave.sync({ since: seen }), 'presence', 'events')).to.deep.equal([])
  })

  it('counts keys, of which there are none', async () => {
    expect(await bob.sync()).to.deep.include({
      device_one_time_keys_count: { signed_curve25519: 0 },
      device_unused_fallback_key_types: [],
    })
  })

  it('answers with nothing when the time is over, and at once when the server stops', async function () {
    this.timeout(60_000)
    const quiet = { presence: { types: [] } }
    const empty = await bob.sync({
      since: await bob.syncToken(),
      timeout: 50,
      filter: quiet,
      setPresence: 'offline',
    })
    expect(empty).to.not.have.any.keys('rooms', 'presence', 'account_data', 'to_device', 'device_lists')
    expect(empty['next_batch']).to.be.a('string')
    const other = await startHomeserver({ database })
    const eve = await other.register('eve')
    const since = await eve.syncToken()
    const answer = eve.sync({ since, timeout: LONG_MS, filter: quiet, setPresence: 'unavailable' })
    const presence = path`/_matrix/client/v3/presence/${eve.userId}/status`
    while ((await eve.must('GET', presence))['presence'] !== 'unavailable');
    const [stopped] = await Promise.all([answer, other[Symbol.asyncDispose]()])
    expect(stopped['next_batch']).to.be.a('string')
  })
})
