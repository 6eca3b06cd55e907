import type { RoomId, UserId } from '../../protocol/ids.js'
import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import { EVERYBODY, type NotificationsStore, type RoomMemberKey } from '../../storage/stores/notifications.js'
import type { PushersStore } from '../../storage/stores/pushers.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { PositionHints } from '../streams/notifier.js'

export interface PusherAudienceDependencies {
  readonly db: Database
  readonly caches: CacheRegistry
  readonly pushers: Pick<PushersStore, 'holders' | 'loadHolders'>
  readonly notifications: Pick<NotificationsStore, 'listPusherHolders' | 'listSingledOut'>
}

/** A room in which something happened. */
export interface EventfulRoom {
  readonly roomId: RoomId
  readonly roomNid: number
  /** One of its events notifies everybody. */
  readonly notifies: boolean
}

/** Those in a room who have a pusher. */
interface RoomHolders {
  /** When it was read: who has got their first pusher since may be missing. */
  readonly generation: number
  readonly users: readonly UserId[]
}

/** Sum of the people of all rooms that are remembered. */
const MAX_REMEMBERED = 200_000

/**
 * Whom of those with a pusher new events concern. Remembered by room until people come or go, or somebody gets their
 * first pusher: a message costs no statement in rooms where nobody has one, nor in those where it notifies everybody.
 */
export class PusherAudience {
  readonly #deps: PusherAudienceDependencies
  readonly #rooms: BulkCache<RoomId, RoomHolders>

  constructor(deps: PusherAudienceDependencies) {
    this.#deps = deps
    this.#rooms = deps.caches.create({
      name: 'pusher_holders_in_rooms',
      maxSize: MAX_REMEMBERED,
      sizeOf: ({ users }) => 1 + users.length,
    })
  }

  /** Reads who has a pusher: to be called before anybody asks. */
  async load(): Promise<void> {
    await this.#deps.pushers.loadHolders(this.#deps.db.reader)
  }

  /** Nobody has a pusher. */
  get isEmpty(): boolean {
    return this.#deps.pushers.holders.size === 0
  }

  /** Forgets what others have changed: to be called before anybody asks anew. */
  onNewPosition(stream: StreamName, { rooms = [], users = [] }: PositionHints): void {
    if (stream === 'events' && users.length > 0) for (const roomId of rooms) this.#rooms.delete(roomId)
  }

  /** Of these users those who may have a pusher. */
  holdersAmong(userIds: readonly UserId[]): UserId[] {
    return userIds.filter((userId) => this.#deps.pushers.holders.has(userId))
  }

  /** By user the rooms whose events of a stretch of the stream may be news for a pusher. Two statements at most. */
  async concerned(
    rooms: readonly EventfulRoom[],
    range: { readonly after: number; readonly upTo: number },
  ): Promise<Map<UserId, Set<number>>> {
    const concerned = new Map<UserId, Set<number>>()
    const add = (userId: UserId, roomNid: number): void => {
      const own = concerned.get(userId)
      if (own === undefined) concerned.set(userId, new Set([roomNid]))
      else own.add(roomNid)
    }
    const holders = await this.#holdersIn(rooms)
    const quiet: RoomMemberKey<UserId | typeof EVERYBODY>[] = []
    for (const { roomNid, notifies } of rooms) {
      const users = holders.get(roomNid) ?? []
      if (notifies) for (const userId of users) add(userId, roomNid)
      else if (users.length > 0) {
        quiet.push({ roomNid, userId: EVERYBODY })
        for (const userId of users) quiet.push({ roomNid, userId })
      }
    }
    if (quiet.length === 0) return concerned
    const { db, notifications } = this.#deps
    for (const { roomNid, userId } of await notifications.listSingledOut(db.reader, quiet, range)) {
      if (userId === EVERYBODY) for (const each of holders.get(roomNid) ?? []) add(each, roomNid)
      else add(userId, roomNid)
    }
    return concerned
  }

  async #holdersIn(rooms: readonly EventfulRoom[]): Promise<Map<number, readonly UserId[]>> {
    const { db, pushers, notifications } = this.#deps
    const found = new Map<number, readonly UserId[]>()
    if (this.isEmpty) return found
    const { generation } = pushers.holders
    for (const { roomId } of rooms) {
      const known = this.#rooms.peek(roomId)
      if (known !== undefined && known.generation !== generation) this.#rooms.delete(roomId)
    }
    const nids = new Map(rooms.map(({ roomId, roomNid }) => [roomId, roomNid]))
    const held = await this.#rooms.getMany([...nids.keys()], async (missing) => {
      const read = await notifications.listPusherHolders(
        db.reader,
        missing.map((roomId) => nids.get(roomId)!),
      )
      return new Map(
        missing.map((roomId) => [roomId, { generation, users: read.get(nids.get(roomId)!) ?? [] }]),
      )
    })
    for (const [roomId, { users }] of held) {
      found.set(
        nids.get(roomId)!,
        users.filter((userId) => pushers.holders.has(userId)),
      )
    }
    return found
  }
}
