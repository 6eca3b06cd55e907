import { expect } from 'chai'
import { PortPass, type PassResult } from '../../../../src/storage/porting/port-pass.js'
import type { PortTarget } from '../../../../src/storage/porting/port-side.js'
import { inspectTarget, openSource, openTarget } from '../../../../src/storage/porting/port-target.js'
import { noProgress } from '../../../../src/util/progress-sink.js'
import {
  createTestDatabase,
  quietContext,
  startPostgres,
  type TestDatabase,
} from '../../../support/databases.js'
import { ask, change } from '../../../support/porting.js'
import { rejection } from '../../../support/rejection.js'

/** Enough of them to see what is to be seen; the others would only take time. */
const TABLES = ['access_tokens', 'account_data', 'events', 'media']

for (const direction of ['sqlite to postgres', 'postgres to sqlite'] as const) {
  describe(`a pass of porting (${direction})`, function () {
    this.timeout(60_000)
    const [from, to] = direction.split(' to ') as ['sqlite' | 'postgres', 'sqlite' | 'postgres']
    let source: TestDatabase
    let target: TestDatabase

    before(async () => {
      await startPostgres()
    })
    beforeEach(async () => {
      source = await createTestDatabase(from)
      target = await createTestDatabase(to)
    })
    afterEach(async () => {
      await source.remove()
      await target.remove()
    })

    it('goes on after any interruption, also when rows have changed meanwhile', async () => {
      await change(source.config, ...tokens(1, 40), ...accountData(1, 40), ...events(1, 30))
      let interruptions = 0
      for (let after = 1; ; after = Math.ceil(after * 1.3)) {
        const result = await pass({ batchRows: 4, interruptAfter: after })
        if (result !== undefined) break
        interruptions++
        const row = (interruptions * 5) % 40
        await change(
          source.config,
          `DELETE FROM account_data WHERE user_id = 'user${row}'`,
          `UPDATE access_tokens SET user_id = 'other' WHERE id = ${row + 1}`,
          // What is unique goes from a row that is there to a new one, which is copied later.
          `DELETE FROM access_tokens WHERE id = ${row}`,
          `INSERT INTO access_tokens (id, token_hash, user_id, created_ts) VALUES (${1000 + interruptions}, 'hash${row}', 'new', 1)
             ON CONFLICT DO NOTHING`,
          `UPDATE events SET depth = depth + 1 WHERE event_nid = ${row}`,
        )
      }
      expect(interruptions).to.be.at.least(6)
      await expectSame()
    })

    it('brings rows that swap what is unique, far from each other', async () => {
      await change(source.config, ...manyTokens(9_000))
      await pass()
      await change(
        source.config,
        "UPDATE access_tokens SET token_hash = 'x' || token_hash WHERE id IN (1, 9000)",
        "UPDATE access_tokens SET token_hash = 'hash9000' WHERE id = 1",
        "UPDATE access_tokens SET token_hash = 'hash1' WHERE id = 9000",
        "UPDATE access_tokens SET user_id = 'other' WHERE id > 1 AND id < 9000",
      )
      const result = await pass()
      expect(result?.tables.find(({ name }) => name === 'access_tokens')).to.deep.include({
        rows: 9_000,
        carried: 9_000,
      })
      await expectSame()
    })

    it('is stopped between two batches by its signal', async () => {
      await change(source.config, ...tokens(1, 40))
      const controller = new AbortController()
      let committed = 0
      const onCommit = (): void => {
        if (++committed === 3) controller.abort(new Error('enough'))
      }
      const error = await rejection(pass({ batchRows: 4, onCommit, signal: controller.signal }))
      expect(error).to.have.property('message', 'enough')
      expect(committed).to.equal(3)
      expect(await pass()).to.not.equal(undefined)
      await expectSame()
    })

    /** Undefined when it was interrupted. */
    async function pass(how: PassOptions = {}): Promise<PassResult | undefined> {
      const side = await openSource(source.config)
      const migrations = (await side.migrations())!
      const state = await inspectTarget(target.config, migrations, quietContext())
      const opened = await openTarget(target.config, state, { source: 'test', context: quietContext() })
      const { tables } = await side.catalog()
      const { interruptAfter = Infinity, onCommit = () => undefined, signal, batchRows } = how
      try {
        return await new PortPass({
          source: side,
          target: interrupted(opened, { after: interruptAfter, onCommit }),
          tables: tables.filter(({ name }) => TABLES.includes(name)),
          batchRows,
          progress: noProgress,
          signal: signal ?? new AbortController().signal,
          note: () => undefined,
        }).run()
      } catch (error) {
        if (error instanceof Interruption) return undefined
        throw error
      } finally {
        await opened.close()
        await side.close()
      }
    }

    async function expectSame(): Promise<void> {
      for (const table of TABLES) {
        const sql = `SELECT * FROM ${table} ORDER BY 1, 2`
        expect(await ask(target.config, sql), table).to.deep.equal(await ask(source.config, sql))
      }
    }
  })
}

