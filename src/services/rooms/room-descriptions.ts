import type { Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { DirectoryEntry, ListedRoom } from '../../storage/stores/public-rooms.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { plainTopic } from './room-presets.js'

/** Contents of a room's state with the empty state key, by type. */
export type StateContents = ReadonlyMap<string, JsonObject>

/** The current state of rooms, of these types and with the empty state key; an entry for every room. */
export async function readStateContents(
  q: Query,
  stores: { readonly currentState: CurrentStateStore; readonly events: EventsStore },
  wanted: { readonly roomNids: readonly number[]; readonly types: readonly string[] },
): Promise<Map<number, StateContents>> {
  const keys = wanted.types.map((type) => [type, ''] as const)
  const entries = await stores.currentState.getForRooms(q, wanted.roomNids, keys)
  const stored = await stores.events.getByNids(
    q,
    entries.map((entry) => entry.eventNid),
  )
  const contents = new Map(wanted.roomNids.map((roomNid) => [roomNid, new Map<string, JsonObject>()]))
  for (const { roomNid, type, eventNid } of entries) {
    const content = stored.get(eventNid)?.event.content
    if (isJsonObject(content)) contents.get(roomNid)?.set(type, content)
  }
  return contents
}

const MAX_TEXT = 10_000

/** What outsiders are told of a room, from its state. */
export function describeRoom(roomNid: number, state: StateContents): DirectoryEntry {
  const get = (type: string, key: string): JsonValue | undefined => state.get(type)?.[key]
  const topic = state.get('m.room.topic')
  return {
    roomNid,
    name: storableText(get('m.room.name', 'name')),
    topic: topic && storableText(plainTopic(topic)),
    canonicalAlias: storableText(get('m.room.canonical_alias', 'alias')),
    avatarUrl: storableText(get('m.room.avatar', 'url')),
    // Without a join rule only the invited can join.
    joinRule: storableText(get('m.room.join_rules', 'join_rule')) ?? 'invite',
    worldReadable: get('m.room.history_visibility', 'history_visibility') === 'world_readable',
    guestCanJoin: get('m.room.guest_access', 'guest_access') === 'can_join',
  }
}

/** A `PublicRoomsChunk`. */
export function toPublicRoomJson(room: ListedRoom): JsonObject {
  return {
    room_id: room.roomId,
    num_joined_members: room.joinedMembers,
    world_readable: room.worldReadable,
    guest_can_join: room.guestCanJoin,
    join_rule: room.joinRule,
    ...(room.name !== undefined && { name: room.name }),
    ...(room.topic !== undefined && { topic: room.topic }),
    ...(room.canonicalAlias !== undefined && { canonical_alias: room.canonicalAlias }),
    ...(room.avatarUrl !== undefined && { avatar_url: room.avatarUrl }),
    ...(room.roomType !== undefined && { room_type: room.roomType }),
  }
}

/** Text that a column can hold; anybody may have written it. Undefined for nothing and for what is no text. */
export function storableText(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const storable = value.slice(0, MAX_TEXT).replaceAll('\u0000', '').toWellFormed()
  return storable === '' ? undefined : storable
}
