import { digestToJson } from '../../protocol/event-relationships.js'
import { notFound } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { JsonObject } from '../../util/json.js'
import type { RelationshipWalk, WalkRequest } from '../events/relationship-walk.js'
import type { AuthChains } from './auth-chains.js'
import type { RoomGate } from './room-gate.js'
import type { ServerVisibility } from './server-visibility.js'

/** A part of a thread for another server. */
export interface ThreadAnswer {
  readonly events: readonly { readonly event: Event; readonly unsigned: JsonObject }[]
  readonly authChain: readonly Event[]
  readonly isLimited: boolean
}

interface Parts {
  readonly gate: RoomGate
  readonly events: EventsStore
  readonly visibility: ServerVisibility
  readonly chains: AuthChains
  readonly walk: RelationshipWalk
}

/** Tells other servers of threads by `m.relationship`. */
export class RelationshipAnswers {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * 404 `M_NOT_FOUND` for events that are not held or not for the server to see, 403 `M_FORBIDDEN` to servers that may
   * not ask about the room. https://github.com/matrix-org/matrix-spec-proposals/pull/2836
   */
  async list(server: ServerName, eventId: EventId, request: WalkRequest): Promise<ThreadAnswer> {
    const { gate, visibility, chains, walk } = this.#parts
    const held = await this.#parts.events.get(this.#db.reader, eventId)
    if (!held) throw notFound('Event not found')
    const { room, stored } = await gate.requireEvent(server, held.event.roomId, eventId)
    const walker = {
      filter: async (_room: unknown, events: readonly (typeof stored)[]) => {
        // What has no place here was told by others: they are asked themselves.
        const placed = events.filter(
          ({ streamOrdering, softFailed }) => streamOrdering !== null && !softFailed,
        )
        const visible = await visibility.filter(server, room, placed)
        return placed.filter((other) => visible.has(other))
      },
    }
    const [start] = await walker.filter(room, [stored])
    if (!start) throw notFound('Event not found')
    const { events, digests, isLimited } = await walk.run(room, start, { request, walker })
    const authChain = await chains.ofEvents(room, events)
    return {
      events: events.map(({ event }) => {
        const digest = digests.get(event.eventId)
        return { event, unsigned: digest === undefined ? {} : digestToJson(digest) }
      }),
      authChain: authChain.map(({ event }) => event),
      isLimited,
    }
  }
}
