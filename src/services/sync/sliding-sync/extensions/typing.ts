import type { RoomId } from '../../../../protocol/ids.js'
import type { JsonObject } from '../../../../util/json.js'
import type { Typing } from '../../../ephemeral/typing.js'
import { resumedAt } from './paused-extensions.js'
import { selectRooms, type Extension, type ExtensionFrame, type ExtensionResult } from './extension.js'

/** Who types. https://github.com/matrix-org/matrix-spec-proposals/pull/3961 */
export class TypingExtension implements Extension {
  readonly #typing: Pick<Typing, 'usersTyping' | 'changedRooms'>

  constructor(typing: Pick<Typing, 'usersTyping' | 'changedRooms'>) {
    this.#typing = typing
  }

  load(frame: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult> {
    const { pos, now, results } = frame
    const since = resumedAt(pos, 'typing')?.stream
    const changed = since && this.#typing.changedRooms(since.typing, now.typing)
    const rooms: [RoomId, JsonObject][] = []
    for (const [roomNid, { roomId }] of selectRooms(frame, settings)) {
      if (frame.rooms.get(roomNid)?.membership !== 'join') continue
      const userIds = this.#typing.usersTyping(roomId)
      const isNew = (since === undefined || results.get(roomNid)?.isWide) && userIds.length > 0
      if (isNew || changed?.has(roomId))
        rooms.push([roomId, { type: 'm.typing', content: { user_ids: userIds } }])
    }
    return Promise.resolve({ json: { rooms: Object.fromEntries(rooms) }, hasNews: rooms.length > 0 })
  }
}
