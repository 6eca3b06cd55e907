import { badJson, invalidParam } from '../../../protocol/errors.js'
import { fitsBytes, parseRoomId, type RoomId, type UserId } from '../../../protocol/ids.js'
import type { SlidingPos } from '../../../protocol/sliding-pos.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../util/json.js'
import type { PresenceState } from '../../../storage/stores/presence.js'
import type { SyncViewer } from '../sync-request.js'
import { MEMBER, RequiredState, type StatePair } from './required-state.js'
import { parseRoomFilters, type RoomFilters } from './room-filters.js'

/** What a client wants to be told of a room. */
export interface RoomConfig {
  readonly timelineLimit: number
  readonly requiredState: RequiredState
}

/** Both ends are included. */
export type Range = readonly [from: number, to: number]

export interface ListRequest extends RoomConfig {
  /** Undefined: all rooms. */
  readonly ranges: readonly Range[] | undefined
  readonly filters: RoomFilters
}

/** The settings of one extension, as sent. */
export type ExtensionRequests = ReadonlyMap<string, JsonObject>

/** What a request asks for, but for who asks and from where. */
export interface SlidingBody {
  readonly connId: string
  readonly txnId: string | undefined
  readonly lists: ReadonlyMap<string, ListRequest>
  readonly subscriptions: ReadonlyMap<RoomId, RoomConfig>
  /** Those that are enabled. */
  readonly extensions: ExtensionRequests
}

/** A request of sliding sync. */
export interface SlidingRequest extends SlidingBody {
  readonly viewer: SyncViewer
  /** Undefined: a connection begins. */
  readonly pos: SlidingPos | undefined
  readonly timeoutMs: number
  readonly setPresence: PresenceState
}

const MAX_LISTS = 100
const MAX_SUBSCRIPTIONS = 1_000
/** Of opaque identifiers. */
const MAX_LIST_NAME_BYTES = 255
const MAX_CONN_ID_BYTES = 255
const MAX_TXN_ID_BYTES = 1_024
const MAX_TIMELINE_LIMIT = 1_000
const MAX_REQUIRED_STATE = 1_000
/** Of all lists together: a room may stand in each of them. */
const MAX_REQUIRED_STATE_OF_LISTS = 2_500
const MAX_RANGES = 100

/**
 * Reads a body of MSC4186 as clients send it: what they leave out is nothing, what this server does not know is passed
 * over. Throws `M_BAD_JSON` for values of a wrong type, `M_INVALID_PARAM` for those out of range.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#request-body
 */
export function parseSlidingBody(body: JsonObject, userId: UserId): SlidingBody {
  const lists = Object.entries(objectAt(body, 'lists'))
  if (lists.length > MAX_LISTS) throw invalidParam(`There may be ${MAX_LISTS} lists`)
  if (lists.reduce((sum, [, list]) => sum + countRequiredState(list), 0) > MAX_REQUIRED_STATE_OF_LISTS)
    throw invalidParam(`lists: required_state may have ${MAX_REQUIRED_STATE_OF_LISTS} entries in all`)
  const subscriptions = Object.entries(objectAt(body, 'room_subscriptions'))
  if (subscriptions.length > MAX_SUBSCRIPTIONS)
    throw invalidParam(`There may be ${MAX_SUBSCRIPTIONS} room subscriptions`)
  const parseState = stateParser(userId)
  return {
    connId: textAt(body, 'conn_id', MAX_CONN_ID_BYTES) ?? '',
    txnId: textAt(body, 'txn_id', MAX_TXN_ID_BYTES),
    lists: new Map(lists.map(([name, list]) => [name, parseList(name, list, parseState)])),
    subscriptions: new Map(
      subscriptions.flatMap(([id, config]) => {
        const roomId = parseRoomId(id)
        const parsed = parseConfig(objectOf(config, 'room_subscriptions'), 'room_subscriptions', parseState)
        return roomId === undefined ? [] : [[roomId, parsed] as const]
      }),
    ),
    extensions: parseExtensions(objectAt(body, 'extensions')),
  }
}

/** What satisfies both. */
export function combineConfigs(a: RoomConfig | undefined, b: RoomConfig): RoomConfig {
  if (a === undefined || a === b) return b
  return {
    timelineLimit: Math.max(a.timelineLimit, b.timelineLimit),
    requiredState: a.requiredState.union(b.requiredState),
  }
}

function parseList(name: string, value: JsonValue, parseState: StateParser): ListRequest {
  if (!fitsBytes(name, MAX_LIST_NAME_BYTES))
    throw invalidParam(`A list's name may have ${MAX_LIST_NAME_BYTES} bytes`)
  const where = 'lists'
  const list = objectOf(value, where)
  return {
    ...parseConfig(list, where, parseState),
    ranges: list['slow_get_all_rooms'] === true ? undefined : parseRanges(list, where),
    filters: parseRoomFilters(objectAt(list, 'filters')),
  }
}

function parseConfig(json: JsonObject, where: string, parseState: StateParser): RoomConfig {
  const limit = json['timeline_limit'] ?? 0
  if (typeof limit !== 'number' || !Number.isInteger(limit))
    throw badJson(`${where}: timeline_limit must be an integer`)
  if (limit < 0) throw invalidParam(`${where}: timeline_limit must not be negative`)
  return {
    timelineLimit: Math.min(limit, MAX_TIMELINE_LIMIT),
    requiredState: parseState(json['required_state'], where),
  }
}

