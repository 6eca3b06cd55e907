import { MatrixError, notFound } from '../../protocol/errors.js'
import { serverNameOf, type EventId, type RoomId, type ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { HistoryPurgeStore } from '../../storage/stores/history-purge.js'
import type { LastingTask } from '../../storage/stores/lasting-tasks.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Clock } from '../../util/clock.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RoomState } from '../events/room-state.js'
import type { LastingTasks, TaskRun } from '../tasks/lasting-tasks.js'

/**
 * Up to where a room's history goes: an event, which stays, or a time (ms), what was received by when goes. The last event
 * stays whenever it came.
 */
export type PurgePoint = { readonly eventId: EventId } | { readonly ts: number }

export interface HistoryPurgesDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly store: HistoryPurgeStore
  readonly events: Pick<EventsStore, 'get'>
  readonly roomState: Pick<RoomState, 'requireRoom'>
  readonly partialRooms: Pick<PartialRooms, 'isPartial'>
  readonly tasks: LastingTasks
  readonly serverName: ServerName
}

const ACTION = 'purge_history'
/** Events of one transaction. */
const BATCH = 500
/** Between two of them, for others to write. */
const PAUSE_MS = 20

/**
 * Takes the past of rooms out of the database at the wish of administrators. The room goes on as it was: its state stays,
 * and so do the last events. Other servers in the room still have what they had, and are asked for it when somebody pages
 * back to where the history ends now.
 */
export class HistoryPurges {
  readonly #deps: HistoryPurgesDependencies

  constructor(deps: HistoryPurgesDependencies) {
    this.#deps = deps
    deps.tasks.define(ACTION, (run) => this.#run(run))
  }

  /**
   * Begins to purge what came before a point; gives the ID to ask `find` about. `deleteLocal`: what users of this server
   * have sent is deleted too, of which no other server may have a copy; otherwise it remains in the database, unseen.
   * 404 `M_NOT_FOUND` for unknown rooms and events and where nothing was received by then, 400 `M_UNKNOWN` for an event
   * of another room, while the room is being purged already, and while its state is not known in full yet.
   */
  async start(roomId: RoomId, point: PurgePoint, options: { deleteLocal: boolean }): Promise<string> {
    const room = await this.#deps.roomState.requireRoom(roomId)
    this.#checkWhole(room)
    const { event } = await this.#find(room, point)
    const params = { room_id: roomId, depth: event.depth, delete_local: options.deleteLocal }
    return this.#deps.tasks.start(ACTION, roomId, params)
  }

  /** How far a purge is, for seven days after its end. */
  find(purgeId: string): Promise<LastingTask | undefined> {
    return this.#deps.tasks.get(ACTION, purgeId)
  }

  async #find(room: RoomRecord, point: PurgePoint): Promise<StoredEvent> {
    const { db, store, events } = this.#deps
    const eventId =
      'eventId' in point ? point.eventId : await store.firstToStay(db.reader, room.roomNid, point.ts)
    if (eventId === undefined) throw notFound('there is no event to be purged')
    const stored = await events.get(db.reader, eventId)
    if (stored === undefined) throw notFound(`Could not find event ${eventId}`)
    if (stored.roomNid !== room.roomNid) throw badRequest('Event is for wrong room.')
    if (stored.streamOrdering === null) throw notFound(`Event ${eventId} is not in the room's timeline`)
    return stored
  }

  /** What an earlier run has done is gone already: this one goes on behind it. */
  async #run({ params, signal }: TaskRun): Promise<Record<string, never>> {
    const { roomState, db, clock, store } = this.#deps
    const room = await roomState.requireRoom(params['room_id'] as RoomId)
    this.#checkWhole(room)
    const depth = params['depth'] as number
    const isKept = (stored: StoredEvent): boolean =>
      stored.event.isState() || (params['delete_local'] !== true && this.#isLocal(stored))
    while (!signal.aborted) {
      const purged = await db.write('purge_history', async (tx) => {
        const events = await store.listBefore(tx, room.roomNid, depth, BATCH)
        const kept = new Set(events.filter(isKept).map(({ eventNid }) => eventNid))
        await store.purge(tx, events, kept)
        return events.length
      })
      if (purged < BATCH) break
      await clock.sleep(PAUSE_MS, signal).catch(() => undefined)
    }
    return {}
  }

  #isLocal({ event }: StoredEvent): boolean {
    return serverNameOf(event.sender) === this.#deps.serverName
  }

  /** The state around events is written anew when the rest of it comes. */
  #checkWhole({ roomNid }: RoomRecord): void {
    if (this.#deps.partialRooms.isPartial(roomNid)) {
      throw badRequest('The state of the room is not known in full yet')
    }
  }
}

function badRequest(message: string): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 400 })
}
