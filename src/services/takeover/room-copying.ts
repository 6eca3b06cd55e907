import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { RoomProgress } from '../../storage/stores/takeover.js'
import { TakeoverCleaner } from '../../storage/stores/takeover-cleaner.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { readEventsNow } from '../../storage/synapse/events.js'
import { extentText, listRooms, readCreateEvents, type SourceRoom } from '../../storage/synapse/rooms.js'
import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import { getRoomVersionRules } from '../../protocol/room-versions.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { RoomCopier, type RoomCopierParts } from './room-copier.js'
import { RoomPresent } from './room-present.js'

export interface RoomCopyingParts extends Omit<RoomCopierParts, 'onUnreadable' | 'onCopied'> {
  readonly db: Database
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly stateKeys: StateKeysStore
  readonly roomIds: IdAllocator
  readonly serverName: ServerName
  readonly progress: ProgressSink
}

/** A room that does not come over, and why. */
export interface LeftOutRoom {
  readonly roomId: string
  readonly reason: 'unknown_version' | 'partial_state'
}

/** What became of the rooms. */
export interface RoomsReport {
  readonly rooms: number
  /** Those that were the same as when they were last copied. */
  readonly unchanged: number
  readonly events: number
  readonly leftOut: readonly LeftOutRoom[]
  /** Events that could not be read, by ID. */
  readonly unreadable: readonly { readonly eventId: string; readonly reason: string }[]
}

const ROOMS_AT_ONCE = 200
/** Events of a report that are named. */
const UNREADABLE_NAMED = 100
const OUTLIERS_AT_ONCE = 1_000

/** Why a room of the source cannot come over; undefined for one that can. */
export function obstacleTo(room: SourceRoom): LeftOutRoom['reason'] | undefined {
  if (room.version === undefined || getRoomVersionRules(room.version) === undefined) return 'unknown_version'
  return room.isPartial ? 'partial_state' : undefined
}

/**
 * Copies rooms one after the other: their events, then how they are now. Rooms that have not changed since an earlier run
 * are left as they are; of others what is new is copied, or where that does not come to the same, all of it.
 */
export class RoomCopying {
  readonly #parts: RoomCopyingParts
  readonly #cleaner = new TakeoverCleaner()
  readonly #present: RoomPresent
  readonly #unreadable: { eventId: string; reason: string }[] = []
  #events = 0

  constructor(parts: RoomCopyingParts) {
    this.#parts = parts
    this.#present = new RoomPresent(parts)
  }

  async run(): Promise<RoomsReport> {
    const { source, progress, takeover, db } = this.#parts
    const rooms = await listRooms(source)
    const known = await takeover.listRooms(db.reader)
    await this.#removeGone(rooms, known)
    const usable = rooms.filter((room) => obstacleTo(room) === undefined)
    const changed = usable.filter(({ roomId, extent }) => known.get(roomId)?.source !== extentText(extent))
    progress.start('rooms', eventsIn(changed), 'events')
    for (let start = 0; start < changed.length; start += ROOMS_AT_ONCE) {
      await this.#copySome(changed.slice(start, start + ROOMS_AT_ONCE), known)
    }
    progress.finish()
    return {
      rooms: usable.length,
      unchanged: usable.length - changed.length,
      events: this.#events,
      leftOut: rooms.flatMap((room) => {
        const reason = obstacleTo(room)
        return reason === undefined ? [] : [{ roomId: room.roomId, reason }]
      }),
      unreadable: this.#unreadable.slice(0, UNREADABLE_NAMED),
    }
  }

