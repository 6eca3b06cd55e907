import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import { usersOfPattern, type RoomServersStore } from '../../storage/stores/room-servers.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { PositionSink } from '../streams/notifier.js'
import type { AudienceLookup } from './audience-lookup.js'
import type { RoomJoin } from './event-feed.js'
import type { FederationSender } from './federation-sender.js'
import { ReceiptPacing } from './receipt-pacing.js'
import { StreamFollower } from './stream-follower.js'

/** What feeds need of presence. */
export interface PresenceSource {
  /** Whose presence changed in a stretch of positions. */
  changedUsers(range: { readonly since: number; readonly upTo: number }): UserId[]
  /** A user's presence as it is now, as others see it. */
  contentOf(userId: UserId): JsonObject
  /** Everybody who is not offline. */
  listPresent(): UserId[]
}

/** Users of this server in a room whose presence a server is told that comes in. */
const MAX_SHOWN = 500

interface Dependencies {
  readonly db: Database
  readonly serverName: ServerName
  readonly store: RoomServersStore
  readonly members: Pick<RoomMembersStore, 'sampleLocalMembers'>
  readonly rooms: Pick<RoomsStore, 'get' | 'getByNids'>
  readonly presence: PresenceSource
  readonly streams: {
    readonly presence: Pick<StreamIdGenerator, 'position'>
    readonly receipts: Pick<StreamIdGenerator, 'position'>
  }
  readonly audience: AudienceLookup
  /** Rooms in which people are not interested in each other's presence. */
  readonly excludedFromPresence: ReadonlySet<RoomId>
  readonly sender: Pick<FederationSender, 'addEdu'>
  readonly clock: Pick<Clock, 'now' | 'setTimeout'>
  /** How many transactions the receipts of a room may cause in a second. */
  readonly receiptsPerRoomPerSecond: number
  readonly onError: (error: unknown) => void
}

/**
 * Tells other servers of what passes by: who is online, who types, how far people have read. What happened while this
 * server was down is not told.
 */
export class PassingFeeds implements PositionSink {
  readonly #deps: Dependencies
  readonly #presence: StreamFollower
  readonly #receipts: StreamFollower
  readonly #pacing: ReceiptPacing
  #isStarted = false

  constructor(deps: Dependencies) {
    this.#deps = deps
    const { streams, onError } = deps
    this.#pacing = new ReceiptPacing({ ...deps, perRoomPerSecond: deps.receiptsPerRoomPerSecond })
    this.#presence = new StreamFollower({
      position: () => streams.presence.position(),
      take: (after, upTo) => this.#takePresence(after, upTo),
      onError,
    })
    this.#receipts = new StreamFollower({
      position: () => streams.receipts.position(),
      take: (after, upTo) => this.#takeReceipts(after, upTo),
      onError,
    })
  }

  start(): void {
    this.#isStarted = true
    this.#presence.start(this.#deps.streams.presence.position())
    this.#receipts.start(this.#deps.streams.receipts.position())
  }

  async stop(): Promise<void> {
    this.#isStarted = false
    await Promise.all([this.#presence.stop(), this.#receipts.stop()])
    this.#pacing.flush()
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'presence') this.#presence.kick()
    if (stream === 'receipts') this.#receipts.kick()
  }

  /** A user of this server types, still types, or does not any more. Nobody waits for it. */
  onTyping(roomId: RoomId, userId: UserId, typing: boolean): void {
    if (!this.#isStarted) return
    this.#tellOfTyping(roomId, userId, typing).catch(this.#deps.onError)
  }

  /**
   * Somebody has come into a room: who is online there, and new to the other, is told. Nobody waits for it.
   * https://spec.matrix.org/latest/server-server-api/#presence
   */
  onJoin(join: RoomJoin): void {
    if (!this.#isStarted) return
    this.#introduce(join).catch(this.#deps.onError)
  }

  /** Tells everybody concerned of these users' presence again. */
  async repeatPresence(userIds: readonly UserId[]): Promise<void> {
    const { audience, presence, sender, excludedFromPresence: without } = this.#deps
    const servers = await audience.serversOfUsers(userIds, { without })
    for (const [userId, destinations] of servers) {
      sender.addEdu(destinations, { kind: 'presence', userId, content: presence.contentOf(userId) })
    }
  }

  async #introduce({ roomNid, userId, servers }: RoomJoin): Promise<void> {
    const { db, members, presence, sender, serverName } = this.#deps
    const server = serverNameOf(userId)
    const isOurs = server === serverName
    if (!isOurs && servers.before.has(server)) return
    if (await this.#isExcluded(roomNid)) return
    const here = isOurs ? [userId] : await members.sampleLocalMembers(db.reader, roomNid, MAX_SHOWN)
    const present = new Set(presence.listPresent())
    const destinations = isOurs ? servers.after : [server]
    for (const user of here) {
      if (!present.has(user)) continue
      sender.addEdu(destinations, { kind: 'presence', userId: user, content: presence.contentOf(user) })
    }
  }

  async #isExcluded(roomNid: number): Promise<boolean> {
    const { db, rooms, excludedFromPresence } = this.#deps
    if (excludedFromPresence.size === 0) return false
    const room = (await rooms.getByNids(db.reader, [roomNid])).get(roomNid)
    return room !== undefined && excludedFromPresence.has(room.roomId)
  }

  async #takePresence(since: number, upTo: number): Promise<void> {
    const { presence, serverName } = this.#deps
    const changed = presence.changedUsers({ since, upTo })
    await this.repeatPresence(changed.filter((userId) => serverNameOf(userId) === serverName))
  }

  async #takeReceipts(after: number, upTo: number): Promise<void> {
    const { db, store, audience, serverName } = this.#deps
    const receipts = await store.listLocalReceipts(db.reader, { after, upTo }, usersOfPattern(serverName))
    const servers = await audience.serversInRooms(receipts.map(({ roomNid }) => roomNid))
    const others = (roomNid: number): ServerName[] =>
      [...(servers.get(roomNid) ?? [])].filter((server) => server !== serverName)
    for (const { roomNid, ...receipt } of receipts) {
      this.#pacing.add(roomNid, { kind: 'receipt', ...receipt }, others(roomNid))
    }
  }

  async #tellOfTyping(roomId: RoomId, userId: UserId, typing: boolean): Promise<void> {
    const { db, rooms, audience, sender } = this.#deps
    const room = await rooms.get(db.reader, roomId)
    if (room === undefined) return
    const servers = await audience.serversInRooms([room.roomNid])
    sender.addEdu(servers.get(room.roomNid) ?? [], { kind: 'typing', roomId, userId, typing })
  }
}
