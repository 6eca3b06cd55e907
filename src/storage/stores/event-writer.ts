import type { Tx } from '../database.js'
import { encodeReach, type AuthChainPosition } from '../auth-reach.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import { writeCurrentState, type CurrentStateChange } from './current-state-writer.js'
import { RELATIONSHIPS } from './event-relationships.js'
import {
  EDGES,
  EVENTS,
  HIGHLIGHTS,
  PUSH_EXCEPTIONS,
  STICKY,
  TXNS,
  WAITING_STICKY,
  type EventTable,
} from './event-rows.js'
import { writeExtremities } from './extremity-moves.js'
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
  /** It is soft-failed by somebody who says what is wanted in the room, whatever its state. */
  readonly isUnwanted?: boolean
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
      insertRows(tx, EDGES, writes),
      writeGaps(tx, writes),
      writeExtremities(tx, writes),
      snapshots.length > 0 ? this.#snapshots.insert(tx, snapshots) : undefined,
      insertAuthChains(tx, writes),
      writeCurrentState(tx, writes),
      insertRows(tx, TXNS, writes),
      insertRows(tx, HIGHLIGHTS, writes),
      insertRows(tx, PUSH_EXCEPTIONS, writes),
      insertRows(tx, STICKY, writes),
      insertRows(tx, WAITING_STICKY, writes),
      insertRows(tx, RELATIONSHIPS, writes),
      writeRedactions(tx, writes),
    ])
  }
}

/** An outlier that gets a place in the graph has its row already. */
async function insertEvents(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<void> {
  const options = writes.some((write) => write.wasOutlier)
    ? { ...EVENTS.options, conflict: { key: ['event_nid'], update: LEARNT_OF_OUTLIERS } }
    : EVENTS.options
  await tx.insertMany(EVENTS.table, EVENTS.rows(writes), options)
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

async function insertRows(
  tx: Tx,
  { table, options, rows }: EventTable,
  writes: readonly PlacedEventWrite[],
): Promise<void> {
  const values = rows(writes)
  if (values.length > 0) await tx.insertMany(table, values, options)
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
