import type { Database } from '../../storage/database.js'
import type { ExpiredEventsStore } from '../../storage/stores/expired-events.js'
import type { Clock } from '../../util/clock.js'
import type { RetentionPolicies } from '../events/retention-policies.js'

/** An entry of `retention.purge_jobs`: it looks after rooms whose longest lifetime is above the one and up to the other. */
export interface PurgeJob {
  readonly intervalMs: number
  readonly shortestMaxLifetimeMs: number | undefined
  readonly longestMaxLifetimeMs: number | undefined
}

export interface RetentionDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly expired: ExpiredEventsStore
  readonly policies: RetentionPolicies
  /** There is a default lifetime: every room may have something to delete. */
  readonly concernsAllRooms: boolean
}

const ROOMS_AT_A_TIME = 200
/** Events that one transaction deletes. */
const BATCH = 500
/** Between two of them, for others to write. */
const PAUSE_MS = 20

/** Deletes messages that nobody may read any more because they are too old. */
export class Retention {
  readonly #deps: RetentionDependencies

  constructor(deps: RetentionDependencies) {
    this.#deps = deps
  }

  /** Ends early when the signal aborts; the next run goes on. */
  async purge(job: PurgeJob, signal: AbortSignal): Promise<void> {
    const { db, expired, policies, concernsAllRooms } = this.#deps
    const page = { limit: ROOMS_AT_A_TIME, onlyWithPolicy: !concernsAllRooms }
    for (let after = 0; !signal.aborted;) {
      const rooms = await expired.listRooms(db.reader, { ...page, after })
      const last = rooms.at(-1)
      if (last === undefined) return
      for (const [roomNid, lifetimeMs] of await policies.maxLifetimes(db.reader, rooms)) {
        if (isOf(job, lifetimeMs)) await this.#purgeRoom(roomNid, lifetimeMs, signal)
      }
      after = last
    }
  }

  async #purgeRoom(roomNid: number, lifetimeMs: number, signal: AbortSignal): Promise<void> {
    const { db, clock, expired } = this.#deps
    const before = clock.now() - lifetimeMs
    while (!signal.aborted) {
      const deleted = await db.write('purge_expired_events', async (tx) => {
        const eventNids = await expired.listExpired(tx, roomNid, before, BATCH)
        await expired.delete(tx, eventNids)
        return eventNids.length
      })
      if (deleted < BATCH) return
      await clock.sleep(PAUSE_MS, signal).catch(() => undefined)
    }
  }
}

function isOf({ shortestMaxLifetimeMs, longestMaxLifetimeMs }: PurgeJob, lifetimeMs: number): boolean {
  return (
    (shortestMaxLifetimeMs === undefined || lifetimeMs > shortestMaxLifetimeMs) &&
    (longestMaxLifetimeMs === undefined || lifetimeMs <= longestMaxLifetimeMs)
  )
}
