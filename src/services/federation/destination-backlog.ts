import type { Event } from '../../protocol/event.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type {
  FederationOutboxStore,
  OutboxDeviceChange,
  OutboxEdu,
} from '../../storage/stores/federation-outbox.js'
import type { MissedRoom, MissedRoomsStore } from '../../storage/stores/missed-rooms.js'
import type { DeviceListEdus } from './device-list-edus.js'
import type { MissedStickyEvent, MissedStickyEvents } from './missed-sticky-events.js'
import type { EduJson } from './outgoing-edus.js'

/** EDUs of the outbox, of one transaction. */
export interface OutboxPart {
  readonly edus: readonly EduJson[]
  readonly messages: readonly OutboxEdu[]
  readonly deviceChanges: readonly OutboxDeviceChange[]
  /** More wait. */
  readonly hasMore: boolean
}

/** How far a destination has been told the sticky events of a room that has more than one transaction holds. */
export interface StickyProgress {
  readonly roomNid: number
  readonly upTo: number
}

/** Events that catch up with rooms, one of each and those that are sticky, of one transaction. */
export interface CatchUpPart {
  readonly events: readonly Event[]
  /** Those that the destination has caught up with then. */
  readonly rooms: readonly { readonly roomNid: number; readonly upTo: number }[]
  /** These are not all sticky events of a room: the rest follows. */
  readonly progress?: StickyProgress | undefined
}

/** Rooms that a destination has missed something of, and what is sticky in them. */
interface MissedInRooms {
  readonly rooms: readonly MissedRoom[]
  readonly sticky: ReadonlyMap<number, readonly MissedStickyEvent[]>
}

interface Dependencies {
  readonly db: Database
  readonly events: EventsStore
  readonly missed: MissedRoomsStore
  readonly outbox: FederationOutboxStore
  readonly deviceListEdus: DeviceListEdus
  /** What finds our users; see `usersOfPattern`. */
  readonly localPattern: string
  /** The other servers in each of some rooms, as far as the events are that can be read now. */
  readonly serversInRooms: (
    roomNids: readonly number[],
  ) => Promise<ReadonlyMap<number, ReadonlySet<ServerName>>>
  /** Undefined: no events are sticky. */
  readonly sticky?: Pick<MissedStickyEvents, 'list'> | undefined
}

/** No transaction is much larger than this, so that nobody refuses one for its size. */
const MAX_OUTBOX_BYTES = 4 * 1024 * 1024
const MAX_CATCH_UP = 50

/** What is written down for destinations: what they have missed, and what must reach them. */
export class DestinationBacklog {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** The oldest EDUs that wait for a destination, `max` at most. */
  async loadOutbox(destination: ServerName, max: number): Promise<OutboxPart> {
    const { db, outbox, deviceListEdus } = this.#deps
    const stored = await outbox.listEdus(db.reader, destination, max)
    const messages = withinBytes(stored)
    const room = max - messages.length
    const changes = room === 0 ? [] : await outbox.listDeviceChanges(db.reader, destination, room)
    const hasMore = messages.length < stored.length || room === 0 || changes.length === room
    return {
      edus: [
        ...messages.map(({ type, content }) => ({ edu_type: type, content })),
        ...(await deviceListEdus.build(destination, changes)),
      ],
      messages,
      deviceChanges: changes,
      hasMore,
    }
  }

  /**
   * Of some rooms that a destination has missed something of, the newest event that it is to have, and before it those of
   * our users that are sticky. Of a room that it has left since, it gets what it has missed, and nothing that came after.
   * `progress`: of the last part that it has taken.
   */
  async loadCatchUp(destination: ServerName, progress?: StickyProgress): Promise<CatchUpPart> {
    const { db, missed, events } = this.#deps
    const { rooms, sticky } = await this.#listMissed(destination, progress)
    const many = await this.#loadSticky(destination, rooms, sticky)
    if (many !== undefined) return many
    const open = rooms.filter(({ isLast }) => !isLast)
    const newest = await missed.newestEvents(
      db.reader,
      open.map(({ roomNid, missedAt }) => ({ roomNid, from: missedAt })),
      this.#deps.localPattern,
    )
    // After the events have been read: whoever is in the room then was not gone when they were sent.
    const left = await this.#roomsLeft(destination, open)
    for (const roomNid of left) newest.delete(roomNid)
    const last = await missed.eventsAt(
      db.reader,
      rooms.flatMap(({ roomNid, isLast, missedAt }) => (isLast || left.has(roomNid) ? missedAt : [])),
    )
    const nids = new Map(
      rooms.map(({ roomNid, isLast, missedAt }) => [
        roomNid,
        isLast || left.has(roomNid) ? last.get(missedAt) : newest.get(roomNid)?.eventNid,
      ]),
    )
    const stored = await events.getByNids(
      db.reader,
      [...nids.values()].flatMap((nid) => nid ?? []),
    )
    return {
      events: [...nids].flatMap(([roomNid, nid]) => {
        const event = nid === undefined ? undefined : stored.get(nid)?.event
        const known = left.has(roomNid) ? [] : (sticky.get(roomNid) ?? [])
        const before = known.map((one) => one.event).filter(({ eventId }) => eventId !== event?.eventId)
        return event === undefined ? before : [...before, event]
      }),
      // A room without such an event is caught up with all the same.
      rooms: rooms.map(({ roomNid, missedAt }) => ({
        roomNid,
        upTo: Math.max(missedAt, newest.get(roomNid)?.streamOrdering ?? 0),
      })),
    }
  }

