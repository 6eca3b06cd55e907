import type { Database } from '../../storage/database.js'
import { StateSnapshot } from '../../storage/state-snapshot.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { Event } from '../../protocol/event.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { relationOf } from './event-composer.js'
import type { EventPersister } from './event-persister.js'
import { toPending, type EventLookup } from './pending-events.js'
import { detachedHead, type RoomHeads } from './room-heads.js'
import type { StateChangeDescriber } from './state-changes.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Parts {
  readonly currentState: CurrentStateStore
  readonly lookup: EventLookup
  readonly interner: StateKeyInterner
  readonly changes: StateChangeDescriber
  readonly persister: EventPersister
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventIds: IdAllocator
  readonly clock: Clock
}

/**
 * Memberships of our users in rooms that this server is not in: invitations, knocks, and what became of them. Nothing
 * is known of such a room but what the event says, so that it stands outside of any graph; its user's syncs see it.
 */
export class OutsideMemberships {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Stores a membership and tells its user. `event`: an `m.room.member` whose format, hashes and signatures have been
   * checked; what stands in its `unsigned` is kept. An event that is held already is given back as it is.
   */
  async store(room: RoomRecord, event: Event): Promise<StoredEvent> {
    const { locks, lookup, heads } = this.#parts
    return locks.run(String(room.roomNid), async () => {
      const pending = heads.pendingOf(room)
      const known = (await lookup.byIds([event.eventId], pending)).get(event.eventId)
      return known ?? this.#write(room, event)
    })
  }

  async #write(room: RoomRecord, event: Event): Promise<StoredEvent> {
    const { currentState, interner, changes, eventIds, clock, persister } = this.#parts
    const { type, stateKey = '' } = event
    const key = stateKeyOf(type, stateKey)
    const keyNid = (await interner.intern([key])).get(key)
    if (keyNid === undefined) throw new Error(`The state key of ${event.eventId} has no nid`)
    const previous = await currentState.get(this.#db.reader, room.roomNid, type, stateKey)
    const eventNid = await eventIds.next()
    const own = {
      event,
      eventNid,
      room,
      receivedTs: clock.now(),
      kind: 'outside' as const,
      prevNids: [],
      stateBefore: null,
      stateAfter: null,
      snapshots: [],
      rejected: null,
      softFailed: false,
      // Unknown until its auth events are.
      authPosition: undefined,
      extremities: { becomesOne: false, removed: [] },
      relation: relationOf(event),
      notifies: false,
      highlights: [],
      txn: undefined,
      redaction: undefined,
    }
    const stateChanges = await changes.describe(
      previous === undefined ? StateSnapshot.empty : StateSnapshot.from([[keyNid, previous]]),
      StateSnapshot.from([[keyNid, eventNid]]),
      new Map([[eventNid, toPending(own)]]),
    )
    const [stored] = await persister.persist({ head: detachedHead(room), writes: [{ ...own, stateChanges }] })
    return stored!
  }
}
