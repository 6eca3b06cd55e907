import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { EventPersister } from '../services/events/event-persister.js'
import type { RoomSuccession } from '../services/rooms/room-succession.js'
import type { Services } from '../services/services.js'

/** Services that do something while nobody asks. */
export interface BackgroundServices {
  readonly services: Pick<
    Services,
    'accountDeactivation' | 'presence' | 'profileUpdates' | 'roomSending' | 'typing'
  >
  readonly succession: RoomSuccession
  readonly eventPersister: EventPersister
  readonly sightings: ClientSightings
}

/** Takes up what the last stop has left. */
export async function startBackground({ services }: BackgroundServices): Promise<void> {
  await services.presence.start()
  await services.profileUpdates.resume()
  await services.accountDeactivation.resume()
}

/** Lets what writes come to its end, each before what it writes through. */
export async function stopBackground(background: BackgroundServices): Promise<void> {
  const { services, succession, eventPersister, sightings } = background
  services.typing.stop()
  await services.presence.stop()
  await services.profileUpdates.stop()
  await services.accountDeactivation.settle()
  await services.roomSending.settle()
  await succession.settle()
  await eventPersister.drain()
  await sightings.flush()
}