  /** Rooms that were deleted at the source since they were copied. */
  async #removeGone(rooms: readonly SourceRoom[], known: Map<string, RoomProgress>): Promise<void> {
    const left = new Set(rooms.filter((room) => obstacleTo(room) === undefined).map(({ roomId }) => roomId))
    for (const [roomId, { roomNid }] of known) {
      if (left.has(roomId)) continue
      await this.#parts.db.write('takeover_remove_room', (tx) => this.#cleaner.removeRoom(tx, roomNid))
      known.delete(roomId)
    }
  }

  async #copySome(some: readonly SourceRoom[], known: ReadonlyMap<string, RoomProgress>): Promise<void> {
    const creates = await readCreateEvents(
      this.#parts.source,
      some.map(({ roomId }) => roomId),
    )
    for (const room of some) {
      const record = await this.#ensure(room, creates.get(room.roomId))
      const before = known.get(room.roomId)
      await this.#copy(record, room, before)
      if (before === undefined || (await this.#matches(record, room))) continue
      // Something has changed that is neither newer nor older than what was there.
      await this.#parts.db.write('takeover_empty_room', (tx) => this.#cleaner.emptyRoom(tx, record.roomNid))
      await this.#copy(record, room, undefined)
    }
  }

  async #copy(record: RoomRecord, room: SourceRoom, before: RoomProgress | undefined): Promise<void> {
    const copier = new RoomCopier(
      {
        ...this.#parts,
        onUnreadable: (eventId, reason) => this.#unreadable.push({ eventId, reason }),
        onCopied: (events) => {
          this.#events += events
          this.#parts.progress.advance(events)
        },
      },
      record,
      before,
    )
    await copier.copy()
    if (before !== undefined) await this.#takeOutliersAgain(record, copier)
    const progress = { ...copier.progress, source: extentText(room.extent) }
    await this.#present.copy(record, (tx) => this.#parts.takeover.putRoom(tx, progress))
  }

  /** Outliers of an earlier run that have got a place in the room's history since. */
  async #takeOutliersAgain(record: RoomRecord, copier: RoomCopier): Promise<void> {
    const { db, source, takeover } = this.#parts
    let after = 0
    for (;;) {
      const outliers = await takeover.listOutliers(db.reader, {
        roomNid: record.roomNid,
        after,
        limit: OUTLIERS_AT_ONCE,
      })
      const placed = await readEventsNow(
        source,
        outliers.map(({ eventId }) => eventId),
      )
      if (placed.length > 0) await copier.takeAgain(placed)
      const last = outliers.at(-1)
      if (last === undefined || outliers.length < OUTLIERS_AT_ONCE) return
      after = last.eventNid
    }
  }

  async #matches({ roomNid }: RoomRecord, { extent }: SourceRoom): Promise<boolean> {
    const { takeover, db } = this.#parts
    const counted = await takeover.countEvents(db.reader, roomNid)
    return (
      counted.events === extent.events &&
      counted.outliers === extent.outliers &&
      counted.rejected === extent.rejected
    )
  }

  async #ensure(room: SourceRoom, createJson: string | undefined): Promise<RoomRecord> {
    const { db, rooms, roomIds } = this.#parts
    const roomId = room.roomId as RoomId
    const rules = getRoomVersionRules(room.version ?? '')
    if (!rules) throw new Error(`Room ${roomId} has an unknown version`)
    const create = createJson === undefined ? {} : (JSON.parse(createJson) as JsonObject)
    const content = isJsonObject(create['content']) ? create['content'] : {}
    const creator = rules.implicitCreator ? create['sender'] : (content['creator'] ?? create['sender'])
    const facts = {
      roomId,
      rules,
      creator: (typeof creator === 'string' ? creator : (room.creator ?? '')) as UserId,
      roomType: typeof content['type'] === 'string' ? content['type'] : undefined,
    }
    const known = await rooms.get(db.reader, roomId)
    if (known) {
      const record = { ...known, ...facts }
      if (known.rules !== rules || known.creator !== facts.creator || known.roomType !== facts.roomType)
        await db.write('takeover_correct_room', (tx) => rooms.correct(tx, record))
      return record
    }
    const record = { roomNid: await roomIds.next(), ...facts }
    const createdTs = create['origin_server_ts']
    await db.write('takeover_new_room', (tx) =>
      rooms.insert(tx, record, {
        isPublic: room.isPublic,
        createdTs: typeof createdTs === 'number' ? createdTs : 0,
      }),
    )
    return record
  }
}

function eventsIn(rooms: readonly SourceRoom[]): number {
  return rooms.reduce((sum, { extent }) => sum + extent.events, 0)
}
