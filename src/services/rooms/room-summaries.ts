import { notFound } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import type { RoomPreviews } from './room-previews.js'

/** Single rooms at a glance. */
export class RoomSummaries {
  readonly #previews: RoomPreviews

  constructor(previews: RoomPreviews) {
    this.#previews = previews
  }

  /**
   * What the reader (undefined: anybody) may know of a room. 404 `M_NOT_FOUND` for rooms that this server is not in, and
   * for those that the reader may not look at: they learn nothing of which it is.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1room_summaryroomidoralias
   */
  async get(userId: UserId | undefined, roomId: RoomId): Promise<JsonObject> {
    const preview = (await this.#previews.list(userId, [roomId])).get(roomId)
    if (!preview) throw notFound('The room is not known, or you may not look at it')
    return {
      ...preview.summary,
      ...(userId !== undefined && { membership: preview.membership ?? 'leave' }),
    }
  }
}
