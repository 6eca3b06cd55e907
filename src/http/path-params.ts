import { invalidParam } from '../protocol/errors.js'
import {
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  type DeviceId,
  type EventId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../protocol/ids.js'

/** Parameters that are checked and branded once for all endpoints. Others are plain strings. */
interface KnownParams {
  roomId: RoomId
  userId: UserId
  eventId: EventId
  roomAlias: RoomAlias
  serverName: ServerName
  deviceId: DeviceId
}

type Names<Path extends string> = Path extends `${string}:${infer Rest}`
  ? Rest extends `${infer Name}/${infer Tail}`
    ? Name | Names<`/${Tail}`>
    : Rest
  : never

/** The parameters in a path literal: `PathParams<'/rooms/:roomId/send'>` is `{roomId: RoomId}`. */
export type PathParams<Path extends string> = {
  readonly [Name in Names<Path>]: Name extends keyof KnownParams ? KnownParams[Name] : string
}

type Checks = Readonly<Record<string, ((text: string) => string | undefined) | undefined>>

const CHECKS: Checks = {
  roomId: parseRoomId,
  userId: parseUserId,
  eventId: parseEventId,
  roomAlias: parseRoomAlias,
  serverName: parseServerName,
  deviceId: (text) => (text === '' ? undefined : text),
} satisfies Record<keyof KnownParams, (text: string) => string | undefined>

/**
 * The parameters of a route from what a path gave; a parameter that the path leaves out is empty. Throws
 * `M_INVALID_PARAM` for what is no ID of its kind, and for U+0000, which databases refuse.
 */
export function checkPathParams(
  names: readonly string[],
  raw: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const params: Record<string, string> = {}
  for (const name of names) {
    const value = raw[name] ?? ''
    const isId = CHECKS[name]
    if (isId !== undefined && isId(value) === undefined) throw invalidParam(`${name} is not valid`)
    if (value.includes('\u0000')) throw invalidParam(`${name} contains a null character`)
    params[name] = value
  }
  return params
}
