import type { RoomId, UserId } from '../../protocol/ids.js'
import type { StreamName } from '../../storage/streams/stream-names.js'

/** Whom a new position concerns. Users are woken by either: as members of a room, or by name. */
export interface PositionHints {
  readonly rooms?: readonly RoomId[]
  readonly users?: readonly UserId[]
}

/** What writers tell readers after a commit: that a stream has moved, never the data. */
export interface PositionSink {
  onNewPosition(stream: StreamName, hints: PositionHints): void
}