describe('rows that PostgreSQL cannot hold', function () {
  this.timeout(60_000)
  let source: TestDatabase
  let target: TestDatabase

  before(async () => {
    await startPostgres()
    source = await createTestDatabase('sqlite')
    target = await createTestDatabase('postgres')
  })
  after(async () => {
    await source.remove()
    await target.remove()
  })

  it('are named with their keys, and the others carried', async () => {
    await change(
      source.config,
      ...accountData(1, 30),
      "UPDATE account_data SET content = 'a' || char(0) || 'b' WHERE user_id = 'user3'",
      "UPDATE account_data SET content = CAST(x'61eda080' AS TEXT) WHERE user_id = 'user5'",
      "UPDATE account_data SET content = x'616263' WHERE user_id = 'user7'",
      "UPDATE account_data SET stream_id = 1.5 WHERE user_id = 'user9'",
      "UPDATE account_data SET stream_id = 'many' WHERE user_id = 'user11'",
      `UPDATE account_data SET type = '${longText(12_000)}' WHERE user_id = 'user13'`,
    )
    const side = await openSource(source.config)
    const opened = await openTarget(target.config, 'empty', { source: 'test', context: quietContext() })
    const { tables } = await side.catalog()
    try {
      const { unstorable, tables: results } = await new PortPass({
        source: side,
        target: opened,
        tables: tables.filter(({ name }) => name === 'account_data'),
        progress: noProgress,
        signal: new AbortController().signal,
        note: () => undefined,
      }).run()
      const found = unstorable.map(({ key, columns, reason }) => [
        /user\d+/.exec(key)![0],
        columns.join(),
        reason,
      ])
      expect(found.slice(0, 5)).to.have.deep.members([
        ['user3', 'content', 'a NUL character'],
        ['user5', 'content', 'half of a surrogate pair, or other bytes that are no text'],
        ['user7', 'content', 'a value of another type than its column'],
        ['user9', 'stream_id', 'a value of another type than its column'],
        ['user11', 'stream_id', 'a value of another type than its column'],
      ])
      expect(found[5]![0]).to.equal('user13')
      expect(found[5]![2]).to.match(/^index row requires \d+ bytes/)
      expect(found).to.have.length(6)
      expect(results[0]).to.deep.include({ name: 'account_data', rows: 24, carried: 24 })
      expect(await ask(target.config, 'SELECT COUNT(*) AS n FROM account_data')).to.deep.equal([{ n: 24 }])
    } finally {
      await opened.close()
      await side.close()
    }
  })

  /** Such that no compression makes it short. */
  function longText(length: number): string {
    let text = ''
    for (let number = 1; text.length < length; number = (number * 48_271) % 2_147_483_647)
      text += number.toString(36)
    return text
  }
})

interface PassOptions {
  readonly batchRows?: number
  readonly interruptAfter?: number
  readonly onCommit?: () => void
  readonly signal?: AbortSignal
}

class Interruption extends Error {}

/** A target whose process ends after so many transactions. */
function interrupted(target: PortTarget, how: { after: number; onCommit: () => void }): PortTarget {
  let left = how.after
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object)
      if (name !== 'transaction') return typeof value === 'function' ? (value.bind(object) as unknown) : value
      return async (...args: Parameters<PortTarget['transaction']>) => {
        if (left-- <= 0) throw new Interruption('killed')
        const result = await object.transaction(...args)
        how.onCommit()
        return result
      }
    },
  })
}

function tokens(first: number, last: number): string[] {
  return range(first, last).map(
    (id) =>
      `INSERT INTO access_tokens (id, token_hash, user_id, created_ts) VALUES (${id}, 'hash${id}', 'user${id}', ${id})`,
  )
}

function manyTokens(count: number): string[] {
  return [
    `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${count})
     INSERT INTO access_tokens (id, token_hash, user_id, created_ts) SELECT n, 'hash' || n, 'user', n FROM c`,
  ]
}

function accountData(first: number, last: number): string[] {
  return range(first, last).map(
    (id) =>
      `INSERT INTO account_data (user_id, room_id, type, stream_id, content) VALUES ('user${id}', '', 'a\nb', ${id}, '{}')`,
  )
}

function events(first: number, last: number): string[] {
  return range(first, last).map(
    (nid) =>
      `INSERT INTO events (event_nid, event_id, room_nid, stream_ordering, depth, type, sender, origin_server_ts,
         received_ts, json) VALUES (${nid}, '$${nid}', 1, ${nid}, 1, 'm.room.message', '@a:b.org', 1, 1, '{}')`,
  )
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
