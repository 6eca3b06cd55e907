import { randomString, LETTERS_AND_DIGITS } from '../../util/random.js'
import type { EventId, RoomId } from '../../protocol/ids.js'

/**
 * What people who are shadow-banned are told: that it worked. The length is that of the IDs of current room versions.
 */
export function pretendedEventId(): EventId {
  return `$${randomString(43, LETTERS_AND_DIGITS)}` as EventId
}

export function pretendedRoomId(): RoomId {
  return `!${randomString(43, LETTERS_AND_DIGITS)}` as RoomId
}
