import type { Database, Query } from '../../../storage/database.js'
import type { StoredEvent } from '../../../storage/stores/events.js'
import type { RoomSummariesStore } from '../../../storage/stores/room-summaries.js'
import { LIVE } from '../../../storage/stores/sliding-sync.js'
import type { SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import type { RoomId, UserId } from '../../../protocol/ids.js'
import type { JsonObject } from '../../../util/json.js'
import type { ClientEvents } from '../../events/client-events.js'
import { totalUnread, type UnreadCount, type UnreadCounts } from '../../events/unread-counts.js'
import type { RoomDetail, RoomDetails, DetailRequest } from './room-details.js'
import type { InvitedRooms } from './invited-rooms.js'
import {
  BUMP_TYPES,
  hasNews,
  isWide,
  needsBump,
  needsHeroes,
  roomJson,
  stateJson,
  timelineJson,
  type Summaries,
} from './room-json.js'
import { isIn, isInvited, type RoomPlan } from './room-plan.js'

export interface ResultRequest extends DetailRequest {
  /** Where the connection is; undefined: it begins. */
  readonly since: number | undefined
}

/** A room as it is told, and what extensions ask of it. */
export interface RoomResult {
  readonly roomId: RoomId
  readonly roomNid: number
  readonly json: JsonObject
  readonly timeline: readonly StoredEvent[]
  /** Told anew, or with more of its past than before. */
  readonly isWide: boolean
}

interface Parts {
  readonly details: RoomDetails
  readonly invited: InvitedRooms
  readonly clientEvents: ClientEvents
  readonly summaries: RoomSummariesStore
  readonly store: SlidingSyncRoomsStore
  readonly unread: Pick<UnreadCounts, 'forRooms'>
}

/**
 * Writes the rooms of an answer.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#roomresult
 */
export class RoomResults {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The rooms of which there is anything to tell; all of the plans are noted as told. */
  async build(plans: readonly RoomPlan[], request: ResultRequest): Promise<RoomResult[]> {
    if (plans.length === 0) return []
    const [details, invited] = await Promise.all([
      this.#parts.details.load(plans, request),
      this.#parts.invited.load(
        plans.filter(({ membership }) => isInvited(membership)),
        request,
      ),
    ])
    const [timelines, states, summaries] = await Promise.all([
      this.#writeTimelines(details, request),
      this.#writeStates(details, request),
      this.#summarize(details, request),
    ])
    for (const detail of details) note(detail, request)
    const told = details.map((detail, index) => ({
      detail,
      json: {
        ...roomJson(detail, summaries),
        ...timelineJson(detail, timelines[index] ?? [], request.since),
        ...stateJson(detail, states[index] ?? []),
      },
    }))
    return [
      ...told.filter(({ detail }) => hasNews(detail)).map(({ detail, json }) => toResult(detail, json)),
      ...invited,
    ]
  }

  /** What relates to events is bundled where the client may not have it. */
  async #writeTimelines(details: readonly RoomDetail[], { viewer }: ResultRequest): Promise<JsonObject[][]> {
    const lists = details.map(({ timeline }) => timeline?.events ?? [])
    const isGappy = details.map(({ timeline, plan }) => timeline?.limited === true || isWide(plan))
    const write = async (bundle: boolean): Promise<Map<StoredEvent, JsonObject>> => {
      const events = lists.filter((_, index) => isGappy[index] === bundle).flat()
      const written = await this.#parts.clientEvents.serialize(viewer, events, {
        format: 'sync',
        purpose: 'timeline',
        bundle,
      })
      return new Map(events.map((event, index) => [event, written[index]!]))
    }
    const [bundled, plain] = await Promise.all([write(true), write(false)])
    return lists.map((list, index) => {
      const all = isGappy[index] ? bundled : plain
      return list.map((event) => all.get(event)!)
    })
  }

  async #writeStates(details: readonly RoomDetail[], { viewer }: ResultRequest): Promise<JsonObject[][]> {
    const all = details.flatMap(({ state }) => state)
    const written = await this.#parts.clientEvents.serialize(viewer, all, {
      format: 'sync',
      purpose: 'state',
    })
    let start = 0
    return details.map(({ state }) => written.slice(start, (start += state.length)))
  }

  async #summarize(details: readonly RoomDetail[], request: ResultRequest): Promise<Summaries> {
    const { viewer, ignored, upTo } = request
    const joined = details.filter(({ plan }) => isIn(plan.membership))
    const moved = joined.filter(({ membersChanged }) => membersChanged).map(nidOf)
    const unnamed = joined.filter(needsHeroes).map(nidOf)
    const unknown = joined.filter(needsBump).map(nidOf)
    return this.#db.read('sliding_sync_summaries', async (q) => ({
      counts: await this.#parts.summaries.getCounts(q, moved),
      heroes: unnamed.length > 0 ? await this.#parts.store.listHeroes(q, viewer.userId, unnamed) : new Map(),
      unread: await this.#countUnread(q, joined.map(nidOf), { userId: viewer.userId, ignored }),
      bumps: await this.#parts.store.lastOfTypes(q, unknown, { types: BUMP_TYPES, upTo }),
    }))
  }

  async #countUnread(
    q: Query,
    roomNids: readonly number[],
    { userId, ignored }: { userId: UserId; ignored: ReadonlySet<UserId> },
  ): Promise<Map<number, UnreadCount>> {
    const counts = await this.#parts.unread.forRooms(q, userId, roomNids, { ignored })
    return new Map([...counts].map(([roomNid, ofRoom]) => [roomNid, totalUnread(ofRoom)]))
  }
}

function nidOf({ plan }: RoomDetail): number {
  return plan.roomNid
}

function toResult({ plan, timeline }: RoomDetail, json: JsonObject): RoomResult {
  const { roomId, roomNid } = plan
  return { roomId, roomNid, json, timeline: timeline?.events ?? [], isWide: isWide(plan) }
}

/** What the connection has been told from now on. */
function note({ plan, timeline, followed }: RoomDetail, { changes }: ResultRequest): void {
  const { roomNid, config, memory, isDm } = plan
  const { timelineLimit } = config
  // Who asks for less and misses something has less than before; else what it had is still there.
  const isShortened = timeline?.limited === true && timelineLimit < memory.timelineLimit
  changes.note(roomNid, {
    sent: LIVE,
    isDm,
    timelineLimit: isWide(plan) || isShortened ? timelineLimit : memory.timelineLimit,
    requiredState: followed,
  })
}
