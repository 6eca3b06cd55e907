import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ImportSynapse from '../../commands/import/synapse.js'
import type { JsonObject } from '../../src/util/json.js'
import { runCommand } from '../support/commands.js'
import { createTestDatabase, type TestDatabase } from '../support/databases.js'
import type { TestHomeserver } from '../support/homeserver.js'
import { databaseSection, startImported, type ImportedServer } from '../support/imported-server.js'
import {
  dig,
  MatrixClient,
  syncInvitedTo,
  syncJoinedTo,
  syncTimelineHasEventId,
} from '../support/matrix-client.js'
import { TestAuthority } from '../support/test-authority.js'
import { startNeighbour } from './neighbour.js'
import { findSynapse, SynapseProcess } from './synapse-process.js'

const found = findSynapse()
const VERSIONS = ['1', '6', '10', '12']

describe(`import of ${'version' in found ? `Synapse ${found.version}` : 'Synapse'} among other servers`, function () {
  this.timeout(240_000)
  let directory = ''
  let other: TestHomeserver
  let synapse: SynapseProcess
  let imported: ImportedServer | undefined
  let database: TestDatabase
  let alice: MatrixClient
  let rose: MatrixClient
  const rooms = new Map<string, string>()
  let invitedTo = ''

  before(async function () {
    if ('missing' in found) {
      process.stderr.write(`Skipped: ${found.missing}\n`)
      this.skip()
    }
    directory = mkdtempSync(join(tmpdir(), 'mxhs-import-'))
    const authority = new TestAuthority()
    other = await startNeighbour(authority, directory)
    synapse = await SynapseProcess.start(authority)
    alice = await other.register('alice')
    rose = await synapse.register('rose')
    for (const version of VERSIONS) rooms.set(version, await meet(alice, rose, version))
    invitedTo = await alice.createRoom({ name: 'Party' })
    await alice.invite(invitedTo, rose.userId)
    await rose.mustSyncUntil(syncInvitedTo(invitedTo))
    await synapse.pause()
    database = await createTestDatabase('sqlite')
    const source = join(synapse.directory, 'homeserver.yaml')
    const config = join(directory, 'new.yaml')
    writeFileSync(
      config,
      JSON.stringify({ database: databaseSection(database), pid_file: join(directory, 'pid') }),
    )
    const run = await runCommand(ImportSynapse, '--from', source, '-c', source, '-c', config)
    expect(run.exitCode, run.stderr + run.stdout).to.equal(0)
    imported = await startImported([source, config])
    rose = new MatrixClient(imported.url, rose, { isForeign: true })
  })

  after(async () => {
    if ('missing' in found) return
    await imported?.[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    await synapse[Symbol.asyncDispose]()
    await database.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  for (const version of VERSIONS) {
    it(`talks on both ways in rooms of version ${version}`, async () => {
      const roomId = rooms.get(version)!
      const { chunk } = await rose.messages(roomId, { dir: 'b', limit: 100 })
      expect(JSON.stringify(chunk)).to.include('Before 0')
      const since = await alice.syncToken()
      const sent = await rose.sendText(roomId, 'From the new server')
      await alice.mustSyncUntil(syncTimelineHasEventId(roomId, sent), { since })
      const ours = await rose.syncToken()
      const answer = await alice.sendText(roomId, 'Welcome')
      await rose.mustSyncUntil(syncTimelineHasEventId(roomId, answer), { since: ours })
    })
  }

  it('lets people accept invitations that came before', async () => {
    const sync = await rose.sync()
    expect(Object.keys(dig(sync, 'rooms', 'invite') as JsonObject)).to.deep.equal([invitedTo])
    await rose.join(invitedTo)
    await alice.mustSyncUntil(syncJoinedTo(invitedTo, rose.userId))
  })
})

/** A room of the host's that the guest joins, with a history that is fetched, and an end on either side. */
async function meet(host: MatrixClient, guest: MatrixClient, version: string): Promise<string> {
  const roomId = await host.createRoom({ room_version: version, preset: 'public_chat', name: 'Meeting' })
  for (let n = 0; n < 15; n++) await host.sendText(roomId, `Before ${n}`)
  await host.sendState(roomId, 'm.room.topic', '', { topic: 'First' })
  await guest.join(roomId, { via: [host.userId.slice(host.userId.indexOf(':') + 1)] })
  await host.mustSyncUntil(syncJoinedTo(roomId, guest.userId))
  await host.sendText(roomId, 'Hello')
  const last = await guest.sendText(roomId, 'Hello you')
  await host.mustSyncUntil(syncTimelineHasEventId(roomId, last))
  await guest.messages(roomId, { dir: 'b', limit: 50 })
  const next = await host.sendText(roomId, 'Look at all that')
  await guest.mustSyncUntil(syncTimelineHasEventId(roomId, next))
  return roomId
}
