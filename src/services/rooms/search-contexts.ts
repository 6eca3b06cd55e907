import { NO_EVENT_FILTER } from '../../protocol/event-filter.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { formatPaginationToken } from '../../protocol/pagination-token.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { RoomAccess, RoomView } from '../events/room-access.js'
import type { StateAtPoints, StatePiece, StatePoints } from '../events/state-points.js'
import {
  positionAfter,
  positionBefore,
  type VisibleEvents,
  type VisibleTimeline,
} from '../events/visible-timeline.js'

/** How much of what stands around each result is wanted. */
export interface ContextWish {
  readonly before: number
  readonly after: number
  /** With the names and avatars that the senders had at the result. */
  readonly includeProfile: boolean
}

/** A result with what stands around it, the closest first. */
export interface ResultContext {
  readonly stored: StoredEvent
  readonly before: VisibleEvents
  readonly after: VisibleEvents
}

export interface SearchContextsDependencies {
  readonly db: Database
  readonly access: RoomAccess
  readonly timeline: VisibleTimeline
  readonly points: StatePoints
  readonly clientEvents: ClientEvents
}

const NOTHING: VisibleEvents = { events: [], end: undefined }

/** Shows results of a search, each among its neighbours where that is wanted. */
export class SearchContexts {
  readonly #deps: SearchContextsDependencies

  constructor(deps: SearchContextsDependencies) {
    this.#deps = deps
  }

  /** For each result its `result`, and `context` where that is wanted. */
  async describe(
    reader: EventReader & { readonly ignored: ReadonlySet<UserId> },
    results: readonly StoredEvent[],
    wish: ContextWish | undefined,
  ): Promise<JsonObject[]> {
    if (wish === undefined) {
      const events = await this.#deps.clientEvents.serialize(reader, results)
      return events.map((result) => ({ result }))
    }
    const contexts = await this.#surround(reader, results, wish)
    const shown = contexts.flatMap(({ stored, before, after }) => [stored, ...before.events, ...after.events])
    const [json, profiles] = await Promise.all([
      this.#deps.clientEvents.serialize(reader, shown),
      wish.includeProfile ? this.#readProfiles(contexts) : undefined,
    ])
    let next = 0
    const take = (count: number): JsonObject[] => json.slice(next, (next += count))
    return contexts.map((context) => ({
      result: take(1)[0]!,
      context: {
        events_before: take(context.before.events.length),
        events_after: take(context.after.events.length),
        ...tokensOf(context),
        ...(profiles && { profile_info: profilesOf(context, profiles) }),
      },
    }))
  }

  async #surround(
    { userId, ignored }: { readonly userId: UserId; readonly ignored: ReadonlySet<UserId> },
    results: readonly StoredEvent[],
    wish: ContextWish,
  ): Promise<ResultContext[]> {
    const { access, timeline } = this.#deps
    const views = new Map<RoomId, Promise<RoomView | undefined>>()
    const viewOf = (roomId: RoomId): Promise<RoomView | undefined> => {
      const known = views.get(roomId) ?? access.findView(userId, roomId)
      views.set(roomId, known)
      return known
    }
    return Promise.all(
      results.map(async (stored) => {
        const view = await viewOf(stored.event.roomId)
        const read = (direction: 'b' | 'f', limit: number): VisibleEvents | Promise<VisibleEvents> => {
          if (view === undefined || limit === 0) return NOTHING
          const from = direction === 'b' ? positionBefore(stored) : positionAfter(stored)
          return timeline.read(userId, view, { direction, from, limit, filter: NO_EVENT_FILTER, ignored })
        }
        const [before, after] = await Promise.all([read('b', wish.before), read('f', wish.after)])
        return { stored, before, after }
      }),
    )
  }

  async #readProfiles(contexts: readonly ResultContext[]): Promise<StateAtPoints> {
    return this.#deps.points.lookUp(this.#deps.db.reader, contexts.flatMap(memberPieces))
  }
}

function tokensOf({ stored, before, after }: ResultContext): JsonObject {
  const oldest = before.events.at(-1) ?? stored
  const newest = after.events.at(-1) ?? stored
  return {
    start: formatPaginationToken(before.end ?? positionBefore(oldest)),
    end: formatPaginationToken(after.end ?? positionAfter(newest)),
  }
}

function sendersOf({ stored, before, after }: ResultContext): Set<UserId> {
  return new Set([stored, ...before.events, ...after.events].map(({ event }) => event.sender))
}

function memberPieces(context: ResultContext): StatePiece[] {
  const { stateAfter } = context.stored
  if (stateAfter === null) return []
  return [...sendersOf(context)].map((sender) => ({
    snapshotNid: stateAfter,
    key: stateKeyOf('m.room.member', sender),
  }))
}

function profilesOf(context: ResultContext, points: StateAtPoints): JsonObject {
  const { stateAfter } = context.stored
  const profiles: JsonObject = {}
  for (const sender of sendersOf(context)) {
    const member =
      stateAfter === null ? undefined : points.get(stateAfter, stateKeyOf('m.room.member', sender))
    const { displayname, avatar_url } = member?.event.content ?? {}
    profiles[sender] = {
      ...(typeof displayname === 'string' && { displayname }),
      ...(typeof avatar_url === 'string' && { avatar_url }),
    }
  }
  return profiles
}
