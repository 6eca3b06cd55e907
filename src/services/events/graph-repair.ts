import type { AuthChainPosition } from '../../storage/auth-reach.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { GraphRecord, GraphSurveyStore } from '../../storage/stores/graph-survey.js'
import { writeGaps, type MissingEvent, type MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { EventId } from '../../protocol/ids.js'
import { nextTurn } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import type { AuthCover } from './auth-cover.js'
import type { AuthChainPlacer } from './auth-chain-placer.js'
import { NOTHING_PENDING, type PendingEvent, type PendingEvents } from './pending-events.js'
import type { RoomHeads } from './room-heads.js'
import type { RoomWitnesses } from './room-witnesses.js'

/** Something that an event names and that is not there. */
export type GraphFinding =
  /** An event that authorizes another is not held. `from`: whether it is to be had. */
  | {
      readonly kind: 'missingAuthEvent'
      readonly eventId: EventId
      readonly authEventId: EventId
      readonly from: 'servers' | undefined
    }
  /** A state event of which it is not known what its auth chain covers. */
  | { readonly kind: 'missingPosition'; readonly eventId: EventId }
  /** It is not written that an event follows another. */
  | { readonly kind: 'missingEdge'; readonly eventId: EventId; readonly prevEventId: EventId }

export interface GraphRepairReport {
  readonly findings: readonly GraphFinding[]
  readonly isRepaired: boolean
  /** Positions in the auth chains that a dry run has found out and not written. */
  readonly pending: PendingEvents
}

interface Parts {
  readonly graphSurvey: GraphSurveyStore
  readonly graph: EventGraphStore
  readonly missingEvents: MissingEventsStore
  readonly events: EventsStore
  readonly placer: AuthChainPlacer
  readonly cover: Pick<AuthCover, 'forget'>
  readonly eventIds: IdAllocator
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
}

interface LostEdge {
  readonly eventNid: number
  readonly eventId: EventId
  readonly prevEventId: EventId
}

/** What a room's events name that is not there. */
interface GraphSurvey {
  /** By missing auth event, one of those that it authorizes. */
  readonly authEvents: Map<EventId, EventId>
  /** By nid. */
  readonly unplaced: Map<number, EventId>
  readonly edges: LostEdge[]
}

export interface GraphRepairOptions {
  readonly dryRun: boolean
  readonly witnesses: RoomWitnesses | undefined
}

/** Events that are read together. */
const BATCH = 500
/** Auth events that are asked for. */
const MAX_FETCHED = 500

/** Holds what is written of how events follow and authorize each other against the events themselves. */
export class GraphRepair {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Reads all events of the room; takes its lock only to write. */
  async run(room: RoomRecord, { dryRun, witnesses }: GraphRepairOptions): Promise<GraphRepairReport> {
    const first = await this.#survey(room)
    const wanted = [...first.authEvents.keys()].slice(0, MAX_FETCHED)
    const mayFetch = witnesses !== undefined && wanted.length > 0
    if (mayFetch && !dryRun) {
      // Memory may outlive rows, and what is in memory is not fetched.
      this.#parts.events.forgetIds(wanted)
      await witnesses.fetchAuthEvents(room, wanted)
    }
    const came = dryRun
      ? new Map<EventId, number>()
      : await this.#parts.graphSurvey.listHeld(this.#db.reader, wanted)
    const isFound = (id: EventId): boolean => (dryRun ? mayFetch : came.has(id))
    // What was built without them does not cover them.
    const mustPlace = first.unplaced.size > 0 || came.size > 0
    const pending = mustPlace ? await this.#place(room, dryRun) : NOTHING_PENDING
    if (first.edges.length > 0 && !dryRun) await this.#writeEdges(room, first.edges)
    return {
      findings: toFindings(first, isFound),
      isRepaired: !dryRun && (mustPlace || first.edges.length > 0),
      pending,
    }
  }

  async #survey(room: RoomRecord): Promise<GraphSurvey> {
    const survey: GraphSurvey = { authEvents: new Map(), unplaced: new Map(), edges: [] }
    const records = await this.#parts.graphSurvey.listEvents(this.#db.reader, room.roomNid)
    for (let start = 0; start < records.length; start += BATCH) {
      await this.#surveySome(survey, records.slice(start, start + BATCH))
      await nextTurn()
    }
    return survey
  }

  async #surveySome(survey: GraphSurvey, records: readonly GraphRecord[]): Promise<void> {
    const { events, graphSurvey } = this.#parts
    const q = this.#db.reader
    const stored = await events.getByNids(
      q,
      records.map(({ eventNid }) => eventNid),
    )
    const authIds = [...new Set([...stored.values()].flatMap(({ event }) => event.authEventIds))]
    const authNids = await graphSurvey.listHeld(q, authIds)
    const states = records.filter(({ isState }) => isState).map(({ eventNid }) => eventNid)
    const positioned = await graphSurvey.listPositioned(q, [...new Set([...states, ...authNids.values()])])
    const placed: StoredEvent[] = []
    for (const { eventNid, isPlaced, isState, isCurrent } of records) {
      const own = stored.get(eventNid)
      if (!own) continue
      const { event } = own
      if (isPlaced) placed.push(own)
      const hasPosition = positioned.has(eventNid)
      // Memberships that came from outside of their rooms stand alone.
      if (!isPlaced && !isCurrent && !hasPosition && event.type === 'm.room.member') continue
      if (isState && !hasPosition) survey.unplaced.set(eventNid, event.eventId)
      if (own.rejected !== null) continue
      for (const id of event.authEventIds) {
        const nid = authNids.get(id)
        if (nid === undefined) survey.authEvents.set(id, survey.authEvents.get(id) ?? event.eventId)
        else if (!positioned.has(nid)) survey.unplaced.set(nid, id)
      }
    }
    survey.edges.push(...(await this.#lostEdges(placed)))
  }

  async #lostEdges(events: readonly StoredEvent[]): Promise<LostEdge[]> {
    const nids = await this.#prevNids(events.flatMap(({ event }) => event.prevEventIds))
    const following = await this.#parts.graphSurvey.listFollowing(this.#db.reader, [...nids.values()])
    const written = new Set(following.map(({ prevNid, eventNid }) => `${prevNid} ${eventNid}`))
    return events.flatMap(({ event, eventNid }) =>
      event.prevEventIds
        .filter((id) => !written.has(`${nids.get(id)} ${eventNid}`))
        .map((prevEventId) => ({ eventNid, eventId: event.eventId, prevEventId })),
    )
  }

  /** The nids of previous events, held or not; those of which none is known are left out. */
  async #prevNids(ids: readonly EventId[]): Promise<Map<EventId, number>> {
    const unique = [...new Set(ids)]
    const held = await this.#parts.graphSurvey.listHeld(this.#db.reader, unique)
    const others = unique.filter((id) => !held.has(id))
    return new Map([...held, ...(await this.#parts.missingEvents.getNids(this.#db.reader, others))])
  }

  async #writeEdges(room: RoomRecord, edges: readonly LostEdge[]): Promise<void> {
    const { graphSurvey, eventIds, heads } = this.#parts
    await this.#parts.locks.run(String(room.roomNid), async () => {
      const nids = await this.#prevNids(edges.map(({ prevEventId }) => prevEventId))
      const gaps: MissingEvent[] = []
      for (const { prevEventId } of edges) {
        if (nids.has(prevEventId)) continue
        const eventNid = await eventIds.next()
        nids.set(prevEventId, eventNid)
        gaps.push({ eventNid, eventId: prevEventId })
      }
      const rows = edges.map(({ eventNid, prevEventId }) => ({ prevNid: nids.get(prevEventId)!, eventNid }))
      await this.#db.write('repair_edges', async (tx) => {
        await graphSurvey.insertEdges(tx, rows)
        const [{ eventId }] = edges as readonly [LostEdge]
        if (gaps.length > 0) await writeGaps(tx, [{ event: { eventId }, room, missingPrevs: gaps }])
        tx.afterCommit(() => heads.forget(room))
      })
    })
  }

  /** Gives all state events of the room their places anew. */
  async #place(room: RoomRecord, dryRun: boolean): Promise<PendingEvents> {
    const { placer, heads, locks } = this.#parts
    return locks.run(String(room.roomNid), async () => {
      await heads.whenCommitted(room)
      const positions = await placer.place(room)
      if (dryRun) return this.#toPending(positions)
      await this.#writePositions(room, positions)
      return NOTHING_PENDING
    })
  }

  async #toPending(positions: ReadonlyMap<number, AuthChainPosition>): Promise<PendingEvents> {
    const stored = await this.#parts.events.getByNids(this.#db.reader, [...positions.keys()])
    return new Map<number, PendingEvent>(
      [...stored].map(([nid, event]) => [nid, { stored: event, authPosition: positions.get(nid) }]),
    )
  }

  async #writePositions(room: RoomRecord, positions: ReadonlyMap<number, AuthChainPosition>): Promise<void> {
    const { graphSurvey, graph, cover, heads } = this.#parts
    await this.#db.write('repair_auth_chains', async (tx) => {
      await graphSurvey.replacePositions(tx, room.roomNid, positions)
      tx.afterCommit(() => {
        for (const nid of positions.keys()) graph.forget(nid)
        cover.forget(room)
        heads.forget(room)
      })
    })
  }
}

function toFindings(survey: GraphSurvey, isFound: (authEventId: EventId) => boolean): GraphFinding[] {
  return [
    ...[...survey.authEvents].map(([authEventId, eventId]) => ({
      kind: 'missingAuthEvent' as const,
      eventId,
      authEventId,
      from: isFound(authEventId) ? ('servers' as const) : undefined,
    })),
    ...[...survey.unplaced.values()].map((eventId) => ({ kind: 'missingPosition' as const, eventId })),
    ...survey.edges.map(({ eventId, prevEventId }) => ({
      kind: 'missingEdge' as const,
      eventId,
      prevEventId,
    })),
  ]
}
