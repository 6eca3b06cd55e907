import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { allRoutes } from '../../src/api/resources.js'
import type { Database } from '../../src/storage/database.js'
import { openDatabase } from '../../src/storage/open-database.js'
import { quietContext } from '../support/databases.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../support/homeserver.js'
import { hostileBodies } from '../support/hostile-json.js'
import type { MatrixClient } from '../support/matrix-client.js'
import { readOperations, specificationIsHere, type Operation } from '../support/openapi.js'
import { TransactionCounts } from '../support/transaction-counts.js'

const RUNS = 40
/** Bodies may name users of servers that are not there. */
const ANOTHER_SERVER_FAILED = 502
/** Written whatever comes of a request: who was seen where, and sessions that a 401 begins. */
const UNCOUNTED = new Set(['client_ips', 'ui_auth_sessions', 'id_counters', 'stream_positions'])
/** Written a little later, for what went before. */
const FOLLOWING = /^(?:event_search|(?:user_)?directory_|profile_changes)/

/**
 * Every endpoint with a body, with bodies that are wrong in all kinds of ways: the answer is an orderly one, and what
 * is refused leaves nothing behind.
 */
forEachServerDatabase('hostile bodies', (database) => {
  if (!specificationIsHere) {
    it('needs the OpenAPI documents beside the project')
    return
  }
  const transactions = new TransactionCounts()
  let hs: TestHomeserver
  let db: Database
  let countRows: () => Promise<string>

  before(async () => {
    hs = await startHomeserver({ database, metrics: transactions.metrics })
    db = await openDatabase(hs.config.database, quietContext())
    countRows = rowCounter(db, await listTables(db), transactions)
  })

  after(async () => {
    await db.close()
    await hs[Symbol.asyncDispose]()
  })

  const served = new Set(allRoutes().map((route) => route.operationId))
  const operations = readOperations().filter(({ operationId, body }) => body && served.has(operationId))

  it('is tried on enough endpoints to mean something', () => {
    expect(operations.length).to.be.greaterThan(30)
  })

  for (const operation of operations) {
    it(`${operation.method} ${operation.path}`, async function () {
      this.timeout(60_000)
      const scene = await setTheScene(hs)
      expect(transactions.ended, 'transactions').to.be.greaterThan(0)
      await fc.assert(
        fc.asyncProperty(hostileBodies(operation.body!), async (body) => {
          await expectOrder(scene, operation, body)
        }),
        { numRuns: RUNS, endOnFailure: false },
      )
    })
  }

  async function expectOrder(scene: Scene, operation: Operation, body: string): Promise<void> {
    const before = await countRows()
    const answer = await ask(scene, operation, body)
    if (answer.status < 400) return
    if (answer.status === ANOTHER_SERVER_FAILED) {
      // It is asked when this server has done its part: a room is there, with invitations that failed.
      expect(answer.body['errcode'], answer.text).to.equal('M_CONNECTION_FAILED')
      return
    }
    expect(answer.status, answer.text).to.be.below(500)
    if (answer.status === 401) {
      expect(answer.body['errcode'] ?? answer.body['flows'], answer.text).to.not.equal(undefined)
      return
    }
    expect(answer.body['errcode'], answer.text).to.be.a('string')
    expect(answer.body['error'], answer.text).to.be.a('string')
    const after = await countRows()
    // What an earlier request goes on doing in the background may show here: then the same request again tells.
    if (after !== before) {
      const repeated = await ask(scene, operation, body)
      if (repeated.status >= 400) expect(await countRows(), 'rows written').to.equal(after)
    }
  }
})

interface Scene {
  readonly client: MatrixClient
  readonly parameters: Readonly<Record<string, string>>
}

/** A user of their own for each endpoint, in a room with a message: some requests do succeed. */
async function setTheScene(hs: TestHomeserver): Promise<Scene> {
  const client = await hs.register(`user${randomUUID().slice(0, 8)}`)
  const roomId = await client.createRoom({ preset: 'public_chat' })
  const eventId = await client.sendText(roomId, 'Hello')
  return {
    client,
    parameters: {
      userId: client.userId,
      roomId,
      roomIdOrAlias: roomId,
      eventId,
      roomAlias: `#${randomUUID()}:hs.test`,
      deviceId: client.deviceId,
      type: 'org.example.type',
      eventType: 'org.example.event',
      stateKey: '',
      txnId: randomUUID(),
      receiptType: 'm.read',
      keyName: 'displayname',
      kind: 'override',
      ruleId: 'rule',
      tag: 'u.tag',
    },
  }
}

function ask(scene: Scene, { method, path }: Operation, rawBody: string) {
  const parameters = { ...scene.parameters, txnId: randomUUID() }
  const target = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent((parameters as Record<string, string>)[name] ?? 'none'),
  )
  return scene.client.request(method, target, { rawBody })
}

async function listTables(db: Database): Promise<string[]> {
  const sql =
    db.dialect.name === 'sqlite'
      ? "SELECT name FROM sqlite_master WHERE type = 'table'"
      : "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
  const rows = await db.reader.all<{ name: string }>(sql)
  return rows.map(({ name }) => name).filter((name) => !UNCOUNTED.has(name) && !FOLLOWING.test(name))
}

/** Tells how many rows there are in each table, as text. They are the same as long as no transaction has ended. */
function rowCounter(
  db: Database,
  tables: readonly string[],
  transactions: TransactionCounts,
): () => Promise<string> {
  const counts = tables.map((table) => `(SELECT COUNT(*) FROM "${table}") AS "${table}"`)
  const sql = `SELECT ${counts.join(', ')}`
  let known = { ended: -1, text: '' }
  return async () => {
    const { ended } = transactions
    if (ended !== known.ended) known = { ended, text: JSON.stringify(await db.reader.first(sql)) }
    return known.text
  }
}
