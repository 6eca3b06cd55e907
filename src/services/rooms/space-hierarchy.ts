import { forbidden, invalidParam, notFound } from '../../protocol/errors.js'
import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomPreviewsStore } from '../../storage/stores/room-previews.js'
import type { JsonObject } from '../../util/json.js'
import { pushTo } from '../../util/group-by.js'
import type { DistantRoom, RemotePreviews } from './remote-previews.js'
import type { RoomPreview, RoomPreviews } from './room-previews.js'
import { childOfEvent, inOrder, type SpaceChild } from './space-children.js'

/** Which part of a tree of spaces is wanted. */
export interface HierarchyRequest {
  readonly roomId: RoomId
  /** Servers through which the room may be had, should this server not be in it. */
  readonly via?: readonly string[]
  /** Only children that the space suggests. */
  readonly suggestedOnly: boolean
  /** How far below the room to go; undefined: as far as the server does. */
  readonly maxDepth: number | undefined
  readonly limit: number | undefined
  readonly from: string | undefined
}

export interface SpaceHierarchyDependencies {
  readonly db: Database
  readonly events: EventsStore
  readonly store: RoomPreviewsStore
  readonly previews: Pick<RoomPreviews, 'list' | 'filterHere'>
  /** Without it, rooms that this server is not in are not found. */
  readonly remotePreviews?: RemotePreviews | undefined
  /** Whether the room lets another server take part; without it, all do. */
  readonly isAllowed?: ((roomId: RoomId, server: ServerName) => Promise<boolean>) | undefined
}

interface Node {
  readonly summary: JsonObject
  /** In their order. */
  readonly children: readonly SpaceChild[]
}

type Tree = ReadonlyMap<RoomId, Node>

const MAX_PAGE = 50
const MAX_DEPTH = 50
/** Rooms of one tree that are looked at; what lies beyond is not found. */
const MAX_ROOMS = 1_000
/** Children of all spaces of one level. */
const MAX_CHILDREN = 5_000

/** Spaces and the rooms in them. https://spec.matrix.org/latest/client-server-api/#spaces */
export class SpaceHierarchy {
  readonly #deps: SpaceHierarchyDependencies

  constructor(deps: SpaceHierarchyDependencies) {
    this.#deps = deps
  }

  /**
   * A page of the tree below a room, depth first, without what the reader may not look at. 403 `M_FORBIDDEN` when that is
   * the room itself; 400 `M_INVALID_PARAM` for tokens that are none or belong to another question. A token says how many
   * rooms were shown: what is added or taken away before those shows rooms again, or not at all.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidhierarchy
   */
  async list(userId: UserId, request: HierarchyRequest): Promise<JsonObject> {
    const { roomId } = request
    const skip = request.from === undefined ? 0 : parseToken(request.from, request)
    const limit = Math.min(request.limit ?? MAX_PAGE, MAX_PAGE)
    const maxDepth = Math.min(request.maxDepth ?? MAX_DEPTH, MAX_DEPTH)
    const tree = await this.#load(userId, { ...request, maxDepth })
    if (!tree.has(roomId)) throw forbidden('You may not look at this room')
    const nodes = walk(tree, { roomId, maxDepth, limit: skip + limit + 1 })
    const hasMore = nodes.length > skip + limit
    return {
      rooms: nodes.slice(skip, skip + limit).map(toJson),
      ...(hasMore && { next_batch: formatToken(skip + limit, request) }),
    }
  }

  /**
   * A space and the rooms in it, for another server: what that may join or look at.
   * 404 `M_NOT_FOUND` for rooms that this server is not in, and those that the other may not look at.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1hierarchyroomid
   */
  async listForServer(
    server: ServerName,
    { roomId, suggestedOnly }: { roomId: RoomId; suggestedOnly: boolean },
  ): Promise<JsonObject> {
    const { previews } = this.#deps
    const found = await this.#previewsFor(server, [roomId])
    const preview = found.get(roomId)
    if (!preview) throw notFound('Room does not exist, or may not be looked at')
    const children = (await this.#children([preview], suggestedOnly)).get(roomId) ?? []
    const childIds = children.map((child) => child.roomId).slice(0, MAX_ROOMS)
    const [visible, here] = await Promise.all([
      this.#previewsFor(server, childIds),
      previews.filterHere(childIds),
    ])
    return {
      room: toJson({ summary: preview.summary, children }),
      children: childIds.flatMap((childId) => visible.get(childId)?.summary ?? []),
      inaccessible_children: childIds.filter((childId) => here.has(childId) && !visible.has(childId)),
    }
  }

  async #previewsFor(server: ServerName, roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomPreview>> {
    const { previews, isAllowed } = this.#deps
    const found = await previews.list({ server }, roomIds)
    for (const roomId of [...found.keys()]) {
      if (isAllowed !== undefined && !(await isAllowed(roomId, server))) found.delete(roomId)
    }
    return found
  }

