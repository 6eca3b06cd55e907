import type { Database, Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { LazyStateStore } from '../../storage/stores/lazy-state.js'
import type { StateDelta, StateDeltasStore } from '../../storage/stores/state-deltas.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import { splitStateKey, stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { Timeline } from './timeline-loader.js'

/** Which state of a room a client is to be told, beside that which stands in the timeline. */
export interface StateRequest {
  readonly roomNid: number
  /**
   * `current`: all of it; `snapshot`: all of it, as it was in a snapshot, for rooms that have gone on without the user;
   * `changes`: what changed since `after`.
   */
  readonly kind: 'current' | 'snapshot' | 'changes'
  readonly after: number
  readonly upTo: number
  readonly snapshotNid?: number | null
  readonly timeline: Timeline
  /**
   * Whose member events are wanted: undefined for everybody's. With `changes` they are wanted even where they have not
   * changed.
   */
  readonly members: ReadonlySet<string> | undefined
}

export interface StateOptions {
  /** The state after the timeline is asked for, whatever stands in it; otherwise the state before it. */
  readonly afterTimeline: boolean
  /** The changes of the rooms after `after`, where they are known already. */
  readonly deltas?: readonly StateDelta[] | undefined
}

interface Parts {
  readonly currentState: CurrentStateStore
  readonly lazyState: LazyStateStore
  readonly deltas: StateDeltasStore
  readonly snapshots: StateSnapshotsStore
  readonly stateKeys: StateKeysStore
  readonly events: EventsStore
}

type State = Map<StateKey, number>

/** What holds in each room, before what changes it is looked at. */
interface Bases {
  readonly states: ReadonlyMap<number, State>
  /** Those of the events that are here already, by nid. */
  readonly events: ReadonlyMap<number, StoredEvent>
}

const MEMBER = 'm.room.member'
const FOREVER = Number.MAX_SAFE_INTEGER

/**
 * The state of rooms around their timelines: for many rooms at once, from the flat tables and what changed in them.
 * https://spec.matrix.org/latest/client-server-api/#syncing
 */
export class RoomStateLoader {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The events of each request's room, by nid. */
  async load(requests: readonly StateRequest[], options: StateOptions): Promise<Map<number, StoredEvent[]>> {
    if (requests.length === 0) return new Map()
    return this.#db.read('sync_state', async (q) => {
      const { states, events } = await this.#loadBases(q, requests)
      const deltas = await this.#listDeltas(q, requests, options.deltas)
      for (const request of requests) {
        const state = states.get(request.roomNid)!
        const changes = deltas.get(request.roomNid) ?? []
        if (request.kind === 'changes') addChanges(state, request, { changes, ...options })
        else toTimeline(state, request, { changes, ...options })
      }
      return this.#toEvents(q, states, events)
    })
  }

  /** What holds now, in the rooms of which all is wanted; and the single members that are. */
  async #loadBases(q: Query, requests: readonly StateRequest[]): Promise<Bases> {
    const current = requests.filter(({ kind }) => kind === 'current')
    const whole = current.filter(({ members }) => members === undefined).map(({ roomNid }) => roomNid)
    const lazy = current.filter(({ members }) => members !== undefined).map(({ roomNid }) => roomNid)
    const members = requests
      .filter(({ kind }) => kind !== 'snapshot')
      .flatMap((request) =>
        [...(request.members ?? [])].map((userId) => ({ roomNid: request.roomNid, userId })),
      )
    const { currentState, lazyState } = this.#parts
    const nids = whole.length > 0 ? [...(await currentState.listNids(q, whole)).values()].flat() : []
    const events = await this.#parts.events.getByNids(q, nids)
    const states = new Map<number, State>(requests.map(({ roomNid }) => [roomNid, new Map()]))
    for (const { roomNid, event, eventNid } of events.values()) {
      states.get(roomNid)!.set(stateKeyOf(event.type, event.stateKey ?? ''), eventNid)
    }
    const lazyEntries = [
      ...(await lazyState.listWithoutMembers(q, lazy)),
      ...(await lazyState.listMembers(q, members)),
    ]
    for (const { roomNid, type, stateKey, eventNid } of lazyEntries) {
      states.get(roomNid)!.set(stateKeyOf(type, stateKey), eventNid)
    }
    await this.#loadSnapshots(q, requests, states)
    return { states, events }
  }

  async #loadSnapshots(
    q: Query,
    requests: readonly StateRequest[],
    states: ReadonlyMap<number, State>,
  ): Promise<void> {
    const nids = requests.flatMap(({ kind, snapshotNid }) => (kind === 'snapshot' ? (snapshotNid ?? []) : []))
    if (nids.length === 0) return
    const snapshots = await this.#parts.snapshots.getMany(q, nids)
    const keyNids = new Set([...snapshots.values()].flatMap((snapshot) => [...snapshot.keys]))
    const names = await this.#parts.stateKeys.names(q, [...keyNids])
    for (const { kind, roomNid, snapshotNid, members } of requests) {
      const snapshot = kind === 'snapshot' ? snapshots.get(snapshotNid ?? 0) : undefined
      if (snapshot === undefined) continue
      const state = states.get(roomNid)!
      for (const [keyNid, eventNid] of snapshot.entries()) {
        const key = names.get(keyNid)
        if (key !== undefined && isWanted(key, members)) state.set(key, eventNid)
      }
    }
  }

  /** Read after the state itself: what has changed in between can then be taken back. */
  async #listDeltas(
    q: Query,
    requests: readonly StateRequest[],
    known: readonly StateDelta[] | undefined,
  ): Promise<Map<number, StateDelta[]>> {
    const unread = known ? requests.filter(({ kind }) => kind !== 'changes') : requests
    const read = await this.#parts.deltas.listForRooms(q, unread.map(windowOf))
    const byRoom = new Map<number, StateDelta[]>(requests.map(({ roomNid }) => [roomNid, []]))
    const changing = new Set(requests.filter(({ kind }) => kind === 'changes').map(({ roomNid }) => roomNid))
    for (const delta of read) byRoom.get(delta.roomNid)?.push(delta)
    for (const delta of known ?? []) if (changing.has(delta.roomNid)) byRoom.get(delta.roomNid)?.push(delta)
    return byRoom
  }

  async #toEvents(
    q: Query,
    states: ReadonlyMap<number, State>,
    known: ReadonlyMap<number, StoredEvent>,
  ): Promise<Map<number, StoredEvent[]>> {
    const nids = [...states.values()].flatMap((state) => [...state.values()].filter((nid) => !known.has(nid)))
    const others = await this.#parts.events.getByNids(q, nids)
    return new Map(
      [...states].map(([roomNid, state]) => [
        roomNid,
        [...state.values()].flatMap((nid) => known.get(nid) ?? others.get(nid) ?? []),
      ]),
    )
  }
}

