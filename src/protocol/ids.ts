/**
 * Matrix identifiers as branded strings: a value of one of these types has been checked.
 * https://spec.matrix.org/latest/appendices/#common-identifier-format
 */
declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

export type UserId = Branded<'UserId'>
export type RoomId = Branded<'RoomId'>
export type EventId = Branded<'EventId'>
export type RoomAlias = Branded<'RoomAlias'>
export type ServerName = Branded<'ServerName'>
export type DeviceId = Branded<'DeviceId'>

/** No identifier is longer, its sigil and server name included, in bytes of UTF-8. */
export const MAX_ID_BYTES = 255

const DNS_NAME = /^[0-9A-Za-z.-]{1,255}(?::[0-9]{1,5})?$/
const IPV6_LITERAL = /^\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?$/
/** The reference hash of the create event: SHA-256 in URL-safe unpadded Base64. */
const HASH_ROOM_ID = /^![A-Za-z0-9_-]{43}$/
const COMPLIANT_LOCALPART = /^[!-9;-~]+$/

/** https://spec.matrix.org/latest/appendices/#server-name */
export function parseServerName(text: string): ServerName | undefined {
  if (DNS_NAME.test(text)) return text as ServerName
  const address = IPV6_LITERAL.exec(text)?.[1]
  return address !== undefined && URL.canParse(`http://[${address}]`) ? (text as ServerName) : undefined
}

/**
 * Also takes user IDs with historical localparts, which are any characters, even none.
 * https://spec.matrix.org/latest/appendices/#historical-user-ids
 */
export function parseUserId(text: string): UserId | undefined {
  return isLocalpartAtServer(text, '@') ? (text as UserId) : undefined
}

/** With a server name, or the hash of the create event. https://spec.matrix.org/latest/appendices/#room-ids */
export function parseRoomId(text: string): RoomId | undefined {
  return HASH_ROOM_ID.test(text) || isLocalpartAtServer(text, '!') ? (text as RoomId) : undefined
}

/** https://spec.matrix.org/latest/appendices/#room-aliases */
export function parseRoomAlias(text: string): RoomAlias | undefined {
  return isLocalpartAtServer(text, '#') ? (text as RoomAlias) : undefined
}

/** Opaque whatever the room version. https://spec.matrix.org/latest/appendices/#event-ids */
export function parseEventId(text: string): EventId | undefined {
  return text.length > 1 && text.startsWith('$') && isIdText(text) ? (text as EventId) : undefined
}

/**
 * Whether a user may be shown to clients outside of events: users with other historical localparts may not.
 * https://spec.matrix.org/latest/appendices/#historical-user-ids
 */
export function isCompliantUserId(userId: UserId): boolean {
  return COMPLIANT_LOCALPART.test(localpartOf(userId))
}

/** The user ID with this localpart. */
export function userIdOf(localpart: string, serverName: ServerName): UserId {
  return `@${localpart}:${serverName}` as UserId
}

/** What stands between the sigil and the first colon; all after the sigil where there is no colon. */
export function localpartOf(id: UserId | RoomId | RoomAlias): string {
  const colon = id.indexOf(':')
  return colon === -1 ? id.slice(1) : id.slice(1, colon)
}

/**
 * What stands after an identifier's first colon. The empty string, which is no server's name, where there is no colon:
 * event IDs and room IDs need not have a server.
 */
export function serverNameOf(id: string): ServerName {
  const colon = id.indexOf(':')
  return (colon === -1 ? '' : id.slice(colon + 1)) as ServerName
}

function isLocalpartAtServer(text: string, sigil: string): boolean {
  const colon = text.indexOf(':')
  return (
    colon > 0 &&
    text.startsWith(sigil) &&
    isIdText(text) &&
    parseServerName(text.slice(colon + 1)) !== undefined
  )
}

function isIdText(text: string): boolean {
  return fitsBytes(text, MAX_ID_BYTES) && text.isWellFormed() && !text.includes('\u0000')
}

/** Whether text has at most so many bytes of UTF-8. */
export function fitsBytes(text: string, maxBytes: number): boolean {
  // A UTF-16 unit takes one to three bytes: most texts need not be encoded to know.
  if (text.length > maxBytes) return false
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes
}
