import { LRUCache } from 'lru-cache'
import { parseUserId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import { upTo } from '../../util/lru-bounds.js'
import type { RemoteDeviceLists } from '../devices/remote-device-lists.js'
import type { PartialRooms } from '../events/partial-rooms.js'

interface Dependencies {
  readonly deviceLists: Pick<RemoteDeviceLists, 'onDeviceListUpdate' | 'recordEarlyChanges'>
  readonly partialRooms: Pick<PartialRooms, 'isAnyPartial'>
}

const MAX_USERS = 10_000

/**
 * Takes in `m.device_list_update`. What is about strangers is told once the members of a room have become known: they may
 * have been in it all along.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3902
 */
export class EarlyDeviceUpdates {
  readonly #deps: Dependencies
  /** Strangers whose devices have changed. */
  readonly #early = new LRUCache<UserId, true>(upTo(MAX_USERS))

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  async onDeviceListUpdate(origin: ServerName, content: JsonObject): Promise<void> {
    const { deviceLists, partialRooms } = this.#deps
    // Asked first: the members may become known meanwhile.
    const mayBeMember = partialRooms.isAnyPartial()
    if ((await deviceLists.onDeviceListUpdate(origin, content)) !== 'stranger' || !mayBeMember) return
    const { user_id: said } = content
    const userId = typeof said === 'string' ? parseUserId(said) : undefined
    if (userId === undefined) return
    this.#early.set(userId, true)
    if (!partialRooms.isAnyPartial()) await this.onMembersKnown()
  }

  /** The members of a room have become known. */
  async onMembersKnown(): Promise<void> {
    const { deviceLists, partialRooms } = this.#deps
    const waiting = [...this.#early.keys()]
    if (waiting.length === 0) return
    // Asked first: what was told meanwhile may be about members of a room that is partial since.
    const isAnyPartial = partialRooms.isAnyPartial()
    const told = await deviceLists.recordEarlyChanges(waiting)
    for (const userId of isAnyPartial ? told : waiting) this.#early.delete(userId)
  }
}
