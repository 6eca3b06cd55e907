import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import { serversFor } from '../federation/server-choice.js'
import type { RemoteHierarchies, RemoteHierarchy, RemoteRoomSummary } from '../remote/remote-hierarchies.js'
import type { RoomPreviews } from './room-previews.js'
import { childOfStripped, type SpaceChild } from './space-children.js'

/** A room that this server is not in, and where it may be asked for. */
export interface DistantRoom {
  readonly roomId: RoomId
  readonly via: readonly string[]
}

/** A room that another server tells of. */
export interface RemotePreview {
  readonly summary: JsonObject
  readonly children: readonly SpaceChild[]
}

interface Dependencies {
  readonly serverName: ServerName
  readonly previews: RoomPreviews
  readonly hierarchies: Pick<RemoteHierarchies, 'get'>
}

/** What other servers have said for one question of a client's. */
export interface RemoteView {
  /** Rooms of which a space's server has told with the space. */
  readonly told: Map<RoomId, RemoteRoomSummary>
  readonly inaccessible: Set<RoomId>
  /** How many rooms may still be asked for. */
  budget: number
}

const PARALLEL = 8
const MAX_ASKED = 100
const OPEN_RULES: ReadonlySet<unknown> = new Set(['public', 'knock', 'knock_restricted'])

/** Rooms that this server is not in, as its users may see them. */
export class RemotePreviews {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  begin(): RemoteView {
    return { told: new Map(), inaccessible: new Set(), budget: MAX_ASKED }
  }

  /** Those of the rooms that a user (undefined: anybody) may look at, as far as other servers tell. */
  async list(
    userId: UserId | undefined,
    rooms: readonly DistantRoom[],
    { view, suggestedOnly }: { view: RemoteView; suggestedOnly: boolean },
  ): Promise<Map<RoomId, RemotePreview>> {
    const wanted = rooms.filter(({ roomId }) => !view.inaccessible.has(roomId))
    const slots = new Semaphore(PARALLEL)
    const found = await Promise.all(
      wanted.map((room) => slots.run(() => this.#find(room, view, suggestedOnly))),
    )
    const summaries = found.flatMap((one) => one ?? [])
    const visible = await this.#filterVisible(userId, summaries)
    return new Map(
      summaries.flatMap((one) =>
        visible.has(one.roomId) ? [[one.roomId, toPreview(one, suggestedOnly)]] : [],
      ),
    )
  }

  async #find(
    { roomId, via }: DistantRoom,
    view: RemoteView,
    suggestedOnly: boolean,
  ): Promise<RemoteRoomSummary | RemoteHierarchy | undefined> {
    const told = view.told.get(roomId)
    // Of a space it was told without what is in it.
    if (told !== undefined && told.summary['room_type'] !== 'm.space') return told
    if (view.budget <= 0) return told
    view.budget -= 1
    const servers = serversFor(roomId, via, this.#deps.serverName).filter(
      (server) => server !== serverNameOf(roomId) || via.length === 0 || via.includes(server),
    )
    const asked = await this.#deps.hierarchies.get(roomId, servers, { suggestedOnly })
    if (asked === undefined) return told
    for (const [child, summary] of asked.children) view.told.set(child, summary)
    for (const child of asked.inaccessible) view.inaccessible.add(child)
    return asked
  }

  /** The other server says what ours may see; that may be more than this user may. */
  async #filterVisible(
    userId: UserId | undefined,
    rooms: readonly RemoteRoomSummary[],
  ): Promise<Set<RoomId>> {
    const { previews } = this.#deps
    const reader = userId === undefined ? undefined : { userId }
    const roomIds = rooms.map(({ roomId }) => roomId)
    const [memberships, joined] = await Promise.all([
      previews.membershipsOf(reader, roomIds),
      previews.joinedAmong(
        reader,
        rooms.flatMap(({ allowedRoomIds }) => allowedRoomIds),
      ),
    ])
    return new Set(
      rooms
        .filter(({ roomId, summary, allowedRoomIds }) => {
          const membership = memberships.get(roomId)
          if (membership === 'ban') return false
          return (
            OPEN_RULES.has(summary['join_rule'] ?? 'public') ||
            summary['world_readable'] === true ||
            membership === 'invite' ||
            allowedRoomIds.some((allowed) => joined.has(allowed))
          )
        })
        .map(({ roomId }) => roomId),
    )
  }
}

function toPreview(room: RemoteRoomSummary | RemoteHierarchy, suggestedOnly: boolean): RemotePreview {
  const state = 'childrenState' in room ? room.childrenState : []
  const children = state.flatMap((json) => childOfStripped(json) ?? [])
  return {
    summary: room.summary,
    children: suggestedOnly ? children.filter(({ isSuggested }) => isSuggested) : children,
  }
}
