import type { Query, Tx } from '../database.js'
import type { SequenceOptions } from '../streams/sequences.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'

export interface ThreadSubscriptionKey {
  readonly userId: UserId
  readonly roomNid: number
  readonly rootId: EventId
}

/** Whether somebody wants to hear of a thread. */
export interface ThreadSubscription {
  readonly isSubscribed: boolean
  /** Their client has subscribed them, not they themselves. */
  readonly isAutomatic: boolean
  /** Where the events stream was when they had enough of it. */
  readonly unsubscribedAt: number | undefined
}

/** A subscription as of its last change. */
export interface ThreadSubscriptionChange {
  readonly roomId: RoomId
  readonly rootId: EventId
  readonly isSubscribed: boolean
  readonly isAutomatic: boolean
  readonly streamId: number
}

/** A member of a room who wants to hear of a thread. */
export interface ThreadSubscriber {
  readonly userId: UserId
  /** In the room. */
  readonly displayName: string | undefined
}

interface Row {
  subscribed: number
  automatic: number
  unsubscribed_at: number | null
}

interface ChangeRow {
  room_id: string
  root_id: string
  subscribed: number
  automatic: number
  stream_id: number
}

export const THREAD_SUBSCRIPTIONS_STREAM: SequenceOptions = {
  sequence: 'thread_subscriptions_stream_seq',
  table: 'thread_subscriptions',
  column: 'stream_id',
}

/** Subscriptions to threads; ended ones too, so that all clients hear of their end. */
export class ThreadSubscriptionsStore {
  /** By primary key. */
  async get(q: Query, key: ThreadSubscriptionKey): Promise<ThreadSubscription | undefined> {
    const row = await q.first<Row>(
      `SELECT subscribed, automatic, unsubscribed_at FROM thread_subscriptions
       WHERE user_id = ? AND room_nid = ? AND root_id = ?`,
      [key.userId, key.roomNid, key.rootId],
    )
    return (
      row && {
        isSubscribed: row.subscribed === 1,
        isAutomatic: row.automatic === 1,
        unsubscribedAt: row.unsubscribed_at ?? undefined,
      }
    )
  }

  /** `streamId`: the position of the change. */
  async put(
    tx: Tx,
    key: ThreadSubscriptionKey,
    subscription: ThreadSubscription & { readonly streamId: number },
  ): Promise<void> {
    await tx.execute(
      `INSERT INTO thread_subscriptions (user_id, room_nid, root_id, stream_id, subscribed, automatic, unsubscribed_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (user_id, room_nid, root_id) DO UPDATE SET stream_id = excluded.stream_id,
         subscribed = excluded.subscribed, automatic = excluded.automatic,
         unsubscribed_at = excluded.unsubscribed_at`,
      [
        key.userId,
        key.roomNid,
        key.rootId,
        subscription.streamId,
        subscription.isSubscribed ? 1 : 0,
        subscription.isAutomatic ? 1 : 0,
        subscription.unsubscribedAt ?? null,
      ],
    )
  }

  /** The newest changes in `(from, to]`, the newest first. Index thread_subscriptions_stream. */
  async listChanges(
    q: Query,
    userId: UserId,
    { from, to, limit }: { from: number; to: number; limit: number },
  ): Promise<ThreadSubscriptionChange[]> {
    const rows = await q.all<ChangeRow>(
      `SELECT r.room_id, t.root_id, t.subscribed, t.automatic, t.stream_id
       FROM thread_subscriptions t JOIN rooms r ON r.room_nid = t.room_nid
       WHERE t.user_id = ? AND t.stream_id > ? AND t.stream_id <= ? ORDER BY t.stream_id DESC LIMIT ?`,
      [userId, from, to, limit],
    )
    return rows.map((row) => ({
      roomId: row.room_id as RoomId,
      rootId: row.root_id as EventId,
      isSubscribed: row.subscribed === 1,
      isAutomatic: row.automatic === 1,
      streamId: row.stream_id,
    }))
  }

  /** The members of this server in the room who have subscribed to a thread of it. Index thread_subscriptions_thread. */
  async listSubscribers(
    q: Query,
    { roomNid, rootId }: Pick<ThreadSubscriptionKey, 'roomNid' | 'rootId'>,
  ): Promise<ThreadSubscriber[]> {
    const rows = await q.all<{ user_id: string; display_name: string | null }>(
      `SELECT m.user_id, m.display_name FROM thread_subscriptions t
       JOIN room_members m ON m.room_nid = t.room_nid AND m.user_id = t.user_id
       WHERE t.room_nid = ? AND t.root_id = ? AND t.subscribed = 1 AND m.membership = 'join'`,
      [roomNid, rootId],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      displayName: row.display_name ?? undefined,
    }))
  }

  /** The keys of those subscriptions, of the ones asked for, that are there and have not ended. By primary key. */
  async listSubscribed(q: Query, keys: readonly ThreadSubscriptionKey[]): Promise<ThreadSubscriptionKey[]> {
    if (keys.length === 0) return []
    const { dialect } = q
    const rows = await q.all<{ user_id: string; room_nid: number; root_id: string }>(
      `SELECT t.user_id, t.room_nid, t.root_id
       FROM ${dialect.rowsFrom({ user_id: 'text', room_nid: 'integer', root_id: 'text' })} AS k
       CROSS JOIN thread_subscriptions t
       WHERE t.user_id = k.user_id AND t.room_nid = k.room_nid AND t.root_id = k.root_id AND t.subscribed = 1`,
      [
        dialect.rows(
          keys.map(({ userId, roomNid, rootId }) => ({
            user_id: userId,
            room_nid: roomNid,
            root_id: rootId,
          })),
        ),
      ],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      roomNid: row.room_nid,
      rootId: row.root_id as EventId,
    }))
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM thread_subscriptions WHERE user_id = ?', [userId])
  }
}
