import type { Tx } from '../database.js'
import { encodeReach, type AuthChainPosition } from '../auth-reach.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import { writeCurrentState, type CurrentStateChange } from './current-state-writer.js'
import { writeGaps, type MissingEvent } from './missing-events.js'
import { writeRedactions } from './redaction-writer.js'
import type { RoomRecord } from './rooms.js'
import type { SnapshotRow, StateSnapshotsStore } from './state-snapshots.js'

/** Everything that is written of one event, decided beforehand. */
export interface EventWrite {
  readonly event: Event
  readonly eventNid: number
  readonly room: RoomRecord
  readonly receivedTs: number
  /**
   * `live` events get the next position; `backfilled` ones negative positions; `outlier`s none. `outside`: a membership
   * in a room that this server is not in, an outlier whose change of membership has a position.
   */
  readonly kind: 'live' | 'backfilled' | 'outlier' | 'outside'
  /** It has a row already, as an outlier; the nid is that row's. */
  readonly wasOutlier?: boolean
  readonly prevNids: readonly number[]
  /** Those of the previous events that have no place in the timeline: the history that is held ends there. */
  readonly missingPrevs?: readonly MissingEvent[]
  /** Events that are held follow it: the history that is held does not end there any more. */
  readonly closesGap?: boolean
  readonly stateBefore: number | null
  readonly stateAfter: number | null
  /** Snapshots that the event brings about, in the order they build on each other. */
  readonly snapshots: readonly SnapshotRow[]
  readonly rejected: string | null
  readonly softFailed: boolean
  readonly authPosition: AuthChainPosition | undefined
  readonly stateChanges: readonly CurrentStateChange[]
  readonly extremities: { readonly becomesOne: boolean; readonly removed: readonly number[] }
  readonly relation: EventRelation
  readonly notifies: boolean
  readonly highlights: readonly UserId[]
  /** For whom it counts otherwise than `notifies` and `highlights` say. */
  readonly pushExceptions?: readonly PushException[]
  readonly txn: EventTxn | undefined
  readonly redaction: { readonly targetId: EventId; readonly applied: boolean } | undefined
  /** The redaction that came before the event, and applies to it. */
  readonly redactedBy?: { readonly eventId: EventId; readonly eventNid: number } | undefined
}

/** What an event adds to a user's unread counts beyond what it does for everybody: -1, 0 or 1. */
export interface PushException {
  readonly userId: UserId
  /** The room does not notify the user in general: nothing of what the event does for everybody counts. */
  readonly quiet: boolean
  readonly notifications: number
  readonly highlights: number
}

export interface EventRelation {
  readonly relatesTo: EventId | null
  readonly relType: string | null
  readonly threadRoot: EventId | null
}

export interface EventTxn {
  readonly userId: UserId
  readonly deviceId: string
  readonly txnId: string
}

/** An event write with its position in the stream. */
export interface PlacedEventWrite extends EventWrite {
  /** Of what the event changes; of the event itself unless its kind is `outside`. */
  readonly streamOrdering: number | null
}

/**
 * Writes events of any number of rooms: a constant number of bulk statements for the whole batch, those for state only
 * where there are state events. Statements are issued without waiting for each other.
 */
export class EventWriter {
  readonly #snapshots: StateSnapshotsStore

  constructor(snapshots: StateSnapshotsStore) {
    this.#snapshots = snapshots
  }

  async write(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
    const snapshots = writes.flatMap((write) => write.snapshots)
    await Promise.all([
      insertEvents(tx, writes),
      insertEdges(tx, writes),
      writeGaps(tx, writes),
      updateExtremities(tx, writes),
      snapshots.length > 0 ? this.#snapshots.insert(tx, snapshots) : undefined,
      insertAuthChains(tx, writes),
      writeCurrentState(tx, writes),
      insertTxns(tx, writes),
      insertHighlights(tx, writes),
      insertPushExceptions(tx, writes),
      writeRedactions(tx, writes),
    ])
  }
}

