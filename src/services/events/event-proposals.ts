import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Event } from '../../protocol/event.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import type { ComposeInput, EventComposer } from './event-composer.js'
import type { RoomHeads } from './room-heads.js'

interface Parts {
  readonly composer: EventComposer
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
}

/** Makes events that other servers have to sign before they are anything: invitations, and templates for handshakes. */
export class EventProposals {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * An event at the end of the room's graph, signed by this server and not stored. 403 `M_FORBIDDEN` when the room's
   * rules do not allow it, and in rooms that this server has never been in.
   */
  propose(room: RoomRecord, input: ComposeInput): Promise<Event> {
    return this.#parts.locks.run(String(room.roomNid), async () => {
      const head = await this.#parts.heads.get(room)
      return this.#parts.composer.propose(head, input)
    })
  }
}
