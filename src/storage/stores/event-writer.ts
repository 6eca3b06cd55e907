import type { Tx } from '../database.js'
import { encodeReach, type AuthChainPosition } from '../auth-reach.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import type { Membership } from './room-members.js'
import type { RoomRecord } from './rooms.js'
import type { SnapshotRow, StateSnapshotsStore } from './state-snapshots.js'

/** What an event does to one piece of the current state. */
export interface CurrentStateChange {
  readonly type: string
  readonly stateKey: string
  /** The event that holds it now; null: nothing does. */
  readonly eventNid: number | null
  readonly prevEventNid: number | null
  /** For m.room.member. */
  readonly member?: MemberChange
}

export interface MemberChange {
  readonly membership: Membership
  readonly previous: Membership | undefined
  readonly sender: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  readonly isLocal: boolean
}

/** Everything that is written of one event, decided beforehand. */
export interface EventWrite {
  readonly event: Event
  readonly eventNid: number
  readonly room: RoomRecord
  readonly receivedTs: number
  /** `live` events get the next position; `backfilled` ones negative positions; `outlier`s none. */
  readonly kind: 'live' | 'backfilled' | 'outlier'
  /** It has a row already, as an outlier; the nid is that row's. */
  readonly wasOutlier?: boolean
  readonly prevNids: readonly number[]
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
    stream_ordering: write.streamOrdering,
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

/** Only what is left at the end of the batch is written. */
async function updateExtremities(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const removed = new Map<number, number>()
  const added = new Map<number, number>()
  for (const write of writes) {
    for (const nid of write.extremities.removed) {
      if (!added.delete(nid)) removed.set(nid, write.room.roomNid)
    }
    if (write.extremities.becomesOne) added.set(write.eventNid, write.room.roomNid)
  }
  const statements: Promise<unknown>[] = []
  if (removed.size > 0) {
    const rows = [...removed].map(([eventNid, roomNid]) => ({ room_nid: roomNid, event_nid: eventNid }))
    const source = tx.dialect.rowsFrom({ room_nid: 'integer', event_nid: 'integer' })
    statements.push(
      tx.execute(
        `DELETE FROM forward_extremities WHERE (room_nid, event_nid) IN
           (SELECT r.room_nid, r.event_nid FROM ${source} AS r)`,
        [tx.dialect.rows(rows)],
      ),
    )
  }
  if (added.size > 0) {
    const rows = [...added].map(([eventNid, roomNid]) => ({ room_nid: roomNid, event_nid: eventNid }))
    statements.push(
      tx.insertMany('forward_extremities', rows, { columns: { room_nid: 'integer', event_nid: 'integer' } }),
    )
  }
  await Promise.all(statements)
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

async function writeCurrentState(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const changes = writes.flatMap((write) =>
    write.stateChanges.map((change) => ({
      ...change,
      roomNid: write.room.roomNid,
      streamOrdering: write.streamOrdering ?? 0,
    })),
  )
  if (changes.length === 0) return
  const last = new Map(changes.map((change) => [keyOf(change), change]))
  const held = [...last.values()].filter((change) => change.eventNid !== null)
  const gone = [...last.values()].filter((change) => change.eventNid === null)
  const keyColumns = { room_nid: 'integer', type: 'text', state_key: 'text' } as const
  const statements: Promise<unknown>[] = [
    tx.insertMany(
      'current_state_deltas',
      changes.map((change) => ({
        stream_ordering: change.streamOrdering,
        ...keyRow(change),
        event_nid: change.eventNid,
        prev_event_nid: change.prevEventNid,
      })),
      {
        columns: {
          stream_ordering: 'integer',
          ...keyColumns,
          event_nid: 'integer',
          prev_event_nid: 'integer',
        },
      },
    ),
    ...writeMembers(tx, changes, last),
  ]
  if (held.length > 0) {
    statements.push(
      tx.insertMany(
        'current_state',
        held.map((change) => ({ ...keyRow(change), event_nid: change.eventNid })),
        {
          columns: { ...keyColumns, event_nid: 'integer' },
          conflict: { key: ['room_nid', 'type', 'state_key'], update: ['event_nid'] },
        },
      ),
    )
  }
  if (gone.length > 0) {
    statements.push(
      tx.execute(
        `DELETE FROM current_state WHERE (room_nid, type, state_key) IN
           (SELECT r.room_nid, r.type, r.state_key FROM ${tx.dialect.rowsFrom(keyColumns)} AS r)`,
        [tx.dialect.rows(gone.map(keyRow))],
      ),
    )
  }
  await Promise.all(statements)
}

type PlacedChange = CurrentStateChange & { readonly roomNid: number; readonly streamOrdering: number }

function keyOf(change: PlacedChange): string {
  return `${change.roomNid}\u0000${change.type}\u0000${change.stateKey}`
}

function keyRow(change: PlacedChange): { room_nid: number; type: string; state_key: string } {
  return { room_nid: change.roomNid, type: change.type, state_key: change.stateKey }
}

/** The flat table of members, the history of local ones, and the counts of each room. */
function writeMembers(
  tx: Tx,
  changes: readonly PlacedChange[],
  last: ReadonlyMap<string, PlacedChange>,
): Promise<unknown>[] {
  const members = changes.flatMap((change) =>
    change.type === 'm.room.member' && change.member ? [{ ...change, member: change.member }] : [],
  )
  if (members.length === 0) return []
  const final = members.filter((change) => last.get(keyOf(change))?.streamOrdering === change.streamOrdering)
  const local = members.filter((change) => change.member.isLocal)
  const counts = countChanges(members)
  const statements = [
    tx.insertMany('room_members', final.map(memberRow), {
      columns: {
        room_nid: 'integer',
        user_id: 'text',
        membership: 'text',
        event_nid: 'integer',
        stream_ordering: 'integer',
        sender: 'text',
        display_name: 'text',
        avatar_url: 'text',
        is_local: 'integer',
        forgotten: 'integer',
      },
      conflict: {
        key: ['room_nid', 'user_id'],
        update: [
          'membership',
          'event_nid',
          'stream_ordering',
          'sender',
          'display_name',
          'avatar_url',
          'forgotten',
        ],
      },
    }),
  ]
  if (local.length > 0) {
    statements.push(
      tx.insertMany(
        'local_memberships',
        local.map((change) => ({
          user_id: change.stateKey,
          stream_ordering: change.streamOrdering,
          room_nid: change.roomNid,
          membership: change.member.membership,
          event_nid: change.eventNid ?? 0,
        })),
        {
          columns: {
            user_id: 'text',
            stream_ordering: 'integer',
            room_nid: 'integer',
            membership: 'text',
            event_nid: 'integer',
          },
        },
      ),
    )
  }
  return counts.length > 0 ? [...statements, updateCounts(tx, counts)] : statements
}

function memberRow(change: PlacedChange & { member: MemberChange }): Record<string, string | number | null> {
  return {
    room_nid: change.roomNid,
    user_id: change.stateKey,
    membership: change.member.membership,
    event_nid: change.eventNid ?? 0,
    stream_ordering: change.streamOrdering,
    sender: change.member.sender,
    display_name: change.member.displayName ?? null,
    avatar_url: change.member.avatarUrl ?? null,
    is_local: change.member.isLocal ? 1 : 0,
    forgotten: 0,
  }
}

interface CountChange {
  room_nid: number
  joined: number
  invited: number
  [column: string]: number
}

function countChanges(members: readonly (PlacedChange & { member: MemberChange })[]): CountChange[] {
  const counts = new Map<number, CountChange>()
  for (const { roomNid, member } of members) {
    const count = counts.get(roomNid) ?? { room_nid: roomNid, joined: 0, invited: 0 }
    count.joined += Number(member.membership === 'join') - Number(member.previous === 'join')
    count.invited += Number(member.membership === 'invite') - Number(member.previous === 'invite')
    counts.set(roomNid, count)
  }
  return [...counts.values()].filter((count) => count.joined !== 0 || count.invited !== 0)
}

function updateCounts(tx: Tx, counts: readonly CountChange[]): Promise<void> {
  const source = tx.dialect.rowsFrom({ room_nid: 'integer', joined: 'integer', invited: 'integer' })
  return tx
    .execute(
      `UPDATE rooms SET joined_members = joined_members + r.joined, invited_members = invited_members + r.invited
       FROM ${source} AS r WHERE rooms.room_nid = r.room_nid`,
      [tx.dialect.rows(counts)],
    )
    .then(() => undefined)
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

async function writeRedactions(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const redactions = writes.flatMap(({ redaction, event, eventNid }) =>
    redaction ? [{ ...redaction, eventId: event.eventId, eventNid }] : [],
  )
  if (redactions.length === 0) return
  await tx.insertMany(
    'redactions',
    redactions.map((redaction) => ({
      target_id: redaction.targetId,
      redaction_nid: redaction.eventNid,
      applied: redaction.applied ? 1 : 0,
    })),
    { columns: { target_id: 'text', redaction_nid: 'integer', applied: 'integer' }, conflict: 'ignore' },
  )
  const applied = redactions.filter((redaction) => redaction.applied)
  if (applied.length === 0) return
  const source = tx.dialect.rowsFrom({ target_id: 'text', redaction_id: 'text' })
  await tx.execute(
    `UPDATE events SET redacted_by = r.redaction_id, notifies = 0 FROM ${source} AS r
     WHERE events.event_id = r.target_id AND events.redacted_by IS NULL`,
    [
      tx.dialect.rows(
        applied.map(({ targetId, eventId }) => ({ target_id: targetId, redaction_id: eventId })),
      ),
    ],
  )
}
