import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { PositionSink } from '../streams/notifier.js'
import { StreamFollower } from './stream-follower.js'

interface Dependencies {
  readonly partialRooms: Pick<PartialRooms, 'completedBetween'>
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  /** Told of rooms whose members have become known, one call after the other. */
  readonly onMembersKnown: (roomNids: readonly number[]) => Promise<void>
  readonly onError: (error: unknown) => void
}

/** Follows the events stream for rooms that were joined without their members, and tells when these are known. */
export class RoomCompletions implements PositionSink {
  readonly #deps: Dependencies
  readonly #follower: StreamFollower

  constructor(deps: Dependencies) {
    this.#deps = deps
    const { eventStream, partialRooms, onMembersKnown, onError } = deps
    this.#follower = new StreamFollower({
      position: () => eventStream.position(),
      take: async (after, upTo) => {
        const roomNids = partialRooms.completedBetween(after, upTo)
        if (roomNids.length > 0) await onMembersKnown(roomNids)
      },
      onError,
    })
  }

  start(): void {
    this.#follower.start(this.#deps.eventStream.position())
  }

  /** Resolves when nobody is being told any more. */
  stop(): Promise<void> {
    return this.#follower.stop()
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#follower.kick()
  }
}
