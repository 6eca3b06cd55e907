import type { JsonObject, JsonValue } from '../../src/util/json.js'
import { CrossSigningIdentity, EncryptingDevice } from '../support/encryption.js'
import { path, type MatrixClient } from '../support/matrix-client.js'
import { uploadFile } from '../support/media-client.js'
import type { SynapseProcess } from './synapse-process.js'

export const ROOM_VERSIONS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12']
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** What people of a Synapse have done, and by what it is recognised. */
export interface Household {
  readonly alice: MatrixClient
  readonly bob: MatrixClient
  readonly carol: MatrixClient
  /** By version. */
  readonly rooms: ReadonlyMap<string, string>
  readonly device: EncryptingDevice
  readonly identity: CrossSigningIdentity
  readonly file: { readonly uri: string; readonly bytes: Buffer }
  readonly picture: string
  readonly thread: { readonly roomId: string; readonly rootId: string; readonly replyId: string }
  /** Of Bob's, read up to here by him. */
  readonly readEvent: { readonly roomId: string; readonly eventId: string }
  /** Alice has left it. */
  readonly leftRoom: string
  /** Bob is invited. */
  readonly invitedTo: string
  readonly alias: string
  /** Waits for Alice's device. */
  readonly toDevice: JsonObject
  readonly filterId: string
  readonly backupVersion: string
}

/** Lets three people live on a Synapse for a while. */
export async function liveOn(synapse: SynapseProcess): Promise<Household> {
  const [alice, bob, carol] = [
    await synapse.register('alice'),
    await synapse.register('bob'),
    await synapse.register('carol'),
  ]
  await alice.must('PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`, {
    body: { displayname: 'Alice of Wonderland' },
  })
  const picture = await uploadFile(alice, PNG, { type: 'image/png', name: 'dot.png' })
  await alice.must('PUT', path`/_matrix/client/v3/profile/${alice.userId}/avatar_url`, {
    body: { avatar_url: picture },
  })
  const rooms = new Map<string, string>()
  for (const version of ROOM_VERSIONS) rooms.set(version, await converse({ alice, bob, carol }, version))
  const [main = ''] = rooms.values()
  const threadRoom = rooms.get('10') ?? main
  return {
    alice,
    bob,
    carol,
    rooms,
    ...(await publishKeys(alice, bob)),
    file: await share(alice, main),
    picture,
    thread: await talkInThread(alice, bob, threadRoom),
    readEvent: await read(alice, bob, rooms.get('11') ?? main),
    ...(await arrange(alice, bob)),
    toDevice: await sendToDevice(bob, alice),
    ...(await keepSettings(alice, threadRoom)),
  }
}

async function converse(
  { alice, bob, carol }: { alice: MatrixClient; bob: MatrixClient; carol: MatrixClient },
  version: string,
): Promise<string> {
  const roomId = await alice.createRoom({
    room_version: version,
    preset: 'public_chat',
    name: `Version ${version}`,
    topic: `All about ${version}`,
  })
  for (let n = 0; n < 3; n++) await alice.sendText(roomId, `Alone ${n}`)
  await bob.join(roomId)
  await carol.join(roomId)
  const insult = await bob.sendText(roomId, 'You fool')
  await bob.sendText(roomId, 'Good evening')
  await alice.redact(roomId, insult, 'rude')
  const wrong = await bob.sendText(roomId, 'Helo')
  await bob.sendEvent(roomId, 'm.room.message', {
    msgtype: 'm.text',
    body: '* Hello',
    'm.new_content': { msgtype: 'm.text', body: 'Hello' },
    'm.relates_to': { rel_type: 'm.replace', event_id: wrong },
  })
  await alice.sendEvent(roomId, 'm.reaction', {
    'm.relates_to': { rel_type: 'm.annotation', event_id: wrong, key: '\u{1f44d}' },
  })
  for (const topic of ['Other things', 'Yet other things']) {
    await alice.sendState(roomId, 'm.room.topic', '', { topic })
  }
  await carol.leave(roomId)
  await alice.sendText(roomId, 'She is gone')
  return roomId
}

async function publishKeys(
  alice: MatrixClient,
  bob: MatrixClient,
): Promise<Pick<Household, 'device' | 'identity' | 'backupVersion'>> {
  const device = new EncryptingDevice(alice)
  await alice.must('POST', '/_matrix/client/v3/keys/upload', {
    body: {
      device_keys: device.deviceKeys,
      one_time_keys: device.oneTimeKeys(['AAAA', 'AAAB', 'AAAC']),
      fallback_keys: device.oneTimeKeys(['FALL'], { fallback: true }),
    },
  })
  await bob.must('POST', '/_matrix/client/v3/keys/claim', {
    body: { one_time_keys: { [alice.userId]: { [alice.deviceId]: 'signed_curve25519' } } },
  })
  const identity = new CrossSigningIdentity(alice.userId)
  await alice.must('POST', '/_matrix/client/v3/keys/device_signing/upload', { body: identity.upload })
  await alice.must('POST', '/_matrix/client/v3/keys/signatures/upload', {
    body: {
      [alice.userId]: {
        [alice.deviceId]: identity.selfSigning.sign(withoutSignatures(device.deviceKeys), alice.userId),
      },
    },
  })
  const { version } = await alice.must('POST', '/_matrix/client/v3/room_keys/version', {
    body: { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'abc' } },
  })
  await alice.must('PUT', path`/_matrix/client/v3/room_keys/keys/${'!room:hs'}/${'session'}`, {
    query: { version: textOf(version) },
    body: { first_message_index: 1, forwarded_count: 0, is_verified: true, session_data: { secret: 'x' } },
  })
  return { device, identity, backupVersion: textOf(version) }
}

