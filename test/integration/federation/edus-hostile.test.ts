import { expect } from 'chai'
import { EncryptingDevice } from '../../support/encryption.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { dig, eventsAt, syncToDeviceHas, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

describe('what another server tells besides events', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  async function tell(...edus: JsonObject[]): Promise<void> {
    expect((await fake.sendTransaction('a.test', { edus })).status).to.equal(200)
  }

  function message(messageId: string, changes: JsonObject = {}): JsonObject {
    return {
      edu_type: 'm.direct_to_device',
      content: {
        sender: '@eve:fake.test',
        type: 'my.type',
        message_id: messageId,
        messages: { [alice.userId]: { [alice.deviceId]: { id: messageId } } },
        ...changes,
      },
    }
  }

  async function delivered(since: string, last: string): Promise<unknown[]> {
    const ids: unknown[] = []
    await alice.mustSyncUntil(
      (sync, client) => {
        ids.push(...eventsAt(sync, 'to_device', 'events').map((event) => dig(event, 'content', 'id')))
        return syncToDeviceHas(({ content }) => dig(content, 'id') === last)(sync, client)
      },
      { since },
    )
    return ids
  }

  it('delivers messages to devices once, however often they come', async () => {
    const since = await alice.syncToken()
    await tell(message('m1'), message('m1'))
    await tell(message('m1'), message('m2'))
    await tell(message('last'))
    expect(await delivered(since, 'last')).to.deep.equal(['m1', 'm2', 'last'])
  })

  it('does not believe what it says of users of others', async () => {
    const since = await alice.syncToken()
    await tell(
      message('forged', { sender: '@alice:a.test' }),
      message('other', { sender: '@bob:other.test' }),
      message('list', { messages: [] }),
      message('nameless', { sender: 'eve' }),
      message('long', { type: 'x'.repeat(300) }),
      message('large', { messages: { [alice.userId]: { '*': { id: 'large', more: 'x'.repeat(65_536) } } } }),
      { edu_type: 'm.presence', content: { push: [{ user_id: alice.userId, presence: 'offline' }] } },
      { edu_type: 'm.device_list_update', content: { user_id: alice.userId, device_id: 'X', stream_id: 1 } },
      { edu_type: 'm.signing_key_update', content: { user_id: alice.userId } },
      { edu_type: 'm.typing', content: { room_id: '!r:a.test', user_id: alice.userId, typing: true } },
      { edu_type: 'm.receipt', content: { '!r:a.test': { 'm.read': { [alice.userId]: null } } } },
      { edu_type: 'unknown', content: {} },
      message('end'),
    )
    expect(await delivered(since, 'end')).to.deep.equal(['end'])
  })

  it('asks for keys of strangers anew each time, and takes only what fits', async () => {
    const device = new EncryptingDevice({ userId: '@eve:fake.test', deviceId: 'EVE' })
    const forged = new EncryptingDevice({ userId: '@mallory:fake.test', deviceId: 'M' })
    fake.on('POST', '/_matrix/federation/v1/user/keys/query', () => ({
      json: {
        device_keys: {
          '@eve:fake.test': {
            EVE: device.deviceKeys,
            OTHER: device.deviceKeys,
            M: forged.deviceKeys,
            BAD: 1,
          },
          [alice.userId]: { FAKE: device.deviceKeys },
        },
        master_keys: { [alice.userId]: {} },
      },
    }))
    for (let round = 1; round <= 2; round++) {
      const answer = await alice.must('POST', '/_matrix/client/v3/keys/query', {
        body: { device_keys: { '@eve:fake.test': [], [alice.userId]: [] } },
      })
      expect(dig(answer, 'device_keys')).to.deep.equal({
        '@eve:fake.test': { EVE: { ...device.deviceKeys, unsigned: {} } },
        [alice.userId]: {},
      })
      expect(fake.received('POST', '/_matrix/federation/v1/user/keys/query')).to.have.length(round)
    }
  })

  it('answers for its own users alone', async () => {
    const answer = await fake.send('a.test', {
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/query',
      body: { device_keys: { '@eve:fake.test': [], [alice.userId]: [] } },
    })
    expect(answer.json).to.deep.equal({
      device_keys: { [alice.userId]: {} },
      master_keys: {},
      self_signing_keys: {},
    })
    const bad = await fake.send('a.test', {
      path: '/_matrix/federation/v1/query/profile?user_id=@user1:localhost:http&field=displayname',
    })
    expect(bad.status).to.equal(400)
    const devices = await fake.send('a.test', { path: '/_matrix/federation/v1/user/devices/@eve:fake.test' })
    expect(devices.status).to.equal(404)
    const rooms = await fake.send('a.test', { path: '/_matrix/federation/v1/publicRooms' })
    expect([rooms.status, rooms.json['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const space = await fake.send('a.test', { path: '/_matrix/federation/v1/hierarchy/!none:a.test' })
    expect(space.status).to.equal(404)
  })
})
