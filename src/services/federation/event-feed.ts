import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { FederationPositionsStore } from '../../storage/stores/federation-positions.js'
import type { RelayedEventsStore } from '../../storage/stores/relayed-events.js'
import type { RoomServersStore, StreamedEvent } from '../../storage/stores/room-servers.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { EventTail } from '../events/event-tail.js'
import type { RoomState } from '../events/room-state.js'
import type { PositionSink } from '../streams/notifier.js'
import type { AddressedPdu, FederationSender } from './federation-sender.js'
import { withoutUnsigned, type QueuedPdu } from './outgoing-transactions.js'
import type { EventServers, RoomServers } from './room-servers.js'
import { Watermark } from './watermark.js'

interface Dependencies {
  readonly db: Database
  readonly clock: Clock
  readonly serverName: ServerName
  readonly store: RoomServersStore
  readonly events: EventsStore
  readonly tail: Pick<EventTail, 'between'>
  readonly relayed: RelayedEventsStore
  readonly positions: FederationPositionsStore
  readonly roomState: Pick<RoomState, 'getStateEventAt'>
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  readonly roomServers: RoomServers
  readonly sender: Pick<FederationSender, 'addPdus' | 'onSettled'>
  /** Told who has come into a room, or has changed how they are called there. */
  readonly onJoin?: ((join: RoomJoin) => void) | undefined
  readonly onError: (error: unknown) => void
}

/** A user, of whatever server, who has come into a room, and the servers that are in it before and after. */
export interface RoomJoin {
  readonly roomNid: number
  readonly userId: UserId
  readonly servers: EventServers
}

const POSITION = 'events'
const BATCH = 500
/** Where it stands is written no more often; what a crash makes it send again, others have already. */
const WRITE_MS = 1_000

/**
 * Follows the events stream and hands this server's events, and those that it relays, to the queues of the servers in
 * their rooms. Where it stands is kept: up to there everything has reached its destination or is written down as missed.
 */
export class EventFeed implements PositionSink {
  readonly #deps: Dependencies
  readonly #watermark = new Watermark()
  /** What the watermark waits for: others queue events too. */
  readonly #held = new WeakSet<QueuedPdu>()
  #running: Promise<void> | undefined
  #stored = 0
  #writing: Promise<void> | undefined
  #timer: Timer | undefined
  #isStarted = false
  #isStopped = false

  constructor(deps: Dependencies) {
    this.#deps = deps
    deps.sender.onSettled((pdus) => {
      for (const pdu of pdus) if (this.#held.delete(pdu)) this.#watermark.release(pdu.streamOrdering)
      this.#scheduleWrite()
    })
  }

  /** Goes on from where the last stop has left it; a server that starts for the first time tells nobody of its past. */
  async start(): Promise<void> {
    const { db, positions, eventStream, roomServers } = this.#deps
    const stored = await positions.get(db.reader, POSITION)
    const position = stored ?? eventStream.position()
    if (stored === undefined) await db.write('begin_feed', (tx) => positions.set(tx, POSITION, position))
    this.#stored = position
    this.#watermark.advance(position)
    roomServers.startAt(position)
    this.#isStarted = true
    this.#kick()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
    this.#timer?.cancel()
    await this.#writing
    await this.#write()
  }

  /** Forgets which events were relayed, of those that need not be passed on any more. */
  async forgetRelayed(): Promise<void> {
    const { db, positions, relayed } = this.#deps
    await db.write('forget_relayed_events', async (tx) => {
      const position = await positions.get(tx, POSITION)
      if (position !== undefined) await relayed.deleteSettled(tx, position)
    })
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#kick()
  }

  /**
   * Resolves when all events that can be read now have been handed on, or could not be: memberships are known up to
   * there.
   */
  async caughtUp(): Promise<void> {
    const { eventStream, roomServers } = this.#deps
    const position = eventStream.position()
    let before = -1
    while (roomServers.position < position && roomServers.position > before) {
      before = roomServers.position
      this.#kick()
      await this.#running
    }
  }

  #kick(): void {
    if (!this.#isStarted || this.#isStopped || this.#running !== undefined) return
    this.#running = this.#run().then(
      () => {
        this.#running = undefined
        // What came in the last moment.
        if (this.#isBehind()) this.#kick()
      },
      (error: unknown) => {
        this.#running = undefined
        this.#deps.onError(error)
      },
    )
  }

  #isBehind(): boolean {
    return this.#deps.roomServers.position < this.#deps.eventStream.position()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped && this.#isBehind()) await this.#step(this.#deps.eventStream.position())
  }

