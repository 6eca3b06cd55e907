import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { EventPersister } from '../services/events/event-persister.js'
import type { RoomSuccession } from '../services/rooms/room-succession.js'
import type { Services } from '../services/services.js'
import type { PeriodicTask } from '../services/tasks/periodic-tasks.js'

/** Work that goes on while nobody asks: what follows streams, sends, or clears up. */
export interface BackgroundWork {
  /** Takes up what the last stop has left. */
  start?(): Promise<void> | void
  /** What is done again and again. */
  readonly tasks?: readonly PeriodicTask[]
  /** Begins nothing any more and resolves when what runs has ended. */
  stop?(): Promise<void> | void
}

/** Services that do something while nobody asks. */
export interface BackgroundServices {
  readonly services: Pick<
    Services,
    'accountDeactivation' | 'presence' | 'profileUpdates' | 'roomSending' | 'typing'
  >
  readonly succession: RoomSuccession
  readonly eventPersister: EventPersister
  readonly sightings: ClientSightings
  /** Started in this order after the services above, stopped in the opposite one before them. */
  readonly background: readonly BackgroundWork[]
}

/** Takes up what the last stop has left. */
export async function startBackground({ services, background }: BackgroundServices): Promise<void> {
  await services.presence.start()
  await services.profileUpdates.resume()
  await services.accountDeactivation.resume()
  for (const work of background) await work.start?.()
}

/** Lets what writes come to its end, each before what it writes through. */
export async function stopBackground(parts: BackgroundServices): Promise<void> {
  const { services, succession, eventPersister, sightings, background } = parts
  for (const work of background.toReversed()) await work.stop?.()
  services.typing.stop()
  await services.presence.stop()
  await services.profileUpdates.stop()
  await services.accountDeactivation.settle()
  await services.roomSending.settle()
  await succession.settle()
  await eventPersister.drain()
  await sightings.flush()
}
