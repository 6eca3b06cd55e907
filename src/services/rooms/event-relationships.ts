import { digestToJson } from '../../protocol/event-relationships.js'
import { forbidden } from '../../protocol/errors.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import { parseHistoryVisibility } from '../../protocol/history-visibility.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { RoomAccess } from '../events/room-access.js'
import type { RoomState } from '../events/room-state.js'
import type { RemoteRelationships } from '../federation/remote-relationships.js'
import type { RelationshipWalk, Walker, WalkRequest } from '../events/relationship-walk.js'

export interface RelationshipsRequest extends WalkRequest {
  readonly eventId: EventId
  /** Of an event that this server may not hold. */
  readonly roomId: RoomId | undefined
}

interface Parts {
  readonly access: RoomAccess
  readonly events: EventsStore
  readonly visibility: EventVisibility
  readonly roomState: Pick<RoomState, 'getStateEvent'>
  readonly clientEvents: ClientEvents
  readonly walk: RelationshipWalk
  /** Without it, nobody else is asked. */
  readonly remote: Pick<RemoteRelationships, 'begin'> | undefined
}

/** Shows clients threads by `m.relationship`. https://github.com/matrix-org/matrix-spec-proposals/pull/2836 */
export class EventRelationships {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The body of the answer. 403 `M_FORBIDDEN` when there is no such event, and when the reader may not see it. */
  async list(reader: EventReader, request: RelationshipsRequest): Promise<JsonObject> {
    const explore = this.#parts.remote?.begin()
    const stored = await this.#find(reader.userId, request, explore)
    const view = stored && (await this.#parts.access.findView(reader.userId, stored.event.roomId))
    if (!stored || !view) throw unseen()
    const { room } = view
    const isMember = view.membership === 'join'
    const walker: Walker = {
      filter: (_room, events) => this.#filter(reader.userId, { room, isMember }, events),
      ...(isMember && explore && { explore }),
    }
    const [start] = await walker.filter(room, [stored])
    if (!start) throw unseen()
    const { events, digests, isLimited } = await this.#parts.walk.run(room, start, { request, walker })
    const serialized = await this.#parts.clientEvents.serialize(reader, events)
    return {
      events: serialized.map((json, index) => {
        const digest = digests.get(events[index]!.event.eventId)
        if (digest === undefined) return json
        const unsigned = isJsonObject(json['unsigned']) ? json['unsigned'] : {}
        return { ...json, unsigned: { ...unsigned, ...digestToJson(digest) } }
      }),
      limited: isLimited,
    }
  }

  async #find(
    userId: UserId,
    { eventId, roomId }: RelationshipsRequest,
    explore: Walker['explore'],
  ): Promise<StoredEvent | undefined> {
    const held = await this.#parts.events.get(this.#db.reader, eventId)
    if (held || roomId === undefined || explore === undefined) return held
    const room = await this.#parts.access.requireJoined(userId, roomId)
    await explore(room, eventId, 'up')
    return this.#parts.events.get(this.#db.reader, eventId)
  }

  /**
   * What others have told of a thread has no place in the timeline, so that nobody knows the state at it: members may see
   * it where the room shows them what was before them.
   */
  async #filter(
    userId: UserId,
    { room, isMember }: { room: RoomRecord; isMember: boolean },
    events: readonly StoredEvent[],
  ): Promise<StoredEvent[]> {
    const visible = new Map(
      (await this.#parts.visibility.filter(userId, events)).map((stored) => [stored.eventNid, stored]),
    )
    const placeless = events.filter(isPlaceless)
    if (isMember && placeless.length > 0 && (await this.#showsThePast(room))) {
      for (const stored of placeless) visible.set(stored.eventNid, stored)
    }
    return events.flatMap(({ eventNid }) => visible.get(eventNid) ?? [])
  }

  async #showsThePast(room: RoomRecord): Promise<boolean> {
    const current = await this.#parts.roomState.getStateEvent(room.roomId, 'm.room.history_visibility', '')
    const visibility = parseHistoryVisibility(current?.event)
    return visibility === 'shared' || visibility === 'world_readable'
  }
}

function isPlaceless({ event, rejected, softFailed, streamOrdering }: StoredEvent): boolean {
  return streamOrdering === null && rejected === null && !softFailed && !event.isState()
}

function unseen(): Error {
  return forbidden('There is no such event, or you may not see it')
}
