import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import { DIRECTORY_STATE_TYPES, type DirectoryEntry } from '../../storage/stores/public-rooms.js'
import type { Membership } from '../../storage/stores/room-members.js'
import type { RoomPreviewsStore, RoomSize } from '../../storage/stores/room-previews.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { JsonObject } from '../../util/json.js'
import { allowedRooms, isRestricted } from './restricted-joins.js'
import {
  describeRoom,
  readStateContents,
  storableText,
  toPublicRoomJson,
  type StateContents,
} from './room-descriptions.js'

/** A room as it is shown to somebody who is not in it, or not yet. */
export interface RoomPreview {
  readonly room: RoomRecord
  /** A `RoomSummary` of the specification, without the membership. */
  readonly summary: JsonObject
  /** What the reader is to the room. */
  readonly membership: Membership | undefined
}

/** Who looks: a user of this server, or another server for its users; undefined: anybody. */
export type PreviewReader = { readonly userId: UserId } | { readonly server: ServerName } | undefined

export interface RoomPreviewsDependencies {
  readonly db: Database
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly currentState: CurrentStateStore
  readonly previews: RoomPreviewsStore
}

interface Candidate {
  readonly room: RoomRecord
  readonly size: RoomSize
  readonly state: StateContents
  readonly entry: DirectoryEntry
  readonly membership: Membership | undefined
  /** The rooms that the join rule names, where it is about other rooms. */
  readonly allowed: readonly RoomId[] | undefined
}

const STATE_TYPES = [...DIRECTORY_STATE_TYPES, 'm.room.encryption']
const OPEN_RULES: ReadonlySet<string> = new Set(['public', 'knock', 'knock_restricted'])

/** What people may know of rooms before they are in them. */
export class RoomPreviews {
  readonly #deps: RoomPreviewsDependencies

  constructor(deps: RoomPreviewsDependencies) {
    this.#deps = deps
  }

