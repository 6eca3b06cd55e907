import type { InsertOptions } from '../database.js'

/** How rows of `room_members` are written: what somebody is in a room, in the place of what they were. */
export const MEMBER_ROWS: InsertOptions = {
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
}
