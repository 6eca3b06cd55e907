import { notFound } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import type { RemotePreviews } from './remote-previews.js'
import type { RoomPreviews } from './room-previews.js'

export interface RoomSummariesDependencies {
  readonly previews: RoomPreviews
  /** Without it, rooms that this server is not in are not found. */
  readonly remotePreviews?: RemotePreviews | undefined
}

/** Single rooms at a glance. */
export class RoomSummaries {
  readonly #deps: RoomSummariesDependencies

  constructor(deps: RoomSummariesDependencies) {
    this.#deps = deps
  }

  /**
   * What the reader (undefined: anybody) may know of a room; where this server is not in it, what one of the servers
   * `via` tells. 404 `M_NOT_FOUND` for rooms that nobody tells of, and for those that the reader may not look at: they
   * learn nothing of which it is.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1room_summaryroomidoralias
   */
  async get(userId: UserId | undefined, roomId: RoomId, via: readonly string[] = []): Promise<JsonObject> {
    const { previews } = this.#deps
    const reader = userId === undefined ? undefined : { userId }
    const preview = (await previews.list(reader, [roomId])).get(roomId)
    const summary = preview?.summary ?? (await this.#remote(userId, roomId, via))
    if (!summary) throw notFound('The room is not known, or you may not look at it')
    if (userId === undefined) return summary
    const membership = preview?.membership ?? (await previews.membershipsOf(reader, [roomId])).get(roomId)
    return { ...summary, membership: membership ?? 'leave' }
  }

  async #remote(
    userId: UserId | undefined,
    roomId: RoomId,
    via: readonly string[],
  ): Promise<JsonObject | undefined> {
    const { previews, remotePreviews } = this.#deps
    if (remotePreviews === undefined || (await previews.filterHere([roomId])).has(roomId)) return undefined
    const options = { view: remotePreviews.begin(), suggestedOnly: false }
    return (await remotePreviews.list(userId, [{ roomId, via }], options)).get(roomId)?.summary
  }
}