  /** The tree level by level: a few statements for each. */
  async #load(
    userId: UserId,
    request: { roomId: RoomId; via?: readonly string[]; suggestedOnly: boolean; maxDepth: number },
  ): Promise<Tree> {
    const { roomId, suggestedOnly, maxDepth } = request
    const tree = new Map<RoomId, Node>()
    const asked = new Set([roomId])
    const view = this.#deps.remotePreviews?.begin()
    let level: DistantRoom[] = [{ roomId, via: request.via ?? [] }]
    for (let depth = 0; level.length > 0; depth++) {
      const nodes = await this.#nodes(userId, level, { suggestedOnly, view })
      level = []
      for (const [found, node] of nodes) {
        tree.set(found, node)
        if (depth >= maxDepth) continue
        for (const child of node.children) {
          if (asked.has(child.roomId) || asked.size >= MAX_ROOMS) continue
          asked.add(child.roomId)
          level.push(child)
        }
      }
    }
    return tree
  }

  /** Rooms of one level, by what is known here or else by what other servers tell. */
  async #nodes(
    userId: UserId,
    level: readonly DistantRoom[],
    {
      suggestedOnly,
      view,
    }: { suggestedOnly: boolean; view: ReturnType<RemotePreviews['begin']> | undefined },
  ): Promise<Map<RoomId, Node>> {
    const { previews, remotePreviews } = this.#deps
    const roomIds = level.map(({ roomId }) => roomId)
    const here = await previews.list({ userId }, roomIds)
    const children = await this.#children([...here.values()], suggestedOnly)
    const nodes = new Map<RoomId, Node>()
    for (const [roomId, { summary }] of here)
      nodes.set(roomId, { summary, children: children.get(roomId) ?? [] })
    if (remotePreviews === undefined || view === undefined || here.size === level.length) return nodes
    const known = await previews.filterHere(roomIds)
    const distant = level.filter(({ roomId }) => !known.has(roomId))
    const remote = await remotePreviews.list(userId, distant, { view, suggestedOnly })
    for (const [roomId, preview] of remote)
      nodes.set(roomId, { summary: preview.summary, children: [...preview.children].sort(inOrder) })
    return nodes
  }

  async #children(
    previews: readonly RoomPreview[],
    suggestedOnly: boolean,
  ): Promise<Map<RoomId, SpaceChild[]>> {
    const { db, store, events } = this.#deps
    const spaces = previews.filter(({ room }) => room.roomType === 'm.space')
    const children = new Map<RoomId, SpaceChild[]>()
    if (spaces.length === 0) return children
    const roomNids = spaces.map(({ room }) => room.roomNid)
    const nids = await store.listSpaceChildren(db.reader, roomNids, MAX_CHILDREN)
    for (const { event } of (await events.getByNids(db.reader, nids)).values()) {
      const child = childOfEvent(event)
      if (!child || (suggestedOnly && !child.isSuggested)) continue
      pushTo(children, event.roomId, child)
    }
    for (const ofSpace of children.values()) ofSpace.sort(inOrder)
    return children
  }
}

/** Depth first; each room where it is first come to. */
function walk(
  tree: Tree,
  { roomId, maxDepth, limit }: { roomId: RoomId; maxDepth: number; limit: number },
): Node[] {
  const found: Node[] = []
  const seen = new Set<RoomId>()
  const open = [{ roomId, depth: 0 }]
  for (let next = open.pop(); next !== undefined && found.length < limit; next = open.pop()) {
    const { depth } = next
    const node = tree.get(next.roomId)
    if (!node || seen.has(next.roomId)) continue
    seen.add(next.roomId)
    found.push(node)
    if (depth >= maxDepth) continue
    for (const child of node.children.toReversed()) open.push({ roomId: child.roomId, depth: depth + 1 })
  }
  return found
}

function toJson({ summary, children }: Node): JsonObject {
  return { ...summary, children_state: children.map(({ json }) => json) }
}

type Question = Pick<HierarchyRequest, 'suggestedOnly' | 'maxDepth'>

const TOKEN = /^h(\d{1,6})_([sa]\d{0,10})$/

/** `h`, how many rooms were shown, and of which question. */
function formatToken(skip: number, question: Question): string {
  return `h${skip}_${nameOf(question)}`
}

function parseToken(token: string, question: Question): number {
  const [, skip, name] = TOKEN.exec(token) ?? []
  if (skip === undefined) throw invalidParam('from is not a valid token')
  if (name !== nameOf(question))
    throw invalidParam('suggested_only and max_depth may not change between pages')
  return Number(skip)
}

function nameOf({ suggestedOnly, maxDepth }: Question): string {
  return `${suggestedOnly ? 's' : 'a'}${maxDepth ?? ''}`
}
