import type { StoredEvent } from '../../storage/stores/events.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { StateLookup } from './event-assembler.js'
import type { PartialRooms } from './partial-rooms.js'
import type { RoomHead } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Parts {
  readonly partialRooms: Pick<PartialRooms, 'isPartial'>
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
}

/**
 * States of rooms whose members are not all known: of those who are missing, the ones are taken for members that events
 * are authorized by, since nobody else can say who is in the room.
 * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export class PartialStates {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The state before an event with the members that authorize it; as it is where the room is known whole. */
  async withMembers(
    { room }: RoomHead,
    before: SnapshotRef,
    authEvents: readonly StoredEvent[],
  ): Promise<SnapshotRef> {
    const { partialRooms, interner, builder } = this.#parts
    if (!partialRooms.isPartial(room.roomNid)) return before
    const members = membersAmong(authEvents)
    const keyNids = await interner.intern([...members.keys()])
    const changes = new Map<number, number>()
    for (const [key, { eventNid }] of members) {
      const keyNid = keyNids.get(key)
      if (keyNid !== undefined && before.snapshot.get(keyNid) === undefined) changes.set(keyNid, eventNid)
    }
    if (changes.size === 0) return before
    const completed = await builder.build(room, before, changes)
    return { ...completed, rows: [...before.rows, ...completed.rows] }
  }

  /** What is read of a state, with the members that authorize an event. */
  lookUp({ room }: RoomHead, state: StateLookup, authEvents: readonly StoredEvent[]): StateLookup {
    if (!this.#parts.partialRooms.isPartial(room.roomNid)) return state
    return new Map([...membersAmong(authEvents), ...state])
  }
}

function membersAmong(authEvents: readonly StoredEvent[]): Map<StateKey, StoredEvent> {
  const members = new Map<StateKey, StoredEvent>()
  for (const stored of authEvents) {
    const { type, stateKey } = stored.event
    if (type !== 'm.room.member' || stateKey === undefined || stored.rejected !== null) continue
    members.set(stateKeyOf(type, stateKey), stored)
  }
  return members
}
