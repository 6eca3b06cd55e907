import { badJson } from '../../../protocol/errors.js'
import type { JsonObject, JsonValue } from '../../../util/json.js'
import { foldText } from '../../../util/words.js'

/** Which rooms a list has; what is undefined does not matter. All that is there has to be met. */
export interface RoomFilters {
  readonly isDm: boolean | undefined
  readonly isEncrypted: boolean | undefined
  readonly isInvite: boolean | undefined
  /** In one of these spaces, as their children say. */
  readonly spaces: readonly string[] | undefined
  /** Null: rooms without a type. */
  readonly roomTypes: ReadonlySet<string | null> | undefined
  readonly notRoomTypes: ReadonlySet<string | null>
  readonly tags: ReadonlySet<string> | undefined
  readonly notTags: ReadonlySet<string>
  /** Folded: what the room is called has this somewhere. */
  readonly nameLike: string | undefined
}

/** What of a room filters look at. */
export interface FilteredRoom {
  readonly roomId: string
  readonly isInvite: boolean
  /** Undefined: this server does not know the room's state. */
  readonly known: { readonly isEncrypted: boolean; readonly roomType: string | undefined } | undefined
  /** What the room is called, folded; undefined: nothing, or nobody has looked. */
  readonly name?: string | undefined
}

/** What of the user filters look at. */
export interface FilterContext {
  readonly dmRooms: ReadonlySet<string>
  readonly tags: ReadonlyMap<string, readonly string[]>
  /** The rooms of each space that the user is in. */
  readonly spaces: ReadonlyMap<string, ReadonlySet<string>>
}

/**
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#slidingroomfilter
 * Throws `M_BAD_JSON` for values of a wrong type.
 */
export function parseRoomFilters(json: JsonObject): RoomFilters {
  return {
    isDm: flag(json, 'is_dm'),
    isEncrypted: flag(json, 'is_encrypted'),
    isInvite: flag(json, 'is_invite') ?? flag(json, 'is_invited'),
    spaces: strings(json, 'spaces'),
    roomTypes: asSet(types(json, 'room_types')),
    notRoomTypes: new Set(types(json, 'not_room_types')),
    tags: asSet(strings(json, 'tags')),
    notTags: new Set(strings(json, 'not_tags')),
    nameLike: folded(json, 'room_name_like'),
  }
}

/** Whether judging needs to know rooms' tags. */
export function looksAtTags({ tags, notTags }: RoomFilters): boolean {
  return tags !== undefined || notTags.size > 0
}

/** Whether judging needs to know what rooms are called. */
export function looksAtNames({ nameLike }: RoomFilters): boolean {
  return nameLike !== undefined
}

/** Whether judging needs to know rooms' state. */
export function looksAtState({ isEncrypted, roomTypes, notRoomTypes }: RoomFilters): boolean {
  return isEncrypted !== undefined || roomTypes !== undefined || notRoomTypes.size > 0
}

/** Rooms whose state is not known match no filter that looks at it. */
export function matchesFilters(filters: RoomFilters, room: FilteredRoom, context: FilterContext): boolean {
  const { isDm, isInvite, spaces, tags, notTags, nameLike } = filters
  if (isDm !== undefined && context.dmRooms.has(room.roomId) !== isDm) return false
  if (isInvite !== undefined && room.isInvite !== isInvite) return false
  if (nameLike !== undefined && room.name?.includes(nameLike) !== true) return false
  if (looksAtState(filters) && !matchesState(filters, room)) return false
  if (spaces && !spaces.some((space) => context.spaces.get(space)?.has(room.roomId))) return false
  return matchesTags({ tags, notTags }, context.tags.get(room.roomId) ?? [])
}

function matchesTags(
  { tags, notTags }: Pick<RoomFilters, 'tags' | 'notTags'>,
  own: readonly string[],
): boolean {
  return !own.some((tag) => notTags.has(tag)) && (tags === undefined || own.some((tag) => tags.has(tag)))
}

function matchesState(
  { isEncrypted, roomTypes, notRoomTypes }: RoomFilters,
  { known }: FilteredRoom,
): boolean {
  if (known === undefined) return false
  if (isEncrypted !== undefined && known.isEncrypted !== isEncrypted) return false
  const type = known.roomType ?? null
  return !notRoomTypes.has(type) && (roomTypes?.has(type) ?? true)
}

function flag(json: JsonObject, name: string): boolean | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw badJson(`filters: ${name} must be a boolean`)
  return value
}

/** An empty text asks for nothing. */
function folded(json: JsonObject, name: string): string | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw badJson(`filters: ${name} must be a string`)
  const text = foldText(value.trim())
  return text === '' ? undefined : text
}

function list(json: JsonObject, name: string): JsonValue[] | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw badJson(`filters: ${name} must be a list`)
  return value
}

function strings(json: JsonObject, name: string): string[] | undefined {
  return list(json, name)?.map((entry) => {
    if (typeof entry !== 'string') throw badJson(`filters: ${name} must be a list of strings`)
    return entry
  })
}

function types(json: JsonObject, name: string): (string | null)[] | undefined {
  return list(json, name)?.map((entry) => {
    if (entry !== null && typeof entry !== 'string')
      throw badJson(`filters: ${name} must be a list of strings or null`)
    return entry
  })
}

function asSet<T>(values: readonly T[] | undefined): ReadonlySet<T> | undefined {
  return values && new Set(values)
}
