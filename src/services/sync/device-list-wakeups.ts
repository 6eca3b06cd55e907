import type { UserId } from '../../protocol/ids.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Notifier, PositionHints, PositionSink } from '../streams/notifier.js'
import type { UserRoomsCache } from './user-rooms.js'

/** Who changes their devices is known by name; those who want to hear of it are in the same rooms. */
export class DeviceListWakeups implements PositionSink {
  readonly #notifier: Notifier
  readonly #userRooms: UserRoomsCache

  constructor(notifier: Notifier, userRooms: UserRoomsCache) {
    this.#notifier = notifier
    this.#userRooms = userRooms
  }

  onNewPosition(stream: StreamName, { users = [] }: PositionHints): void {
    if (stream !== 'device_lists') return
    // Who is not woken hears of it with the next answer: nothing is lost.
    for (const userId of users) this.#wake(userId).catch(() => undefined)
  }

  async #wake(userId: UserId): Promise<void> {
    const { joinedIds } = await this.#userRooms.at(userId, this.#notifier.currentToken().events)
    if (joinedIds.size > 0) this.#notifier.onNewPosition('device_lists', { rooms: [...joinedIds] })
  }
}
