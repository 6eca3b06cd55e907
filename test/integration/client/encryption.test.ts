import { expect } from 'chai'
import {
  ClientEvent,
  createClient,
  MatrixEventEvent,
  Method,
  Preset,
  RoomEvent,
  type MatrixClient,
  type MatrixEvent,
} from 'matrix-js-sdk'
import type { GeneratedSecretStorageKey } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { logger, type Logger } from 'matrix-js-sdk/lib/logger.js'
import {
  PASSWORD,
  forEachServerDatabase,
  startHomeserver,
  type TestHomeserver,
} from '../../support/homeserver.js'

const V3 = '/_matrix/client/v3'
const MSC3814 = '/_matrix/client/unstable/org.matrix.msc3814.v1'

/** A client of the real library that encrypts, and the key with which its user opens their secrets. */
interface EncryptingClient {
  readonly client: MatrixClient
  readonly secret: { key?: GeneratedSecretStorageKey }
}

forEachServerDatabase('matrix-js-sdk with encryption', (database) => {
  let hs: TestHomeserver
  const running: MatrixClient[] = []
  let unmute: (() => void) | undefined

  before(async function () {
    this.timeout(60_000)
    unmute = mute()
    const sessions = logger.getChild('[MatrixRTCSessionManager]') as unknown as { disableAll(): void }
    sessions.disableAll()
    hs = await startHomeserver({ database })
  })

  after(async () => {
    for (const client of running) client.stopClient()
    await hs[Symbol.asyncDispose]()
    unmute?.()
  })

  async function begin(user: string, secret: EncryptingClient['secret'] = {}): Promise<EncryptingClient> {
    const session = await createClient({ baseUrl: hs.url, logger: silent }).loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user },
      password: PASSWORD,
    })
    const client = createClient({
      baseUrl: hs.url,
      userId: session.user_id,
      accessToken: session.access_token,
      deviceId: session.device_id,
      logger: silent,
      cryptoCallbacks: {
        getSecretStorageKey: ({ keys }) => {
          const [keyId] = Object.keys(keys)
          const privateKey = secret.key?.privateKey
          return Promise.resolve(keyId === undefined || privateKey === undefined ? null : [keyId, privateKey])
        },
      },
    })
    await client.initRustCrypto({ useIndexedDB: false })
    running.push(client)
    const prepared = new Promise<void>((resolve) => {
      client.once(ClientEvent.Sync, () => resolve())
    })
    await client.startClient({ initialSyncLimit: 20 })
    await prepared
    return { client, secret }
  }

  function cryptoOf({ client }: EncryptingClient) {
    const crypto = client.getCrypto()
    if (crypto === undefined) throw new Error('The client does not encrypt')
    return crypto
  }

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
    const alice = await begin('alice')
    const bob = await begin('bob')
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
    const phone = await begin('alice', alice.secret)
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
    const failed = running
      .flatMap((client) => eventsIn(client, roomId))
      .filter((e) => e.isDecryptionFailure())
    expect(failed).to.deep.equal([])
  })
})

const ignore = (): void => undefined
const silent: Logger = {
  getChild: () => silent,
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
}

/** The library and its WebAssembly say what they do, whatever logger they are given. Returns what ends the silence. */
function mute(): () => void {
  const { debug, info, log, warn } = console
  Object.assign(console, { debug: ignore, info: ignore, log: ignore, warn: ignore })
  return () => Object.assign(console, { debug, info, log, warn })
}

async function dehydratedDevice(client: MatrixClient): Promise<unknown> {
  const answer = await get<{ device_id: unknown }>(client, MSC3814, '/dehydrated_device')
  return answer.device_id
}

/** Asks the server itself, where the library answers from memory. */
function get<T>(client: MatrixClient, prefix: string, target: string): Promise<T> {
  return client.http.authedRequest<T>(Method.Get, target, undefined, undefined, { prefix, priority: 'auto' })
}

function eventsIn(client: MatrixClient, roomId: string): MatrixEvent[] {
  return client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []
}

function textsIn(client: MatrixClient, roomId: string): unknown[] {
  return eventsIn(client, roomId).map((event) => event.getContent()['body'] as unknown)
}

/** Resolves once the check holds; it is asked whenever the client has synced, seen or decrypted an event. */
function until(client: MatrixClient, check: () => boolean): Promise<void> {
  const signals = [ClientEvent.Sync, RoomEvent.Timeline, MatrixEventEvent.Decrypted] as const
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`${client.getSafeUserId()} has waited too long for ${check.toString()}`))
    }, 20_000)
    const look = (): void => {
      if (!check()) return
      stop()
      resolve()
    }
    const stop = (): void => {
      clearTimeout(timer)
      for (const signal of signals) client.off(signal, look)
    }
    for (const signal of signals) client.on(signal, look)
    look()
  })
}

/** What no event of the client tells. */
async function untilAsync(check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`Waited too long for ${check.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
