import { LRUCache } from 'lru-cache'
import { forbidden } from '../../protocol/errors.js'
import type { EventId, RoomId, ServerName } from '../../protocol/ids.js'
import { ServerAcl } from '../../protocol/server-acl.js'
import { upTo } from '../../util/lru-bounds.js'
import type { RoomState } from '../events/room-state.js'

/**
 * Which servers the rooms of this server let take part.
 * https://spec.matrix.org/latest/server-server-api/#server-access-control-lists-acls
 */
export class ServerAcls {
  readonly #roomState: Pick<RoomState, 'getStateEvent'>
  /** By the event that says it, which never changes. */
  readonly #compiled = new LRUCache<EventId, ServerAcl>(upTo(1_000))

  constructor(roomState: Pick<RoomState, 'getStateEvent'>) {
    this.#roomState = roomState
  }

  /** Whether the current state of the room allows a server. True for rooms that are not known. */
  async isAllowed(roomId: RoomId, server: ServerName): Promise<boolean> {
    const stored = await this.#roomState.getStateEvent(roomId, 'm.room.server_acl', '')
    if (stored === undefined) return true
    const { event, redactedBy } = stored
    const known = redactedBy === null ? this.#compiled.get(event.eventId) : undefined
    const acl = known ?? new ServerAcl(event.content)
    if (redactedBy === null) this.#compiled.set(event.eventId, acl)
    return acl.isAllowed(server)
  }

  /** 403 `M_FORBIDDEN` where the room does not allow a server. */
  async require(roomId: RoomId, server: ServerName): Promise<void> {
    if (!(await this.isAllowed(roomId, server))) throw forbidden('Server is banned from room')
  }
}
