import { expect } from 'chai'
import { assessPostgres, assessSqlite, checkDatabase } from '../../../../src/cli/doctor/check-database.js'
import { checkPush } from '../../../../src/cli/doctor/check-push.js'
import { checkQueues } from '../../../../src/cli/doctor/check-queues.js'
import { assessGrowth, checkRooms } from '../../../../src/cli/doctor/check-rooms.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { AppservicesStore } from '../../../../src/storage/stores/appservices.js'
import type { PostgresHealth } from '../../../../src/storage/stores/database-health.js'
import { DestinationsStore } from '../../../../src/storage/stores/destinations.js'
import { forEachDatabase } from '../../../support/databases.js'
import { doctorContext, findings, shown } from '../../../support/doctor-context.js'

const NOW = Date.UTC(2026, 0, 2)
const DAY_MS = 24 * 60 * 60_000

forEachDatabase('checks of the database', (open) => {
  let db: Database

  beforeEach(async () => {
    db = await open()
  })

  const context = (keys: object = {}, given: Parameters<typeof doctorContext>[1] = {}) =>
    doctorContext(keys, { database: () => Promise.resolve(db), ...given })

  it('database: has nothing to complain of a new one', async () => {
    const found = await findings(checkDatabase, await context())
    // A PostgreSQL for tests may be set to be quick rather than safe.
    expect(
      found.filter((finding) => !/^ok|(?:fsync|full_page_writes|autovacuum) is off$/.test(finding)),
    ).to.deep.equal([])
    expect(found.join()).to.match(/schema is up to date.*(?:SQLite|PostgreSQL) \d/)
  })

  it('rooms: counts, and names those that have come apart', async () => {
    expect(await findings(checkRooms, await context())).to.deep.equal(['ok: 0 events, 0 states of rooms'])
    await db.write('crowd', async (tx) => {
      await tx.execute(
        `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (7, '!crowded:a.org', '10', '@a:a.org', 0)`,
      )
      const rows = Array.from({ length: 21 }, (_value, index) => ({ room_nid: 7, event_nid: index }))
      await tx.insertMany('forward_extremities', rows, {
        columns: { room_nid: 'integer', event_nid: 'integer' },
      })
    })
    const [found] = await checkRooms.run(await context())
    expect(found).to.include({
      level: 'warning',
      summary: '!crowded:a.org has 21 forward extremities',
      cure: `mxhs rooms repair '!crowded:a.org'; what is left, the next message that somebody here sends joins`,
    })
  })

  it('queues: servers and application services that have been away for long', async () => {
    expect(await findings(checkQueues, await context())).to.deep.equal(['ok: nothing waits for long'])
    const failing = (name: string, failingSinceTs: number) => ({
      ...{ serverName: name as ServerName, failures: 3, failingSinceTs, lastFailedTs: 0 },
      ...{ retryAtTs: NOW, lastError: 'down' },
    })
    const state = { positions: {}, lastTxnId: 1, failures: 4, failingSinceTs: 5, lastError: 'status 500' }
    const letter = { appserviceId: 'irc', txnId: 3, error: 'status 400', ts: 5, body: '{}' }
    await db.write('fail', async (tx) => {
      await new DestinationsStore().put(tx, [failing('a.test', 5), failing('b.test', Date.now())])
      await new AppservicesStore().addDeadLetter(tx, letter, 100)
      await new AppservicesStore().saveState(tx, 'irc', state as never)
    })
    expect(await findings(checkQueues, await context())).to.deep.equal([
      'info: 1 other servers have not answered for a day: a.test',
      'warning: 1 transactions of the application service irc were put aside',
      'warning: the application service irc has failed since 1970-01-01T00:00:00.005Z: status 500',
    ])
    const many = Array.from({ length: 12 }, (_value, index) => failing(`c${index}.test`, Date.now()))
    await db.write('fail', (tx) => new DestinationsStore().put(tx, many))
    expect((await findings(checkQueues, await context()))[0]).to.match(
      /^warning: 13 other servers have stopped/,
    )
  })

  it('queues: messages for servers that answer, and what came and is not taken up', async () => {
    const waiting = Array.from({ length: 1_001 }, (_value, index) => ({
      ...{ destination: 'stuck.test', edu_id: index, edu_type: 'm.direct_to_device', content: '{}' },
      created_ts: 5,
    }))
    await db.write('wait', async (tx) => {
      await tx.insertMany('federation_outbox', waiting, {
        columns: {
          ...{ destination: 'text', edu_id: 'integer', edu_type: 'text', content: 'text' },
          created_ts: 'integer',
        },
      })
      await tx.execute(
        `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (7, '!r:a.org', '10', '@a:a.org', 0)`,
      )
      await tx.execute(
        `INSERT INTO federation_inbox (room_nid, event_id, origin, received_ts, place, json)
         VALUES (7, '$e', 'b.test', 5, 0, '{}')`,
      )
      await tx.execute(
        `INSERT INTO partial_state_rooms (room_nid, join_nid, servers, joined_ts) VALUES (7, 1, '[]', 5)`,
      )
    })
    const at = '1970-01-01T00:00:00.005Z'
    expect(await findings(checkQueues, await context())).to.deep.equal([
      'warning: 1001 messages wait for stuck.test, which is not known to fail',
      `warning: 1 events of other servers in 1 rooms have waited since ${at}`,
      `warning: the state of !r:a.org is incomplete since it was joined at ${at}`,
    ])
  })

  it('push: gateways that cannot be reached, and pushers that fail', async () => {
    expect((await findings(checkPush, await context()))[0]).to.equal(
      'ok: no client has asked for notifications',
    )
    const insert = (id: number, url: string, since: number | null) =>
      db.write('push', (tx) =>
        tx.execute(
          `INSERT INTO pushers (user_id, app_id, pushkey, kind, app_display_name, device_display_name, lang, data,
             pushkey_ts, position, failing_since_ts) VALUES (?, 'app', ?, 'http', '', '', 'en', ?, 0, 0, ?)`,
          [`@u${id}:a.org`, `k${id}`, JSON.stringify({ url }), since],
        ),
      )
    await insert(1, 'https://up.test/_matrix/push/v1/notify', 5)
    await insert(2, 'https://up.test/_matrix/push/v1/notify', null)
    await insert(3, 'https://down.test/_matrix/push/v1/notify', null)
    const answers = (url: string) => (url.startsWith('https://up.test/') ? { status: 405 } : undefined)
    expect(await findings(checkPush, await context({}, { answers }))).to.deep.equal([
      'ok: https://up.test/_matrix/push/v1/notify answers (2 pushers)',
      'warning: 1 of 2 pushers at https://up.test/_matrix/push/v1/notify have failed since 1970-01-01T00:00:00.005Z',
      'warning: https://down.test/_matrix/push/v1/notify: connection refused',
    ])
    expect((await findings(checkPush, await context({ push: { enabled: false } })))[0]).to.match(/^info/)
  })
})

