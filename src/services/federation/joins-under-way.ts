import type { RoomId } from '../../protocol/ids.js'

/** What is done with events when the join is over. Never rejects. */
export type HeldWork = () => Promise<void>

interface UnderWay {
  /** Several servers may be asked at the same time. */
  joins: number
  readonly held: { readonly events: number; readonly work: HeldWork }[]
}

/** Events that wait at a time, over all rooms: what comes beyond is found as a gap when somebody speaks again. */
const MAX_HELD = 500

/**
 * Rooms that this server is just coming into. Who lets it in counts it as a member from then on and sends it what happens,
 * while it does not know yet what the room is: that waits here until the join has ended, well or not.
 */
export class JoinsUnderWay {
  readonly #rooms = new Map<RoomId, UnderWay>()
  readonly #working = new Set<Promise<void>>()
  #held = 0

  /** The outcome of a join, during which events of the room are held. They are dealt with afterwards, in their order. */
  async run<T>(roomId: RoomId, join: () => Promise<T>): Promise<T> {
    const room = this.#rooms.get(roomId) ?? { joins: 0, held: [] }
    room.joins++
    this.#rooms.set(roomId, room)
    try {
      return await join()
    } finally {
      room.joins--
      if (room.joins === 0) this.#end(roomId, room)
    }
  }

  /** Holds some events of a room. False where it is not being joined, or too much waits already. */
  hold(roomId: RoomId, events: number, work: HeldWork): boolean {
    const room = this.#rooms.get(roomId)
    if (!room || this.#held + events > MAX_HELD) return false
    room.held.push({ events, work })
    this.#held += events
    return true
  }

  /** Resolves when nothing is dealt with any more. */
  async settle(): Promise<void> {
    await Promise.all(this.#working)
  }

  #end(roomId: RoomId, { held }: UnderWay): void {
    this.#rooms.delete(roomId)
    if (held.length === 0) return
    const working = this.#deal(held).finally(() => this.#working.delete(working))
    this.#working.add(working)
  }

  async #deal(held: UnderWay['held']): Promise<void> {
    for (const { events, work } of held) {
      await work()
      this.#held -= events
    }
  }
}
