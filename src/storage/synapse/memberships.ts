import type { SourceRows } from './rows.js'

/** The current state of a room, with what memberships say. */
export function currentStateOf(roomId: string): SourceRows {
  return {
    table: 'current_state_events',
    columns: ['type', 'state_key', 'event_id'],
    extra: {
      stream_ordering: 'e.stream_ordering',
      sender: 'e.sender',
      membership: 'm.membership',
      display_name: 'm.display_name',
      avatar_url: 'm.avatar_url',
    },
    join: `JOIN events e ON e.event_id = t.event_id LEFT JOIN room_memberships m ON m.event_id = t.event_id`,
    where: 't.room_id = ?',
    params: [roomId],
    key: ['type', 'state_key'],
  }
}

/** The memberships that users of this server have in a room now, also where the server is not in the room. */
export function localMembershipsOf(roomId: string): SourceRows {
  return {
    table: 'local_current_membership',
    columns: ['user_id', 'event_id', 'membership'],
    extra: {
      stream_ordering: 'e.stream_ordering',
      outlier: 'CASE WHEN e.outlier THEN 1 ELSE 0 END',
      sender: 'e.sender',
      display_name: 'm.display_name',
      avatar_url: 'm.avatar_url',
      forgotten: 'm.forgotten',
    },
    join: 'JOIN events e ON e.event_id = t.event_id LEFT JOIN room_memberships m ON m.event_id = t.event_id',
    where: 't.room_id = ?',
    params: [roomId],
    key: ['user_id'],
  }
}

/** All memberships that users of this server have had in a room and that are part of its history here. */
export function pastMembershipsOf(roomId: string, serverName: string): SourceRows {
  return {
    table: 'room_memberships',
    columns: ['user_id', 'membership', 'event_id'],
    extra: { stream_ordering: 'e.stream_ordering' },
    join: `JOIN events e ON e.event_id = t.event_id JOIN event_json j ON j.event_id = t.event_id
      LEFT JOIN rejections r ON r.event_id = t.event_id`,
    where: `t.room_id = ? AND t.user_id LIKE ? ESCAPE '!' AND NOT e.outlier AND e.stream_ordering > 0
      AND r.event_id IS NULL AND j.internal_metadata NOT LIKE '%"soft!_failed":%true%' ESCAPE '!'`,
    params: [roomId, `%:${serverName.replace(/[!%_]/g, '!$&')}`],
    key: ['event_id'],
  }
}

/** The ends of a room's graph. */
export function forwardExtremitiesOf(roomId: string): SourceRows {
  return {
    table: 'event_forward_extremities',
    columns: ['event_id'],
    extra: { stream_ordering: 'e.stream_ordering' },
    join: 'JOIN events e ON e.event_id = t.event_id',
    where: 't.room_id = ? AND NOT e.outlier',
    params: [roomId],
    key: ['event_id'],
  }
}