async function insertEvents(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const rows = writes.map((write) => ({
    event_nid: write.eventNid,
    event_id: write.event.eventId,
    room_nid: write.room.roomNid,
    stream_ordering: write.kind === 'outside' ? null : write.streamOrdering,
    depth: write.event.depth,
    type: write.event.type,
    state_key: write.event.stateKey ?? null,
    sender: write.event.sender,
    origin_server_ts: write.event.originServerTs,
    received_ts: write.receivedTs,
    state_before: write.stateBefore,
    state_after: write.stateAfter,
    rejected: write.rejected,
    soft_failed: write.softFailed ? 1 : 0,
    redacted_by: write.redactedBy?.eventId ?? null,
    contains_url: typeof write.event.content['url'] === 'string' ? 1 : 0,
    relates_to: write.relation.relatesTo,
    rel_type: write.relation.relType,
    thread_root: write.relation.threadRoot,
    notifies: write.notifies ? 1 : 0,
    json: write.event.toText(),
  }))
  await tx.insertMany('events', rows, {
    columns: {
      event_nid: 'integer',
      event_id: 'text',
      room_nid: 'integer',
      stream_ordering: 'integer',
      depth: 'integer',
      type: 'text',
      state_key: 'text',
      sender: 'text',
      origin_server_ts: 'integer',
      received_ts: 'integer',
      state_before: 'integer',
      state_after: 'integer',
      rejected: 'text',
      soft_failed: 'integer',
      redacted_by: 'text',
      contains_url: 'integer',
      relates_to: 'text',
      rel_type: 'text',
      thread_root: 'text',
      notifies: 'integer',
      json: 'text',
    },
    ...(writes.some((write) => write.wasOutlier) && {
      conflict: { key: ['event_nid'], update: LEARNT_OF_OUTLIERS },
    }),
  })
}

/** What is not known of an event before its place in the graph is. */
const LEARNT_OF_OUTLIERS = [
  'stream_ordering',
  'received_ts',
  'state_before',
  'state_after',
  'rejected',
  'soft_failed',
  'redacted_by',
  'notifies',
]

async function insertEdges(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const rows = writes.flatMap((write) =>
    write.prevNids.map((prevNid) => ({ prev_nid: prevNid, event_nid: write.eventNid })),
  )
  if (rows.length === 0) return
  await tx.insertMany('event_edges', rows, {
    columns: { prev_nid: 'integer', event_nid: 'integer' },
    conflict: 'ignore',
  })
}

/**
 * Only what is left at the end of the batch is written. Where a room's one end moves on, which is nearly always, its row
 * is moved: one statement for all such rooms.
 */
async function updateExtremities(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const moved: { room_nid: number; old_nid: number; new_nid: number }[] = []
  const removed: ExtremityRow[] = []
  const added: ExtremityRow[] = []
  for (const [roomNid, change] of extremityChanges(writes)) {
    const [oldNid, ...olds] = change.removed
    const [newNid, ...news] = change.added
    if (oldNid !== undefined && newNid !== undefined && olds.length + news.length === 0) {
      moved.push({ room_nid: roomNid, old_nid: oldNid, new_nid: newNid })
      continue
    }
    for (const nid of change.removed) removed.push({ room_nid: roomNid, event_nid: nid })
    for (const nid of change.added) added.push({ room_nid: roomNid, event_nid: nid })
  }
  await Promise.all([
    moved.length > 0 ? moveExtremities(tx, moved) : undefined,
    removed.length > 0 ? deleteExtremities(tx, removed) : undefined,
    added.length > 0
      ? tx.insertMany('forward_extremities', added, {
          columns: { room_nid: 'integer', event_nid: 'integer' },
        })
      : undefined,
  ])
}

interface ExtremityRow {
  readonly room_nid: number
  readonly event_nid: number
  [column: string]: number
}

