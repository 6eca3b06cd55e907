import { forbidden, invalidParam } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { parseRoomId, type RoomId, type UserId } from '../../protocol/ids.js'
import { stripStateEvent } from '../../protocol/stripped-state.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomPreviewsStore } from '../../storage/stores/room-previews.js'
import type { JsonObject } from '../../util/json.js'
import type { RoomPreview, RoomPreviews } from './room-previews.js'

/** Which part of a tree of spaces is wanted. */
export interface HierarchyRequest {
  readonly roomId: RoomId
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
  readonly previews: RoomPreviews
}

interface Node {
  readonly preview: RoomPreview
  /** In their order. */
  readonly children: readonly Child[]
}

interface Child {
  readonly roomId: RoomId
  readonly event: Event
  readonly order: string | undefined
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

  /** The tree level by level: a few statements for each. */
  async #load(
    userId: UserId,
    { roomId, suggestedOnly, maxDepth }: { roomId: RoomId; suggestedOnly: boolean; maxDepth: number },
  ): Promise<Tree> {
    const tree = new Map<RoomId, Node>()
    const asked = new Set([roomId])
    let level: RoomId[] = [roomId]
    for (let depth = 0; level.length > 0; depth++) {
      const previews = await this.#deps.previews.list(userId, level)
      const children = await this.#children([...previews.values()], suggestedOnly)
      level = []
      for (const [found, preview] of previews) {
        const ofRoom = children.get(found) ?? []
        tree.set(found, { preview, children: ofRoom })
        if (depth >= maxDepth) continue
        for (const child of ofRoom) {
          if (asked.has(child.roomId) || asked.size >= MAX_ROOMS) continue
          asked.add(child.roomId)
          level.push(child.roomId)
        }
      }
    }
    return tree
  }

  async #children(previews: readonly RoomPreview[], suggestedOnly: boolean): Promise<Map<RoomId, Child[]>> {
    const { db, store, events } = this.#deps
    const spaces = previews.filter(({ room }) => room.roomType === 'm.space')
    const children = new Map<RoomId, Child[]>()
    if (spaces.length === 0) return children
    const roomNids = spaces.map(({ room }) => room.roomNid)
    const nids = await store.listSpaceChildren(db.reader, roomNids, MAX_CHILDREN)
    for (const { event } of (await events.getByNids(db.reader, nids)).values()) {
      const child = toChild(event)
      if (!child || (suggestedOnly && event.content['suggested'] !== true)) continue
      const ofSpace = children.get(event.roomId)
      if (ofSpace) ofSpace.push(child)
      else children.set(event.roomId, [child])
    }
    for (const ofSpace of children.values()) ofSpace.sort(inOrder)
    return children
  }
}

/** Undefined for what is no child: it names no room, or no server to find it through. */
function toChild(event: Event): Child | undefined {
  const { via, order } = event.content
  const roomId = parseRoomId(event.stateKey ?? '')
  if (roomId === undefined || !Array.isArray(via) || via.length === 0) return undefined
  const isOrder = typeof order === 'string' && /^[\x20-\x7e]{1,50}$/.test(order)
  return { roomId, event, order: isOrder ? order : undefined }
}

/** https://spec.matrix.org/latest/client-server-api/#ordering-of-children-within-a-space */
function inOrder(a: Child, b: Child): number {
  if (a.order !== b.order) {
    if (a.order === undefined) return 1
    if (b.order === undefined) return -1
    return a.order < b.order ? -1 : 1
  }
  const between = a.event.originServerTs - b.event.originServerTs
  if (between !== 0) return between
  return a.roomId < b.roomId ? -1 : 1
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

function toJson({ preview, children }: Node): JsonObject {
  return {
    ...preview.summary,
    children_state: children.map(({ event }) => ({
      ...stripStateEvent(event),
      origin_server_ts: event.originServerTs,
    })),
  }
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
