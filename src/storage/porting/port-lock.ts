import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { DatabaseConfig } from '../open-database.js'
import { PortRefusal } from './port-refusal.js'
import { connect, type PostgresPlace } from './postgres-side.js'
import { closeDriver, openDriver } from './sqlite-side.js'

/** Keeps other processes from filling the same target; gone with the process, however that ends. */
export interface PortLock {
  release(): Promise<void>
}

/** The key of an advisory lock, which PostgreSQL keeps for each database: "mxhsport" in ASCII. */
const ADVISORY_KEY = '7888169592356303476'
/** What is locked in place of a SQLite database, which is opened more than once while it is filled. */
const LOCK_SUFFIX = '-porting'

/** Throws a `PortRefusal` where another process fills the target. */
export function lockTarget(target: DatabaseConfig): Promise<PortLock> {
  return target.name === 'sqlite' ? lockFile(target.path + LOCK_SUFFIX) : lockDatabase(target)
}

/** By a lock of the connection: it ends with that, and that with the process. */
async function lockDatabase(place: PostgresPlace): Promise<PortLock> {
  const client = await connect(place)
  try {
    const { rows } = await client.query<{ locked: number }>(
      `SELECT CAST(pg_try_advisory_lock(${ADVISORY_KEY}) AS int) AS locked`,
    )
    if (rows[0]?.locked !== 1) throw inUse()
  } catch (error) {
    await client.end()
    throw error
  }
  return { release: () => client.end() }
}

/** By a lock of SQLite's on a file of its own: the system takes it away from a process that is gone. */
async function lockFile(path: string): Promise<PortLock> {
  const driver = await openDriver(path, 'write')
  try {
    driver.configure('busyTimeout', 0)
    await new Promise<void>((resolve, reject) => {
      driver.exec('BEGIN EXCLUSIVE', (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
    // Somebody else may have been through with it between the opening and the lock.
    if (!existsSync(path)) throw inUse()
  } catch (error) {
    await closeDriver(driver)
    throw (error as Error).message.includes('SQLITE_BUSY') ? inUse() : error
  }
  return {
    async release() {
      await rm(path, { force: true })
      await closeDriver(driver)
    },
  }
}

function inUse(): PortRefusal {
  return new PortRefusal('Another process is filling the target: wait for its end, or end it')
}
