import { expect } from 'chai'
import { EncryptingDevice } from '../../support/encryption.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { FakeRoom } from '../../support/fake-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, eventsAt, path, type MatrixClient, type SyncCheck } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

const EVE = '@eve:fake.test'
const DEVICES = '/_matrix/federation/v1/user/devices/:userId'

describe('updates of device lists', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient
  let roomId: string
  /** What the fake server says of the user's devices. */
  let answer: { streamId: number; devices: EncryptingDevice[] }

  before(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
    roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    await FakeRoom.join(fake, 'a.test', { roomId, userId: EVE, version: '11' })
    fake.on('GET', DEVICES, () => ({
      json: {
        user_id: EVE,
        stream_id: answer.streamId,
        devices: answer.devices.map(({ deviceId, deviceKeys }) => ({
          device_id: deviceId,
          keys: deviceKeys,
        })),
      },
    }))
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  function device(deviceId: string): EncryptingDevice {
    return new EncryptingDevice({ userId: EVE, deviceId })
  }

  async function update(content: JsonObject): Promise<void> {
    await fake.sendTransaction('a.test', {
      edus: [{ edu_type: 'm.device_list_update', content: { user_id: EVE, ...content } }],
    })
  }

  async function keys(): Promise<string[]> {
    const found = await alice.must('POST', '/_matrix/client/v3/keys/query', {
      body: { device_keys: { [EVE]: [] } },
    })
    return Object.keys((dig(found, 'device_keys', EVE) ?? {}) as JsonObject)
  }

  it('are applied where each follows on the one before, and fetched otherwise', async () => {
    answer = { streamId: 5, devices: [device('A')] }
    expect(await keys()).to.deep.equal(['A'])
    expect(await keys()).to.deep.equal(['A'])
    expect(fake.received('GET', DEVICES)).to.have.length(1)

    let since = await alice.syncToken()
    await update({ device_id: 'B', stream_id: 7, prev_id: [5], keys: device('B').deviceKeys })
    since = await alice.mustSyncUntil(changed(EVE), { since })
    await update({ device_id: 'A', stream_id: 8, prev_id: [7], deleted: true })
    since = await alice.mustSyncUntil(changed(EVE), { since })
    expect(await keys()).to.deep.equal(['B'])
    expect(fake.received('GET', DEVICES)).to.have.length(1)

    answer = { streamId: 12, devices: [device('B'), device('C'), device('D')] }
    await update({ device_id: 'D', stream_id: 12, prev_id: [11], keys: device('D').deviceKeys })
    await alice.mustSyncUntil(changed(EVE), { since })
    expect(await keys()).to.deep.equal(['B', 'C', 'D'])
    expect(await keys()).to.deep.equal(['B', 'C', 'D'])
    expect(fake.received('GET', DEVICES)).to.have.length(2)
  })

  it('are told to the other server in a sequence, with the device as it is then', async () => {
    const published = new EncryptingDevice(alice)
    await alice.must('POST', '/_matrix/client/v3/keys/upload', {
      body: { device_keys: published.deviceKeys },
    })
    const first = await fake.waitForEdu(
      (edu) => isUpdateOf(edu, alice) && dig(edu, 'content', 'keys') !== undefined,
    )
    expect(dig(first, 'content', 'keys', 'keys')).to.deep.equal(published.deviceKeys['keys'])
    expect(dig(first, 'content')).not.to.have.property('device_display_name')
    await alice.must('PUT', path`/_matrix/client/v3/devices/${alice.deviceId}`, {
      body: { display_name: 'renamed' },
    })
    const second = await fake.waitForEdu(
      (edu) =>
        isUpdateOf(edu, alice) &&
        Number(dig(edu, 'content', 'stream_id')) > Number(dig(first, 'content', 'stream_id')),
    )
    expect(dig(second, 'content', 'prev_id')).to.deep.equal([dig(first, 'content', 'stream_id')])

    const listed = await fake.send('a.test', {
      path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(alice.userId)}`,
    })
    expect(listed.json['stream_id']).to.equal(dig(second, 'content', 'stream_id'))
    expect(eventsAt(listed.json, 'devices').map(({ device_id: id }) => id)).to.deep.equal([alice.deviceId])
  })

  it('take no more than fifty events and a hundred EDUs at once', async () => {
    let release: (() => void) | undefined
    const blocked = new Promise<void>((resolve) => (release = resolve))
    fake.on('PUT', '/_matrix/federation/v1/send/:txnId', async () => {
      await blocked
      return { json: { pdus: {} } }
    })
    const before = fake.pdus.length
    const sent: string[] = []
    for (let n = 0; n < 60; n++) sent.push(await alice.sendText(roomId, `message ${n}`))
    const messages = Object.fromEntries(
      Array.from({ length: 10 }, (_, n) => [`@user${n}:fake.test`, { D: { text: 'x'.repeat(20_000) } }]),
    )
    await alice.must('PUT', path`/_matrix/client/v3/sendToDevice/my.type/${'many'}`, { body: { messages } })
    release?.()
    await fake.waitForPdu((pdu) => dig(pdu, 'content', 'body') === 'message 59')
    const bodies = fake.pdus.slice(before).map((pdu) => dig(pdu, 'content', 'body'))
    expect(bodies).to.deep.equal(sent.map((_, n) => `message ${n}`))
    await fake.waitForEdu((edu) => dig(edu, 'content', 'messages', '@user9:fake.test') !== undefined)
    const transactions = fake.received('PUT', '/_matrix/federation/v1/send/:txnId')
    for (const { body } of transactions) {
      expect(eventsAt(body, 'pdus').length).to.be.at.most(50)
      expect(eventsAt(body, 'edus').length).to.be.at.most(100)
    }
    expect(new Set(transactions.map(({ path: url }) => url)).size).to.equal(transactions.length)
  })
})

function changed(userId: string): SyncCheck {
  return (sync) => JSON.stringify(dig(sync, 'device_lists', 'changed') ?? []).includes(userId)
}

function isUpdateOf(edu: JsonObject, user: MatrixClient): boolean {
  return edu['edu_type'] === 'm.device_list_update' && dig(edu, 'content', 'user_id') === user.userId
}
