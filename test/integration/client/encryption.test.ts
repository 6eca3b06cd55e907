import { expect } from 'chai'
import { Method, Preset, type MatrixClient } from 'matrix-js-sdk'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import {
  cryptoOf,
  EncryptingClients,
  textsIn,
  until,
  untilAsync,
  type EncryptingClient,
} from '../../support/sdk-clients.js'

const V3 = '/_matrix/client/v3'
const MSC3814 = '/_matrix/client/unstable/org.matrix.msc3814.v1'

forEachServerDatabase('matrix-js-sdk with encryption', (database) => {
  let hs: TestHomeserver
  let clients: EncryptingClients

  before(async function () {
    this.timeout(60_000)
    hs = await startHomeserver({ database })
    clients = new EncryptingClients(() => hs.url)
  })

  after(async () => {
    clients.stop()
    await hs[Symbol.asyncDispose]()
  })

  /** Makes a user's cross-signing keys, secrets and key backup. */
  async function setUp(person: EncryptingClient): Promise<void> {
    const crypto = cryptoOf(person)
    person.secret.key = await crypto.createRecoveryKeyFromPassphrase()
    const key = person.secret.key
    await crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (makeRequest) => {
        await makeRequest(null)
      },
    })
    await crypto.bootstrapSecretStorage({
      createSecretStorageKey: () => Promise.resolve(key),
      setupNewKeyBackup: true,
    })
  }

  it('talks, verifies its devices and restores what it missed', async function () {
    this.timeout(180_000)
    await hs.register('alice')
    await hs.register('bob')
    const alice = await clients.begin('alice')
    const bob = await clients.begin('bob')
    await setUp(alice)
    const { room_id: roomId } = await alice.client.createRoom({
      preset: Preset.PrivateChat,
      invite: [bob.client.getSafeUserId()],
      initial_state: [
        { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    await until(bob.client, () => bob.client.getRoom(roomId)?.getMyMembership() === 'invite')
    await bob.client.joinRoom(roomId)
    await until(alice.client, () => alice.client.getRoom(roomId)?.getJoinedMemberCount() === 2)
    await until(bob.client, () => bob.client.getRoom(roomId)?.getJoinedMemberCount() === 2)

    await alice.client.sendTextMessage(roomId, 'Secret of Alice')
    await until(bob.client, () => textsIn(bob.client, roomId).includes('Secret of Alice'))
    await bob.client.sendTextMessage(roomId, 'Secret of Bob')
    await until(alice.client, () => textsIn(alice.client, roomId).includes('Secret of Bob'))
    const timeline = await alice.client.createMessagesRequest(roomId, null, 2, 'b' as never)
    expect(timeline.chunk.map(({ type }) => type)).to.deep.equal(['m.room.encrypted', 'm.room.encrypted'])

    // A new device is verified with the secrets, and reads from the backup what was said before it came.
    await untilAsync(async () => {
      const { count } = await get<{ count: number }>(alice.client, V3, '/room_keys/version')
      return count >= 2
    })
    const phone = await clients.begin('alice', alice.secret)
    const crypto = cryptoOf(phone)
    await untilAsync(() => crypto.userHasCrossSigningKeys(phone.client.getSafeUserId(), true))
    await crypto.bootstrapCrossSigning({})
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage()
    const { imported } = await crypto.restoreKeyBackup()
    expect(imported).to.be.greaterThanOrEqual(2)
    await until(phone.client, () => {
      const texts = textsIn(phone.client, roomId)
      return texts.includes('Secret of Alice') && texts.includes('Secret of Bob')
    })
    const phoneId = phone.client.getDeviceId() ?? ''
    await untilAsync(async () => {
      const status = await cryptoOf(alice).getDeviceVerificationStatus(alice.client.getSafeUserId(), phoneId)
      return status?.crossSigningVerified === true
    })

    // Bob's next message reaches the new device as well.
    await bob.client.sendTextMessage(roomId, 'For both devices')
    await until(phone.client, () => textsIn(phone.client, roomId).includes('For both devices'))

    // A device that is put away by one of them is taken out by the other.
    expect(await cryptoOf(alice).isDehydrationSupported()).to.equal(true)
    await cryptoOf(alice).startDehydration()
    const first = await dehydratedDevice(alice.client)
    await crypto.startDehydration()
    expect(await dehydratedDevice(alice.client))
      .to.be.a('string')
      .that.does.not.equal(first)
    expect(clients.undecrypted(roomId)).to.deep.equal([])
  })
})

async function dehydratedDevice(client: MatrixClient): Promise<unknown> {
  const answer = await get<{ device_id: unknown }>(client, MSC3814, '/dehydrated_device')
  return answer.device_id
}

/** Asks the server itself, where the library answers from memory. */
function get<T>(client: MatrixClient, prefix: string, target: string): Promise<T> {
  return client.http.authedRequest<T>(Method.Get, target, undefined, undefined, { prefix, priority: 'auto' })
}
