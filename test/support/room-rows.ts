import { Event, type PduJson } from '../../src/protocol/event.js'
import type { EventId, RoomId, UserId } from '../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../src/protocol/room-versions.js'
import type { Database } from '../../src/storage/database.js'
import type { PushException } from '../../src/storage/stores/event-writer.js'
import type { Membership } from '../../src/storage/stores/room-members.js'
import type { JsonObject } from '../../src/util/json.js'

export interface TestEvent {
  readonly sender: UserId
  readonly type?: string
  readonly content?: JsonObject
  readonly notifies?: boolean
  /** Whom it highlights; `*` for everybody. */
  readonly highlights?: readonly string[]
  readonly exceptions?: readonly PushException[]
  readonly relation?: { readonly relType: string; readonly eventId: EventId }
}

/** A room made of rows, for tests of what reads it: nothing checks what happens in it. */
export class RoomRows {
  readonly roomNid: number
  readonly roomId: RoomId
  readonly #db: Database
  readonly #next: { value: number }

  private constructor(db: Database, roomNid: number, next: { value: number }) {
    this.#db = db
    this.#next = next
    this.roomNid = roomNid
    this.roomId = `!room${roomNid}:hs.test` as RoomId
  }

  /** `next` counts positions and nids: rooms of one database share it. */
  static async create(db: Database, next: { value: number } = { value: 1 }): Promise<RoomRows> {
    const room = new RoomRows(db, next.value++, next)
    await db.write('test', (tx) =>
      tx.execute(
        `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (?, ?, '11', '@creator:hs.test', 0)`,
        [room.roomNid, room.roomId],
      ),
    )
    return room
  }

  /** Gives somebody of this server a membership; the position of the change. */
  async setMembership(
    userId: UserId,
    membership: Membership,
    { displayName }: { displayName?: string } = {},
  ): Promise<number> {
    const position = this.#next.value++
    await this.#db.write('test', async (tx) => {
      await tx.execute(
        `INSERT INTO local_memberships (user_id, stream_ordering, room_nid, membership, event_nid) VALUES (?, ?, ?, ?, ?)`,
        [userId, position, this.roomNid, membership, position],
      )
      await tx.execute(
        `INSERT INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender, display_name, is_local)
         VALUES (?, ?, ?, ?, ?, ?, ?, 1)
         ON CONFLICT (room_nid, user_id)
           DO UPDATE SET membership = excluded.membership, display_name = excluded.display_name`,
        [this.roomNid, userId, membership, position, position, userId, displayName ?? null],
      )
    })
    return position
  }

  /** Writes an event and returns its ID. */
  async send(input: TestEvent): Promise<EventId> {
    const [eventId] = await this.sendMany([input])
    return eventId!
  }

  async sendMany(inputs: readonly TestEvent[]): Promise<EventId[]> {
    const rows = inputs.map((input) => this.#row(input))
    const highlights = rows.flatMap(({ stream_ordering }, index) =>
      (inputs[index]?.highlights ?? []).map((userId) => ({
        user_id: userId,
        room_nid: this.roomNid,
        stream_ordering,
      })),
    )
    const exceptions = rows.flatMap(({ stream_ordering }, index) =>
      (inputs[index]?.exceptions ?? []).map(({ userId, quiet, ...added }) => ({
        user_id: userId,
        room_nid: this.roomNid,
        stream_ordering,
        quiet: quiet ? 1 : 0,
        ...added,
      })),
    )
    await this.#db.write('test', async (tx) => {
      await tx.insertMany('events', rows, { columns: EVENT_COLUMNS })
      await tx.insertMany('event_push_exceptions', exceptions, { columns: EXCEPTION_COLUMNS })
      await tx.insertMany('event_highlights', highlights, {
        columns: { user_id: 'text', room_nid: 'integer', stream_ordering: 'integer' },
      })
    })
    return rows.map((row) => row.event_id)
  }

  #row({ sender, type = 'm.room.message', content = {}, relation, notifies = true }: TestEvent) {
    const position = this.#next.value++
    const eventId = `$event${position}` as EventId
    const json: PduJson = {
      type,
      sender,
      room_id: this.roomId,
      content,
      origin_server_ts: position,
      depth: position,
      prev_events: [],
      auth_events: [],
      hashes: { sha256: '' },
      signatures: {},
    }
    const event = new Event(getRoomVersionRules('11')!, json, { eventId, roomId: this.roomId })
    return {
      event_nid: position,
      event_id: event.eventId,
      room_nid: this.roomNid,
      stream_ordering: position,
      depth: position,
      type,
      sender,
      origin_server_ts: position,
      received_ts: position,
      relates_to: relation?.eventId ?? null,
      rel_type: relation?.relType ?? null,
      thread_root: relation?.relType === 'm.thread' ? relation.eventId : null,
      notifies: notifies ? 1 : 0,
      json: JSON.stringify(event.json),
    }
  }
}

const EXCEPTION_COLUMNS = {
  user_id: 'text',
  room_nid: 'integer',
  stream_ordering: 'integer',
  quiet: 'integer',
  notifications: 'integer',
  highlights: 'integer',
} as const

const EVENT_COLUMNS = {
  event_nid: 'integer',
  event_id: 'text',
  room_nid: 'integer',
  stream_ordering: 'integer',
  depth: 'integer',
  type: 'text',
  sender: 'text',
  origin_server_ts: 'integer',
  received_ts: 'integer',
  relates_to: 'text',
  rel_type: 'text',
  thread_root: 'text',
  notifies: 'integer',
  json: 'text',
} as const