describe('what the state of a database comes to', () => {
  const healthy: PostgresHealth = {
    ...{
      version: '16.2',
      versionNumber: 160_002,
      encoding: 'UTF8',
      collation: 'C',
      collationVersion: undefined,
      bytes: 5e9,
      connections: 3,
    },
    settings: new Map([
      ['fsync', 'on'],
      ['full_page_writes', 'on'],
      ['autovacuum', 'on'],
      ['max_connections', '100'],
    ]),
    invalidIndexes: [],
    transactionAge: 1_000,
    tables: [{ table: 'events', bytes: 2e9, liveRows: 1_000_000, deadRows: 100, vacuumedTs: NOW }],
  }

  async function assess(change: Partial<PostgresHealth>): Promise<string[]> {
    const { config } = await doctorContext({ database: { name: 'psycopg2', args: { host: 'h' } } })
    const found = assessPostgres({ ...healthy, ...change }, { config, clock: { now: () => NOW } as never })
    return shown(found)
  }

  it('PostgreSQL: names what is wrong', async () => {
    expect(await assess({})).to.deep.equal(['ok: PostgreSQL 16.2, 4.7 GiB (events 1.9 GiB)'])
    const settings = (name: string, value: string) => ({
      settings: new Map([...healthy.settings, [name, value]]),
    })
    const [events] = healthy.tables
    for (const [change, expected] of [
      [{ encoding: 'SQL_ASCII' }, 'error: the encoding is SQL_ASCII, not UTF8'],
      [
        { collation: 'de_DE.UTF-8', collationVersion: { made: '2.36', actual: '2.41' } },
        'warning: the locale de_DE.UTF-8 has changed from version 2.36 to 2.41 since the database was made',
      ],
      [{ versionNumber: 120_000, version: '12.0' }, 'error: PostgreSQL 12.0 is older than 14'],
      [{ invalidIndexes: ['events_x'] }, 'error: the index events_x is invalid'],
      [{ transactionAge: 1_600_000_000 }, 'error: the oldest row is 1600000000 transactions old'],
      [settings('fsync', 'off'), 'error: fsync is off'],
      [settings('full_page_writes', 'off'), 'error: full_page_writes is off'],
      [settings('autovacuum', 'off'), 'warning: autovacuum is off'],
      [
        settings('max_connections', '12'),
        'warning: max_connections is 12, and the server may open 10 (3 are open)',
      ],
      [
        { tables: [{ ...events!, deadRows: 1_000_000, vacuumedTs: NOW - 2 * DAY_MS }] },
        'warning: events: 1000000 of 2000000 rows are dead, and nothing cleans up',
      ],
    ] as const) {
      expect((await assess(change)).slice(1), JSON.stringify(change)).to.deep.equal([expected])
    }
  })

  it('sees when there are more states of rooms than events account for', () => {
    expect(shown([assessGrowth({ events: 900_000, snapshots: 400_000 })])[0]).to.match(/^ok/)
    expect(shown([assessGrowth({ events: 90_000, snapshots: 60_000 })])[0]).to.match(/^ok/)
    expect(assessGrowth({ events: 190_000, snapshots: 110_000 })).to.include({
      level: 'warning',
      summary: 'there are 110000 states of rooms for 190000 events',
      cure: 'mxhs db compact',
    })
  })

  it('SQLite: names what is wrong', () => {
    const fine = { version: '3.5', journalMode: 'wal', bytes: 1e9, freeBytes: 0, walBytes: 0, damage: [] }
    const assess = (change: object): string[] => shown(assessSqlite({ ...fine, ...change }))
    expect(assess({})).to.deep.equal(['ok: SQLite 3.5, 954 MiB'])
    expect(assess({ journalMode: 'delete' })[1]).to.equal('warning: journal_mode is delete, not wal')
    expect(assess({ freeBytes: 5e8 })[1]).to.equal('info: 477 MiB of the file are unused')
    expect(assess({ walBytes: 2e9 })[1]).to.equal('warning: the write-ahead log has 1.9 GiB')
    expect(assess({ damage: ['row 1 missing'] })[0]).to.equal('error: the file is damaged: row 1 missing')
  })
})
