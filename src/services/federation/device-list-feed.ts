import type { DeviceId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FederationOutboxStore, OutboxDeviceChange } from '../../storage/stores/federation-outbox.js'
import type { FederationPositionsStore } from '../../storage/stores/federation-positions.js'
import { usersOfPattern, type RoomServersStore } from '../../storage/stores/room-servers.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { PositionSink } from '../streams/notifier.js'
import type { AudienceLookup } from './audience-lookup.js'
import type { FederationSender } from './federation-sender.js'
import { StreamFollower } from './stream-follower.js'

interface Dependencies {
  readonly db: Database
  readonly serverName: ServerName
  readonly store: Pick<RoomServersStore, 'listLocalDeviceChanges'>
  readonly outbox: FederationOutboxStore
  readonly positions: FederationPositionsStore
  /** Of device lists. */
  readonly stream: Pick<StreamIdGenerator, 'position'>
  readonly audience: Pick<AudienceLookup, 'serversOfUsers'>
  readonly sender: Pick<FederationSender, 'noteOutbox'>
  readonly onError: (error: unknown) => void
}

const POSITION = 'device_lists'
/** Where nobody is to be told, it does little harm to find that out again, should the server be killed. */
const MAX_UNWRITTEN = 1_000

/**
 * Follows the stream of device lists, and puts what has changed of this server's users into the outbox for each server
 * that shares a room with them. https://spec.matrix.org/latest/server-server-api/#device-management
 */
export class DeviceListFeed implements PositionSink {
  readonly #deps: Dependencies
  readonly #follower: StreamFollower
  #stored = 0
  /** Up to where everybody is told, which may not be written down. */
  #taken = 0

  constructor(deps: Dependencies) {
    this.#deps = deps
    this.#follower = new StreamFollower({
      position: () => deps.stream.position(),
      take: (after, upTo) => this.#take(after, upTo),
      onError: deps.onError,
    })
  }

  /** Goes on from where the last stop has left it. */
  async start(): Promise<void> {
    const { db, positions, stream } = this.#deps
    const stored = await positions.get(db.reader, POSITION)
    const position = stored ?? stream.position()
    if (stored === undefined) await db.write('begin_feed', (tx) => positions.set(tx, POSITION, position))
    this.#stored = position
    this.#taken = position
    this.#follower.start(position)
  }

  /** Writes down how far it has come: whoever is met later is told nothing of before. */
  async stop(): Promise<void> {
    await this.#follower.stop()
    if (this.#taken === this.#stored) return
    const { db, positions } = this.#deps
    await db.write('feed_position', (tx) => positions.set(tx, POSITION, this.#taken))
    this.#stored = this.#taken
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'device_lists') this.#follower.kick()
  }

  async #take(after: number, upTo: number): Promise<void> {
    const { db, store, outbox, positions, audience, sender, serverName } = this.#deps
    const range = { after, upTo }
    const changes = await store.listLocalDeviceChanges(db.reader, range, usersOfPattern(serverName))
    const servers = await audience.serversOfUsers([...new Set(changes.map(({ userId }) => userId))])
    const rows = changes.flatMap(({ userId, deviceId, streamId }) =>
      [...(servers.get(userId) ?? [])].map((destination): OutboxDeviceChange => ({
        destination,
        userId,
        deviceId: deviceId as DeviceId,
        streamId,
      })),
    )
    if (rows.length === 0 && upTo - this.#stored < MAX_UNWRITTEN) {
      this.#taken = upTo
      return
    }
    await db.write('queue_device_lists', async (tx) => {
      await outbox.putDeviceChanges(tx, rows)
      await positions.set(tx, POSITION, upTo)
    })
    this.#stored = upTo
    this.#taken = upTo
    sender.noteOutbox(new Set(rows.map(({ destination }) => destination)))
  }
}
