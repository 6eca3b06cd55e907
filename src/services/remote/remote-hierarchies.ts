import { LRUCache } from 'lru-cache'
import { parseRoomId, type RoomId, type ServerName } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { FederationClient } from './federation-client.js'
import { FederationError } from './federation-error.js'

/** A room of which another server tells. */
export interface RemoteRoomSummary {
  readonly roomId: RoomId
  /** A `RoomSummary` of the specification, without the membership. */
  readonly summary: JsonObject
  /** Rooms whose members may join. */
  readonly allowedRoomIds: readonly RoomId[]
}

/** What another server tells of a space and the rooms in it. */
export interface RemoteHierarchy extends RemoteRoomSummary {
  /** The `m.space.child` events, stripped. */
  readonly childrenState: readonly JsonObject[]
  /** Those of the rooms in it that the server knows and lets us see. */
  readonly children: ReadonlyMap<RoomId, RemoteRoomSummary>
  /** Those that we could not join. */
  readonly inaccessible: ReadonlySet<RoomId>
}

/** What was told, when, and how long the answer was. */
interface Heard {
  readonly found: RemoteHierarchy
  readonly bytes: number
  readonly ts: number
}

interface Dependencies {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly clock: Clock
}

const TIMEOUT_MS = 10_000
const MAX_BYTES = 8 * 1024 * 1024
const MAX_SERVERS = 3
/** Of the answers that are remembered, in all: a server may have many rooms, and tell much of each. */
const MAX_REMEMBERED_BYTES = 32 * 1024 * 1024
/** What the shortest takes with what is around it. */
const MIN_BYTES = 1_000
const REMEMBERED_MS = 60_000
const MAX_CHILDREN = 2_000
const MAX_TEXT = 10_000
const MAX_ALLOWED = 100

const TEXTS = [
  'name',
  'topic',
  'canonical_alias',
  'avatar_url',
  'join_rule',
  'room_type',
  'room_version',
  'encryption',
] as const

/** Rooms that this server is not in, as other servers describe them. */
export class RemoteHierarchies {
  readonly #deps: Dependencies
  readonly #known = new LRUCache<string, Heard>({
    maxSize: MAX_REMEMBERED_BYTES,
    sizeCalculation: ({ bytes }) => MIN_BYTES + bytes,
  })
  readonly #flights = new SingleFlight<RemoteHierarchy | undefined>()

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * What one of the servers tells of a room; undefined where none of them does. What was told is remembered for a minute.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1hierarchyroomid
   */
  get(
    roomId: RoomId,
    servers: readonly ServerName[],
    { suggestedOnly }: { suggestedOnly: boolean },
  ): Promise<RemoteHierarchy | undefined> {
    const key = `${suggestedOnly ? 's' : 'a'}${roomId}`
    const known = this.#known.get(key)
    if (known !== undefined && known.ts > this.#deps.clock.now() - REMEMBERED_MS)
      return Promise.resolve(known.found)
    return this.#flights.run(key, async () => {
      for (const server of servers.slice(0, MAX_SERVERS)) {
        const heard = await this.#ask(server, roomId, suggestedOnly)
        if (heard === undefined) continue
        this.#known.set(key, heard)
        return heard.found
      }
      return undefined
    })
  }

  async #ask(destination: ServerName, roomId: RoomId, suggestedOnly: boolean): Promise<Heard | undefined> {
    try {
      const { json, text } = await this.#deps.client.requestWithText({
        destination,
        method: 'GET',
        path: `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}`,
        query: { suggested_only: suggestedOnly ? 'true' : 'false' },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      })
      const found = parseHierarchy(json, roomId)
      return found && { found, bytes: text.length, ts: this.#deps.clock.now() }
    } catch (error) {
      if (error instanceof FederationError) return undefined
      throw error
    }
  }
}

function parseHierarchy(answer: JsonObject, roomId: RoomId): RemoteHierarchy | undefined {
  const { room } = answer
  const summary = parseSummary(room)
  if (summary?.roomId !== roomId || !isJsonObject(room)) return undefined
  const children = listOf(answer['children']).flatMap((child) => parseSummary(child) ?? [])
  const inaccessible = listOf(answer['inaccessible_children']).flatMap((child) =>
    typeof child === 'string' ? (parseRoomId(child) ?? []) : [],
  )
  return {
    ...summary,
    childrenState: listOf(room['children_state']).filter(isJsonObject),
    children: new Map(children.map((child) => [child.roomId, child])),
    inaccessible: new Set(inaccessible),
  }
}

function parseSummary(room: JsonValue | undefined): RemoteRoomSummary | undefined {
  if (!isJsonObject(room) || typeof room['room_id'] !== 'string') return undefined
  const roomId = parseRoomId(room['room_id'])
  if (roomId === undefined) return undefined
  const { num_joined_members: members } = room
  const allowedRoomIds = listOf(room['allowed_room_ids'])
    .slice(0, MAX_ALLOWED)
    .flatMap((id) => (typeof id === 'string' ? (parseRoomId(id) ?? []) : []))
  const texts = TEXTS.flatMap((name) => {
    const text = room[name]
    return typeof text === 'string' ? [[name, text.slice(0, MAX_TEXT).toWellFormed()] as const] : []
  })
  return {
    roomId,
    allowedRoomIds,
    summary: {
      room_id: roomId,
      num_joined_members: typeof members === 'number' && Number.isSafeInteger(members) ? members : 0,
      world_readable: room['world_readable'] === true,
      guest_can_join: room['guest_can_join'] === true,
      ...Object.fromEntries(texts),
      ...(allowedRoomIds.length > 0 && { allowed_room_ids: allowedRoomIds }),
    },
  }
}

function listOf(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value.slice(0, MAX_CHILDREN) : []
}
