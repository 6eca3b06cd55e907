import { serverNameOf, type ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import { usersOfPattern } from '../../storage/stores/room-servers.js'
import type { StickyEventsStore } from '../../storage/stores/sticky-events.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { AudienceLookup } from './audience-lookup.js'
import type { RoomJoin } from './event-feed.js'
import type { FederationSender } from './federation-sender.js'
import { withoutUnsigned } from './outgoing-transactions.js'

interface Dependencies {
  readonly db: Database
  readonly clock: Clock
  readonly serverName: ServerName
  readonly stickyEvents: Pick<StickyEventsStore, 'listLocal'>
  readonly events: Pick<EventsStore, 'getByNids'>
  readonly sender: Pick<FederationSender, 'addPdus'>
  readonly audience: Pick<AudienceLookup, 'serversInRooms'>
  readonly onError: (error: unknown) => void
}

const MAX_EVENTS = 1_000
/** Whoever joins has to take in the room first: what comes for a room that is not there is dropped. */
const DELAY_MS = 2_000

/**
 * Gives servers that come to a room the sticky events of our users there, which were sent before they came.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export class StickyIntroductions {
  readonly #deps: Dependencies
  /** By room and server: who comes and goes is introduced once. */
  readonly #timers = new Map<string, Timer>()

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** Somebody has come to a room. Fails never. */
  onJoin({ roomNid, userId, servers: { before } }: RoomJoin): void {
    const { clock, serverName, onError } = this.#deps
    const destination = serverNameOf(userId)
    if (destination === serverName || before.has(destination) || !before.has(serverName)) return
    const key = `${roomNid} ${destination}`
    if (this.#timers.has(key)) return
    const timer = clock.setTimeout(() => {
      this.#timers.delete(key)
      this.#introduce(roomNid, destination).catch(onError)
    }, DELAY_MS)
    this.#timers.set(key, timer)
  }

  /** Nothing more is sent. */
  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  async #introduce(roomNid: number, destination: ServerName): Promise<void> {
    const { db, clock, serverName, stickyEvents, events, sender, audience } = this.#deps
    const found = await stickyEvents.listLocal(db.reader, [roomNid], {
      ...{ now: clock.now(), limit: MAX_EVENTS },
      localPattern: usersOfPattern(serverName),
    })
    if (found.length === 0) return
    const stored = await events.getByNids(
      db.reader,
      found.map(({ eventNid }) => eventNid),
    )
    // After the events have been read: it may have left again.
    const inRoom = (await audience.serversInRooms([roomNid])).get(roomNid)
    if (inRoom?.has(destination) !== true) return
    await sender.addPdus(
      found.flatMap(({ eventNid, streamOrdering }) => {
        const event = stored.get(eventNid)?.event
        if (event === undefined) return []
        const json = withoutUnsigned(event.json)
        return [{ destination, pdu: { roomNid, streamOrdering, json, isLast: false } }]
      }),
    )
  }
}
