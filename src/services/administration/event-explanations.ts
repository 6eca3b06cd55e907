import { authStateKeys } from '../../protocol/auth-events.js'
import { notFound } from '../../protocol/errors.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { Database, Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import { asAuthState, type StateLookup } from '../events/event-assembler.js'
import { judgeByAuthEvents } from '../events/event-judge.js'
import {
  explainedEvent,
  explainedVerdict,
  type ExplainedEvent,
  type ExplainedVerdict,
} from './explained-events.js'

export interface EventExplanationsDependencies {
  readonly db: Database
  readonly events: EventsStore
  readonly currentState: CurrentStateStore
  readonly stateKeys: StateKeysStore
  readonly snapshots: StateSnapshotsStore
}

/** One of the checks on receipt, done again, and what it had to go by. */
export interface ExplainedCheck {
  /** By its own auth events, by the state before it, and by the current state of the room as it is now. */
  readonly by: 'authEvents' | 'stateBefore' | 'currentState'
  readonly verdict: ExplainedVerdict
  readonly inputs: readonly ExplainedEvent[]
}

export interface EventExplanation {
  readonly roomId: RoomId
  readonly event: ExplainedEvent
  readonly redactedBy: EventId | undefined
  /** Events that it follows; those that are not held have no status. */
  readonly prevEvents: readonly (ExplainedEvent | { readonly eventId: EventId })[]
  /** Auth events that it names and that are not held. */
  readonly missingAuthEvents: readonly EventId[]
  readonly checks: readonly ExplainedCheck[]
}

/**
 * Says of an event why it is in its room or not, by the rules by which that was decided. Only reads.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class EventExplanations {
  readonly #deps: EventExplanationsDependencies

  constructor(deps: EventExplanationsDependencies) {
    this.#deps = deps
  }

  /** An event as it is held, whatever became of it. Throws `M_NOT_FOUND` for an event that is not. */
  async find(eventId: EventId): Promise<Event> {
    const { db, events } = this.#deps
    const stored = await events.get(db.reader, eventId)
    if (stored === undefined) throw notFound('Event not found')
    return stored.event
  }

  /** Throws `M_NOT_FOUND` for an event that is not held, or of another room. */
  async explain(roomId: RoomId, eventId: EventId): Promise<EventExplanation> {
    const { db, events } = this.#deps
    return db.read('explain_event', async (q) => {
      const stored = await events.get(q, eventId)
      if (stored?.event.roomId !== roomId) throw notFound(`There is no event ${eventId} in ${roomId}`)
      const { event } = stored
      const held = await events.getByIds(q, [...event.prevEventIds, ...event.authEventIds])
      const authEvents = event.authEventIds.flatMap((id) => held.get(id) ?? [])
      return {
        roomId,
        event: explainedEvent(stored),
        redactedBy: stored.redactedBy ?? undefined,
        prevEvents: event.prevEventIds.map((id) => {
          const prev = held.get(id)
          return prev ? explainedEvent(prev) : { eventId: id }
        }),
        missingAuthEvents: event.authEventIds.filter((id) => !held.has(id)),
        checks: await this.#checks(q, stored, authEvents),
      }
    })
  }

  async #checks(
    q: Query,
    stored: StoredEvent,
    authEvents: readonly StoredEvent[],
  ): Promise<ExplainedCheck[]> {
    const { event, roomNid, stateBefore } = stored
    const keys = authStateKeys(event.rules, event)
    const names = keys.map(([type, stateKey]) => stateKeyOf(type, stateKey))
    const before = stateBefore === null ? undefined : await this.#stateAt(q, stateBefore, names)
    const now = await this.#currentState(q, roomNid, keys)
    const byAuthEvents = {
      by: 'authEvents',
      verdict: explainedVerdict(judgeByAuthEvents(event, authEvents, before ?? now)),
      inputs: authEvents.map(explainedEvent),
    } as const
    if (event.type === 'm.room.create') return [byAuthEvents]
    const byState = (by: ExplainedCheck['by'], state: StateLookup): ExplainedCheck => ({
      by,
      verdict: explainedVerdict(checkEventAuth(event.rules, event, asAuthState(state))),
      inputs: [...state.values()].map(explainedEvent),
    })
    return [
      byAuthEvents,
      ...(before === undefined ? [] : [byState('stateBefore', before)]),
      byState('currentState', now),
    ]
  }

  async #stateAt(q: Query, snapshotNid: number, keys: readonly StateKey[]): Promise<StateLookup> {
    const { stateKeys, snapshots, events } = this.#deps
    const keyNids = await stateKeys.find(q, keys)
    const entries = await snapshots.lookUp(q, new Map([[snapshotNid, [...keyNids.values()]]]))
    const eventNids = new Map(
      [...keyNids].flatMap(([key, keyNid]) => {
        const eventNid = entries.get(snapshotNid)?.get(keyNid)
        return eventNid === undefined ? [] : [[key, eventNid] as const]
      }),
    )
    const found = await events.getByNids(q, [...eventNids.values()])
    const lookup = new Map<StateKey, StoredEvent>()
    for (const [key, eventNid] of eventNids) {
      const stored = found.get(eventNid)
      if (stored) lookup.set(key, stored)
    }
    return lookup
  }

  async #currentState(
    q: Query,
    roomNid: number,
    keys: readonly (readonly [type: string, stateKey: string])[],
  ): Promise<StateLookup> {
    const { currentState, events } = this.#deps
    const entries = await currentState.getForRooms(q, [roomNid], keys)
    const found = await events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    return new Map(
      entries.flatMap(({ type, stateKey, eventNid }) => {
        const stored = found.get(eventNid)
        return stored ? [[stateKeyOf(type, stateKey), stored] as const] : []
      }),
    )
  }
}
