import type { Database, Query } from '../../../storage/database.js'
import type { CurrentStateStore } from '../../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../../storage/stores/events.js'
import type { LazyStateStore } from '../../../storage/stores/lazy-state.js'
import {
  pruneStrippedState,
  STRIPPED_STATE_TYPES,
  stripStateEvent,
} from '../../../protocol/stripped-state.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../util/json.js'
import type { ClientEvents } from '../../events/client-events.js'
import type { HiddenInviters } from '../hidden-inviters.js'
import type { SyncFrame } from '../sync-frame.js'
import type { SyncViewer } from '../sync-request.js'
import type { UserRoom } from '../user-rooms.js'

interface Parts {
  readonly currentState: CurrentStateStore
  readonly lazyState: LazyStateStore
  readonly events: EventsStore
  readonly clientEvents: ClientEvents
  readonly hiddenInviters: HiddenInviters
}

/** What of a sync is needed to tell of invitations. */
export type InvitesFrame = Pick<SyncFrame, 'invited' | 'knocked'> & {
  readonly request: { readonly viewer: SyncViewer }
}

/** How invitations and knocks differ on the wire. */
interface Kind {
  /** In the room's entry. */
  readonly name: 'invite_state' | 'knock_state'
  /** Under `unsigned` of the member event, where another server has sent the state along. */
  readonly received: 'invite_room_state' | 'knock_room_state'
}

const INVITE: Kind = { name: 'invite_state', received: 'invite_room_state' }
const KNOCK: Kind = { name: 'knock_state', received: 'knock_room_state' }

/**
 * Rooms that the user is invited to or knocks at, with what tells an outsider which room that is.
 * https://spec.matrix.org/latest/client-server-api/#stripped-state
 */
export class InvitesSection {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** By room ID. Invitations of those who are ignored, or may not invite, are left out. */
  async loadInvites(frame: InvitesFrame): Promise<JsonObject> {
    return this.#load(frame, frame.invited, INVITE)
  }

  /** By room ID. */
  async loadKnocks(frame: InvitesFrame): Promise<JsonObject> {
    return this.#load(frame, frame.knocked, KNOCK)
  }

  async #load(frame: InvitesFrame, rooms: readonly UserRoom[], kind: Kind): Promise<JsonObject> {
    if (rooms.length === 0) return {}
    const q = this.#db.reader
    const found = await this.#parts.events.getByNids(
      q,
      rooms.map(({ eventNid }) => eventNid),
    )
    const hidden = await this.#parts.hiddenInviters.of(frame.request.viewer.userId)
    const members = [...found.values()].filter(({ event }) => kind !== INVITE || !hidden.has(event.sender))
    const stripped = await this.#strippedStates(q, members, kind)
    const written = await this.#parts.clientEvents.serialize(frame.request.viewer, members, {
      format: 'sync',
      purpose: 'state',
    })
    return Object.fromEntries(
      members.map(({ event, eventNid }, index) => [
        event.roomId,
        { [kind.name]: { events: [...(stripped.get(eventNid) ?? []), written[index]!] } },
      ]),
    )
  }

  /** As the other server sent it, or as the room is now. By the nid of the member event. */
  async #strippedStates(
    q: Query,
    members: readonly StoredEvent[],
    kind: Kind,
  ): Promise<Map<number, JsonObject[]>> {
    const states = new Map<number, JsonObject[]>()
    const local: StoredEvent[] = []
    for (const member of members) {
      const received = receivedState(member, kind)
      if (received === undefined) local.push(member)
      else states.set(member.eventNid, pruneStrippedState(received))
    }
    const roomNids = local.map(({ roomNid }) => roomNid)
    const entries =
      local.length === 0
        ? []
        : [
            ...(await this.#parts.currentState.getForRooms(q, roomNids, STRIPPED_KEYS)),
            ...(await this.#parts.lazyState.listMembers(
              q,
              local.map(({ roomNid, event }) => ({ roomNid, userId: event.sender })),
            )),
          ]
    const events = await this.#parts.events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    for (const { roomNid, eventNid } of local) {
      const ofRoom = entries.filter((entry) => entry.roomNid === roomNid && entry.eventNid !== eventNid)
      states.set(
        eventNid,
        ofRoom.flatMap((entry) => {
          const stored = events.get(entry.eventNid)
          return stored ? [stripStateEvent(stored.event)] : []
        }),
      )
    }
    return states
  }
}

const STRIPPED_KEYS = STRIPPED_STATE_TYPES.map((type) => [type, ''] as const)

function receivedState({ event }: StoredEvent, kind: Kind): JsonValue | undefined {
  const { unsigned } = event.json as { readonly unsigned?: JsonValue }
  return isJsonObject(unsigned) ? unsigned[kind.received] : undefined
}