/** How many entries a list has there, in either form. */
function countRequiredState(list: JsonValue): number {
  const value = isJsonObject(list) ? list['required_state'] : undefined
  const parts = isJsonObject(value) ? [value['include'], value['exclude']] : [value]
  return parts.reduce<number>((sum, part) => sum + (Array.isArray(part) ? part.length : 0), 0)
}

type StateParser = (value: JsonValue | undefined, where: string) => RequiredState

/** Makes one of what is the same: clients subscribe to many rooms with the same words. */
function stateParser(userId: UserId): StateParser {
  const known = new Map<string, RequiredState>()
  return (value, where) => {
    if (value === undefined || value === null) return RequiredState.none
    const text = JSON.stringify(value)
    const state = known.get(text) ?? parseRequiredState(value, where, userId)
    known.set(text, state)
    return state
  }
}

function parseRequiredState(value: JsonValue, where: string, userId: UserId): RequiredState {
  if (isJsonObject(value)) return parseStateElements(value, where, userId)
  if (!Array.isArray(value)) throw badJson(`${where}: required_state must be a list`)
  if (value.length > MAX_REQUIRED_STATE)
    throw invalidParam(`${where}: required_state may have ${MAX_REQUIRED_STATE} entries`)
  const pairs = value.map((pair) => {
    const [type, stateKey] = Array.isArray(pair) ? pair : []
    if (typeof type !== 'string' || typeof stateKey !== 'string')
      throw badJson(`${where}: required_state consists of pairs of strings`)
    return [type, stateKey] as const
  })
  return RequiredState.of(
    pairs.filter((pair) => pair.every(isStorable)),
    userId,
  )
}

/** As later drafts have it: what is wanted, what of it is not, and whether members are loaded lazily. */
function parseStateElements(json: JsonObject, where: string, userId: UserId): RequiredState {
  const included = parsePairs(json['include'], where)
  const isLazy = json['lazy_members'] === true
  const isEverything = included.some((pair) => pair.every((part) => part === '*'))
  // Beside everything, single pieces say nothing, but members where all of them are loaded lazily.
  const named = isEverything ? included.filter(([type]) => isLazy && type === MEMBER) : included
  const pairs: StatePair[] = [
    ...(isEverything ? [['*', '*'] as const] : []),
    ...(isLazy ? [[MEMBER, '$LAZY'] as const] : []),
    ...named,
  ]
  return RequiredState.of(pairs, userId).without(parsePairs(json['exclude'], where))
}

/** What is left out stands for all. */
function parsePairs(value: JsonValue | undefined, where: string): StatePair[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw badJson(`${where}: required_state consists of lists`)
  if (value.length > MAX_REQUIRED_STATE)
    throw invalidParam(`${where}: required_state may have ${MAX_REQUIRED_STATE} entries`)
  const pairs = value.map((element): StatePair => {
    const { type = '*', state_key: stateKey = '*' } = objectOf(element, where)
    if (typeof type !== 'string' || typeof stateKey !== 'string')
      throw badJson(`${where}: type and state_key must be strings`)
    return [type, stateKey]
  })
  return pairs.filter((pair) => pair.every(isStorable))
}

/** No event has a type or state key that is not. */
function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000')
}

/** `ranges`, those that overlap as one, or the one `range` of later drafts. */
function parseRanges(list: JsonObject, where: string): readonly Range[] | undefined {
  const value = list['ranges'] ?? (Array.isArray(list['range']) ? [list['range']] : undefined)
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw badJson(`${where}: ranges must be a list`)
  if (value.length > MAX_RANGES) throw invalidParam(`${where}: there may be ${MAX_RANGES} ranges`)
  const ranges = value.map((range): Range => {
    const [from, to] = Array.isArray(range) ? range : []
    if (!isIndex(from) || !isIndex(to)) throw badJson(`${where}: a range consists of two indexes`)
    return [from, to]
  })
  return withoutOverlaps(ranges)
}

/** A room stands in one window of a list at most: however many ranges are asked for, an answer names it once. */
function withoutOverlaps(ranges: readonly Range[]): Range[] {
  const merged: Range[] = []
  for (const range of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    if (last === undefined || range[0] > last[1]) merged.push(range)
    else merged[merged.length - 1] = [last[0], Math.max(last[1], range[1])]
  }
  return merged
}

function parseExtensions(json: JsonObject): ExtensionRequests {
  const enabled = Object.entries(json).filter(
    (entry): entry is [string, JsonObject] => isJsonObject(entry[1]) && entry[1]['enabled'] === true,
  )
  return new Map(enabled)
}

function isIndex(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function objectAt(json: JsonObject, name: string): JsonObject {
  const value = json[name]
  return value === undefined || value === null ? {} : objectOf(value, name)
}

function objectOf(value: JsonValue, where: string): JsonObject {
  if (!isJsonObject(value)) throw badJson(`${where} must be an object`)
  return value
}

function textAt(json: JsonObject, name: string, maxBytes: number): string | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string' || !value.isWellFormed()) throw badJson(`${name} must be a string`)
  if (!fitsBytes(value, maxBytes)) throw invalidParam(`${name} may have ${maxBytes} bytes`)
  return value
}
