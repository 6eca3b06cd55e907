import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isJsonObject, type JsonObject } from '../../src/util/json.js'
import { EncryptingDevice } from '../support/encryption.js'
import { startHomeserver, type TestHomeserver } from '../support/homeserver.js'
import {
  dig,
  path,
  syncEphemeralHas,
  syncInvitedTo,
  syncJoinedTo,
  syncLeftFrom,
  syncTimelineHasEventId,
  syncToDeviceHas,
  type MatrixClient,
} from '../support/matrix-client.js'
import { fetchBytes, mediaPath, uploadFile } from '../support/media-client.js'
import { TestAuthority } from '../support/test-authority.js'
import { findSynapse, freePort, SynapseProcess } from './synapse-process.js'

const ROOM_VERSIONS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12']
const found = findSynapse()

/** Two servers, with Alice here and Rose there. */
interface Pair {
  readonly ours: TestHomeserver
  readonly synapse: SynapseProcess
  readonly alice: MatrixClient
  readonly rose: MatrixClient
}

describe(`federation with ${'version' in found ? `Synapse ${found.version}` : 'Synapse'}`, function () {
  let directory: string
  let pair: Pair

  before(async function () {
    if ('missing' in found) {
      process.stderr.write(`Skipped: ${found.missing}\n`)
      this.skip()
    }
    directory = mkdtempSync(join(tmpdir(), 'mxhs-interop-'))
    const authority = new TestAuthority()
    const [ours, synapse] = await Promise.all([
      startOurs(authority, directory),
      SynapseProcess.start(authority),
    ])
    const [alice, rose] = await Promise.all([ours.register('alice'), synapse.register('rose')])
    pair = { ours, synapse, alice, rose }
  })

  after(async () => {
    if ('missing' in found) return
    await pair.ours[Symbol.asyncDispose]()
    await pair.synapse[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  for (const version of ROOM_VERSIONS) {
    it(`invites from here, talks both ways and pages back (version ${version})`, async () => {
      const { alice, rose } = pair
      await meet({ host: alice, guest: rose }, version)
    })

    it(`joins there, talks both ways and pages back (version ${version})`, async () => {
      const { alice, rose } = pair
      await meet({ host: rose, guest: alice }, version)
    })
  }

  it('joins public rooms by alias, in both directions', async () => {
    for (const [host, guest] of bothWays(pair)) {
      const name = `room${Math.floor(Date.now() % 1e9)}`
      const roomId = await host.createRoom({ preset: 'public_chat', room_alias_name: name })
      expect(await guest.join(`#${name}:${serverOf(host)}`)).to.equal(roomId)
      await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
    }
  })

  it('knocks and is let in', async () => {
    for (const [host, guest] of bothWays(pair)) {
      const roomId = await host.createRoom({
        room_version: '10',
        initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
      })
      const knock = path`/_matrix/client/v3/knock/${roomId}`
      await guest.must('POST', knock, {
        query: { via: [serverOf(host)], server_name: [serverOf(host)] },
        body: {},
      })
      await host.mustSyncUntil((sync) => memberOf(sync, roomId, guest.userId)?.['membership'] === 'knock')
      await host.invite(roomId, guest.userId)
      await guest.mustSyncUntil(syncInvitedTo(roomId))
      await guest.join(roomId, { via: [serverOf(host)] })
      await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
    }
  })

  it('joins restricted rooms by being in another', async () => {
    for (const [host, guest] of bothWays(pair)) {
      const space = await host.createRoom({ preset: 'public_chat' })
      const roomId = await host.createRoom({
        room_version: '10',
        initial_state: [
          {
            type: 'm.room.join_rules',
            state_key: '',
            content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
          },
        ],
      })
      const refused = await guest.request('POST', path`/_matrix/client/v3/join/${roomId}`, {
        query: { server_name: [serverOf(host)] },
        body: {},
      })
      expect(refused.status).to.equal(403)
      await guest.join(space, { via: [serverOf(host)] })
      await guest.join(roomId, { via: [serverOf(host)] })
      await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
    }
  })

  it('declines, kicks and bans', async () => {
    for (const [host, guest] of bothWays(pair)) {
      const roomId = await host.createRoom({ preset: 'public_chat' })
      await host.invite(roomId, guest.userId)
      await guest.mustSyncUntil(syncInvitedTo(roomId))
      await guest.leave(roomId)
      await host.mustSyncUntil((sync) => memberOf(sync, roomId, guest.userId)?.['membership'] === 'leave')
      await guest.join(roomId, { via: [serverOf(host)] })
      await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
      const since = await guest.syncToken()
      await host.kick(roomId, guest.userId)
      await guest.mustSyncUntil(syncLeftFrom(roomId), { since })
      await host.ban(roomId, guest.userId)
      await expectEventually(async () => {
        const join = await guest.request('POST', path`/_matrix/client/v3/join/${roomId}`, {
          query: { server_name: [serverOf(host)] },
          body: {},
        })
        expect(join.status).to.equal(403)
      })
    }
  })

  it('passes on typing, receipts and presence', async () => {
    for (const [host, guest] of bothWays(pair)) {
      const roomId = await shareRoom(host, guest)
      const eventId = await host.sendText(roomId, 'Read me')
      await guest.mustSyncUntil(syncTimelineHasEventId(roomId, eventId))
      const since = await host.syncToken()
      const typing = path`/_matrix/client/v3/rooms/${roomId}/typing/${guest.userId}`
      await guest.must('PUT', typing, { body: { typing: true, timeout: 20_000 } })
      await guest.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`, {
        body: {},
      })
      await guest.must('PUT', path`/_matrix/client/v3/presence/${guest.userId}/status`, {
        body: { presence: 'online', status_msg: `with ${serverOf(host)}` },
      })
      await host.mustSyncUntil(
        [
          syncEphemeralHas(roomId, (event) =>
            JSON.stringify(event).includes(`"user_ids":["${guest.userId}"]`),
          ),
          syncEphemeralHas(
            roomId,
            (event) => dig(event, 'content', eventId, 'm.read', guest.userId) !== undefined,
          ),
          (sync) => JSON.stringify(sync['presence'] ?? {}).includes(`with ${serverOf(host)}`),
        ],
        { since },
      )
    }
  })

  it('looks up profiles, and tells keys and messages for devices', async () => {
    for (const [host, guest] of bothWays(pair)) {
      const name = `Guest of ${serverOf(host)}`
      await guest.must('PUT', path`/_matrix/client/v3/profile/${guest.userId}/displayname`, {
        body: { displayname: name },
      })
      const profile = await host.must('GET', path`/_matrix/client/v3/profile/${guest.userId}`)
      expect(profile['displayname']).to.equal(name)
      await shareRoom(host, guest)
      const device = new EncryptingDevice(guest)
      const oneTimeKey = device.sign({ key: device.key.publicKey })
      await guest.must('POST', '/_matrix/client/v3/keys/upload', {
        body: { device_keys: device.deviceKeys, one_time_keys: { 'signed_curve25519:AAAA': oneTimeKey } },
      })
      const query = { device_keys: { [guest.userId]: [] } }
      await expectEventually(async () => {
        const answer = await host.must('POST', '/_matrix/client/v3/keys/query', { body: query })
        expect(dig(answer, 'device_keys', guest.userId, guest.deviceId, 'keys')).to.deep.equal(
          device.deviceKeys['keys'],
        )
      })
      const claimed = await host.must('POST', '/_matrix/client/v3/keys/claim', {
        body: { one_time_keys: { [guest.userId]: { [guest.deviceId]: 'signed_curve25519' } } },
      })
      expect(
        dig(claimed, 'one_time_keys', guest.userId, guest.deviceId, 'signed_curve25519:AAAA'),
      ).to.deep.equal(oneTimeKey)
      const since = await guest.syncToken()
      await host.must('PUT', path`/_matrix/client/v3/sendToDevice/m.test/${Date.now().toString()}`, {
        body: { messages: { [guest.userId]: { [guest.deviceId]: { secret: serverOf(host) } } } },
      })
      await guest.mustSyncUntil(
        syncToDeviceHas((event) => dig(event, 'content', 'secret') === serverOf(host)),
        { since },
      )
    }
  })

  it('fetches media', async () => {
    const content = Buffer.from('some bytes \u{1f40d}')
    for (const [host, guest] of bothWays(pair)) {
      const uri = await uploadFile(host, content, { type: 'text/plain', name: 'note.txt' })
      const url = guest.url + mediaPath('/_matrix/client/v1/media/download', uri)
      const answer = await fetchBytes(url, { token: guest.accessToken })
      expect([answer.status, answer.bytes.toString()]).to.deep.equal([200, content.toString()])
    }
  })

  it('catches up when Synapse was away', async () => {
    const { alice, rose, synapse } = pair
    const roomId = await shareRoom(alice, rose)
    const since = await rose.syncToken()
    await synapse.pause()
    const sent: string[] = []
    for (let n = 0; n < 5; n++) sent.push(await alice.sendText(roomId, `While you were away ${n}`))
    await synapse.resume()
    // A sign of life: whoever was given up on is spoken to again.
    await rose.sendText(roomId, 'Back again')
    await rose.mustSyncUntil(syncTimelineHasEventId(roomId, sent.at(-1)!), { since })
    expect(await historyOf(rose, roomId)).to.include.members(sent)
  })

  it('catches up when this server was away', async () => {
    const { alice, rose, ours } = pair
    const roomId = await shareRoom(rose, alice)
    await ours.server.stop()
    const sent: string[] = []
    for (let n = 0; n < 5; n++) sent.push(await rose.sendText(roomId, `While you were away ${n}`))
    await ours.restart()
    await alice.sendText(roomId, 'Back again')
    sent.push(await rose.sendText(roomId, 'Welcome back'))
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, sent.at(-1)!))
    await expectEventually(async () => {
      expect(await historyOf(alice, roomId)).to.include.members(sent)
    })
  })
})

/** A server of ours, named by its address, that listens at fixed ports. */
async function startOurs(authority: TestAuthority, directory: string): Promise<TestHomeserver> {
  const [client, federation] = await Promise.all([freePort(), freePort()])
  const { certificate, privateKey } = authority.issue(['127.0.0.1'])
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const listener = { type: 'http', bind_addresses: ['127.0.0.1'] }
  return startHomeserver({
    config: {
      server_name: `127.0.0.1:${federation}`,
      listeners: [
        { ...listener, port: client, resources: [{ names: ['client', 'media'] }] },
        { ...listener, port: federation, tls: true, resources: [{ names: ['federation', 'keys', 'media'] }] },
      ],
      tls_certificate_path: write('tls.crt', certificate),
      tls_private_key_path: write('tls.key', privateKey),
      federation_custom_ca_list: [write('authority.pem', authority.certificate)],
      media_store_path: join(directory, 'media'),
      ip_range_blacklist: [],
      allow_public_rooms_over_federation: true,
    },
  })
}

function serverOf({ userId }: MatrixClient): string {
  return userId.slice(userId.indexOf(':') + 1)
}

function bothWays({ alice, rose }: Pair): [MatrixClient, MatrixClient][] {
  return [
    [alice, rose],
    [rose, alice],
  ]
}

/** A room of the one that the other is in. */
async function shareRoom(host: MatrixClient, guest: MatrixClient): Promise<string> {
  const roomId = await host.createRoom({ preset: 'public_chat' })
  await guest.join(roomId, { via: [serverOf(host)] })
  await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
  return roomId
}

/** An invitation, a conversation in both directions, and the history before it. */
async function meet(
  { host, guest }: { host: MatrixClient; guest: MatrixClient },
  version: string,
): Promise<void> {
  const roomId = await host.createRoom({
    room_version: version,
    preset: 'private_chat',
    name: `Version ${version}`,
  })
  const before: string[] = []
  for (let n = 0; n < 12; n++) before.push(await host.sendText(roomId, `Before ${n}`))
  await host.invite(roomId, guest.userId)
  await guest.mustSyncUntil(syncInvitedTo(roomId))
  await guest.join(roomId, { via: [serverOf(host)] })
  await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
  const question = await host.sendText(roomId, 'Are you there?')
  await guest.mustSyncUntil(syncTimelineHasEventId(roomId, question))
  const answer = await guest.sendText(roomId, 'I am')
  await host.mustSyncUntil(syncTimelineHasEventId(roomId, answer))
  const topic = await host.sendState(roomId, 'm.room.topic', '', { topic: `All of version ${version}` })
  await guest.mustSyncUntil(syncTimelineHasEventId(roomId, topic))
  expect((await guest.state(roomId, 'm.room.topic'))['topic']).to.equal(`All of version ${version}`)
  await host.redact(roomId, question)
  await expectEventually(async () => {
    const redacted = await guest.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${question}`)
    expect(redacted['content']).to.deep.equal({})
  })
  expect(await historyOf(guest, roomId)).to.include.members(before)
  const since = await host.syncToken()
  await guest.leave(roomId)
  await host.mustSyncUntil((sync) => memberOf(sync, roomId, guest.userId)?.['membership'] === 'leave', {
    since,
  })
}

/** The IDs of the events of a room, as far as the client can page back. */
async function historyOf(client: MatrixClient, roomId: string): Promise<string[]> {
  const ids: string[] = []
  let from: string | undefined
  for (let page = 0; page < 20; page++) {
    const answer = await client.messages(roomId, { dir: 'b', limit: 10, from })
    const chunk = answer['chunk'] as JsonObject[]
    ids.push(...chunk.map((event) => event['event_id'] as string))
    if (typeof answer['end'] !== 'string') break
    from = answer['end']
  }
  return ids
}

/** The content of a membership in the timeline or state of a sync. */
function memberOf(sync: JsonObject, roomId: string, userId: string): JsonObject | undefined {
  for (const part of ['timeline', 'state']) {
    const events = dig(sync, 'rooms', 'join', roomId, part, 'events')
    if (!Array.isArray(events)) continue
    const last = events.findLast(
      (event) => isJsonObject(event) && event['type'] === 'm.room.member' && event['state_key'] === userId,
    )
    if (isJsonObject(last) && isJsonObject(last['content'])) return last['content']
  }
  return undefined
}

/** Tries again until it holds, or for ten seconds. */
async function expectEventually(check: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      await check()
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}
