import type { RoomId } from '../../protocol/ids.js'
import type { PreviewReader, RoomPreview, RoomPreviews } from './room-previews.js'

/** Looks at rooms as administrators do: at all that this server knows, whoever may enter them. */
export class UnhinderedPreviews implements Pick<RoomPreviews, 'list' | 'filterHere'> {
  readonly #previews: RoomPreviews

  constructor(previews: RoomPreviews) {
    this.#previews = previews
  }

  list(_reader: PreviewReader, roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomPreview>> {
    return this.#previews.listAll(roomIds)
  }

  filterHere(roomIds: readonly RoomId[]): Promise<Set<RoomId>> {
    return this.#previews.filterHere(roomIds)
  }
}