  async #step(target: number): Promise<void> {
    const { roomServers } = this.#deps
    const after = roomServers.position
    try {
      await this.#takeUp(after, target)
    } catch (error) {
      // None of these events has been handed on: they are taken up again.
      await roomServers.rewindTo(after)
      throw error
    }
  }

  async #takeUp(after: number, target: number): Promise<void> {
    const { db, events, roomServers, sender } = this.#deps
    const { streamed, upTo } = await this.#listEvents(after, target)
    const origins = await this.#originsOf(streamed)
    const wanted = streamed.filter((event) => origins.has(event.eventNid) || isOwnMembership(event))
    const stored = await events.getByNids(
      db.reader,
      wanted.map(({ eventNid }) => eventNid),
    )
    const servers = await roomServers.step(wanted, upTo)
    const addressed: AddressedPdu[] = []
    for (const event of wanted) {
      const found = stored.get(event.eventNid)
      const around = servers.get(event.eventNid)
      if (!found || !around) continue
      this.#tellOfJoin(event, found, around)
      const origin = origins.get(event.eventNid)
      if (origin === undefined) continue
      const destinations = await this.#destinationsOf(event, { stored: found, around, origin })
      addressed.push(...address(found, destinations, around))
    }
    for (const { pdu } of addressed) {
      this.#held.add(pdu)
      this.#watermark.hold(pdu.streamOrdering)
    }
    await sender.addPdus(addressed)
    this.#watermark.advance(upTo)
    this.#scheduleWrite()
  }

  /** Accepted events after a position, from memory where they are new; `upTo`: as far as they are all there. */
  async #listEvents(after: number, target: number): Promise<{ streamed: StreamedEvent[]; upTo: number }> {
    const { db, store, events, tail } = this.#deps
    const slice = await tail.between(after, target)
    if (slice === undefined || slice.events.length > BATCH) {
      const streamed = await store.listEvents(db.reader, { after, upTo: target }, BATCH)
      return { streamed, upTo: streamed.length < BATCH ? target : streamed.at(-1)!.streamOrdering }
    }
    const stored = await events.getByNids(
      db.reader,
      slice.events.map(({ eventNid }) => eventNid),
    )
    const streamed = slice.events.flatMap((row) => {
      const found = stored.get(row.eventNid)
      if (found?.rejected !== null || found.softFailed) return []
      const { sender, type, stateKey } = found.event
      return [{ ...row, sender, type, stateKey }]
    })
    return { streamed, upTo: target }
  }

  #tellOfJoin(streamed: StreamedEvent, { event }: StoredEvent, servers: EventServers): void {
    if (!isOwnMembership(streamed) || event.content['membership'] !== 'join') return
    this.#deps.onJoin?.({ roomNid: streamed.roomNid, userId: event.sender, servers })
  }

  /** Who has brought the events that others are to have from us: this server, or the one that it relays them for. */
  async #originsOf(events: readonly StreamedEvent[]): Promise<Map<number, ServerName>> {
    const { db, relayed, serverName } = this.#deps
    const isLocal = (sender: UserId): boolean => serverNameOf(sender) === serverName
    // Nothing but memberships is relayed; joins of ours may have come about through another server, which has them.
    const others = events.filter(
      (event) => event.type === 'm.room.member' && (!isLocal(event.sender) || isOwnMembership(event)),
    )
    const origins = await relayed.list(
      db.reader,
      others.map(({ eventNid }) => eventNid),
    )
    for (const { eventNid, sender } of events) {
      if (isLocal(sender) && !origins.has(eventNid)) origins.set(eventNid, serverName)
    }
    return origins
  }

  async #destinationsOf(
    { type, stateKey }: StreamedEvent,
    known: { readonly stored: StoredEvent; readonly around: EventServers; readonly origin: ServerName },
  ): Promise<Set<ServerName>> {
    const { serverName } = this.#deps
    const { stored, around, origin } = known
    // Without us in the room the event went there another way: who we joined through tells the others.
    const isJoin = type === 'm.room.member' && stored.event.content['membership'] === 'join'
    const isEntry = isJoin && around.isCrowded && origin === serverName
    if (isEntry || !around.before.has(serverName)) return new Set()
    const destinations = new Set([...around.before, ...around.after])
    if (type === 'm.room.member' && stateKey !== undefined && (await this.#hasToKnow(stored, stateKey))) {
      destinations.add(serverNameOf(stateKey))
    }
    destinations.delete(serverName)
    destinations.delete(origin)
    return destinations
  }

  /** Whose invitation is withdrawn, or who is not let in, is not in the room, but has to know. */
  async #hasToKnow({ event, stateBefore }: StoredEvent, target: string): Promise<boolean> {
    const { roomState, serverName } = this.#deps
    const { membership } = event.content
    if (serverNameOf(target) === serverName || stateBefore === null) return false
    if (membership !== 'leave' && membership !== 'ban') return false
    const before = await roomState.getStateEventAt(stateBefore, 'm.room.member', target)
    const was = before?.event.content['membership']
    return was === 'invite' || was === 'knock'
  }

  #scheduleWrite(): void {
    if (!this.#isStarted || this.#isStopped || this.#timer !== undefined) return
    if (this.#watermark.position <= this.#stored) return
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#write().then(() => this.#scheduleWrite())
    }, WRITE_MS)
  }

  async #write(): Promise<void> {
    const { db, positions, onError } = this.#deps
    const { position } = this.#watermark
    if (position <= this.#stored) return
    try {
      await db.write('feed_position', (tx) => positions.set(tx, POSITION, position))
      this.#stored = position
    } catch (error) {
      onError(error)
    }
  }
}

function isOwnMembership({ type, sender, stateKey }: StreamedEvent): boolean {
  return type === 'm.room.member' && sender === stateKey
}

function address(
  { event, roomNid, streamOrdering }: StoredEvent,
  destinations: ReadonlySet<ServerName>,
  { after }: EventServers,
): AddressedPdu[] {
  if (destinations.size === 0 || streamOrdering === null) return []
  const json = withoutUnsigned(event.json)
  return [...destinations].map((destination) => ({
    destination,
    pdu: { roomNid, streamOrdering, json, isLast: !after.has(destination) },
  }))
}
