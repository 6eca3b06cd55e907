import { notFound } from '../../protocol/errors.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { ReadableEvents } from '../events/readable-events.js'
import type { EventAggregations } from '../events/relations.js'

interface Parts {
  readonly readable: ReadableEvents
  readonly clientEvents: ClientEvents
  readonly aggregations: Pick<EventAggregations, 'listIgnored'>
}

/** Gives single events to clients. */
export class SingleEvents {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * 404 `M_NOT_FOUND` when there is no such event in the room, and when the reader may not read it or does not want
   * to: state is shown whoever has sent it.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomideventeventid
   */
  async get(reader: EventReader, roomId: RoomId, eventId: EventId): Promise<JsonObject> {
    const { stored } = await this.#parts.readable.require(reader.userId, roomId, eventId)
    return this.#show(reader, stored)
  }

  /**
   * The same by the event's ID alone.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3eventseventid
   */
  async find(reader: EventReader, eventId: EventId): Promise<JsonObject> {
    const { stored } = await this.#parts.readable.requireAnywhere(reader.userId, eventId)
    return this.#show(reader, stored)
  }

  async #show(reader: EventReader, stored: StoredEvent): Promise<JsonObject> {
    const { aggregations, clientEvents } = this.#parts
    const { event } = stored
    const ignored = await aggregations.listIgnored(reader.userId)
    if (ignored.has(event.sender) && event.sender !== reader.userId && !event.isState()) {
      throw notFound('The sender of the event is ignored')
    }
    return clientEvents.serializeOne({ ...reader, ignored }, stored)
  }
}
