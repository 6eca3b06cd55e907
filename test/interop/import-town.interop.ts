import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Preset } from 'matrix-js-sdk'
import ImportSynapse from '../../commands/import/synapse.js'
import { runCommand } from '../support/commands.js'
import { createTestDatabase, type TestDatabase } from '../support/databases.js'
import { PASSWORD, type TestHomeserver } from '../support/homeserver.js'
import { databaseSection, startImported, type ImportedServer } from '../support/imported-server.js'
import { MatrixClient, path, syncTimelineHasEventId } from '../support/matrix-client.js'
import {
  EncryptingClients,
  textsIn,
  until,
  untilAsync,
  type EncryptingClient,
} from '../support/sdk-clients.js'
import { TestAuthority } from '../support/test-authority.js'
import { startNeighbour } from './neighbour.js'
import { findSynapse, SynapseProcess } from './synapse-process.js'

const found = findSynapse()
const ROOMS = 50
/** So many clients begin at the same time. */
const AT_ONCE = 4

/** Two people of the town with a room of theirs, in which somebody of another server is, too. */
interface Couple {
  readonly name: string
  readonly speaker: EncryptingClient
  readonly listener: EncryptingClient
  readonly roomId: string
}

describe(`import of ${'version' in found ? `Synapse ${found.version}` : 'Synapse'} with ${2 * ROOMS} users`, function () {
  this.timeout(1_200_000)
  const authority = new TestAuthority()
  const directory = mkdtempSync(join(tmpdir(), 'mxhs-import-'))
  const couples: Couple[] = []
  let neighbour: TestHomeserver
  let synapse: SynapseProcess
  let database: TestDatabase | undefined
  let imported: ImportedServer | undefined
  let speakers: EncryptingClients
  let listeners: EncryptingClients
  let guest: MatrixClient
  const lastWords = new Map<string, string>()

  before(async function () {
    if ('missing' in found) {
      process.stderr.write(`Skipped: ${found.missing}\n`)
      this.skip()
    }
    neighbour = await startNeighbour(authority, directory)
    synapse = await SynapseProcess.start(authority)
    speakers = new EncryptingClients(() => synapse.url)
    listeners = new EncryptingClients(() => synapse.url)
    guest = await neighbour.register('guest')
    await inParts(ROOMS, async (n) => {
      couples.push(await settle(n))
    })
    for (const couple of couples) await greet(couple)
    // Who listens is away when the last words before the move are spoken.
    listeners.goOffline()
    for (const { name, speaker, roomId } of couples) {
      const { event_id: eventId } = await speaker.client.sendTextMessage(roomId, `Last words of ${name}`)
      lastWords.set(roomId, eventId)
    }
    await synapse.pause()
    database = await createTestDatabase('sqlite')
    const source = join(synapse.directory, 'homeserver.yaml')
    const config = join(directory, 'new.yaml')
    const keys = { database: databaseSection(database), pid_file: join(directory, 'pid') }
    writeFileSync(config, JSON.stringify(keys))
    const run = await runCommand(ImportSynapse, '--from', source, '-c', source, '-c', config)
    // That everything is the same as it was is what the command ends with.
    expect(run.exitCode, run.stderr + run.stdout).to.equal(0)
    imported = await startImported([source, config])
    listeners.goOffline(false)
    speakers.retryNow()
  })

  after(async () => {
    if ('version' in found) {
      listeners.stop()
      speakers.stop()
      await imported?.[Symbol.asyncDispose]()
      await neighbour[Symbol.asyncDispose]()
      await synapse[Symbol.asyncDispose]()
      await database?.remove()
    }
    rmSync(directory, { recursive: true, force: true })
  })

  async function settle(n: number): Promise<Couple> {
    const name = `couple${n}`
    const names = [`${name}-speaker`, `${name}-listener`] as const
    for (const localpart of names)
      await new MatrixClient(synapse.url, undefined, { isForeign: true }).register(localpart, PASSWORD)
    const speaker = await speakers.begin(names[0])
    const listener = await listeners.begin(names[1])
    const { room_id: roomId } = await speaker.client.createRoom({
      preset: Preset.PublicChat,
      name,
      initial_state: [
        { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    await listener.client.joinRoom(roomId)
    await guest.join(roomId, { via: [synapse.serverName] })
    return { name, speaker, listener, roomId }
  }

  async function greet({ speaker, listener, roomId }: Couple): Promise<void> {
    for (const { client } of [speaker, listener])
      await until(client, () => client.getRoom(roomId)?.getJoinedMemberCount() === 3)
    await speaker.client.sendTextMessage(roomId, 'Hello')
    await until(listener.client, () => textsIn(listener.client, roomId).includes('Hello'))
  }

  it('lets every session go on', async () => {
    expect(couples).to.have.length(ROOMS)
    for (const couple of couples) {
      for (const { client } of [couple.speaker, couple.listener]) {
        const me = await client.whoami()
        expect([me.user_id, me.device_id]).to.deep.equal([client.getUserId(), client.getDeviceId()])
      }
    }
  })

  it('lets messages be read that were encrypted before the move', async () => {
    for (const { name, listener, roomId } of couples) {
      const words = `Last words of ${name}`
      await until(listener.client, () => textsIn(listener.client, roomId).includes(words))
    }
  })

  it('lets conversations go on, encrypted, and none be unreadable', async () => {
    for (const { name, speaker, listener, roomId } of couples) {
      const answer = `Answer to ${name}`
      await listener.client.sendTextMessage(roomId, answer)
      await until(speaker.client, () => textsIn(speaker.client, roomId).includes(answer))
      const question = `Question of ${name}`
      await speaker.client.sendTextMessage(roomId, question)
      await until(listener.client, () => textsIn(listener.client, roomId).includes(question))
      const failed = [...speakers.undecrypted(roomId), ...listeners.undecrypted(roomId)]
      expect(failed.map((event) => event.getId())).to.deep.equal([])
    }
  })

  it('lets a message in each room reach the other server, and one from there come back', async () => {
    for (const { name, speaker, roomId } of couples) {
      const since = await guest.syncToken()
      const { event_id: eventId } = await speaker.client.sendTextMessage(roomId, `${name} to the neighbour`)
      await guest.mustSyncUntil(syncTimelineHasEventId(roomId, eventId), { since })
      const before = await guest.must(
        'GET',
        path`/_matrix/client/v3/rooms/${roomId}/event/${lastWords.get(roomId)!}`,
      )
      expect(before['type']).to.equal('m.room.encrypted')
      const reply = `From the neighbour to ${name}`
      await guest.sendText(roomId, reply)
      await until(speaker.client, () => textsIn(speaker.client, roomId).includes(reply))
    }
  })

  it('keeps one-time keys for those who write to them next', async () => {
    const { speaker } = couples[0]!
    const stranger = await new EncryptingClients(() => synapse.url).begin('couple1-listener')
    try {
      const { room_id: roomId } = await stranger.client.createRoom({
        preset: Preset.PrivateChat,
        invite: [speaker.client.getSafeUserId()],
        initial_state: [
          { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        ],
      })
      await untilAsync(() => Promise.resolve(speaker.client.getRoom(roomId)?.getMyMembership() === 'invite'))
      await speaker.client.joinRoom(roomId)
      await until(stranger.client, () => stranger.client.getRoom(roomId)?.getJoinedMemberCount() === 2)
      await stranger.client.sendTextMessage(roomId, 'Nice to meet you')
      await until(speaker.client, () => textsIn(speaker.client, roomId).includes('Nice to meet you'))
    } finally {
      stranger.client.stopClient()
    }
  })
})

/** Does something with 0 to n - 1, a few at the same time. */
async function inParts(n: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < n) await work(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
