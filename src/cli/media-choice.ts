import { Args, Flags } from '@oclif/core'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { parseRoomId } from '../protocol/ids.js'
import { parseMxcUri } from '../protocol/mxc-uri.js'
import type { JsonObject } from '../util/json.js'
import { toUserId } from './administration.js'
import { UsageError } from './failures.js'

/** Of commands that do something with files: which, by name. They take several, and are not strict therefore. */
export const mediaChoiceArgs = {
  uri: Args.string({ ignoreStdin: true, description: 'mxc://example.org/abcdef; may repeat' }),
}

/** Flags of such commands: which, by whose they are or by their room. */
export const mediaChoiceFlags = {
  user: Flags.string({
    helpValue: 'USER',
    description: 'all that this user has uploaded: alice, or @alice:example.org',
  }),
  room: Flags.string({
    description: 'all that was sent in this room without encryption, by the ID of the room',
  }),
}

/** What is named, as the server is told; undefined where nothing is. Throws a `UsageError` for what is no name. */
export function namedFiles(
  given: {
    readonly uris: readonly string[]
    readonly user?: string | undefined
    readonly room?: string | undefined
  },
  config: Pick<HomeserverConfig, 'server'>,
): JsonObject[] {
  const { uris, user, room } = given
  const wrong = uris.find((uri) => parseMxcUri(uri) === undefined)
  if (wrong !== undefined) throw new UsageError(`${wrong} is no file: write mxc://example.org/abcdef`)
  if (room !== undefined && parseRoomId(room) === undefined) throw new UsageError(`${room} is no room ID`)
  return [
    ...(uris.length === 0 ? [] : [{ kind: 'ids', ids: [...uris] }]),
    ...(user === undefined ? [] : [{ kind: 'user', userId: toUserId(user, config) }]),
    ...(room === undefined ? [] : [{ kind: 'room', roomId: room }]),
  ]
}

/** The one choice that was made. Throws a `UsageError` where it is none or several. */
export function onlyChoice(choices: readonly JsonObject[], ways: string): JsonObject {
  const [choice, second] = choices
  if (choice === undefined) throw new UsageError(`Say which files: ${ways}`)
  if (second !== undefined) throw new UsageError(`Say in one way only which files: ${ways}`)
  return choice
}
