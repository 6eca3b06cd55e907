import { expect } from 'chai'
import type { RoomId } from '../../../src/protocol/ids.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { quietContext } from '../../support/databases.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'

describe('a room of which a server has lost a part', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: RoomId

  beforeEach(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
    roomId = (await alice.createRoom({ preset: 'public_chat', name: 'Cats' })) as RoomId
    await bob.join(roomId, { via: ['a.test'] })
    // Who is in the room is only known once the state is whole.
    await bob.must('GET', `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/members`)
    for (const text of ['one', 'two']) await bob.sendState(roomId, 'm.room.member', bob.userId, named(text))
  })
  afterEach(() => servers[Symbol.asyncDispose]())

  const named = (displayname: string): { membership: string; displayname: string } => ({
    membership: 'join',
    displayname,
  })

  async function damage(...statements: readonly string[]): Promise<void> {
    const db = await openDatabase(servers.get('b.test').config.database, quietContext())
    for (const sql of statements) await db.write('damage', (tx) => tx.execute(sql))
    await db.close()
  }

  it('is mended by what the others in it know', async () => {
    const { services } = servers.get('b.test').server
    await damage(
      'DELETE FROM state_snapshots',
      `DELETE FROM events WHERE type = 'm.room.join_rules'`,
      'DELETE FROM auth_chains WHERE seq = 1',
    )
    const alone = await services.roomRepair.repair(roomId, { dryRun: true })
    expect(alone.obstacle).to.match(/are lost/)
    const witnesses = services.roomWitnesses
    const dry = await services.roomRepair.repair(roomId, { dryRun: true, witnesses })
    expect(dry.obstacle).to.equal(undefined)
    const report = await services.roomRepair.repair(roomId, { dryRun: false, witnesses })
    expect(report.obstacle).to.equal(undefined)
    expect(report.findings.map(({ kind }) => kind)).to.include.members([
      'missingAuthEvent',
      'missingPosition',
      'missingState',
      'wrongState',
    ])
    expect((await services.roomRepair.repair(roomId, { dryRun: true })).findings).to.deep.equal([])
    const eventId = await bob.sendText(roomId, 'Here I am again')
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, eventId))
    const rules = await bob.must(
      'GET',
      `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.join_rules`,
    )
    expect(rules).to.deep.equal({ join_rule: 'public' })
  })
})
