import { expect } from 'chai'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, eventsAt, path } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

const EPHEMERAL = { receive_ephemeral: true, 'org.matrix.msc3202': true }

function isMessage(body: string): (event: JsonObject) => boolean {
  return (event) => dig(event, 'content', 'body') === body
}

forEachServerDatabase('transactions for application services', (database) => {
  it('bring the events of rooms with their users and aliases, in order, and no others', async () => {
    await using service = await FakeAppservice.start()
    const config = { app_service_config_files: [service.file] }
    await using server = await startHomeserver({ database, config })
    const bot = service.client(server.url)
    const alice = await server.register('alice')
    const other = await alice.createRoom({ preset: 'public_chat' })
    const roomId = await alice.createRoom({ preset: 'public_chat', name: 'Bridged' })
    await alice.sendText(other, 'not for bridges')
    await alice.sendText(roomId, 'too early')
    await alice.invite(roomId, '@bridge_bot:hs.test')
    const invite = await service.waitForEvent(({ state_key: key }) => key === '@bridge_bot:hs.test')
    expect(invite).to.deep.include({ room_id: roomId, user_id: alice.userId })
    expect(eventsAt(invite, 'unsigned', 'invite_room_state').map(({ type }) => type)).to.include(
      'm.room.name',
    )
    await bot.join(roomId)
    for (let index = 0; index < 110; index++) await alice.sendText(roomId, `message ${index}`)
    await service.waitForEvent(isMessage('message 109'))
    const messages = service.received().filter(({ type }) => type === 'm.room.message')
    expect(messages.map((event) => dig(event, 'content', 'body'))).to.deep.equal(
      Array.from({ length: 110 }, (_, index) => `message ${index}`),
    )
    const ids = service.transactions.map(({ path: target }) => Number(target.split('/').at(-1)))
    expect(ids).to.deep.equal(ids.map((_, index) => index + 1))
    expect(service.transactions[0]?.authorization).to.equal('Bearer token_of_the_server')

    await bot.must('PUT', path`/_matrix/client/v3/directory/room/${'#_bridge_other:hs.test'}`, {
      body: { room_id: other },
    })
    await alice.sendText(other, 'now for bridges')
    await service.waitForEvent(isMessage('now for bridges'))
    await bot.leave(roomId)
    await service.waitForEvent(
      (event) =>
        event['state_key'] === '@bridge_bot:hs.test' && dig(event, 'content', 'membership') === 'leave',
    )
    await alice.sendText(roomId, 'after the leave')
    await alice.sendText(other, 'the last')
    await service.waitForEvent(isMessage('the last'))
    expect(service.received().filter(isMessage('after the leave'))).to.deep.equal([])
  })

  it('bring receipts, typing, presence, messages to devices, and what encryption needs', async () => {
    await using service = await FakeAppservice.start(EPHEMERAL)
    const config = { app_service_config_files: [service.file] }
    await using server = await startHomeserver({ database, config })
    const bot = service.client(server.url)
    await bot.registerGhost('_bridge_ghost')
    const ghost = service.client(server.url, '@_bridge_ghost:hs.test')
    await ghost.must('PUT', '/_matrix/client/v3/devices/DEV', { body: {} })
    const alice = await server.register('alice')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await ghost.join(roomId)
    const eventId = await alice.sendText(roomId, 'Hello')
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, { body: {} })
    const receipt = await service.waitForEvent(({ type }) => type === 'm.receipt', 'ephemeral')
    expect(receipt['room_id']).to.equal(roomId)
    expect(dig(receipt, 'content', eventId, 'm.read', alice.userId, 'ts')).to.be.a('number')
    await alice.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${alice.userId}`, {
      body: { typing: true, timeout: 30_000 },
    })
    const typing = await service.waitForEvent(({ type }) => type === 'm.typing', 'ephemeral')
    expect(typing).to.deep.equal({ type: 'm.typing', room_id: roomId, content: { user_ids: [alice.userId] } })
    await alice.must('PUT', path`/_matrix/client/v3/presence/${alice.userId}/status`, {
      body: { presence: 'online', status_msg: 'here' },
    })
    await service.waitForEvent(
      (event) => event['sender'] === alice.userId && dig(event, 'content', 'status_msg') === 'here',
      'ephemeral',
    )
    await alice.must('PUT', path`/_matrix/client/v3/sendToDevice/m.test/t1`, {
      body: { messages: { '@_bridge_ghost:hs.test': { DEV: { secret: 1 } } } },
    })
    const message = await service.waitForEvent(() => true, 'de.sorunome.msc2409.to_device')
    expect(message).to.deep.equal({
      type: 'm.test',
      sender: alice.userId,
      content: { secret: 1 },
      to_user_id: '@_bridge_ghost:hs.test',
      to_device_id: 'DEV',
    })
    const withKeys = await service.waitFor(() =>
      service.transactions.find(({ body }) => 'org.matrix.msc3202.device_one_time_keys_count' in body),
    )
    expect(
      dig(withKeys.body, 'org.matrix.msc3202.device_one_time_keys_count', '@_bridge_ghost:hs.test', 'DEV'),
    ).to.be.an('object')
    await alice.must('PUT', path`/_matrix/client/v3/devices/${alice.deviceId}`, {
      body: { display_name: 'another name' },
    })
    await service.waitFor(() =>
      service.transactions.find(({ body }) => {
        const changed = dig(body, 'org.matrix.msc3202.device_lists', 'changed')
        return Array.isArray(changed) && changed.includes(alice.userId)
      }),
    )
    // What the service has been given, the device's own sync does not give again.
    const sync = await ghost.must('GET', '/_matrix/client/v3/sync', {
      query: { device_id: 'DEV', timeout: 0 },
    })
    expect(eventsAt(sync, 'to_device', 'events')).to.deep.equal([])
  })

  it('bring messages to devices of people in a namespace, who get them all the same', async () => {
    const users = [
      { exclusive: true, regex: '@_bridge_.*' },
      { exclusive: false, regex: '@alice:.*' },
    ]
    await using service = await FakeAppservice.start({
      ...EPHEMERAL,
      namespaces: { users, aliases: [], rooms: [] },
    })
    const config = { app_service_config_files: [service.file] }
    await using server = await startHomeserver({ database, config })
    const alice = await server.register('alice')
    const bob = await server.register('bob')
    const since = (await alice.must('GET', '/_matrix/client/v3/sync', { query: { timeout: 0 } }))[
      'next_batch'
    ] as string
    const body = {
      messages: { [bob.userId]: { '*': { for: 'bob' } }, [alice.userId]: { '*': { for: 'alice' } } },
    }
    await bob.must('PUT', '/_matrix/client/v3/sendToDevice/m.test/t1', { body })
    await service.waitForEvent(() => true, 'to_device')
    const bot = service.client(server.url)
    const roomId = await bot.createRoom({ preset: 'public_chat' })
    await bot.sendText(roomId, 'the next transaction')
    await service.waitForEvent(isMessage('the next transaction'))
    expect(service.received('to_device').map(({ to_user_id: to }) => to)).to.deep.equal([alice.userId])
    const sync = await alice.must('GET', '/_matrix/client/v3/sync', { query: { since, timeout: 0 } })
    expect(eventsAt(sync, 'to_device', 'events').map(({ content }) => content)).to.deep.equal([
      { for: 'alice' },
    ])
  })

  it('tell whose devices need not be followed any more', async () => {
    await using service = await FakeAppservice.start(EPHEMERAL)
    const config = { app_service_config_files: [service.file] }
    await using server = await startHomeserver({ database, config })
    const bot = service.client(server.url)
    const [alice, bob, carol] = [
      await server.register('alice'),
      await server.register('bob'),
      await server.register('carol'),
    ]
    const one = await alice.createRoom({ preset: 'public_chat' })
    const two = await alice.createRoom({ preset: 'public_chat' })
    await bot.join(one)
    await bot.join(two)
    await bob.join(one)
    await carol.join(two)
    const left = (): unknown[] =>
      service.transactions.flatMap(
        ({ body }) => (dig(body, 'org.matrix.msc3202.device_lists', 'left') ?? []) as unknown[],
      )
    // Alice is still in the other room with the service.
    await alice.leave(one)
    await bob.leave(one)
    await service.waitFor(() => (left().includes(bob.userId) ? true : undefined))
    expect(left()).to.deep.equal([bob.userId])
    // The service parts from those who stay.
    await bot.leave(two)
    await service.waitFor(() => (left().length === 3 ? true : undefined))
    expect(left()).to.have.members([alice.userId, bob.userId, carol.userId])
  })
})

describe('application services that do not answer', () => {
  it('are sent the same transaction until they take it, after a restart too, and then the rest', async () => {
    await using service = await FakeAppservice.start()
    const clock = new ManualClock(Date.now())
    const config = { app_service_config_files: [service.file] }
    await using server = await startHomeserver({ config, clock })
    const alice = await server.register('alice')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await service.client(server.url).join(roomId)
    await service.waitForEvent(({ type }) => type === 'm.room.member')
    service.onRequest = () => ({ status: 500 })
    await alice.sendText(roomId, 'one')
    await service.waitForEvent(isMessage('one'))
    await alice.sendText(roomId, 'two')
    const failed = service.transactions.at(-1)!
    await server.restart()
    service.requests.length = 0
    service.onRequest = () => undefined
    await server.client().withSession(alice).sendText(roomId, 'three')
    for (let round = 0; round < 200 && service.transactions.length === 0; round++) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await service.waitForEvent(isMessage('three'))
    expect(service.transactions[0]).to.deep.include({ path: failed.path, body: failed.body })
    const bodies = service.received().map((event) => dig(event, 'content', 'body'))
    expect(bodies.filter((body) => body !== undefined)).to.deep.equal(['one', 'two', 'three'])
  })

  it('are taken up again at once when they ping', async () => {
    await using service = await FakeAppservice.start()
    const clock = new ManualClock(Date.now())
    const config = { app_service_config_files: [service.file] }
    await using server = await startHomeserver({ config, clock })
    const alice = await server.register('alice')
    const bot = service.client(server.url)
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bot.join(roomId)
    await service.waitForEvent(({ type }) => type === 'm.room.member')
    let refused = 0
    service.onRequest = ({ path: target }) => {
      if (!target.includes('transactions')) return undefined
      refused++
      return { status: 502 }
    }
    await alice.sendText(roomId, 'one')
    await service.waitFor(() => (refused > 0 ? true : undefined))
    service.onRequest = () => undefined
    service.requests.length = 0
    await bot.must('POST', '/_matrix/client/v1/appservice/bridge/ping', { body: {} })
    await service.waitForEvent(isMessage('one'))
  })
})
