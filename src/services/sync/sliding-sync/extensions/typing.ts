import type { RoomId } from '../../../../protocol/ids.js'
import type { JsonObject } from '../../../../util/json.js'
import type { Typing } from '../../../ephemeral/typing.js'
import { resumedAt } from './paused-extensions.js'
import { selectRooms, type Extension, type ExtensionFrame, type ExtensionResult } from './extension.js'

/**
 * Who types: when that changes, and when the client comes (back) to a room.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3961,
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4508
 */
export class TypingExtension implements Extension {
  readonly #typing: Pick<Typing, 'usersTyping' | 'changedRooms'>

  constructor(typing: Pick<Typing, 'usersTyping' | 'changedRooms'>) {
    this.#typing = typing
  }

  load(frame: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult> {
    const { pos, now, results, typing: told, changes } = frame
    const since = resumedAt(pos, 'typing')?.stream
    const changed = since && this.#typing.changedRooms(since.typing, now.typing)
    const rooms: [RoomId, JsonObject][] = []
    const typing = new Set<number>()
    for (const [roomNid, { roomId }] of selectRooms(frame, settings)) {
      if (frame.rooms.get(roomNid)?.membership !== 'join') continue
      const userIds = this.#typing.usersTyping(roomId)
      if (userIds.length > 0) typing.add(roomNid)
      const isNew = since === undefined || results.get(roomNid)?.isWide === true || !told.has(roomNid)
      if ((isNew && userIds.length > 0) || changed?.has(roomId))
        rooms.push([roomId, { type: 'm.typing', content: { user_ids: userIds } }])
    }
    if (!isSame(typing, told)) changes.typing = typing
    return Promise.resolve({ json: { rooms: Object.fromEntries(rooms) }, hasNews: rooms.length > 0 })
  }
}

function isSame(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  return a.size === b.size && [...a].every((roomNid) => b.has(roomNid))
}
