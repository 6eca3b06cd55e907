import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, syncToDeviceHas, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

function send(client: MatrixClient, txnId: string, messages: JsonObject) {
  const target = path`/_matrix/client/v3/sendToDevice/my.test.type/${txnId}`
  return client.request('PUT', target, { body: { messages } })
}

async function received(client: MatrixClient, since: string) {
  const response = await client.sync({ since })
  return {
    contents: eventsAt(response, 'to_device', 'events').map((event) => event['content']),
    next: response['next_batch'] as string,
  }
}

forEachServerDatabase('messages to devices', (database) => {
  it('arrive once, in order', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const since = await bob.syncToken()
    for (const n of [1, 2, 3]) {
      const answer = await send(alice, `txn${n}`, { [bob.userId]: { [bob.deviceId]: { n } } })
      expect([answer.status, answer.body]).to.deep.equal([200, {}])
    }
    const first = await received(bob, since)
    expect(first.contents).to.deep.equal([{ n: 1 }, { n: 2 }, { n: 3 }])
    // Until they are acknowledged they come again.
    expect((await received(bob, since)).contents).to.have.length(3)
    expect((await received(bob, first.next)).contents).to.deep.equal([])
    expect((await received(bob, since)).contents).to.deep.equal([])
  })

  it('wake a client that waits, and say who they are from', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const since = await bob.syncToken()
    const waiting = bob.mustSyncUntil(
      syncToDeviceHas((event) => event['sender'] === alice.userId && event['type'] === 'my.test.type'),
      { since },
    )
    await send(alice, 'txn', { [bob.userId]: { '*': {} } })
    await waiting
  })

  it('are sent once for each transaction', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const since = await bob.syncToken()
    await send(alice, 'same', { [bob.userId]: { [bob.deviceId]: { n: 1 } } })
    await send(alice, 'same', { [bob.userId]: { [bob.deviceId]: { n: 1 } } })
    expect((await received(bob, since)).contents).to.deep.equal([{ n: 1 }])
  })

  it('come a hundred at a time', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const since = await bob.syncToken()
    await Promise.all(
      Array.from({ length: 130 }, (_, n) =>
        send(alice, `txn${n}`, { [bob.userId]: { [bob.deviceId]: { n } } }),
      ),
    )
    const first = await received(bob, since)
    expect(first.contents).to.have.length(100)
    const second = await received(bob, first.next)
    expect(second.contents).to.have.length(30)
    expect((await received(bob, second.next)).contents).to.deep.equal([])
  })

  it('go to every device with a star, and to no other user', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const phone = await hs.login(bob.userId)
    await send(alice, 'txn', { [bob.userId]: { '*': { all: true } } })
    for (const device of [bob, phone]) {
      expect(eventsAt(await device.sync(), 'to_device', 'events')).to.have.length(1)
    }
    expect(eventsAt(await alice.sync(), 'to_device', 'events')).to.deep.equal([])
  })

  it('are refused when they are malformed', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bad = await send(alice, 'txn1', { [alice.userId]: { D: 'text' } })
    expect([bad.status, bad.body['errcode']]).to.deep.equal([400, 'M_BAD_JSON'])
    const unknown = await send(alice, 'txn2', { alice: { D: {} } })
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
  })
})
