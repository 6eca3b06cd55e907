import type { Database } from '../../storage/database.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import { writeCurrentState, type CurrentStateChange } from '../../storage/stores/current-state-writer.js'
import type { EventStatesStore } from '../../storage/stores/event-states.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRepairStore } from '../../storage/stores/room-repair.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { SnapshotRow, StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import type { PositionSink } from '../streams/notifier.js'
import type { FlatStates } from './flat-states.js'
import type { GivenStates } from './given-states.js'
import type { LateJudge, LateJudgement } from './late-judge.js'
import type { PartialRooms } from './partial-rooms.js'
import { NOTHING_PENDING } from './pending-events.js'
import type { RoomHead, RoomHeads } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateResolver } from './state-resolver.js'

interface Parts {
  readonly events: EventsStore
  readonly eventStates: EventStatesStore
  readonly repair: Pick<RoomRepairStore, 'addEnds' | 'removeEnds'>
  readonly judge: LateJudge
  readonly snapshots: StateSnapshotsStore
  readonly partialRooms: PartialRooms
  readonly flat: FlatStates
  readonly givenStates: GivenStates
  readonly builder: SnapshotBuilder
  readonly resolver: StateResolver
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventStream: StreamIdGenerator
  readonly positions: PositionSink
}

/** What is written when a state becomes whole. */
interface Completion {
  readonly rows: readonly SnapshotRow[]
  readonly judgement: LateJudgement
  readonly stateChanges: readonly CurrentStateChange[]
}

/**
 * Makes the state of a room whole that this server has come into without knowing its members: the states at all events
 * since then get what they lack, what happened since is judged by them anew, and the current state follows from that.
 */
export class StateCompletion {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * @param join the event by which this server came in
   * @param states the state after each of its previous events: events that are held, as outliers at least
   * @returns false where the room is not, or no longer, waiting for the state before this join
   */
  complete(room: RoomRecord, join: StoredEvent, states: readonly (readonly EventId[])[]): Promise<boolean> {
    return this.#parts.locks.run(String(room.roomNid), async () => {
      const { heads, partialRooms } = this.#parts
      if (partialRooms.get(room.roomNid)?.joinNid !== join.eventNid) return false
      const head = await heads.get(room)
      await heads.whenCommitted(room)
      const completion = await this.#compose(head, join, states)
      await this.#write(room, completion)
      return true
    })
  }

  async #compose(
    head: RoomHead,
    join: StoredEvent,
    states: readonly (readonly EventId[])[],
  ): Promise<Completion> {
    const { room } = head
    const { eventStates, events, flat, builder, judge } = this.#parts
    const { whole, rows } = await this.#wholeState(head, states)
    const listed = await eventStates.listSince(this.#db.reader, room.roomNid, join.streamOrdering ?? 0)
    const since = await events.getByNids(
      this.#db.reader,
      listed.map(({ eventNid }) => eventNid),
    )
    const completed = new Map<number, SnapshotRef>()
    const complete = async (nid: number): Promise<SnapshotRef> => {
      const known = completed.get(nid)
      if (known) return known
      const [snapshot] = await builder.load([nid])
      const changes = snapshot!.changesTo(await this.#complete(snapshot!, whole.snapshot, join))
      const made = await builder.build(room, { nid, snapshot: snapshot!, rows: [] }, changes)
      completed.set(nid, made)
      rows.push(...made.rows)
      return made
    }
    const judgement = await judge.judge({
      room,
      join,
      whole,
      events: listed.flatMap(({ eventNid }) => since.get(eventNid) ?? []),
      ends: head.extremities,
      complete,
    })
    return {
      judgement,
      rows: distinct([...rows, ...judgement.rows]),
      stateChanges: await flat.changesTo(room, judgement.current.snapshot, NOTHING_PENDING),
    }
  }

  /** The state before the join, where its previous events meet. */
  async #wholeState(
    head: RoomHead,
    states: readonly (readonly EventId[])[],
  ): Promise<{ whole: SnapshotRef; rows: SnapshotRow[] }> {
    const { givenStates, resolver } = this.#parts
    const refs: SnapshotRef[] = []
    for (const ids of states) refs.push(await givenStates.build(head, ids))
    const resolved =
      refs.length === 1
        ? refs[0]!
        : await resolver.resolve(
            head.room,
            refs.map(({ nid }) => nid),
          )
    return { whole: resolved, rows: [...refs, resolved].flatMap(({ rows }) => rows) }
  }

  /**
   * A state since the join as it is with the whole state before it: what has happened since stays, all else is as the
   * whole state says. Members who were taken from events that they authorize may have been out of date.
   */
  async #complete(state: StateSnapshot, whole: StateSnapshot, join: StoredEvent): Promise<StateSnapshot> {
    const changes = state.changesTo(whole)
    const involved = [...changes].flatMap(([key, nid]) => [state.get(key) ?? [], nid ?? []].flat())
    const events = await this.#parts.events.getByNids(this.#db.reader, involved)
    const corrections = new Map<number, number | undefined>()
    for (const [key, nid] of changes) {
      const own = events.get(state.get(key) ?? 0)
      if (!own || !isLater(own, events.get(nid ?? 0) ?? join)) corrections.set(key, nid)
    }
    return state.with(corrections)
  }

  async #write(room: RoomRecord, { rows, judgement, stateChanges }: Completion): Promise<void> {
    const { snapshots, eventStates, repair, eventStream, partialRooms, builder, events, heads, positions } =
      this.#parts
    const { states, verdicts, ends } = judgement
    try {
      await this.#db.write('complete_state', async (tx) => {
        if (rows.length > 0) await snapshots.insert(tx, rows)
        await eventStates.update(tx, states)
        await eventStates.judge(tx, verdicts)
        if (ends.removed.length > 0) await repair.removeEnds(tx, room.roomNid, ends.removed)
        if (ends.added.length > 0) await repair.addEnds(tx, room.roomNid, ends.added)
        const [position] = await eventStream.allocate(tx, 1)
        await writeCurrentState(tx, [{ room, streamOrdering: position!, stateChanges }])
        await partialRooms.delete(tx, room.roomNid, position)
        tx.afterCommit(() => {
          builder.committed(rows)
          for (const { eventNid } of states) events.forget(eventNid)
          heads.forget(room)
        })
      })
    } catch (error) {
      builder.abandoned(rows)
      throw error
    }
    const users = stateChanges.flatMap(({ stateKey, member }) =>
      member?.isLocal ? [stateKey as UserId] : [],
    )
    positions.onNewPosition('events', { rooms: [room.roomId], users })
  }
}

/** Whether an event of a state came after another, as far as can be said. */
function isLater(own: StoredEvent, other: StoredEvent): boolean {
  return own.streamOrdering !== null || own.event.depth > other.event.depth
}

function distinct(rows: readonly SnapshotRow[]): SnapshotRow[] {
  return [...new Map(rows.map((row) => [row.snapshotNid, row])).values()]
}
