import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { UserId } from '../../protocol/ids.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { StatePoints } from './state-points.js'

/**
 * The member events of those who sent some events: what a client that loads members lazily needs to show them.
 * https://spec.matrix.org/latest/client-server-api/#lazy-loading-room-members
 */
export class SenderMembers {
  readonly #db: Database
  readonly #points: StatePoints

  constructor(db: Database, points: StatePoints) {
    this.#db = db
    this.#points = points
  }

  /** One for each sender, as they were at their first event of the list. */
  async list(events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const first = new Map<UserId, number>()
    for (const { event, stateAfter } of events) {
      if (stateAfter !== null && !first.has(event.sender)) first.set(event.sender, stateAfter)
    }
    const pieces = [...first].map(([sender, snapshotNid]) => ({
      snapshotNid,
      key: stateKeyOf('m.room.member', sender),
    }))
    const points = await this.#points.lookUp(this.#db.reader, pieces)
    return pieces.flatMap(({ snapshotNid, key }) => points.get(snapshotNid, key) ?? [])
  }
}
