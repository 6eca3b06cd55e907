import { authStateKeys } from '../../protocol/auth-events.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { StickyEventsStore } from '../../storage/stores/sticky-events.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { groupBy } from '../../util/group-by.js'
import type { PositionSink } from '../streams/notifier.js'
import { asAuthState, type EventAssembler } from './event-assembler.js'
import type { RoomHeads } from './room-heads.js'

interface Parts {
  readonly clock: Clock
  readonly store: StickyEventsStore
  readonly events: EventsStore
  readonly rooms: Pick<RoomsStore, 'getByNids'>
  readonly assembler: Pick<EventAssembler, 'lookUp'>
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventStream: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
}

/** Events of one run. */
const MAX_EVENTS = 100

/**
 * Judges sticky events again that were soft-failed: servers do not agree about the current state, but in the end they
 * should agree about what is sticky. https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export class StickyRetrials {
  readonly #db: Database
  readonly #parts: Parts
  /** The last event of the last run: those that nobody will ever allow keep no others from their turn. */
  #last = 0

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Takes in those that the current state of their room allows now: some in each run, by turns. */
  async run(signal: AbortSignal): Promise<void> {
    const { events, rooms } = this.#parts
    const nids = await this.#next()
    if (nids.length === 0) return
    const found = await events.getByNids(this.#db.reader, nids)
    const byRoom = groupBy(found.values(), ({ roomNid }) => roomNid)
    const records = await rooms.getByNids(this.#db.reader, [...byRoom.keys()])
    for (const [roomNid, waiting] of byRoom) {
      const room = records.get(roomNid)
      if (signal.aborted) return
      if (room !== undefined) await this.#retry(room, waiting)
    }
  }

  async #next(): Promise<number[]> {
    const { clock, store } = this.#parts
    const range = { now: clock.now(), limit: MAX_EVENTS }
    const nids = await store.listWaiting(this.#db.reader, { ...range, after: this.#last })
    // From the beginning where these were the last of them.
    this.#last = nids.length < MAX_EVENTS ? 0 : nids.at(-1)!
    return nids
  }

  async #retry(room: RoomRecord, waiting: readonly StoredEvent[]): Promise<void> {
    const { locks, store, events, eventStream, positions } = this.#parts
    await locks.run(String(room.roomNid), async () => {
      const allowed: StoredEvent[] = []
      for (const stored of waiting) if (await this.#isAllowed(room, stored)) allowed.push(stored)
      if (allowed.length === 0) return
      await this.#db.write('take_in_sticky_events', async (tx) => {
        const ids = await eventStream.allocate(tx, allowed.length)
        await store.release(
          tx,
          allowed.map(({ eventNid, roomNid }, index) => ({ eventNid, roomNid, streamOrdering: ids[index]! })),
        )
        tx.afterCommit(() => {
          for (const { eventNid } of allowed) events.forget(eventNid)
        })
      })
      positions.onNewPosition('events', { rooms: [room.roomId] })
    })
  }

  async #isAllowed(room: RoomRecord, { event }: StoredEvent): Promise<boolean> {
    const head = await this.#parts.heads.find(room)
    if (head === undefined) return false
    const keys = authStateKeys(event.rules, event).map(([type, stateKey]) => stateKeyOf(type, stateKey))
    const point = { snapshot: head.state.snapshot, pending: head.pending }
    const state = await this.#parts.assembler.lookUp(point, keys)
    return checkEventAuth(event.rules, event, asAuthState(state)).allowed
  }
}
