import { notFound } from '../../protocol/errors.js'
import { parseHistoryVisibility } from '../../protocol/history-visibility.js'
import type { RoomId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { Logger } from '../../telemetry/logger.js'
import type { RoomState } from '../events/room-state.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { ServerAcls } from './server-acls.js'

interface Parts {
  readonly client: Pick<FederationClient, 'request'>
  readonly acls: ServerAcls
  readonly currentState: CurrentStateStore
  readonly members: RoomMembersStore
  readonly roomState: Pick<RoomState, 'findRoom' | 'getStateEvent'>
  readonly logger: Logger
}

/** A room with so many events in its current state has a complexity of one. */
const EVENTS_PER_UNIT = 500
/** Somebody waits for the join that this comes before. */
const TIMEOUT_MS = 10_000
const MAX_SERVERS = 3

/** How much it takes to be in a room: the number of events in its current state, by 500. */
export class RoomComplexity {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Of a room that this server is in, to two digits after the point. */
  async measure(roomNid: number): Promise<number> {
    const events = await this.#parts.currentState.count(this.#db.reader, roomNid)
    return Math.round((events / EVENTS_PER_UNIT) * 100) / 100
  }

  /**
   * For another server that thinks of joining. 404 `M_NOT_FOUND` for rooms that not everybody may read or join, and for
   * those that this server is not in; 403 `M_FORBIDDEN` for servers that the room shuts out.
   */
  async tell(origin: ServerName, roomId: RoomId): Promise<number> {
    const { roomState, members, acls } = this.#parts
    const room = await roomState.findRoom(roomId)
    if (!room || !(await members.hasLocalMember(this.#db.reader, room.roomNid)))
      throw notFound('Room not found')
    if (!(await this.#isPublic(roomId))) throw notFound('Room not found')
    await acls.require(roomId, origin)
    return this.measure(room.roomNid)
  }

  /** Asks servers, one after the other; undefined where none can tell. */
  async ask(servers: readonly ServerName[], roomId: RoomId): Promise<number | undefined> {
    for (const destination of servers.slice(0, MAX_SERVERS)) {
      try {
        const { v1 } = await this.#parts.client.request({
          destination,
          method: 'GET',
          path: `/_matrix/federation/unstable/rooms/${encodeURIComponent(roomId)}/complexity`,
          timeoutMs: TIMEOUT_MS,
        })
        if (typeof v1 === 'number') return v1
      } catch (err) {
        if (!(err instanceof FederationError)) throw err
        this.#parts.logger.debug(
          { err, destination, room: roomId },
          'A server does not tell how large a room is',
        )
      }
    }
    return undefined
  }

  async #isPublic(roomId: RoomId): Promise<boolean> {
    const { roomState } = this.#parts
    const rules = await roomState.getStateEvent(roomId, 'm.room.join_rules', '')
    if (rules?.event.content['join_rule'] === 'public') return true
    const visibility = await roomState.getStateEvent(roomId, 'm.room.history_visibility', '')
    return parseHistoryVisibility(visibility?.event) === 'world_readable'
  }
}