function withoutSignatures({ signatures: _signatures, ...rest }: JsonObject): JsonObject {
  return rest
}

async function share(alice: MatrixClient, roomId: string): Promise<Household['file']> {
  const bytes = Buffer.from('some bytes \u{1f40d}')
  const uri = await uploadFile(alice, bytes, { type: 'text/plain', name: 'note.txt' })
  await alice.sendEvent(roomId, 'm.room.message', { msgtype: 'm.file', body: 'note.txt', url: uri })
  return { uri, bytes }
}

async function talkInThread(
  alice: MatrixClient,
  bob: MatrixClient,
  roomId: string,
): Promise<Household['thread']> {
  const rootId = await alice.sendText(roomId, 'What do you think?')
  const reply = (body: string): JsonObject => ({
    msgtype: 'm.text',
    body,
    'm.relates_to': { rel_type: 'm.thread', event_id: rootId },
  })
  await bob.sendEvent(roomId, 'm.room.message', reply('Nothing'))
  const replyId = await alice.sendEvent(roomId, 'm.room.message', reply('Nothing at all?'))
  return { roomId, rootId, replyId }
}

async function read(alice: MatrixClient, bob: MatrixClient, roomId: string): Promise<Household['readEvent']> {
  const eventId = await alice.sendText(roomId, 'Read up to here')
  await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, { body: {} })
  await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/read_markers`, {
    body: { 'm.fully_read': eventId },
  })
  await alice.sendText(roomId, 'Not read')
  await alice.sendEvent(roomId, 'm.room.message', {
    msgtype: 'm.text',
    body: 'Bob!',
    'm.mentions': { user_ids: [bob.userId] },
  })
  return { roomId, eventId }
}

async function arrange(
  alice: MatrixClient,
  bob: MatrixClient,
): Promise<Pick<Household, 'leftRoom' | 'invitedTo' | 'alias'>> {
  const leftRoom = await alice.createRoom({ name: 'Left behind' })
  await alice.sendText(leftRoom, 'Echo')
  await alice.leave(leftRoom)
  const invitedTo = await alice.createRoom({ name: 'Party', room_alias_name: 'party', visibility: 'public' })
  await alice.invite(invitedTo, bob.userId)
  return { leftRoom, invitedTo, alias: `#party:${alice.userId.slice(alice.userId.indexOf(':') + 1)}` }
}

async function sendToDevice(bob: MatrixClient, alice: MatrixClient): Promise<JsonObject> {
  const content = { secret: 'for your device alone' }
  await bob.must('PUT', path`/_matrix/client/v3/sendToDevice/m.test/${'one'}`, {
    body: { messages: { [alice.userId]: { [alice.deviceId]: content } } },
  })
  return content
}

async function keepSettings(alice: MatrixClient, roomId: string): Promise<Pick<Household, 'filterId'>> {
  const user = path`/_matrix/client/v3/user/${alice.userId}`
  await alice.must('PUT', `${user}/account_data/m.direct`, { body: { '@bob:hs': ['!dm:hs'] } })
  await alice.must('PUT', path`/_matrix/client/v3/user/${alice.userId}/rooms/${roomId}/tags/m.favourite`, {
    body: { order: 0.5 },
  })
  await alice.must('PUT', '/_matrix/client/v3/pushrules/global/content/cheese', {
    body: { pattern: 'cheese', actions: ['notify'] },
  })
  await alice.must('PUT', '/_matrix/client/v3/pushrules/global/override/.m.rule.master/enabled', {
    body: { enabled: false },
  })
  await alice.must('POST', '/_matrix/client/v3/pushers/set', {
    body: {
      kind: 'http',
      app_id: 'test.app',
      pushkey: 'a key',
      app_display_name: 'App',
      device_display_name: 'Device',
      lang: 'en',
      data: { url: 'https://push.example/_matrix/push/v1/notify' },
    },
  })
  const { filter_id: filterId } = await alice.must('POST', `${user}/filter`, {
    body: { room: { timeline: { limit: 7 } } },
  })
  return { filterId: textOf(filterId) }
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw new Error('No text')
  return value
}
