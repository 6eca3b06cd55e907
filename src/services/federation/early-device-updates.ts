import { LRUCache } from 'lru-cache'
import type { ServerName } from '../../protocol/ids.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { JsonObject } from '../../util/json.js'
import { upTo } from '../../util/lru-bounds.js'
import type { RemoteDeviceLists } from '../devices/remote-device-lists.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { PositionSink } from '../streams/notifier.js'
import { StreamFollower } from './stream-follower.js'

interface Dependencies {
  readonly deviceLists: Pick<RemoteDeviceLists, 'onDeviceListUpdate'>
  readonly partialRooms: Pick<PartialRooms, 'completedBetween' | 'isAnyPartial'>
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  readonly onError: (error: unknown) => void
}

/** Which device has changed, and who says so. */
interface EarlyUpdate {
  readonly origin: ServerName
  readonly content: JsonObject
}

const MAX_USERS = 10_000
const MAX_ID_LENGTH = 255

/**
 * Takes in `m.device_list_update`, and takes what is about strangers in again when the members of a room have become
 * known: they may have been in it all along.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3902
 */
export class EarlyDeviceUpdates implements PositionSink {
  readonly #deps: Dependencies
  readonly #follower: StreamFollower
  /** The last of each user. */
  readonly #early = new LRUCache<string, EarlyUpdate>(upTo(MAX_USERS))

  constructor(deps: Dependencies) {
    this.#deps = deps
    this.#follower = new StreamFollower({
      position: () => deps.eventStream.position(),
      take: async (after, to) => {
        if (deps.partialRooms.completedBetween(after, to).length > 0) await this.#takeAgain()
      },
      onError: deps.onError,
    })
  }

  start(): void {
    this.#follower.start(this.#deps.eventStream.position())
  }

  stop(): Promise<void> {
    return this.#follower.stop()
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#follower.kick()
  }

  async onDeviceListUpdate(origin: ServerName, content: JsonObject): Promise<void> {
    const { deviceLists, partialRooms } = this.#deps
    // Asked first: the members may become known meanwhile.
    const mayBeMember = partialRooms.isAnyPartial()
    if ((await deviceLists.onDeviceListUpdate(origin, content)) !== 'stranger' || !mayBeMember) return
    const { user_id: userId, device_id: deviceId } = content
    if (typeof userId !== 'string' || userId.length > MAX_ID_LENGTH) return
    if (typeof deviceId !== 'string' || deviceId.length > MAX_ID_LENGTH) return
    // That there was a change is enough: the list is fetched.
    this.#early.set(userId, { origin, content: { user_id: userId, device_id: deviceId } })
    if (!partialRooms.isAnyPartial()) await this.#takeAgain()
  }

  async #takeAgain(): Promise<void> {
    const { deviceLists, partialRooms } = this.#deps
    for (const [userId, update] of [...this.#early]) {
      const taken = await deviceLists.onDeviceListUpdate(update.origin, update.content)
      const isOver = taken !== 'stranger' || !partialRooms.isAnyPartial()
      if (isOver && this.#early.get(userId) === update) this.#early.delete(userId)
    }
  }
}
