import type { Event } from '../../protocol/event.js'
import type { ServerName } from '../../protocol/ids.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ReceiveOptions } from '../events/event-receiver.js'
import type { Reception } from '../events/reception.js'

/** Takes events of rooms that this server is in from others, and fetches what they need. */
export interface PduReceiver {
  receive(
    room: RoomRecord,
    origin: ServerName,
    event: Event,
    options?: Pick<ReceiveOptions, 'inTransaction'>,
  ): Promise<Reception>
}
