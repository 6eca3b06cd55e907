import { expect } from 'chai'
import ImportSynapse from '../../commands/import/synapse.js'
import { createSigner, parseSigningKeys } from '../../src/protocol/signing-keys.js'
import type { ServerName } from '../../src/protocol/ids.js'
import { openDatabase } from '../../src/storage/open-database.js'
import type { JsonObject } from '../../src/util/json.js'
import { expectCommandJson } from '../support/command-schemas.js'
import { runCommand, type CommandResult } from '../support/commands.js'
import { createTestDatabase, quietContext, type TestDatabase } from '../support/databases.js'
import type { FakeHomeserver } from '../support/fake-homeserver.js'
import { SERVER_NAME } from '../support/homeserver.js'
import { databaseSection } from '../support/imported-server.js'
import { LinearRoom } from '../support/linear-room.js'
import { dig } from '../support/matrix-client.js'
import { useScratch } from '../support/scratch.js'
import { SynapseDatabase } from '../support/synapse-database.js'
import { ALICE, CHARLIE, readStory, tellStory } from '../support/synapse-story.js'

const KEY = 'ed25519 a_test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
/** Those at which something that is read came or went; 1.74 has the first. */
const VERSIONS = [73, 74, 80, 83, 85, 88, 92, 94]

/** A room of the server's that is taken over, with a few messages. */
async function conversation(): Promise<LinearRoom> {
  const [key] = parseSigningKeys(KEY)
  const serverName = SERVER_NAME as ServerName
  const fake = { serverName, signer: createSigner(serverName, key!) } as unknown as FakeHomeserver
  const room = new LinearRoom(fake, '10')
  room.join('alice')
  for (let n = 0; n < 3; n++)
    room.add({ type: 'm.room.message', sender: 'alice', content: { body: `Message ${n}` } })
  return room
}

