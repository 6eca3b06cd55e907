import { expect } from 'chai'
import { EncryptingDevice } from '../../support/encryption.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { PASSWORD } from '../../support/homeserver.js'
import {
  dig,
  eventsAt,
  path,
  syncEphemeralHas,
  syncJoinedTo,
  syncTimelineHasEventId,
  syncToDeviceHas,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'
import { isJsonObject, type JsonObject } from '../../../src/util/json.js'

describe('a server that cannot be reached for a while', function () {
  this.timeout(60_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  beforeEach(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  afterEach(async () => {
    await servers[Symbol.asyncDispose]()
  })

  async function openRoom(): Promise<string> {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId, { via: ['a.test'] })
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    return roomId
  }

  async function sendToBob(content: JsonObject): Promise<void> {
    await alice.must('PUT', path`/_matrix/client/v3/sendToDevice/my.type/${JSON.stringify(content)}`, {
      body: { messages: { [bob.userId]: { [bob.deviceId]: content } } },
    })
  }

  it('gets everything afterwards: events, messages to devices, changes of devices', async () => {
    const roomId = await openRoom()
    const since = await bob.syncToken()
    await servers.cut('a.test', 'b.test')
    const first = await alice.sendText(roomId, 'first')
    await sendToBob({ number: 1 })
    await alice.must('POST', '/_matrix/client/v3/keys/upload', {
      body: { device_keys: new EncryptingDevice(alice).deviceKeys },
    })
    await sendToBob({ number: 2 })
    const second = await alice.sendText(roomId, 'second')
    await servers.heal('a.test', 'b.test')
    await bob.mustSyncUntil(
      [
        syncTimelineHasEventId(roomId, first),
        syncTimelineHasEventId(roomId, second),
        numbered(1),
        numbered(2),
        (sync) => JSON.stringify(dig(sync, 'device_lists', 'changed') ?? []).includes(alice.userId),
      ],
      { since },
    )
  })

  it('gets it also when the server that has it to tell starts anew in between', async () => {
    const roomId = await openRoom()
    const since = await bob.syncToken()
    await servers.cut('a.test', 'b.test')
    const event = await alice.sendText(roomId, 'before the restart')
    await sendToBob({ number: 1 })
    await servers.get('a.test').restart()
    alice = await servers.get('a.test').client().login(alice.userId, PASSWORD)
    const later = await alice.sendText(roomId, 'after the restart')
    await servers.heal('a.test', 'b.test')
    const numbers: unknown[] = []
    const collect: SyncCheck = (sync) => {
      numbers.push(
        ...eventsAt(sync, 'to_device', 'events').map((message) => dig(message, 'content', 'number')),
      )
      return numbers.includes(2)
    }
    await sendToBob({ number: 2 })
    await bob.mustSyncUntil(
      [syncTimelineHasEventId(roomId, event), syncTimelineHasEventId(roomId, later), collect],
      { since },
    )
    // Each once, in their order.
    expect(numbers).to.deep.equal([1, 2])
  })

  it('gets the newest receipts, of each thread, also when the server that tells of them starts anew', async () => {
    const roomId = await openRoom()
    const first = await alice.sendText(roomId, 'first')
    const threaded = await alice.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'in a thread',
      'm.relates_to': { rel_type: 'm.thread', event_id: first },
    })
    const last = await alice.sendText(roomId, 'last')
    const read = (eventId: string, threadId?: string): Promise<unknown> =>
      alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, {
        body: threadId === undefined ? {} : { thread_id: threadId },
      })
    const since = await bob.mustSyncUntil(syncTimelineHasEventId(roomId, last))
    await servers.cut('a.test', 'b.test')
    await read(first)
    await read(threaded, first)
    await servers.get('a.test').restart()
    alice = await servers.get('a.test').client().login(alice.userId, PASSWORD)
    await read(last)
    await servers.heal('a.test', 'b.test')
    // Whatever passes by gives the queue a reason to try.
    await alice.sendText(roomId, 'back')
    await bob.mustSyncUntil([hasReceipt(roomId, threaded, first), hasReceipt(roomId, last, undefined)], {
      since,
    })
  })

  it('is told at once when it shows that it is back', async () => {
    const roomId = await openRoom()
    const since = await bob.syncToken()
    await servers.network.setLink('a.test', 'b.test', 'refused')
    const event = await alice.sendText(roomId, 'unheard')
    await servers.network.setLink('a.test', 'b.test', 'open')
    const back = await bob.sendText(roomId, 'I am back')
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, back))
    await bob.mustSyncUntil(syncTimelineHasEventId(roomId, event), { since })
  })
})

function numbered(number: number): SyncCheck {
  return syncToDeviceHas(
    ({ type, content }) => type === 'my.type' && isJsonObject(content) && content['number'] === number,
  )
}

function hasReceipt(roomId: string, eventId: string, threadId: string | undefined): SyncCheck {
  return syncEphemeralHas(roomId, ({ type, content }) => {
    if (type !== 'm.receipt') return false
    const ofUsers = dig(content, eventId, 'm.read')
    return (
      isJsonObject(ofUsers) &&
      Object.values(ofUsers).some((receipt) => dig(receipt, 'thread_id') === threadId)
    )
  })
}
