import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import ImportSynapse from '../../commands/import/synapse.js'
import type { JsonObject } from '../../src/util/json.js'
import { runCommand } from '../support/commands.js'
import { createTestDatabase, startPostgres, type DatabaseKind } from '../support/databases.js'
import { PostgresServer } from '../support/postgres-server.js'
import { databaseSection, ONE_LISTENER, startImported } from '../support/imported-server.js'
import { dig, MatrixClient, path } from '../support/matrix-client.js'
import { fetchBytes, mediaPath } from '../support/media-client.js'
import { TestAuthority } from '../support/test-authority.js'
import { observe, type Observed } from './observations.js'
import { liveOn, ROOM_VERSIONS, type Household } from './synapse-household.js'
import { canImport, findSynapse, SynapseProcess } from './synapse-process.js'

const found = findSynapse()

/** Where the Synapse keeps what it has. */
const SOURCES = ['SQLite', 'two databases of PostgreSQL', 'PostgreSQL with workers'] as const

for (const sourceKind of SOURCES) {
  describe(`import of ${'version' in found ? `Synapse ${found.version}` : 'Synapse'} on ${sourceKind}`, function () {
    this.timeout(600_000)
    const hasWorkers = sourceKind === 'PostgreSQL with workers'
    const missing = 'missing' in found ? found.missing : hasWorkers ? missingRedis() : undefined
    let synapse: SynapseProcess
    let household: Household
    let seen: Observed
    let sinceToken = ''
    let postgres: PostgresServer | undefined

    before(async function () {
      if (missing !== undefined) {
        process.stderr.write(`Skipped: ${missing}\n`)
        this.skip()
      }
      if (sourceKind !== 'SQLite') postgres = await PostgresServer.start({ durable: true })
      synapse = await SynapseProcess.start(new TestAuthority(), {
        ...(postgres && { databases: await databasesIn(postgres, hasWorkers ? 1 : 2) }),
        hasWorkers,
      })
      household = await liveOn(synapse)
      seen = await observe(household)
      sinceToken = await household.bob.syncToken()
      await synapse.pause()
    })

    after(async () => {
      if (missing !== undefined) return
      await synapse[Symbol.asyncDispose]()
      await postgres?.stop()
    })

    for (const kind of ['sqlite', 'postgres'] as const) {
      describe(`into ${kind}`, () => {
        let taken: TakenOver
        let alice: MatrixClient
        let bob: MatrixClient

        before(async () => {
          taken = await takeOver(synapse, kind)
          alice = at(taken.url, household.alice)
          bob = at(taken.url, household.bob)
        })

        after(async () => {
          await taken[Symbol.asyncDispose]()
        })

        it('answers old sessions as Synapse did', async () => {
          const now = await observe({ ...household, alice, bob })
          for (const { key } of compared(seen)) expect(now[key], key).to.deep.equal(seen[key])
        })

        it('lets people log in with their passwords', async () => {
          const client = await new MatrixClient(taken.url).login(household.carol.userId, 'correct horse')
          expect(client.userId).to.equal(household.carol.userId)
        })

        it('begins anew for clients that come with a position of Synapse', async () => {
          const sync = await bob.sync({ since: sinceToken })
          const rooms = Object.keys(dig(sync, 'rooms', 'join') as JsonObject)
          expect(rooms).to.have.length(ROOM_VERSIONS.length)
        })

        it('pages on from tokens of Synapse', async () => {
          for (const [roomId, token] of Object.entries(seen.pageTokens)) {
            const page = await alice.messages(roomId, { dir: 'b', from: token, limit: 100 })
            const ids = (page['chunk'] as JsonObject[]).map((event) => event['event_id'])
            expect(ids, roomId).to.deep.equal(seen.olderPages[roomId])
          }
        })

        it('hands out every one-time key once, and messages to devices', async () => {
          const { userId, deviceId } = household.alice
          const claim = async (): Promise<string[]> => {
            const answer = await bob.must('POST', '/_matrix/client/v3/keys/claim', {
              body: { one_time_keys: { [userId]: { [deviceId]: 'signed_curve25519' } } },
            })
            return Object.keys(dig(answer, 'one_time_keys', userId, deviceId) as JsonObject)
          }
          const keys = [...(await claim()), ...(await claim()), ...(await claim())]
          expect(keys.sort()).to.deep.equal([
            'signed_curve25519:AAAB',
            'signed_curve25519:AAAC',
            'signed_curve25519:FALL',
          ])
          const sync = await alice.sync()
          expect(dig(sync, 'to_device', 'events', 0, 'content')).to.deep.equal(household.toDevice)
        })

        it('serves files', async () => {
          const url = taken.url + mediaPath('/_matrix/client/v1/media/download', household.file.uri)
          const answer = await fetchBytes(url, { token: alice.accessToken })
          expect([answer.status, answer.bytes.toString()]).to.deep.equal([
            200,
            household.file.bytes.toString(),
          ])
        })

        for (const version of ROOM_VERSIONS) {
          it(`goes on in rooms of version ${version}`, async () => {
            const roomId = household.rooms.get(version)!
            const since = await bob.syncToken()
            const eventId = await alice.sendText(roomId, 'On the other side')
            await alice.sendState(roomId, 'm.room.topic', '', { topic: 'New here' })
            await alice.invite(roomId, household.carol.userId)
            await bob.mustSyncUntil(
              (answer) => {
                const news = JSON.stringify(answer)
                return [eventId, 'New here', household.carol.userId].every((part) => news.includes(part))
              },
              { since },
            )
            const insult = await bob.sendText(roomId, 'Fool again')
            await alice.redact(roomId, insult)
            const redacted = await bob.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${insult}`)
            expect(redacted['content']).to.deep.equal({})
          })
        }
      })
    }
  })
}

function missingRedis(): string | undefined {
  if (spawnSync('redis-server', ['--version']).status !== 0) return 'there is no redis-server'
  return canImport('txredisapi') ? undefined : 'the Python of Synapse has no txredisapi'
}

/** One for all, or one for states and one for everything else. The server's directory is one that Synapse sees. */
async function databasesIn({ url, directory }: PostgresServer, count: 1 | 2): Promise<JsonObject> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const name of ['main', 'states'])
    await client.query(`CREATE DATABASE ${name} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0`)
  await client.end()
  const at = (dbname: string, store: string): JsonObject => ({
    name: 'psycopg2',
    data_stores: [store],
    args: { host: directory, user: 'postgres', dbname, cp_min: 1, cp_max: 5 },
  })
  const { data_stores: _stores, ...whole } = at('main', 'main')
  return count === 1 ? { all: whole } : { main: at('main', 'main'), states: at('states', 'state') }
}

/** Tokens are written in another way. */
function compared(observed: Observed): { readonly key: keyof Observed }[] {
  return (Object.keys(observed) as (keyof Observed)[]).flatMap((key) => (key === 'pageTokens' ? [] : { key }))
}

/** A server of ours that runs on what was taken over. */
interface TakenOver extends AsyncDisposable {
  readonly url: string
}

async function takeOver(synapse: SynapseProcess, kind: DatabaseKind): Promise<TakenOver> {
  if (kind === 'postgres') await startPostgres()
  const directory = mkdtempSync(join(tmpdir(), 'mxhs-import-'))
  const database = await createTestDatabase(kind)
  const config = join(directory, 'new.yaml')
  const keys = { database: databaseSection(database), pid_file: join(directory, 'pid'), ...ONE_LISTENER }
  writeFileSync(config, JSON.stringify(keys))
  const source = join(synapse.directory, 'homeserver.yaml')
  const dry = await runCommand(ImportSynapse, '--from', source, '--dry-run')
  expect(dry.exitCode, dry.stderr).to.equal(0)
  const args = ['--from', source, '-c', source, '-c', config]
  const first = await runCommand(ImportSynapse, ...args, '--while-running')
  expect(first.exitCode, first.stderr).to.equal(0)
  const last = await runCommand(ImportSynapse, ...args)
  expect(last.exitCode, last.stderr + last.stdout).to.equal(0)
  const imported = await startImported([source, config])
  return {
    url: imported.url,
    [Symbol.asyncDispose]: async () => {
      await imported[Symbol.asyncDispose]()
      await database.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function at(url: string, { userId, deviceId, accessToken }: MatrixClient): MatrixClient {
  return new MatrixClient(url, { userId, deviceId, accessToken }, { isForeign: true })
}
