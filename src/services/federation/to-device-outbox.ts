import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FederationOutboxStore, OutboxEdu } from '../../storage/stores/federation-outbox.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { LETTERS_AND_DIGITS, randomString } from '../../util/random.js'
import type { ToDeviceMessages } from '../devices/to-device.js'

interface Dependencies {
  readonly db: Database
  readonly clock: Clock
  readonly outbox: FederationOutboxStore
  /** Of messages to devices. */
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  /** Whether a server may be told anything. */
  readonly mayTalkTo: (server: ServerName) => boolean
  /** Told of the servers for which something waits. */
  readonly onQueued: (destinations: readonly ServerName[]) => void
}

const MESSAGE_ID_LENGTH = 16
/** No EDU is larger than an event may be, unless a single message is. */
const MAX_EDU_CHARS = 60_000
/** Of each destination; the oldest are given up. */
const MAX_WAITING = 10_000

/** Messages to devices of other servers: kept until those servers have them. */
export class ToDeviceOutbox {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * Queues messages of a user's; resolves when they are stored.
   * https://spec.matrix.org/latest/server-server-api/#send-to-device-messaging
   */
  async send(sender: UserId, type: string, messages: ToDeviceMessages): Promise<void> {
    const edus = [...byServer(messages)]
      .filter(([server]) => this.#deps.mayTalkTo(server))
      .flatMap(([destination, ofServer]) =>
        inPieces(ofServer).map((piece) => ({
          destination,
          type: 'm.direct_to_device',
          content: {
            sender,
            type,
            message_id: randomString(MESSAGE_ID_LENGTH, LETTERS_AND_DIGITS),
            messages: piece,
          },
        })),
      )
    if (edus.length === 0) return
    const destinations = [...new Set(edus.map(({ destination }) => destination))]
    const { db, clock, outbox, streamIds, onQueued } = this.#deps
    await db.write('queue_to_device', async (tx) => {
      const ids = await streamIds.allocate(tx, edus.length)
      const rows = edus.map((edu, index): OutboxEdu => ({ ...edu, eduId: ids[index]! }))
      await outbox.insertEdus(tx, rows, clock.now())
      await outbox.trim(tx, destinations, MAX_WAITING)
      tx.afterCommit(() => onQueued(destinations))
    })
  }
}

function byServer(messages: ToDeviceMessages): Map<ServerName, [UserId, string, JsonObject][]> {
  const servers = new Map<ServerName, [UserId, string, JsonObject][]>()
  for (const [userId, byDevice] of messages) {
    for (const [deviceId, content] of byDevice) {
      const server = serverNameOf(userId)
      const ofServer = servers.get(server) ?? []
      servers.set(server, ofServer)
      ofServer.push([userId, deviceId, content])
    }
  }
  return servers
}

/** `messages` of EDUs, each of about as much as one may hold. */
function inPieces(messages: readonly [UserId, string, JsonObject][]): JsonObject[] {
  const pieces: JsonObject[] = []
  let piece: Record<string, JsonObject> = {}
  let size = 0
  for (const [userId, deviceId, content] of messages) {
    const chars = userId.length + deviceId.length + JSON.stringify(content).length
    if (size > 0 && size + chars > MAX_EDU_CHARS) {
      pieces.push(piece)
      piece = {}
      size = 0
    }
    piece[userId] = { ...piece[userId], [deviceId]: content }
    size += chars
  }
  return size > 0 ? [...pieces, piece] : pieces
}
