import type { Database } from '../../../storage/database.js'
import type { AccountDataStore } from '../../../storage/stores/account-data.js'
import type { RoomId, UserId } from '../../../protocol/ids.js'
import type { JsonObject } from '../../../util/json.js'
import type { IgnoredUsers } from '../ignored-users.js'
import { ConnectionChanges, type Connection } from './connection.js'
import type { ExtensionFrame } from './extensions/extension.js'
import type { SlidingExtensions } from './extensions/sliding-extensions.js'
import type { ListResult, RoomLists } from './room-lists.js'
import { listMissed, type RoomPlanner } from './room-plan.js'
import type { RoomResult, RoomResults } from './room-results.js'
import { combineConfigs, type RoomConfig, type SlidingRequest } from './sliding-request.js'
import type { SlidingNow } from './sliding-sync.js'
import type { VisibleRoom, VisibleRooms } from './visible-rooms.js'

/** An answer but for its position. */
export interface SlidingAnswer {
  /** Whether there is anything that the client does not have: worth an answer. */
  readonly hasNews: boolean
  readonly body: JsonObject
  readonly changes: ConnectionChanges
}

interface Parts {
  readonly accountData: Pick<AccountDataStore, 'get'>
  readonly ignored: IgnoredUsers
  readonly visibleRooms: VisibleRooms
  readonly lists: RoomLists
  readonly planner: RoomPlanner
  readonly results: RoomResults
  readonly extensions: SlidingExtensions
}

/** What the client looks at. */
interface Scope {
  readonly lists: ReadonlyMap<string, ListResult>
  /** By nid. */
  readonly rooms: ReadonlyMap<number, { readonly room: VisibleRoom; readonly config: RoomConfig }>
  /** All rooms of the user, and those that are subscribed to. */
  readonly visible: ReadonlyMap<number, VisibleRoom>
  readonly dmRooms: ReadonlySet<string>
}

/** Makes the answers of sliding sync. */
export class SlidingBuilder {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Everything between where the connection is and `now`, which was sampled before this is called. */
  async build(request: SlidingRequest, connection: Connection, now: SlidingNow): Promise<SlidingAnswer> {
    const { viewer, pos } = request
    const told = connection.rooms
    const changes = new ConnectionChanges(told)
    const ignored = await this.#parts.ignored.of(viewer.userId)
    const upTo = now.stream.events
    const since = pos?.stream.events
    const scope = await this.#scope(request, { told, upTo })
    const receipts = { since: pos?.stream.receipts, upTo: now.stream.receipts }
    const plan = { userId: viewer.userId, since, upTo, receipts, told, dmRooms: scope.dmRooms }
    const plans = await this.#parts.planner.plan([...scope.rooms.values()], plan)
    const rooms = await this.#parts.results.build(plans, {
      viewer,
      connection,
      changes,
      ignored,
      upTo,
      since,
    })
    const results = new Map(rooms.map((result) => [result.roomNid, result]))
    for (const roomNid of listMissed(scope.visible, new Set(scope.rooms.keys()), plan))
      changes.note(roomNid, { sent: since })
    const extensions = await this.#parts.extensions.load(
      frameOf(request, scope, { now, results, told, typing: connection.typing, changes, ignored }),
      request.extensions,
    )
    return {
      hasNews: rooms.length > 0 || extensions.hasNews,
      changes,
      body: {
        ...(scope.lists.size > 0 && { lists: listsJson(scope.lists) }),
        rooms: roomsJson(rooms, scope.lists),
        extensions: extensions.json,
      },
    }
  }

  async #scope(
    { viewer, pos, lists, subscriptions }: SlidingRequest,
    { told, upTo }: Pick<ExtensionFrame, 'told'> & { upTo: number },
  ): Promise<Scope> {
    const { userId } = viewer
    const [{ listed, subscribed }, dmRooms] = await Promise.all([
      this.#parts.visibleRooms.load({
        userId,
        upTo,
        since: pos?.stream.events,
        told,
        subscriptions: subscriptions.keys(),
      }),
      this.#dmRooms(userId),
    ])
    const found = await this.#parts.lists.load({ userId, upTo, lists, rooms: listed, dmRooms })
    const configs = new Map(found.configs)
    for (const [roomNid, { room }] of subscribed) {
      const subscription = subscriptions.get(room.roomId)
      if (subscription) configs.set(roomNid, combineConfigs(configs.get(roomNid), subscription))
    }
    const visible = new Map([...listed, ...subscribed])
    const rooms = new Map(
      [...configs].flatMap(([roomNid, config]) => {
        const room = visible.get(roomNid)
        return room === undefined ? [] : [[roomNid, { room, config }] as const]
      }),
    )
    return { lists: found.lists, rooms, visible, dmRooms }
  }

  /** https://spec.matrix.org/latest/client-server-api/#direct-messaging */
  async #dmRooms(userId: UserId): Promise<ReadonlySet<string>> {
    const content = await this.#parts.accountData.get(this.#db.reader, userId, undefined, 'm.direct')
    return new Set(
      Object.values(content ?? {}).flatMap((rooms) => (Array.isArray(rooms) ? rooms : [])) as RoomId[],
    )
  }
}

function frameOf(
  { viewer, pos }: SlidingRequest,
  { lists, rooms, visible }: Scope,
  {
    now,
    ...rest
  }: {
    now: SlidingNow
    results: ReadonlyMap<number, RoomResult>
  } & Pick<ExtensionFrame, 'told' | 'typing' | 'changes' | 'ignored'>,
): ExtensionFrame {
  return {
    ...rest,
    viewer,
    since: pos?.stream,
    pos,
    now: now.stream,
    nowThreads: now.threads,
    rooms: new Map([...rooms].map(([roomNid, { room }]) => [roomNid, room])),
    lists: new Map([...lists].map(([name, { windows }]) => [name, nidsIn(windows)])),
    visible,
  }
}

function nidsIn(windows: ListResult['windows']): ReadonlySet<number> {
  return new Set(windows.flatMap(({ rooms }) => rooms.map(({ room }) => room.roomNid)))
}

/** With the names of the lists in whose windows each room stands. */
function roomsJson(rooms: readonly RoomResult[], lists: ReadonlyMap<string, ListResult>): JsonObject {
  const members = [...lists].map(([name, { windows }]) => [name, nidsIn(windows)] as const)
  return Object.fromEntries(
    rooms.map(({ roomId, roomNid, json }) => {
      const names = members.flatMap(([name, nids]) => (nids.has(roomNid) ? [name] : []))
      return [roomId, names.length === 0 ? json : { ...json, lists: names }]
    }),
  )
}

function listsJson(lists: ReadonlyMap<string, ListResult>): JsonObject {
  return Object.fromEntries(
    [...lists].map(([name, { count, windows }]) => [
      name,
      {
        count,
        ops: windows.map(({ range, rooms }) => ({
          op: 'SYNC',
          range: [...range],
          room_ids: rooms.map(({ room }) => room.roomId),
        })),
      },
    ]),
  )
}
