import { expect } from 'chai'
import type { ServerName, UserId } from '../../../../src/protocol/ids.js'
import { RemoteDeviceLists } from '../../../../src/services/devices/remote-device-lists.js'
import { FederationError } from '../../../../src/services/remote/federation-error.js'
import type { Database } from '../../../../src/storage/database.js'
import { CrossSigningStore } from '../../../../src/storage/stores/cross-signing.js'
import { DEVICE_LISTS_STREAM, DevicesStore } from '../../../../src/storage/stores/devices.js'
import { RemoteDevicesStore } from '../../../../src/storage/stores/remote-devices.js'
import { StreamIdGenerator } from '../../../../src/storage/streams/stream-id-generator.js'
import { createMetrics, type Metrics } from '../../../../src/telemetry/metrics.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { EncryptingDevice, SigningKey } from '../../../support/encryption.js'
import { rejection } from '../../../support/rejection.js'
import { RoomRows } from '../../../support/room-rows.js'
import { StatementCounts } from '../../../support/statement-counts.js'

const SERVER = 'b.test' as ServerName
const BOB = '@bob:b.test' as UserId
const ALICE = '@alice:hs.test' as UserId

forEachDatabase('RemoteDeviceLists', (open) => {
  let db: Database
  let room: RoomRows
  let next: { value: number }
  let lists: RemoteDeviceLists
  let answer: JsonObject | Promise<JsonObject> | FederationError
  let metrics: Metrics
  let requests: number
  let stale: UserId[]
  let woken: unknown[]
  const store = new RemoteDevicesStore()
  const crossSigning = new CrossSigningStore()

  beforeEach(async () => {
    metrics = createMetrics()
    db = await open({ metrics })
    next = { value: 1 }
    room = await RoomRows.create(db, next)
    requests = 0
    stale = []
    woken = []
    lists = new RemoteDeviceLists({
      db,
      remoteDevices: store,
      crossSigning,
      devices: new DevicesStore(),
      client: {
        request: () => {
          requests += 1
          return answer instanceof FederationError ? Promise.reject(answer) : Promise.resolve(answer)
        },
      },
      streamIds: await StreamIdGenerator.open(db, DEVICE_LISTS_STREAM),
      eventsPosition: () => next.value,
      positions: { onNewPosition: (stream, hints) => woken.push([stream, hints]) },
      onStale: (userId) => stale.push(userId),
    })
    await room.setMembership(ALICE, 'join')
    await setRemote('join')
    answer = listing(5, 'A')
  })

  /** A membership of the remote user, at the next position. */
  async function setRemote(membership: string): Promise<void> {
    const position = next.value++
    await db.write('test', (tx) =>
      tx.execute(
        `INSERT INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender, is_local)
         VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (room_nid, user_id)
         DO UPDATE SET membership = excluded.membership, stream_ordering = excluded.stream_ordering`,
        [room.roomNid, BOB, membership, position, position, BOB],
      ),
    )
  }

  function listing(streamId: number, ...deviceIds: string[]): JsonObject {
    return {
      user_id: BOB,
      stream_id: streamId,
      devices: deviceIds.map((deviceId) => ({ device_id: deviceId, keys: keysOf(deviceId) })),
    }
  }

  function keysOf(deviceId: string): JsonObject {
    return new EncryptingDevice({ userId: BOB, deviceId }).deviceKeys
  }

  const update = (content: JsonObject): Promise<unknown> =>
    lists.onDeviceListUpdate(SERVER, { user_id: BOB, ...content })
  const known = async (): Promise<string[]> =>
    (await store.listDevices(db.reader, [BOB])).map(({ deviceId }) => deviceId)
  const isFresh = async (): Promise<boolean> => (await store.listFresh(db.reader, [BOB])).has(BOB)

  it('fetches a list once, as long as the user stays in the room', async () => {
    expect(await isFresh()).to.equal(false)
    await Promise.all([lists.fetch(BOB), lists.fetch(BOB)])
    expect([requests, await known(), await isFresh()]).to.deep.equal([1, ['A'], true])
    await setRemote('leave')
    expect(await isFresh()).to.equal(false)
    await setRemote('join')
    expect(await isFresh()).to.equal(false)
    answer = listing(9, 'B')
    await lists.fetch(BOB)
    expect([requests, await known(), await isFresh()]).to.deep.equal([2, ['B'], true])
  })

  it('waits no longer for somebody else who fetches the list than it may', async () => {
    const held = createDeferred<JsonObject>()
    answer = held.promise
    const first = lists.fetch(BOB)
    const ending = new AbortController()
    const second = rejection(lists.fetch(BOB, { signal: ending.signal }))
    ending.abort()
    expect(await second).to.include({ kind: 'unreachable', destination: SERVER })
    held.resolve(listing(5, 'A'))
    await first
    expect([requests, await isFresh()]).to.deep.equal([1, true])
  })

  it('applies updates that follow on each other, whatever the order of their numbers', async () => {
    await lists.fetch(BOB)
    await update({ device_id: 'B', stream_id: 9, prev_id: [5], keys: keysOf('B'), device_display_name: 'b' })
    await update({ device_id: 'C', stream_id: 7, prev_id: [9], keys: keysOf('C') })
    await update({ device_id: 'A', stream_id: 10, prev_id: [7], deleted: true })
    expect([await known(), await isFresh(), stale, requests]).to.deep.equal([['B', 'C'], true, [], 1])
    expect(woken.at(-1)).to.deep.equal(['device_lists', { rooms: [room.roomId] }])
    const [b] = await store.listDevices(db.reader, [BOB])
    expect(b?.displayName).to.equal('b')
  })

  it('tells clients of every update, whether the device has keys yet or not', async () => {
    await update({ device_id: 'B', stream_id: 3, prev_id: [] })
    expect([woken.length, stale.splice(0)]).to.deep.equal([1, [BOB]])
    await lists.fetch(BOB)
    await update({ device_id: 'C', stream_id: 6, prev_id: [5] })
    expect([woken.length, await isFresh(), stale]).to.deep.equal([2, true, []])
    await update({ device_id: 'C', stream_id: 7, prev_id: [6], keys: keysOf('C') })
    expect([woken.length, await known()]).to.deep.equal([3, ['A', 'C']])
    await update({ device_id: 'A', stream_id: 8, prev_id: [7] })
    expect([woken.length, await known()]).to.deep.equal([4, ['C']])
    await update({ device_id: 'D', stream_id: 10, prev_id: [9] })
    expect([woken.length, stale]).to.deep.equal([5, [BOB]])
  })

  for (const [title, content] of Object.entries<JsonObject>({
    'does not know the one before': { stream_id: 9, prev_id: [8] },
    'names none before': { stream_id: 9, prev_id: [] },
    'has no number': { prev_id: [5] },
  })) {
    it(`wants the list anew when an update ${title}`, async () => {
      await lists.fetch(BOB)
      await update({ device_id: 'B', keys: keysOf('B'), ...content })
      expect([await known(), await isFresh(), stale]).to.deep.equal([['A'], false, [BOB]])
      answer = new FederationError(SERVER, 'unreachable', 'no')
      expect(await rejection(lists.fetch(BOB))).to.equal(answer)
      expect(await isFresh()).to.equal(false)
      answer = listing(9, 'A', 'B')
      await lists.refetch(BOB)
      expect([await known(), await isFresh()]).to.deep.equal([['A', 'B'], true])
    })
  }

  it('wants a list that nobody has asked for yet when it changes', async () => {
    await update({ device_id: 'B', keys: keysOf('B'), stream_id: 9, prev_id: [8] })
    expect([requests, stale, woken.length, await known()]).to.deep.equal([0, [BOB], 1, []])
  })

  it('lists devices of which parts are missing, with nothing in their place', async () => {
    const odd = { user_id: '@carol:b.test', algorithms: [], keys: {}, signatures: {} }
    answer = {
      stream_id: 5,
      devices: [
        { device_id: 'A', keys: {} },
        { device_id: 'B', keys: odd },
        { device_id: 'C', keys: { algorithms: 'all' } },
        { device_id: 'D' },
      ],
    }
    await lists.fetch(BOB)
    const devices = await store.listDevices(db.reader, [BOB])
    expect(devices.map(({ keys }) => keys)).to.deep.equal([
      { user_id: BOB, device_id: 'A', algorithms: [], keys: {}, signatures: {} },
    ])
  })

  it('tells of changes that came before the users were known to be in a room, all at once', async () => {
    await lists.fetch(BOB)
    const strangers = Array.from({ length: 500 }, (_, index) => `@u${index}:c.test` as UserId)
    let told: ReadonlySet<UserId> | undefined
    const { reads, writes } = await new StatementCounts(() => metrics.render()).during(async () => {
      told = await lists.recordEarlyChanges([...strangers, BOB])
    })
    expect([...(told ?? [])]).to.deep.equal([BOB])
    expect(reads + writes).to.be.at.most(8)
    expect([woken.length, await isFresh()]).to.deep.equal([1, false])
    await setRemote('leave')
    expect([(await lists.recordEarlyChanges([BOB])).size, woken.length]).to.deep.equal([0, 1])
  })

  it('keeps a list for stale that was on its way when an earlier change became known', async () => {
    const held = createDeferred<JsonObject>()
    answer = held.promise
    const fetching = lists.fetch(BOB)
    const telling = lists.recordEarlyChanges([BOB])
    held.resolve(listing(5, 'A'))
    await Promise.all([fetching, telling])
    expect([await known(), await isFresh(), woken.length]).to.deep.equal([['A'], false, 1])
  })

  it('leaves alone what is malformed, or about strangers and users of others', async () => {
    await lists.fetch(BOB)
    await update({ device_id: 5, stream_id: 9 })
    await update({ device_id: 'x\u0000', stream_id: 9 })
    await update({ device_id: 'B', stream_id: 9, prev_id: 'none' })
    await lists.onDeviceListUpdate('evil.test' as ServerName, { user_id: BOB, device_id: 'B', stream_id: 9 })
    await lists.onSigningKeyUpdate('evil.test' as ServerName, { user_id: BOB })
    expect([woken.length, await isFresh()]).to.deep.equal([0, true])
    await setRemote('leave')
    await update({ device_id: 'B', stream_id: 9, prev_id: [5] })
    expect([woken.length, await known()]).to.deep.equal([0, []])
  })

  it('keeps keys that users sign with, and forgets signatures of those that go', async () => {
    const signing = (key: SigningKey): JsonObject => ({
      user_id: BOB,
      usage: ['master'],
      keys: { [`ed25519:${key.publicKey}`]: key.publicKey },
    })
    const [first, second] = [new SigningKey(), new SigningKey()]
    answer = { ...listing(5, 'A'), master_key: signing(first) }
    await lists.fetch(BOB)
    expect((await crossSigning.get(db.reader, BOB)).master?.publicKey).to.equal(first.publicKey)
    await db.write('test', (tx) =>
      crossSigning.addSignatures(tx, [
        { userId: BOB, subject: first.publicKey, signerId: ALICE, keyId: 'ed25519:x', signature: 's' },
      ]),
    )
    await lists.onSigningKeyUpdate(SERVER, { user_id: BOB, master_key: signing(second) })
    expect((await crossSigning.get(db.reader, BOB)).master?.publicKey).to.equal(second.publicKey)
    expect(await crossSigning.listSignatures(db.reader, [BOB], ALICE)).to.deep.equal([])
    expect(woken).to.have.length(1)
    await db.write('test', (tx) => store.markStale(tx, [BOB]))
    answer = listing(6, 'A')
    await lists.fetch(BOB)
    expect((await crossSigning.get(db.reader, BOB)).master).to.equal(undefined)
  })
})
