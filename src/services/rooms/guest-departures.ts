import type { Database } from '../../storage/database.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { StateDeltasStore } from '../../storage/stores/state-deltas.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import type { PositionSink } from '../streams/notifier.js'
import { DelayedRuns } from '../tasks/delayed-runs.js'
import type { GuestAccess } from './guest-access.js'

export interface GuestDeparturesDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly deltas: StateDeltasStore
  readonly rooms: RoomsStore
  readonly guestAccess: Pick<GuestAccess, 'enforce'>
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  readonly onError: (error: unknown) => void
}

const DELAY_MS = 500

/**
 * Has guests leave rooms that close to them, whoever has closed them: also other servers, and the resolution of state.
 * https://spec.matrix.org/latest/client-server-api/#guest-access
 */
export class GuestDepartures implements PositionSink {
  readonly #deps: GuestDeparturesDependencies
  readonly #runs: DelayedRuns
  /** Up to where changes have been looked at. What happens while the server stops is the next join's affair. */
  #position: number

  constructor(deps: GuestDeparturesDependencies) {
    this.#deps = deps
    const { clock, onError } = deps
    this.#position = deps.eventStream.position()
    this.#runs = new DelayedRuns({ clock, onError, delayMs: DELAY_MS, run: () => this.#run() })
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#runs.schedule()
  }

  async stop(): Promise<void> {
    await this.#runs.stop()
  }

  async #run(): Promise<void> {
    const { db, deltas, rooms, guestAccess, eventStream } = this.#deps
    const upTo = eventStream.position()
    const changed = await deltas.listRoomsOfType(db.reader, 'm.room.guest_access', {
      after: this.#position,
      upTo,
    })
    for (const { roomId } of (await rooms.getByNids(db.reader, changed)).values())
      await guestAccess.enforce(roomId)
    this.#position = upTo
  }
}