  /** Those of the rooms that a destination is not in any more. */
  async #roomsLeft(destination: ServerName, rooms: readonly MissedRoom[]): Promise<ReadonlySet<number>> {
    if (rooms.length === 0) return new Set()
    const servers = await this.#deps.serversInRooms(rooms.map(({ roomNid }) => roomNid))
    return new Set(
      rooms.flatMap(({ roomNid }) => (servers.get(roomNid)?.has(destination) === true ? [] : roomNid)),
    )
  }

  /** The first sticky events of a room that has more than one transaction holds; undefined where there is none. */
  async #loadSticky(
    destination: ServerName,
    rooms: readonly MissedRoom[],
    sticky: MissedInRooms['sticky'],
  ): Promise<CatchUpPart | undefined> {
    const [room] = rooms
    const known = room === undefined ? undefined : sticky.get(room.roomNid)
    if (room === undefined || known === undefined || known.length < MAX_CATCH_UP) return undefined
    if ((await this.#roomsLeft(destination, [room])).size > 0) return undefined
    const first = known.slice(0, MAX_CATCH_UP)
    return {
      events: first.map(({ event }) => event),
      rooms: [],
      progress: { roomNid: room.roomNid, upTo: first.at(-1)!.streamOrdering },
    }
  }

  /** As many rooms as one transaction can take the events of; one where that has more. */
  async #listMissed(destination: ServerName, progress: StickyProgress | undefined): Promise<MissedInRooms> {
    const { db, missed, sticky } = this.#deps
    const rooms = await missed.list(db.reader, destination, MAX_CATCH_UP)
    const begun = rooms.find(({ roomNid, isLast }) => roomNid === progress?.roomNid && !isLast)
    if (begun !== undefined && sticky !== undefined) {
      return { rooms: [begun], sticky: await sticky.list([begun.roomNid], progress?.upTo) }
    }
    const open = rooms.filter(({ isLast }) => !isLast)
    const found = await sticky?.list(open.map(({ roomNid }) => roomNid))
    if (found === undefined) return { rooms, sticky: new Map() }
    const taken: MissedRoom[] = []
    const ofTaken = new Map<number, readonly MissedStickyEvent[]>()
    let left = MAX_CATCH_UP
    for (const room of rooms) {
      const known = room.isLast ? [] : found.get(room.roomNid)
      if (known === undefined) break
      // There is place for the newest event too.
      if (known.length + 1 > left && taken.length > 0) break
      left -= known.length + 1
      taken.push(room)
      ofTaken.set(room.roomNid, known)
    }
    return { rooms: taken, sticky: ofTaken }
  }

  /** The destination has these. */
  async acknowledge(destination: ServerName, outbox: OutboxPart, catchUp: CatchUpPart): Promise<void> {
    const { messages, deviceChanges } = outbox
    if (messages.length + deviceChanges.length + catchUp.rooms.length === 0) return
    const { db, outbox: store, missed } = this.#deps
    await db.write('acknowledge_transaction', async (tx) => {
      await store.deleteEdus(
        tx,
        destination,
        messages.map(({ eduId }) => eduId),
      )
      await store.markDeviceChangesSent(tx, destination, deviceChanges)
      await missed.delete(tx, destination, catchUp.rooms)
    })
  }

  async recordMissed(rooms: readonly MissedRoom[]): Promise<void> {
    if (rooms.length === 0) return
    await this.#deps.db.write('record_missed_rooms', (tx) => this.#deps.missed.put(tx, rooms))
  }

  /** Everybody for whom something is written down. */
  async listDestinations(): Promise<{ behind: ServerName[]; awaited: ServerName[] }> {
    const { db, missed, outbox } = this.#deps
    return {
      behind: await missed.listDestinations(db.reader),
      awaited: await outbox.listDestinations(db.reader),
    }
  }
}

function withinBytes(edus: readonly OutboxEdu[]): OutboxEdu[] {
  let bytes = 0
  const taken: OutboxEdu[] = []
  for (const edu of edus) {
    bytes += JSON.stringify(edu.content).length
    if (taken.length > 0 && bytes > MAX_OUTBOX_BYTES) break
    taken.push(edu)
  }
  return taken
}
