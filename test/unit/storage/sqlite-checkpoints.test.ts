import { expect } from 'chai'
import { statSync } from 'node:fs'
import type { ConnectionLease } from '../../../src/storage/sql-connection.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { SqliteCheckpoints } from '../../../src/storage/sqlite-checkpoints.js'
import { quietContext } from '../../support/databases.js'
import { useScratch } from '../../support/scratch.js'

const COMMITS = 64

describe('SqliteCheckpoints', () => {
  const scratch = useScratch()

  /** Checkpoints whose log has so many pages; `taken` says whose connection was taken, `release` ends each statement. */
  function observed(log: number, fail?: Error) {
    const taken: string[] = []
    const failures: unknown[] = []
    const ends: (() => void)[] = []
    let leased = 0
    const lease = (name: string) => (): Promise<ConnectionLease> => {
      taken.push(name)
      leased++
      const run = async () => {
        await new Promise<void>((resolve) => ends.push(resolve))
        if (fail) throw fail
        return { rows: [{ busy: 0, log, checkpointed: log }], changes: 0 }
      }
      return Promise.resolve({ connection: { run }, release: () => leased-- })
    }
    const checkpoints = new SqliteCheckpoints({
      own: lease('own'),
      writer: lease('writer'),
      onFailure: (error) => failures.push(error),
    })
    const commit = (count: number): void => {
      for (let i = 0; i < count; i++) checkpoints.committed()
    }
    const settle = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve))
      ends.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    return { checkpoints, taken, failures, commit, settle, leased: () => leased }
  }

  it('begins after some commits, with its own connection, and one at a time', async () => {
    const { taken, commit, settle, leased } = observed(100)
    commit(COMMITS - 1)
    expect(taken).to.deep.equal([])
    commit(1)
    expect(taken).to.deep.equal(['own'])
    commit(3 * COMMITS)
    expect(taken).to.deep.equal(['own'])
    await settle()
    expect(taken).to.deep.equal(['own', 'own'])
    commit(COMMITS - 1)
    await settle()
    expect(leased()).to.equal(0)
    expect(taken).to.deep.equal(['own', 'own'])
    commit(1)
    expect(taken).to.deep.equal(['own', 'own', 'own'])
    await settle()
  })

  it("copies the rest of a long log with the writer's connection", async () => {
    const { taken, commit, settle, leased } = observed(10_000)
    commit(COMMITS)
    await settle()
    expect(taken).to.deep.equal(['own', 'writer'])
    await settle()
    expect(leased()).to.equal(0)
  })

  it('tells of a failure, and tries again', async () => {
    const { taken, failures, commit, settle, leased } = observed(100, new Error('disk full'))
    commit(COMMITS)
    await settle()
    expect(failures).to.have.length(1)
    expect(leased()).to.equal(0)
    commit(COMMITS)
    expect(taken).to.have.length(2)
    await settle()
  })

  it('ends after what runs, and begins nothing more', async () => {
    const { checkpoints, taken, commit, settle } = observed(100)
    commit(COMMITS)
    let closed = false
    const closing = checkpoints.close().then(() => (closed = true))
    await Promise.resolve()
    expect(closed).to.equal(false)
    await settle()
    await closing
    commit(COMMITS)
    expect(taken).to.have.length(1)
  })

  it('keeps the log of a database short while it is written', async () => {
    const path = scratch.path('busy.db')
    const db = await openDatabase({ name: 'sqlite', path }, quietContext())
    const rowBytes = 256 * 1024
    const roundBytes = COMMITS * rowBytes
    try {
      await db.write('work', (tx) => tx.execute('CREATE TABLE a (b BLOB)'))
      for (let round = 1; round <= 4; round++) {
        for (let row = 0; row < COMMITS; row++) {
          await db.write('work', (tx) => tx.execute(`INSERT INTO a VALUES (zeroblob(${rowBytes}))`))
        }
        // Copied while the database is open, and nobody has asked for it.
        while (statSync(path).size < (round - 0.5) * roundBytes) {
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      expect(statSync(`${path}-wal`).size).to.be.lessThan(3.5 * roundBytes)
    } finally {
      await db.close()
    }
  })
})
