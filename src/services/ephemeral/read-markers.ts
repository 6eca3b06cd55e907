import { forbidden } from '../../protocol/errors.js'
import { parseEventId, type EventId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { AccountData } from '../accounts/account-data.js'
import type { Requester } from '../accounts/requester.js'
import type { RoomState } from '../events/room-state.js'
import type { Receipts } from './receipts.js'

export interface ReadMarkersDependencies {
  readonly db: Database
  readonly accountData: Pick<AccountData, 'writeIn'>
  readonly accountDataStore: AccountDataStore
  readonly events: EventsStore
  readonly roomState: Pick<RoomState, 'findRoom' | 'getMembership'>
  readonly receipts: Receipts
}

/** What a client moves at once; parts that are undefined stay. */
export interface ReadMarkerInput {
  readonly fullyRead: EventId | undefined
  readonly read: EventId | undefined
  readonly readPrivate: EventId | undefined
}

const FULLY_READ = 'm.fully_read'

/**
 * The fully read marker of a room, with the receipts that move with it.
 * https://spec.matrix.org/latest/client-server-api/#read-and-unread-markers
 */
export class ReadMarkers {
  readonly #deps: ReadMarkersDependencies

  constructor(deps: ReadMarkersDependencies) {
    this.#deps = deps
  }

  /**
   * Moves markers; none goes backwards. Throws `M_FORBIDDEN` for those not in the room, `M_NOT_FOUND` for events not
   * in it.
   */
  async set(requester: Requester, roomId: RoomId, input: ReadMarkerInput): Promise<void> {
    const { userId } = requester
    const room = await this.#deps.roomState.findRoom(roomId)
    const member = room && (await this.#deps.roomState.getMembership(roomId, userId))
    if (room === undefined || member?.membership !== 'join') throw forbidden('You are not in this room')
    const { fullyRead, read, readPrivate } = input
    const target =
      fullyRead === undefined ? undefined : await this.#deps.receipts.requireEvent(room.roomNid, fullyRead)
    await this.#deps.receipts.send(requester, roomId, [
      ...(read === undefined ? [] : [{ type: 'm.read' as const, eventId: read }]),
      ...(readPrivate === undefined ? [] : [{ type: 'm.read.private' as const, eventId: readPrivate }]),
    ])
    if (target === undefined || fullyRead === undefined) return
    await this.#deps.db.write('move_read_marker', async (tx) => {
      const current = await this.#currentPosition(tx, userId, roomId)
      if (current !== undefined && current >= target.position) return
      const content = { event_id: fullyRead }
      await this.#deps.accountData.writeIn(tx, userId, { roomId, type: FULLY_READ, content })
    })
  }

  /** Where the marker stands; undefined where there is none, or its event is gone. */
  async #currentPosition(tx: Tx, userId: UserId, roomId: RoomId): Promise<number | undefined> {
    const content = await this.#deps.accountDataStore.get(tx, userId, roomId, FULLY_READ)
    const marked = content?.['event_id']
    const eventId = typeof marked === 'string' ? parseEventId(marked) : undefined
    if (eventId === undefined) return undefined
    return (await this.#deps.events.get(tx, eventId))?.streamOrdering ?? undefined
  }
}
