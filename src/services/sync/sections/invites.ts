import type { Database } from '../../../storage/database.js'
import type { EventsStore } from '../../../storage/stores/events.js'
import type { JsonObject } from '../../../util/json.js'
import type { ClientEvents } from '../../events/client-events.js'
import type { PrejoinState } from '../../events/prejoin-state.js'
import type { HiddenInviters } from '../hidden-inviters.js'
import type { SyncFrame } from '../sync-frame.js'
import type { SyncViewer } from '../sync-request.js'
import type { UserRoom } from '../user-rooms.js'

interface Parts {
  readonly events: Pick<EventsStore, 'getByNids'>
  readonly prejoin: Pick<PrejoinState, 'ofMembers'>
  readonly clientEvents: ClientEvents
  readonly hiddenInviters: HiddenInviters
}

/** What of a sync is needed to tell of invitations. */
export type InvitesFrame = Pick<SyncFrame, 'invited' | 'knocked'> & {
  readonly request: { readonly viewer: SyncViewer }
}

/** How invitations and knocks differ: the name of the state in the room's entry. */
type Kind = 'invite_state' | 'knock_state'

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
    return this.#load(frame, frame.invited, 'invite_state')
  }

  /** By room ID. */
  async loadKnocks(frame: InvitesFrame): Promise<JsonObject> {
    return this.#load(frame, frame.knocked, 'knock_state')
  }

  async #load(frame: InvitesFrame, rooms: readonly UserRoom[], kind: Kind): Promise<JsonObject> {
    if (rooms.length === 0) return {}
    const q = this.#db.reader
    const found = await this.#parts.events.getByNids(
      q,
      rooms.map(({ eventNid }) => eventNid),
    )
    const hidden = await this.#parts.hiddenInviters.of(frame.request.viewer.userId)
    const members = [...found.values()].filter(
      ({ event }) => kind !== 'invite_state' || !hidden.has(event.sender),
    )
    const stripped = await this.#parts.prejoin.ofMembers(q, members)
    const written = await this.#parts.clientEvents.serialize(frame.request.viewer, members, {
      format: 'sync',
      purpose: 'state',
    })
    return Object.fromEntries(
      members.map(({ event, eventNid }, index) => [
        event.roomId,
        { [kind]: { events: [...(stripped.get(eventNid) ?? []), written[index]!] } },
      ]),
    )
  }
}
