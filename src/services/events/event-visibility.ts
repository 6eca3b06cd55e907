import type { Database, Query } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomStay, RoomStaysStore } from '../../storage/stores/room-stays.js'
import { mayReadEvent, parseHistoryVisibility, type ReadingState } from '../../protocol/history-visibility.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import { redactEvent } from '../../protocol/redaction.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { ErasedUsers } from './erased-users.js'
import type { RetentionPolicies } from './retention-policies.js'
import { redactionTarget } from './redaction-rules.js'
import { membershipOf, type StateAtPoints, type StatePoints } from './state-points.js'

export interface VisibilityOptions {
  /** Whose messages the user does not want to see; their state events are shown all the same. */
  readonly ignored?: ReadonlySet<UserId>
  /** A transaction to read in. */
  readonly q?: Query
}

interface Parts {
  readonly events: Pick<EventsStore, 'getByIds'>
  readonly points: StatePoints
  readonly stays: RoomStaysStore
  /** How long messages may be read; undefined: for ever. */
  readonly retention?: Pick<RetentionPolicies, 'filter'> | undefined
  /** Whose messages are for those alone who were there; without it, nobody's. */
  readonly erased?: Pick<ErasedUsers, 'list'> | undefined
}

/** Events that join the ends of rooms and say nothing: no client sees them. */
export const DUMMY_EVENT_TYPE = 'org.matrix.dummy_event'

const VISIBILITY_KEY = stateKeyOf('m.room.history_visibility', '')
const NOBODY: ReadonlySet<UserId> = new Set()

/**
 * Which events a user may see: by the history visibility and their membership at each event, and whether they joined
 * since. https://spec.matrix.org/latest/client-server-api/#room-history-visibility
 */
export class EventVisibility {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Those of the events, of any rooms, that a user may see, in the same order. Outliers, rejected and soft-failed events
   * are nobody's to see, nor are messages that have become too old, and redactions that redact nothing. What users have
   * sent who are erased comes in its redacted form to those who were not in the room. Takes a constant number of
   * statements.
   */
  async filter(
    userId: UserId,
    events: readonly StoredEvent[],
    options: VisibilityOptions = {},
  ): Promise<StoredEvent[]> {
    const { q = this.#db.reader, ignored = NOBODY } = options
    const shown = events.filter((stored) => isShown(stored) && !isIgnored(stored, userId, ignored))
    const { retention } = this.#parts
    const kept = retention === undefined ? shown : await retention.filter(q, shown)
    const candidates = await this.#withoutVain(q, kept)
    if (candidates.length === 0) return []
    const memberKey = stateKeyOf('m.room.member', userId)
    const points = await this.#parts.points.lookUpKeys(q, pointsOf(candidates, memberKey))
    const states = new ReadingStates(points, memberKey)
    const hidden = candidates.filter((stored) => !mayRead(stored, states))
    if (hidden.length === 0) return this.#hideErased(candidates, states)
    const rooms = [...new Set(hidden.map(({ roomNid }) => roomNid))]
    const stays = await this.#parts.stays.listLast(q, userId, rooms)
    const shownLater = new Set(hidden.filter((stored) => mayRead(stored, states, stays.get(stored.roomNid))))
    const stillHidden = new Set(hidden.filter((stored) => !shownLater.has(stored)))
    const readable = candidates.filter((stored) => !stillHidden.has(stored))
    return this.#hideErased(readable, states)
  }

  /** Whether a user may see one event. */
  async mayRead(userId: UserId, stored: StoredEvent, options: VisibilityOptions = {}): Promise<boolean> {
    return (await this.filter(userId, [stored], options)).length === 1
  }

  /**
   * Redactions of events that are not there, of another room, or that their sender may not redact, wait for what they
   * redact, and are not shown before. https://spec.matrix.org/latest/rooms/v11/#handling-redactions
   */
  async #withoutVain(q: Query, events: StoredEvent[]): Promise<StoredEvent[]> {
    const targets = new Map<StoredEvent, EventId>()
    for (const stored of events) {
      const target = stored.event.rules.redactionsCheckedOnApply ? redactionTarget(stored.event) : undefined
      if (target !== undefined) targets.set(stored, target)
    }
    if (targets.size === 0) return events
    const found = await this.#parts.events.getByIds(q, [...new Set(targets.values())])
    return events.filter((stored) => {
      const targetId = targets.get(stored)
      if (targetId === undefined) return true
      const target = found.get(targetId)
      return target?.roomNid === stored.roomNid && target.redactedBy !== null
    })
  }

