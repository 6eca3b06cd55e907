import type { Database, Query, Tx } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import {
  DIRECTORY_STATE_TYPES,
  type DirectoryEntry,
  type PublicRoomsStore,
} from '../../storage/stores/public-rooms.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { SingleFlight } from '../../util/single-flight.js'
import { describeRoom, readStateContents } from './room-descriptions.js'

export interface DirectoryEntriesDependencies {
  readonly db: Database
  readonly publicRooms: PublicRoomsStore
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
}

/** Changes of state that are looked at in one transaction. */
const BATCH = 2_000

/**
 * Keeps what the directory says of published rooms up with their state. It follows the events stream, but only when
 * somebody looks at the directory: until then nobody can tell.
 */
export class DirectoryEntries {
  readonly #deps: DirectoryEntriesDependencies
  readonly #flights = new SingleFlight<void>()

  constructor(deps: DirectoryEntriesDependencies) {
    this.#deps = deps
  }

  /** Takes in all changes of state that are committed. */
  async catchUp(): Promise<void> {
    const { eventStream, db, publicRooms } = this.#deps
    const target = eventStream.position()
    if ((await publicRooms.getPosition(db.reader)) >= target) return
    await this.#flights.run('catch up', () => this.#catchUpTo(target))
    // The flight may have been somebody else's, who began before.
    if ((await publicRooms.getPosition(db.reader)) < target) await this.#catchUpTo(target)
  }

  /** Writes the entries of rooms anew, from their state as it is; rooms that are in no directory are left out. */
  async refresh(roomNids: readonly number[]): Promise<void> {
    await this.#deps.db.write('refresh_directory', (tx) => this.#refreshIn(tx, roomNids))
  }

  async #catchUpTo(target: number): Promise<void> {
    const { db, publicRooms } = this.#deps
    for (;;) {
      const upTo = await db.write('catch_up_directory', async (tx) => {
        const from = await publicRooms.getPosition(tx)
        if (from >= target) return from
        const changed = await publicRooms.listChanged(tx, { from, to: target }, BATCH)
        await this.#refreshIn(tx, changed.roomNids)
        await publicRooms.setPosition(tx, changed.upTo)
        return changed.upTo
      })
      if (upTo >= target) return
    }
  }

  async #refreshIn(tx: Tx, roomNids: readonly number[]): Promise<void> {
    const { publicRooms } = this.#deps
    const listed = await publicRooms.filterListed(tx, roomNids)
    if (listed.length > 0) await publicRooms.putEntries(tx, await this.#read(tx, listed))
  }

  async #read(q: Query, roomNids: readonly number[]): Promise<DirectoryEntry[]> {
    const contents = await readStateContents(q, this.#deps, { roomNids, types: DIRECTORY_STATE_TYPES })
    return [...contents].map(([roomNid, state]) => describeRoom(roomNid, state))
  }
}