describe('import of a Synapse of any age', () => {
  const scratch = useScratch()
  let database: TestDatabase

  beforeEach(async () => {
    database = await createTestDatabase('sqlite')
  })

  afterEach(() => database.remove())

  function run(from: JsonObject, ...flags: string[]): Promise<CommandResult> {
    const shared = {
      server_name: SERVER_NAME,
      signing_key: KEY,
      macaroon_secret_key: 'a secret',
      media_store_path: scratch.path('media'),
      listeners: [],
    }
    const source = scratch.write('homeserver.yaml', JSON.stringify({ ...shared, ...from }))
    const own = { ...shared, database: databaseSection(database), pid_file: scratch.path('pid') }
    const target = scratch.write('new.yaml', JSON.stringify(own))
    return runCommand(ImportSynapse, '--from', source, '-c', target, '--json', ...flags)
  }

  function file(path: string): JsonObject {
    return { name: 'sqlite3', args: { database: path } }
  }

  async function imported(from: JsonObject): Promise<JsonObject> {
    const result = await run(from)
    expect(result.exitCode, result.stdout + result.stderr).to.equal(0)
    return expectCommandJson('import-synapse', result.stdout) as JsonObject
  }

  async function story(): Promise<Record<string, unknown>> {
    const db = await openDatabase(database.config, quietContext())
    try {
      return await readStory(db.reader)
    } finally {
      await db.close()
    }
  }

  for (const version of VERSIONS) {
    it(`takes all that version ${version} of the schema has`, async () => {
      const path = scratch.path('synapse.db')
      {
        await using source = await SynapseDatabase.create(path, { version })
        await tellStory(source, await conversation())
      }
      const report = await imported({ database: file(path) })
      expect(dig(report, 'verification', 'differences')).to.deep.equal([])
      const checks = dig(report, 'verification', 'tables') as JsonObject[]
      expect(checks.filter(({ checksum, found }) => checksum !== found)).to.deep.equal([])
      expect(await story()).to.deep.equal({
        token: { user_id: ALICE, device_id: 'PHONE' },
        dora: { is_locked: version >= 80 ? 1 : 0, is_suspended: version >= 85 ? 1 : 0 },
        profile: {
          display_name: 'Alice A.',
          fields: version >= 88 ? '{"m.tz":"Europe/Berlin"}' : '{}',
        },
        consent: { user_id: ALICE, version: '1.0', ts: version >= 77 ? 7 : null },
        policyNotice: { user_id: ALICE, version: '0.9' },
        threepid: { address: 'alice@example.org', validated_ts: 5, added_ts: 6 },
        bound: {
          user_id: ALICE,
          medium: 'email',
          address: 'alice@example.org',
          id_server: 'identity.example.org',
        },
        external: { auth_provider: 'oidc-club', external_id: '17', user_id: ALICE },
        providerSession: { device_id: 'PHONE', provider: 'oidc-club', provider_session: 's1' },
        filter: { user_id: ALICE, filter_id: 0, json: '{"room":{}}' },
        blocked: { room_id: '!blocked:elsewhere', blocked_by: ALICE },
        ratelimit: { user_id: ALICE, messages_per_second: 0, burst_count: 0 },
        registration: { token: 'welcome', uses_allowed: 3, pending: 0, completed: 1 },
        txn: { user_id: ALICE, device_id: 'PHONE', txn_id: 't1', ts: 7 },
        receipt: { receipt_type: 'm.read', user_id: ALICE, ts: 9 },
        report: { reporter: ALICE, reason: 'odd', score: -5 },
        oneTimeKey: { device_id: 'PHONE', key_id: 'AAAA', key: '{"key":"a"}' },
        fallbackKey: { device_id: 'PHONE', key_id: 'FALL', key: '{"key":"f"}', used: 1 },
        crossSigning: { usage: 'master', public_key: 'M' },
        signature: { subject: 'M', signer_id: ALICE, key_id: 'ed25519:PHONE', signature: 's' },
        backup: { version: 1, etag: 4, count: 1 },
        backedUp: { version: 1, session_id: 'S', is_verified: 1 },
        inbox: { device_id: 'PHONE', sender: CHARLIE, type: 'm.test', content: '{"n":1}' },
        received: { origin: 'far.test', message_id: 'm1' },
        pusher: { user_id: ALICE, device_id: 'PHONE', is_enabled: 1, pushkey: 'key' },
        tags: { content: '{"tags":{"m.favourite":{}}}' },
        destination: { server_name: 'far.test', last_failed_ts: 10, retry_at_ts: 30 },
        published: { appservice_id: 'bridge', network_id: 'irc' },
        appservice: {
          appservice_id: 'bridge',
          positions: JSON.stringify({ events: 10, receipts: 3, presence: 0, toDevice: 2, deviceLists: 2 }),
        },
      })
    })
  }

  it('reads states from a database of their own', async () => {
    const [path, statesPath] = [scratch.path('main.db'), scratch.path('states.db')]
    {
      await using source = await SynapseDatabase.create(path, { statesPath })
      await tellStory(source, await conversation())
    }
    const stores = { main: ['main'], state: ['state'] }
    const report = await imported({
      databases: {
        first: { ...file(path), data_stores: stores.main },
        second: { ...file(statesPath), data_stores: stores.state },
      },
      // As of a server with workers.
      instance_map: { main: { host: 'localhost', port: 1 }, writer: { host: 'elsewhere.test', port: 1 } },
      stream_writers: { events: ['writer'] },
      redis: { enabled: true },
      send_federation: false,
    })
    expect(report['outcome']).to.equal('finished')
    expect(dig(report, 'verification', 'stateEntries')).to.equal(6)
  })

  it('says which databases it cannot take', async () => {
    const path = scratch.path('synapse.db')
    await using source = await SynapseDatabase.create(path)
    for (const [version, compat, message] of [
      [72, 72, 'version 73 (Synapse 1.74) or later is needed'],
      [120, 95, 'this program knows those up to 94'],
    ] as const) {
      await source.run('UPDATE schema_version SET version = ?', [version])
      await source.run('UPDATE schema_compat_version SET compat_version = ?', [compat])
      const result = await run({ database: file(path) }, '--dry-run')
      expect(result.exitCode).to.equal(1)
      expect(result.stdout).to.include(message)
    }
    await source.run('DROP TABLE schema_version')
    const none = await run({ database: file(path) })
    expect([none.exitCode, none.stdout]).to.satisfy(
      ([code, text]: [number, string]) => code === 1 && text.includes('The database is none of a Synapse'),
    )
  })

  it('does not call finished what has not come over as it was', async () => {
    const path = scratch.path('synapse.db')
    {
      await using source = await SynapseDatabase.create(path)
      await tellStory(source, await conversation())
    }
    const db = await openDatabase(database.config, quietContext())
    await db.write('spoil', (tx) =>
      tx.execute(
        `CREATE TRIGGER spoil AFTER INSERT ON one_time_keys BEGIN UPDATE one_time_keys SET key = '{}'; END`,
      ),
    )
    await db.close()
    const result = await run({ database: file(path) })
    expect(result.exitCode).to.equal(1)
    const report = expectCommandJson('import-synapse', result.stdout) as JsonObject
    expect(report['outcome']).to.equal('differs')
    const [difference] = dig(report, 'verification', 'differences') as JsonObject[]
    expect(difference?.['kind']).to.equal('table')
    expect(difference?.['detail']).to.match(/^1 of the one-time keys are not as they are there/)
  })
})