  async #hideErased(events: StoredEvent[], states: ReadingStates): Promise<StoredEvent[]> {
    const erased = await this.#parts.erased?.list()
    if (erased === undefined || erased.size === 0) return events
    return events.map((stored) => {
      if (!erased.has(stored.event.sender)) return stored
      const wasThere = states.around(stored).some(({ membership }) => membership === 'join')
      return wasThere ? stored : { ...stored, event: redactEvent(stored.event) }
    })
  }
}

/** The snapshots that decide about an event: before and after it where they can differ. */
function snapshotsOf({ event, stateBefore, stateAfter }: StoredEvent, memberKey: StateKey): number[] {
  if (stateBefore === null || stateAfter === null) return []
  if (stateBefore === stateAfter || event.stateKey === undefined) return [stateAfter]
  const key = stateKeyOf(event.type, event.stateKey)
  return key === memberKey || key === VISIBILITY_KEY ? [stateBefore, stateAfter] : [stateAfter]
}

function pointsOf(events: readonly StoredEvent[], memberKey: StateKey): Map<number, readonly StateKey[]> {
  const keys = [VISIBILITY_KEY, memberKey]
  const points = new Map<number, readonly StateKey[]>()
  for (const stored of events) {
    for (const snapshotNid of snapshotsOf(stored, memberKey)) points.set(snapshotNid, keys)
  }
  return points
}

/** What decides about a reader at the points that were looked up; most events have theirs in common with others. */
class ReadingStates {
  readonly #points: StateAtPoints
  readonly #memberKey: StateKey
  readonly #states = new Map<number, ReadingState>()

  constructor(points: StateAtPoints, memberKey: StateKey) {
    this.#points = points
    this.#memberKey = memberKey
  }

  around(stored: StoredEvent): ReadingState[] {
    return snapshotsOf(stored, this.#memberKey).map((snapshotNid) => this.#at(snapshotNid))
  }

  #at(snapshotNid: number): ReadingState {
    let state = this.#states.get(snapshotNid)
    if (state === undefined) {
      state = {
        visibility: parseHistoryVisibility(this.#points.get(snapshotNid, VISIBILITY_KEY)?.event),
        membership: membershipOf(this.#points.get(snapshotNid, this.#memberKey)),
      }
      this.#states.set(snapshotNid, state)
    }
    return state
  }
}

function mayRead(stored: StoredEvent, states: ReadingStates, stay?: RoomStay): boolean {
  const [before, after = before] = states.around(stored)
  if (!before || !after) return false
  // Whoever declines or loses an invite learns that it is gone, whatever history they may see.
  if (before.membership === 'invite' || before.membership === 'knock') {
    if (after.membership === 'leave' || after.membership === 'ban') return true
  }
  return mayReadEvent({ before, after }, hasJoinedSince(stored, stay))
}

/** Whoever is in the room now has joined after whatever they have not been there for. */
function hasJoinedSince(stored: StoredEvent, stay: RoomStay | undefined): boolean {
  if (!stay) return false
  return stay.end === undefined || stay.joinedAt >= (stored.streamOrdering ?? Infinity)
}

function isShown({ event, rejected, softFailed, streamOrdering, stateAfter }: StoredEvent): boolean {
  if (event.type === DUMMY_EVENT_TYPE) return false
  return rejected === null && !softFailed && streamOrdering !== null && stateAfter !== null
}

/** https://spec.matrix.org/latest/client-server-api/#ignoring-users */
function isIgnored({ event }: StoredEvent, userId: UserId, ignored: ReadonlySet<UserId>): boolean {
  return ignored.size > 0 && !event.isState() && event.sender !== userId && ignored.has(event.sender)
}
