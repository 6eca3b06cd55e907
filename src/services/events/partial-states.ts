import type { StoredEvent } from '../../storage/stores/events.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { ConflictResolver } from './conflict-resolver.js'
import type { StateLookup } from './event-assembler.js'
import type { PartialRooms } from './partial-rooms.js'
import type { RoomHead } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Parts {
  readonly partialRooms: Pick<PartialRooms, 'isPartial'>
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
  readonly conflicts: ConflictResolver
}

/**
 * States of rooms whose members are not all known: of those who are missing, the ones are taken for members that events
 * are authorized by, since nobody else can say who is in the room. Where they are not missing, but what is known of them may
 * be wrong since it was judged without knowing the others, events have a say too.
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

  /**
   * What is read of a state, with the members that authorize an event. Where the state disagrees with these, both are
   * resolved like branches: once all members are known, the event is judged anew.
   */
  async lookUp(
    head: RoomHead,
    { snapshot, found }: { readonly snapshot: StateSnapshot; readonly found: StateLookup },
    authEvents: readonly StoredEvent[],
  ): Promise<StateLookup> {
    if (!this.#parts.partialRooms.isPartial(head.room.roomNid)) return found
    const members = membersAmong(authEvents)
    const state = new Map([...members, ...found])
    const disputed = [...members].filter(([key, { eventNid }]) => state.get(key)?.eventNid !== eventNid)
    if (disputed.length === 0) return state
    for (const [key, stored] of await this.#settle(head, snapshot, disputed)) state.set(key, stored)
    return state
  }

  /** What resolution makes of a state and of members that are said to be part of it. */
  async #settle(
    { room, pending }: RoomHead,
    snapshot: StateSnapshot,
    disputed: readonly (readonly [StateKey, StoredEvent])[],
  ): Promise<Map<StateKey, StoredEvent>> {
    const { interner, conflicts } = this.#parts
    const keyNids = await interner.intern(disputed.map(([key]) => key))
    const claims = disputed.flatMap(([key, { eventNid }]) => {
      const keyNid = keyNids.get(key)
      return keyNid === undefined ? [] : [[keyNid, eventNid] as const]
    })
    const snapshots = [snapshot, snapshot.with(new Map(claims))]
    const { resolved, events } = await conflicts.resolve({ room, snapshots, pending })
    const settled = new Map<StateKey, StoredEvent>()
    for (const [key] of disputed) {
      const id = resolved.get(key)
      const stored = id === undefined ? undefined : events.get(id)
      if (stored) settled.set(key, stored)
    }
    return settled
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