/** The stretch whose changes matter: of the whole state, those within the timeline and those that come after. */
function windowOf(request: StateRequest): { roomNid: number; after: number; upTo: number } {
  const { kind, roomNid, after, upTo, timeline } = request
  if (kind === 'changes') return { roomNid, after, upTo }
  const start = Math.min(startOf(timeline) - 1, upTo)
  return { roomNid, after: start, upTo: kind === 'current' ? FOREVER : upTo }
}

/** The position of the first event of a timeline; those that were fetched after the fact have changed no state. */
function startOf({ events }: Timeline): number {
  let start = FOREVER
  for (const { streamOrdering } of events) {
    if (streamOrdering !== null && streamOrdering > 0) start = Math.min(start, streamOrdering)
  }
  return start
}

interface Changes {
  /** In stream order. */
  readonly changes: readonly StateDelta[]
  readonly afterTimeline: boolean
}

/**
 * Takes the whole state back to where the timeline ends, and, unless the state after it is wanted, to where it begins:
 * what the timeline brings is left out, what it replaces is put in.
 */
function toTimeline(state: State, request: StateRequest, { changes, afterTimeline }: Changes): void {
  const { upTo, members, timeline } = request
  for (const { streamOrdering, type, stateKey, prevEventNid } of changes.toReversed()) {
    const key = stateKeyOf(type, stateKey)
    if (streamOrdering <= upTo || !isWanted(key, members)) continue
    if (prevEventNid === null) state.delete(key)
    else state.set(key, prevEventNid)
  }
  if (afterTimeline) return
  const shown = new Set(timeline.events.map(({ eventNid }) => eventNid))
  const before = new Map<StateKey, number | null>()
  for (const { streamOrdering, type, stateKey, prevEventNid } of changes) {
    const key = stateKeyOf(type, stateKey)
    if (streamOrdering <= upTo && !before.has(key)) before.set(key, prevEventNid)
  }
  for (const [key, eventNid] of state) {
    if (!shown.has(eventNid)) continue
    const previous = before.get(key)
    if (previous === undefined || previous === null || shown.has(previous)) state.delete(key)
    else state.set(key, previous)
  }
}

/**
 * What changed: where the timeline shows the last change of something, only what it was when the timeline began, if that
 * is news; where it does not, since a filter or the room's history keeps it out, the last change itself.
 */
function addChanges(state: State, request: StateRequest, { changes, afterTimeline }: Changes): void {
  const start = startOf(request.timeline)
  const shown = new Set(request.timeline.events.map(({ eventNid }) => eventNid))
  const last = new Map<StateKey, number | null>()
  const beforeStart = new Map<StateKey, number | null>()
  for (const { streamOrdering, type, stateKey, eventNid } of changes) {
    if (streamOrdering <= request.after || streamOrdering > request.upTo) continue
    const key = stateKeyOf(type, stateKey)
    last.set(key, eventNid)
    if (streamOrdering < start) beforeStart.set(key, eventNid)
  }
  for (const [key, eventNid] of last) {
    const isShown = !afterTimeline && eventNid !== null && shown.has(eventNid)
    const told = isShown ? beforeStart.get(key) : eventNid
    if (told === undefined || told === null || (isShown && shown.has(told))) state.delete(key)
    else state.set(key, told)
  }
}

function isWanted(key: StateKey, members: ReadonlySet<string> | undefined): boolean {
  if (members === undefined) return true
  const [type, stateKey] = splitStateKey(key)
  return type !== MEMBER || members.has(stateKey)
}
