import { expect } from 'chai'
import { EncryptingDevice } from '../../support/encryption.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { PASSWORD } from '../../support/homeserver.js'
import {
  dig,
  path,
  syncInvitedTo,
  syncJoinedTo,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'

describe('device lists between two servers', function () {
  this.timeout(30_000)
  let servers: TestFederation

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'], {
      config: { allow_device_name_lookup_over_federation: true },
    })
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  let users = 0
  async function people(): Promise<{ alice: MatrixClient; bob: MatrixClient }> {
    users += 1
    return {
      alice: await servers.get('a.test').register(`alice${users}`),
      bob: await servers.get('b.test').register(`bob${users}`),
    }
  }

  it('tell each other of a new device', async () => {
    const { alice, bob } = await people()
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    const aliceSince = await alice.syncToken()
    const invited = await bob.mustSyncUntil(syncInvitedTo(roomId))
    await bob.join(roomId)
    await alice.mustSyncUntil(exactlyChanged([bob.userId]), { since: aliceSince })
    const bobSince = await bob.mustSyncUntil(exactlyChanged([alice.userId, bob.userId]), { since: invited })

    const second = await alice.login(alice.userId, PASSWORD, { deviceId: 'NEW_DEVICE' })
    await publish(second)
    await bob.mustSyncUntil(exactlyChanged([alice.userId]), { since: bobSince })
  })

  it('have what a user publishes while others join, leave and come back', async () => {
    const { alice, bob } = await people()
    let keys = await publish(bob)
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    let since = await alice.syncToken()
    await bob.join(roomId, { via: ['a.test'] })
    since = await alice.mustSyncUntil([syncJoinedTo(roomId, bob.userId), changed(bob)], { since })
    expect(await keysOf(alice, bob)).to.deep.include(keys)

    keys = await publish(bob)
    since = await seesKeys(alice, bob, { keys, since })

    await bob.leave(roomId)
    since = await alice.mustSyncUntil(left(bob), { since })
    keys = await publish(bob)
    expect(await keysOf(alice, bob)).to.deep.include(keys)
    const quiet = await alice.sync({ since })
    expect(changed(bob)(quiet, alice)).to.equal(false)

    keys = await publish(bob)
    await bob.join(roomId, { via: ['a.test'] })
    await seesKeys(alice, bob, { keys, since })
  })

  it('are asked for anew after the one who asks has left and come back', async () => {
    const { alice, bob } = await people()
    await publish(bob)
    const roomId = await bob.createRoom({ preset: 'public_chat' })
    await alice.join(roomId, { via: ['b.test'] })
    await bob.mustSyncUntil(syncJoinedTo(roomId, alice.userId))
    await keysOf(alice, bob)
    const since = await alice.syncToken()
    await alice.leave(roomId)
    await alice.mustSyncUntil(left(bob), { since })
    await bob.mustSyncUntil((sync) => JSON.stringify(sync).includes('"membership":"leave"'))
    const keys = await publish(bob)
    expect(await keysOf(alice, bob)).to.deep.include(keys)
  })

  it('give out one-time keys once, and names of devices', async () => {
    const { alice, bob } = await people()
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId, { via: ['a.test'] })
    let since = await bob.mustSyncUntil(syncJoinedTo(roomId))
    const device = new EncryptingDevice(alice)
    const oneTimeKeys = device.oneTimeKeys(['AAAA'])
    await alice.must('POST', '/_matrix/client/v3/keys/upload', {
      body: { device_keys: device.deviceKeys, one_time_keys: oneTimeKeys },
    })
    const wanted = { one_time_keys: { [alice.userId]: { [alice.deviceId]: 'signed_curve25519' } } }
    const claim = (): Promise<JsonObject> =>
      bob.must('POST', '/_matrix/client/v3/keys/claim', { body: wanted })
    expect(dig(await claim(), 'one_time_keys', alice.userId, alice.deviceId)).to.deep.equal(oneTimeKeys)
    expect(dig(await claim(), 'one_time_keys', alice.userId)).to.equal(undefined)

    since = await bob.mustSyncUntil(changed(alice), { since })
    await alice.must('PUT', path`/_matrix/client/v3/devices/${alice.deviceId}`, {
      body: { display_name: 'a new name' },
    })
    await bob.mustSyncUntil(changed(alice), { since })
    const keys = await keysOf(bob, alice)
    expect(keys['keys']).to.deep.equal(device.deviceKeys['keys'])
    expect(keys['signatures']).to.deep.equal(device.deviceKeys['signatures'])
    expect(dig(keys, 'unsigned', 'device_display_name')).to.equal('a new name')
  })

  it('name servers that cannot be asked under failures', async () => {
    const { alice } = await people()
    const answer = await alice.must('POST', '/_matrix/client/v3/keys/query', {
      body: { device_keys: { '@nobody:gone.test': [] }, timeout: 2000 },
    })
    expect(dig(answer, 'failures', 'gone.test', 'status')).to.equal(503)
    expect(dig(answer, 'device_keys', '@nobody:gone.test')).to.equal(undefined)
  })
})

async function publish(user: MatrixClient): Promise<{ keys: JsonValue }> {
  const device = new EncryptingDevice(user)
  await user.must('POST', '/_matrix/client/v3/keys/upload', { body: { device_keys: device.deviceKeys } })
  return { keys: device.deviceKeys['keys'] ?? null }
}

async function keysOf(asker: MatrixClient, user: MatrixClient): Promise<JsonObject> {
  const answer = await asker.must('POST', '/_matrix/client/v3/keys/query', {
    body: { device_keys: { [user.userId]: [] } },
  })
  return (dig(answer, 'device_keys', user.userId, user.deviceId) ?? {}) as JsonObject
}

/** Looks at the keys whenever they are said to have changed: of two changes, the first may be told last. */
async function seesKeys(
  asker: MatrixClient,
  user: MatrixClient,
  { keys, since }: { keys: { keys: JsonValue }; since: string },
): Promise<string> {
  let position = since
  for (;;) {
    position = await asker.mustSyncUntil(changed(user), { since: position })
    const found = await keysOf(asker, user)
    if (JSON.stringify(found['keys']) === JSON.stringify(keys.keys)) return position
  }
}

function lists(sync: JsonObject, name: string): string[] {
  const list = dig(sync, 'device_lists', name)
  return Array.isArray(list) ? list.map(String) : []
}

function exactlyChanged(userIds: readonly string[]): SyncCheck {
  const wanted = JSON.stringify([...userIds].sort())
  return (sync) =>
    JSON.stringify(lists(sync, 'changed').sort()) === wanted && lists(sync, 'left').length === 0
}

function changed(user: MatrixClient): SyncCheck {
  return (sync) => lists(sync, 'changed').includes(user.userId)
}

function left(user: MatrixClient): SyncCheck {
  return (sync) => lists(sync, 'left').includes(user.userId)
}