  /**
   * Those of the rooms that the reader (undefined: anybody) may look at, as far as this server is in them: rooms they
   * are in or invited to, may join, may knock at, or may read without. The number of statements does not depend on the
   * number of rooms. https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidhierarchy
   */
  async list(reader: PreviewReader, roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomPreview>> {
    const candidates = await this.#candidates(reader, roomIds)
    const joined = await this.joinedAmong(
      reader,
      candidates.flatMap(({ allowed }) => allowed ?? []),
    )
    const visible = candidates.filter(
      (candidate) =>
        isOpen(candidate) ||
        (candidate.membership !== 'ban' && candidate.allowed?.some((roomId) => joined.has(roomId)) === true),
    )
    return toPreviews(visible)
  }

  /** Those of the rooms that this server knows, whoever may look at them, also those that nobody of it is in any more. */
  async listAll(roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomPreview>> {
    return toPreviews(await this.#candidates(undefined, roomIds, { isHere: false }))
  }

  /** Those of the rooms that this server is in. */
  async filterHere(roomIds: readonly RoomId[]): Promise<Set<RoomId>> {
    const { db, rooms, previews } = this.#deps
    const known = [...(await rooms.getByIds(db.reader, roomIds)).values()]
    const sizes = await previews.listSizes(
      db.reader,
      known.map(({ roomNid }) => roomNid),
    )
    return new Set(known.filter(({ roomNid }) => sizes.get(roomNid)?.isHere).map(({ roomId }) => roomId))
  }

  /** Those of the rooms that the reader is in, or, being a server, has users in. */
  async joinedAmong(reader: PreviewReader, roomIds: readonly RoomId[]): Promise<Set<RoomId>> {
    const { memberships, known } = await this.#membershipsAmong(reader, roomIds)
    const joined = known.filter(({ roomNid }) => memberships.get(roomNid) === 'join')
    return new Set(joined.map(({ roomId }) => roomId))
  }

  /** What the reader is to each of the rooms, as far as this server knows. */
  async membershipsOf(reader: PreviewReader, roomIds: readonly RoomId[]): Promise<Map<RoomId, Membership>> {
    const { memberships, known } = await this.#membershipsAmong(reader, roomIds)
    return new Map(
      known.flatMap(({ roomId, roomNid }) => {
        const membership = memberships.get(roomNid)
        return membership ? [[roomId, membership] as const] : []
      }),
    )
  }

  async #membershipsAmong(
    reader: PreviewReader,
    roomIds: readonly RoomId[],
  ): Promise<{ memberships: ReadonlyMap<number, Membership>; known: readonly RoomRecord[] }> {
    if (reader === undefined || roomIds.length === 0) return { memberships: new Map(), known: [] }
    const { db, rooms } = this.#deps
    const known = [...(await rooms.getByIds(db.reader, [...new Set(roomIds)])).values()]
    const nids = known.map(({ roomNid }) => roomNid)
    return { memberships: await this.#memberships(reader, nids), known }
  }

  async #memberships(
    reader: PreviewReader,
    roomNids: readonly number[],
  ): Promise<ReadonlyMap<number, Membership>> {
    const { db, previews } = this.#deps
    if (reader === undefined) return new Map()
    if ('server' in reader) return previews.listServerMemberships(db.reader, reader.server, roomNids)
    return previews.listMemberships(db.reader, reader.userId, roomNids)
  }

  /** `isHere`: only rooms that this server is in. */
  async #candidates(
    reader: PreviewReader,
    roomIds: readonly RoomId[],
    { isHere } = { isHere: true },
  ): Promise<Candidate[]> {
    const { db, rooms, previews } = this.#deps
    const known = [...(await rooms.getByIds(db.reader, roomIds)).values()]
    if (known.length === 0) return []
    const roomNids = known.map(({ roomNid }) => roomNid)
    const [sizes, memberships, states] = await Promise.all([
      previews.listSizes(db.reader, roomNids),
      this.#memberships(reader, roomNids),
      readStateContents(db.reader, this.#deps, { roomNids, types: STATE_TYPES }),
    ])
    return known.flatMap((room) => {
      const size = sizes.get(room.roomNid)
      if (size === undefined || (isHere && !size.isHere)) return []
      const state: StateContents = states.get(room.roomNid) ?? new Map()
      const joinRules = state.get('m.room.join_rules') ?? {}
      return [
        {
          room,
          size,
          state,
          entry: describeRoom(room.roomNid, state),
          membership: memberships.get(room.roomNid),
          allowed: isRestricted(room, joinRules) ? allowedRooms(joinRules) : undefined,
        },
      ]
    })
  }
}

/** Whether somebody may look at a room for what it is, or for what they are to it. */
function isOpen({ room, entry, membership }: Candidate): boolean {
  if (entry.worldReadable || membership === 'join' || membership === 'invite') return true
  if (membership === 'ban' || !OPEN_RULES.has(entry.joinRule)) return false
  if (entry.joinRule === 'knock') return room.rules.knock
  return entry.joinRule !== 'knock_restricted' || room.rules.knockRestricted
}

function toPreviews(candidates: readonly Candidate[]): Map<RoomId, RoomPreview> {
  return new Map(
    candidates.map((candidate) => [
      candidate.room.roomId,
      { room: candidate.room, summary: toSummary(candidate), membership: candidate.membership },
    ]),
  )
}

function toSummary({ room, size, entry, state, allowed }: Candidate): JsonObject {
  const { roomId, roomType } = room
  const encryption = storableText(state.get('m.room.encryption')?.['algorithm'])
  return {
    ...toPublicRoomJson({ ...entry, roomId, roomType, joinedMembers: size.joinedMembers }),
    room_version: room.rules.version,
    ...(encryption !== undefined && { encryption }),
    ...(allowed && { allowed_room_ids: [...allowed] }),
  }
}
