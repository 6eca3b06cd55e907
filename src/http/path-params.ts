import type { DeviceId, EventId, RoomAlias, RoomId, ServerName, UserId } from '../protocol/ids.js'

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
