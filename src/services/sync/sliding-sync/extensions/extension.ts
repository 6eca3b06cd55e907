import type { UserId } from '../../../../protocol/ids.js'
import type { StreamToken } from '../../../../protocol/stream-token.js'
import type { RoomRecord } from '../../../../storage/stores/rooms.js'
import type { JsonObject, JsonValue } from '../../../../util/json.js'
import type { SyncViewer } from '../../sync-request.js'
import type { ConnectionChanges, RoomMemory } from '../connection.js'
import type { ExtensionPos } from './paused-extensions.js'
import type { RoomResult } from '../room-results.js'
import type { VisibleRoom } from '../visible-rooms.js'

/** What all extensions of one answer are made from. */
export interface ExtensionFrame {
  readonly viewer: SyncViewer
  /** Where the connection is; undefined: it begins. */
  readonly since: StreamToken | undefined
  /** The same, with what an extension that the client has not asked for all the time has told; see `resumedAt`. */
  readonly pos: ExtensionPos | undefined
  readonly now: StreamToken
  readonly nowThreads: number
  /** The rooms that the client looks at, by nid, whether there is anything new in them or not. */
  readonly rooms: ReadonlyMap<number, VisibleRoom>
  /** Which of them stand in the windows of which list. */
  readonly lists: ReadonlyMap<string, ReadonlySet<number>>
  /** All rooms of the user, and those that are subscribed to. */
  readonly visible: ReadonlyMap<number, VisibleRoom>
  /** What is told of rooms in this answer. */
  readonly results: ReadonlyMap<number, RoomResult>
  readonly told: ReadonlyMap<number, RoomMemory>
  /** The rooms that the client has looked at last, and has been told of that somebody types there. */
  readonly typing: ReadonlySet<number>
  readonly changes: ConnectionChanges
  readonly ignored: ReadonlySet<UserId>
}

/** The part of an answer that an extension gives. */
export interface ExtensionResult {
  readonly json: JsonObject
  /** Whether that is worth an answer. */
  readonly hasNews: boolean
}

/** Gives a part of answers that is not about events of rooms. `settings` are the client's, as sent. */
export interface Extension {
  load(frame: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult | undefined>
}

const ALL = '*'

/**
 * The rooms that an extension is asked about: those of some lists and some rooms by ID, as far as the client looks at
 * them; all of them where it does not say.
 */
export function selectRooms(
  { rooms, lists }: Pick<ExtensionFrame, 'rooms' | 'lists'>,
  settings: JsonObject,
): Map<number, RoomRecord> {
  const roomIds = namesIn(settings['rooms'])
  const listNames = namesIn(settings['lists'])
  const selected = new Map<number, RoomRecord>()
  for (const [roomNid, { room }] of rooms) {
    const isIn = (name: string): boolean => lists.get(name)?.has(roomNid) ?? false
    const byList = listNames.has(ALL) ? [...lists.keys()].some(isIn) : [...listNames].some(isIn)
    if (byList || roomIds.has(ALL) || roomIds.has(room.roomId)) selected.set(roomNid, room)
  }
  return selected
}

function namesIn(value: JsonValue | undefined): ReadonlySet<string> {
  if (value === undefined) return new Set([ALL])
  return new Set(Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [])
}
