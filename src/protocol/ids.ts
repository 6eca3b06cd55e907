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
