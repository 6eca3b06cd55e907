import type { StoredEvent } from '../../storage/stores/events.js'
import { authStateKeys } from '../../protocol/auth-events.js'
import { ALLOWED, refuse, type AuthVerdict } from '../../protocol/auth-verdict.js'
import type { Event } from '../../protocol/event.js'
import { checkAuthEvents, checkEventAuth } from '../../protocol/event-auth.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import { asAuthState, type EventAssembler, type StateLookup } from './event-assembler.js'
import type { PartialStates } from './partial-states.js'
import type { RoomHead } from './room-heads.js'
import type { SnapshotRef } from './snapshot-builder.js'
import type { StateResolver } from './state-resolver.js'

/** An event and all that it refers to. */
export interface JudgedEvent {
  readonly event: Event
  /** Those that are held with the state after them. */
  readonly prevEvents: readonly StoredEvent[]
  readonly authEvents: readonly StoredEvent[]
  /** The states after the previous events that are not. */
  readonly given: readonly SnapshotRef[]
  /** It is the create event of the room. */
  readonly isBeginning: boolean
  /** It is of the past: the current state has no say. */
  readonly isHistory: boolean
}

/** What the checks on receipt came to. */
export interface Judgement {
  /** The rule that refused the event and why. */
  readonly rejected: string | null
  readonly softFailed: boolean
  /** The state before the event. */
  readonly before: SnapshotRef
  /** What the rules read of it. */
  readonly state: StateLookup
}

interface Parts {
  readonly assembler: EventAssembler
  readonly resolver: StateResolver
  readonly partialStates: PartialStates
}

/**
 * Judges events from elsewhere three times: by their auth events, by the state before them, and by the current state.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class EventJudge {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Checks 4 to 6 on receipt. Everything that the event refers to is there. */
  async judge(head: RoomHead, judged: JudgedEvent): Promise<Judgement> {
    const { event, prevEvents, authEvents, given } = judged
    const own = prevEvents.filter((stored) => stored.roomNid === head.room.roomNid)
    const resolved = await this.#parts.resolver.resolve(
      head.room,
      [...own.flatMap((stored) => stored.stateAfter ?? []), ...given.map(({ nid }) => nid)],
      head.pending,
    )
    const before = await this.#parts.partialStates.withMembers(head, resolved, authEvents)
    const keys = authStateKeys(event.rules, event).map(([type, stateKey]) => stateKeyOf(type, stateKey))
    const lookUp = async ({ snapshot }: SnapshotRef): Promise<StateLookup> => {
      const found = await this.#parts.assembler.lookUp({ snapshot, pending: head.pending }, keys)
      return this.#parts.partialStates.lookUp(head, { snapshot, found }, authEvents)
    }
    const state = await lookUp(before)
    const verdict = firstRefusal(
      () =>
        checkOrigin(event, { isOfRoom: own.length === prevEvents.length, isBeginning: judged.isBeginning }),
      // 4: by its auth events
      () => judgeByAuthEvents(event, authEvents, state),
      // 5: by the state before it
      () => checkEventAuth(event.rules, event, asAuthState(state)),
    )
    if (!verdict.allowed) {
      return { before, state, softFailed: false, rejected: `${verdict.rule}: ${verdict.reason}` }
    }
    if (judged.isHistory) return { before, state, rejected: null, softFailed: false }
    // 6: by the current state
    const now = checkEventAuth(event.rules, event, asAuthState(await lookUp(head.state)))
    return { before, state, rejected: null, softFailed: !now.allowed }
  }
}

/** Check 4 alone: whether an event's auth events allow it. `state`: where room version 12 finds the create event. */
export function judgeByAuthEvents(
  event: Event,
  authEvents: readonly StoredEvent[],
  state: StateLookup,
): AuthVerdict {
  const entries = authEvents.map((stored) => ({ event: stored.event, rejected: stored.rejected !== null }))
  return firstRefusal(
    () => checkAuthEvents(event.rules, event, entries),
    () => checkEventAuth(event.rules, event, asAuthState(byKey(authEvents, state))),
  )
}

/**
 * The rules let create events pass whatever the state. A room that is there has one already: that one may come with its
 * history.
 */
function checkOrigin(
  event: Event,
  { isOfRoom, isBeginning }: { isOfRoom: boolean; isBeginning: boolean },
): AuthVerdict {
  if (event.type === 'm.room.create') {
    return isBeginning ? ALLOWED : refuse('1', 'The room has a create event')
  }
  if (!isOfRoom) return refuse('2', 'A previous event is of another room')
  return event.prevEventIds.length > 0 ? ALLOWED : refuse('2', 'The event has no previous events')
}

function firstRefusal(...checks: readonly (() => AuthVerdict)[]): AuthVerdict {
  for (const check of checks) {
    const verdict = check()
    if (!verdict.allowed) return verdict
  }
  return ALLOWED
}

/** Auth events by what they hold. Room version 12 lists no create event: the room's own stands in. */
function byKey(authEvents: readonly StoredEvent[], state: StateLookup): StateLookup {
  const lookup = new Map<StateKey, StoredEvent>()
  const createKey = stateKeyOf('m.room.create', '')
  const create = state.get(createKey)
  if (create?.event.rules.roomIdIsCreateHash) lookup.set(createKey, create)
  for (const stored of authEvents) {
    const { type, stateKey } = stored.event
    if (stateKey !== undefined) lookup.set(stateKeyOf(type, stateKey), stored)
  }
  return lookup
}
