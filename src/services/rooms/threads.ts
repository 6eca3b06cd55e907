import { invalidParam } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { redactEvent } from '../../protocol/redaction.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RelationsStore } from '../../storage/stores/relations.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomAccess } from '../events/room-access.js'

export interface ThreadsRequest {
  readonly roomId: RoomId
  readonly participatedOnly: boolean
  readonly limit: number
  /** `next_batch` of the page before. */
  readonly from: string | undefined
}

interface Parts {
  readonly access: RoomAccess
  readonly relations: RelationsStore
  readonly events: EventsStore
  readonly visibility: EventVisibility
  readonly clientEvents: ClientEvents
  readonly aggregations: EventAggregations
}

const MAX_LIMIT = 100

/** Lists the threads of rooms. */
export class Threads {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The body of the answer to `/threads`: the roots, those with the latest replies first. 403 `M_FORBIDDEN` for rooms
   * that the reader may see nothing of, 400 `M_INVALID_PARAM` for a bad token.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidthreads
   */
  async list(reader: EventReader, request: ThreadsRequest): Promise<JsonObject> {
    const { room, ceiling } = await this.#parts.access.requireView(reader.userId, request.roomId)
    const ignored = await this.#parts.aggregations.listIgnored(reader.userId)
    const limit = Math.min(request.limit, MAX_LIMIT)
    const threads = await this.#parts.relations.listThreads(this.#db.reader, {
      roomNid: room.roomNid,
      ceiling,
      before: request.from === undefined ? undefined : parseToken(request.from),
      participant: request.participatedOnly ? reader.userId : undefined,
      ignored,
      limit: limit + 1,
    })
    const page = threads.slice(0, limit)
    const ids = page.map(({ rootId }) => rootId)
    const roots = await this.#parts.events.getByIds(this.#db.reader, ids)
    const inOrder = ids.flatMap((id) => roots.get(id) ?? [])
    const readable = await this.#parts.visibility.filter(reader.userId, inOrder)
    const shown = readable.map((root) => withoutIgnored(root, reader.userId, ignored))
    const last = page.at(-1)
    return {
      chunk: await this.#parts.clientEvents.serialize({ ...reader, ignored }, shown),
      ...(threads.length > limit && last && { next_batch: formatToken(last.latest) }),
    }
  }
}

/** The root holds the thread together: without its content where its sender is ignored. */
function withoutIgnored(root: StoredEvent, userId: UserId, ignored: ReadonlySet<UserId>): StoredEvent {
  const { event } = root
  if (event.sender === userId || !ignored.has(event.sender)) return root
  return { ...root, event: redactEvent(event) }
}

function formatToken(latest: number): string {
  return `r${latest}`
}

function parseToken(text: string): number {
  const match = /^r(-?\d{1,15})$/.exec(text)
  if (!match) throw invalidParam('from is no valid token')
  return Number(match[1])
}
