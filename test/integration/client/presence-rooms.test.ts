import { expect } from 'chai'
import type { RoomId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { FakeRoom } from '../../support/fake-room.js'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

/** IDs are known once there are rooms. */
function exclude({ config }: TestHomeserver, roomId: string): void {
  const excluded = config.rooms.excludedFromPresence as Set<RoomId>
  excluded.add(roomId as RoomId)
}

const statusPath = (client: MatrixClient): string => path`/_matrix/client/v3/presence/${client.userId}/status`

const setStatus = (client: MatrixClient, status: string): Promise<JsonObject> =>
  client.must('PUT', statusPath(client), { body: { presence: 'online', status_msg: status } })

const seenIn = (answer: JsonObject): unknown[] =>
  eventsAt(answer, 'presence', 'events').map(({ sender }) => sender)

const sync = (client: MatrixClient, since?: string): Promise<JsonObject> =>
  client.sync({ since, setPresence: 'offline' })

forEachServerDatabase('presence in rooms that are excluded from it', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let carol: MatrixClient
  let counting: string
  let excluded: string

  before(async () => {
    hs = await startHomeserver({ database })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    carol = await hs.register('carol')
    counting = await alice.createRoom({ preset: 'public_chat' })
    excluded = await alice.createRoom({ preset: 'public_chat' })
    exclude(hs, excluded)
    await bob.join(counting)
    for (const client of [bob, carol]) await client.join(excluded)
  })
  after(() => hs[Symbol.asyncDispose]())

  it('is told only to those who share another room, and shown to them alone', async () => {
    const since = { bob: await bob.syncToken(), carol: await carol.syncToken() }
    await setStatus(alice, 'here')
    await bob.mustSyncUntil((answer) => seenIn(answer).includes(alice.userId), { since: since.bob })
    expect(seenIn(await sync(carol, since.carol))).to.not.include(alice.userId)
    expect(seenIn(await sync(carol))).to.not.include(alice.userId)
    expect(seenIn(await sync(bob))).to.include(alice.userId)
    expect(await bob.must('GET', statusPath(alice))).to.include({ status_msg: 'here' })
    expect((await carol.request('GET', statusPath(alice))).status).to.equal(403)
    expect(await carol.must('GET', statusPath(carol))).to.include.keys('presence')
  })

  it('is not told to those who come there, but to those who come into another', async () => {
    await setStatus(alice, 'still here')
    const dave = await hs.register('dave')
    const begun = await sync(dave)
    await dave.join(excluded)
    const inside = await sync(dave, begun['next_batch'] as string)
    expect(seenIn(inside)).to.not.include(alice.userId)
    await dave.join(counting)
    expect(seenIn(await sync(dave, inside['next_batch'] as string))).to.include(alice.userId)
  })

  it('is not told to application services that share nothing else', async () => {
    await using service = await FakeAppservice.start({ receive_ephemeral: true })
    const config = { app_service_config_files: [service.file] }
    await using other = await startHomeserver({ database, config })
    const bot = service.client(other.url)
    const [erin, frank] = [await other.register('erin'), await other.register('frank')]
    const [first, second] = [await erin.createRoom({}), await frank.createRoom({})]
    exclude(other, first)
    await erin.invite(first, '@bridge_bot:hs.test')
    await frank.invite(second, '@bridge_bot:hs.test')
    for (const roomId of [first, second]) await bot.join(roomId)
    await setStatus(erin, 'here')
    await erin.must('GET', statusPath(erin))
    await setStatus(frank, 'here')
    const fromFrank = (event: JsonObject): boolean =>
      event['type'] === 'm.presence' && event['sender'] === frank.userId
    await service.waitForEvent(fromFrank, 'ephemeral')
    const told = service.received('ephemeral').filter(({ type }) => type === 'm.presence')
    expect(told.map(({ sender }) => sender)).to.not.include(erin.userId)
  })
})

describe('presence in rooms that are excluded from it, at other servers', function () {
  this.timeout(30_000)

  it('is told to the servers in other rooms alone', async () => {
    await using servers = await startFederation(['a.test', 'b.test'])
    const [a, b] = servers.list
    const fake = await servers.fake('fake.test')
    const alice = await a!.register('alice')
    const bob = await b!.register('bob')
    const [counting, excluded] = [
      await alice.createRoom({ preset: 'public_chat' }),
      await alice.createRoom({ preset: 'public_chat', room_version: '11' }),
    ]
    exclude(a!, excluded)
    await setStatus(alice, 'before anybody comes')
    await FakeRoom.join(fake, 'a.test', { roomId: excluded, version: '11', userId: '@zoe:fake.test' })
    await bob.join(counting, { via: ['a.test'] })
    await setStatus(alice, 'here')
    await bob.mustSyncUntil((answer) => seenIn(answer).includes(alice.userId))
    const typing = path`/_matrix/client/v3/rooms/${excluded}/typing/${alice.userId}`
    await alice.must('PUT', typing, { body: { typing: true, timeout: 30_000 } })
    await fake.waitForEdu(({ edu_type: type }) => type === 'm.typing')
    expect(fake.edus.map(({ edu_type: type }) => type)).to.not.include('m.presence')
  })
})
