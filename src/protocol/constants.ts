/** The largest event in bytes: as canonical JSON, in the format of federation, with its signatures. */
export const MAX_EVENT_BYTES = 65_536
/** The longest `type`, `state_key`, `sender`, `room_id` and `event_id`, in bytes of UTF-8. */
export const MAX_EVENT_FIELD_BYTES = 255
/** https://spec.matrix.org/latest/rooms/v12/#event-format-1 */
export const MAX_PREV_EVENTS = 20
export const MAX_AUTH_EVENTS = 10
/** The last depth of room versions with strict canonical JSON: deeper events keep it. */
export const MAX_DEPTH = Number.MAX_SAFE_INTEGER
/** The last depth of room versions without. */
export const MAX_DEPTH_V1 = 2 ** 63