/** Per room, which extremities of before the batch are none any more, and which events of it are some at its end. */
function extremityChanges(
  writes: readonly PlacedEventWrite[],
): Map<number, { removed: Set<number>; added: Set<number> }> {
  const rooms = new Map<number, { removed: Set<number>; added: Set<number> }>()
  for (const { room, eventNid, extremities } of writes) {
    let change = rooms.get(room.roomNid)
    if (!change) rooms.set(room.roomNid, (change = { removed: new Set(), added: new Set() }))
    for (const nid of extremities.removed) if (!change.added.delete(nid)) change.removed.add(nid)
    if (extremities.becomesOne) change.added.add(eventNid)
  }
  return rooms
}

async function moveExtremities(
  tx: Tx,
  rows: readonly { room_nid: number; old_nid: number; new_nid: number }[],
): Promise<void> {
  const source = tx.dialect.rowsFrom({ room_nid: 'integer', old_nid: 'integer', new_nid: 'integer' })
  await tx.execute(
    `UPDATE forward_extremities SET event_nid = r.new_nid FROM ${source} AS r
     WHERE forward_extremities.room_nid = r.room_nid AND forward_extremities.event_nid = r.old_nid`,
    [tx.dialect.rows(rows)],
  )
}

async function deleteExtremities(tx: Tx, rows: readonly ExtremityRow[]): Promise<void> {
  const source = tx.dialect.rowsFrom({ room_nid: 'integer', event_nid: 'integer' })
  await tx.execute(
    `DELETE FROM forward_extremities WHERE (room_nid, event_nid) IN
       (SELECT r.room_nid, r.event_nid FROM ${source} AS r)`,
    [tx.dialect.rows(rows)],
  )
}

async function insertAuthChains(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const rows = writes.flatMap(({ authPosition, eventNid }) =>
    authPosition
      ? [
          {
            event_nid: eventNid,
            chain_nid: authPosition.chainNid,
            seq: authPosition.seq,
            reach: encodeReach(authPosition.reach),
          },
        ]
      : [],
  )
  if (rows.length === 0) return
  await tx.insertMany('auth_chains', rows, {
    columns: { event_nid: 'integer', chain_nid: 'integer', seq: 'integer', reach: 'blob' },
  })
}

async function insertTxns(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const rows = writes.flatMap(({ txn, room, eventNid, receivedTs }) =>
    txn
      ? [
          {
            user_id: txn.userId,
            device_id: txn.deviceId,
            room_nid: room.roomNid,
            txn_id: txn.txnId,
            event_nid: eventNid,
            ts: receivedTs,
          },
        ]
      : [],
  )
  if (rows.length === 0) return
  await tx.insertMany('event_txns', rows, {
    columns: {
      user_id: 'text',
      device_id: 'text',
      room_nid: 'integer',
      txn_id: 'text',
      event_nid: 'integer',
      ts: 'integer',
    },
  })
}

async function insertHighlights(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const rows = writes.flatMap((write) =>
    write.highlights.map((userId) => ({
      user_id: userId,
      room_nid: write.room.roomNid,
      stream_ordering: write.streamOrdering ?? 0,
    })),
  )
  if (rows.length === 0) return
  await tx.insertMany('event_highlights', rows, {
    columns: { user_id: 'text', room_nid: 'integer', stream_ordering: 'integer' },
    conflict: 'ignore',
  })
}

async function insertPushExceptions(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const rows = writes.flatMap((write) =>
    (write.pushExceptions ?? []).map((exception) => ({
      user_id: exception.userId,
      room_nid: write.room.roomNid,
      stream_ordering: write.streamOrdering ?? 0,
      quiet: exception.quiet ? 1 : 0,
      notifications: exception.notifications,
      highlights: exception.highlights,
    })),
  )
  if (rows.length === 0) return
  await tx.insertMany('event_push_exceptions', rows, {
    columns: {
      user_id: 'text',
      room_nid: 'integer',
      stream_ordering: 'integer',
      quiet: 'integer',
      notifications: 'integer',
      highlights: 'integer',
    },
    conflict: 'ignore',
  })
}
