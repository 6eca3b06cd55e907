import type { StateEventKind } from '../../config/sections/rooms.js'
import type { UserId } from '../../protocol/ids.js'
import { pruneStrippedState, stripStateEvent, type StrippedStateJson } from '../../protocol/stripped-state.js'
import type { Query } from '../../storage/database.js'
import type { CurrentStateEntry, CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import { groupBy } from '../../util/group-by.js'
import { isJsonObject, type JsonValue } from '../../util/json.js'

interface Parts {
  readonly currentState: Pick<CurrentStateStore, 'pick' | 'listFew'>
  readonly events: Pick<EventsStore, 'getByNids'>
}

/** A room that somebody is to know of, and who invites them: so that they are shown a name and not an ID alone. */
export interface PrejoinWish {
  readonly roomNid: number
  readonly inviter?: UserId | undefined
}

/** Of a type that is wanted with any state key, so many events of a room are shown. */
const MAX_OF_TYPE = 100

/**
 * What those see of a room who are invited or knock: the state that `room_prejoin_state` names.
 * https://spec.matrix.org/latest/client-server-api/#stripped-state
 */
export class PrejoinState {
  readonly #parts: Parts
  readonly #keys: readonly (readonly [type: string, stateKey: string])[]
  /** Those of which all are wanted. */
  readonly #types: readonly string[]

  constructor(parts: Parts, kinds: readonly StateEventKind[]) {
    this.#parts = parts
    this.#types = [...new Set(kinds.flatMap(({ type, stateKey }) => (stateKey === undefined ? [type] : [])))]
    this.#keys = kinds.flatMap(({ type, stateKey }) =>
      stateKey === undefined || this.#types.includes(type) ? [] : [[type, stateKey] as const],
    )
  }

  /**
   * The stripped state that goes with invitations and knocks, by the nid of the member event: as the other server has sent
   * it along, or as the room is now.
   */
  async ofMembers(q: Query, members: readonly StoredEvent[]): Promise<Map<number, StrippedStateJson[]>> {
    const states = new Map<number, StrippedStateJson[]>()
    const ours: StoredEvent[] = []
    for (const member of members) {
      const received = receivedState(member)
      if (received === undefined) ours.push(member)
      else states.set(member.eventNid, pruneStrippedState(received))
    }
    const found = await this.list(
      q,
      ours.map(({ roomNid, event }) => ({ roomNid, inviter: event.sender })),
    )
    for (const [index, { eventNid }] of ours.entries()) {
      const others = found[index]!.filter((stored) => stored.eventNid !== eventNid)
      states.set(
        eventNid,
        others.map(({ event }) => stripStateEvent(event)),
      )
    }
    return states
  }

  /** The state of rooms as they are now, in the order of the wishes. */
  async list(q: Query, wishes: readonly PrejoinWish[]): Promise<StoredEvent[][]> {
    if (wishes.length === 0) return []
    const roomNids = [...new Set(wishes.map(({ roomNid }) => roomNid))]
    const named = roomNids.flatMap((roomNid) =>
      this.#keys.map(([type, stateKey]) => ({ roomNid, type, stateKey })),
    )
    const inviters = wishes.flatMap(({ roomNid, inviter }) =>
      inviter === undefined ? [] : [{ roomNid, type: MEMBER, stateKey: inviter }],
    )
    const [picked, many] = await Promise.all([
      this.#parts.currentState.pick(q, [...named, ...inviters]),
      this.#types.length === 0
        ? []
        : this.#parts.currentState.listFew(q, { roomNids, types: this.#types, limit: MAX_OF_TYPE }),
    ])
    const byRoom = groupBy([...picked, ...many], ({ roomNid }) => roomNid)
    const events = await this.#parts.events.getByNids(q, [
      ...new Set([...picked, ...many].map(({ eventNid }) => eventNid)),
    ])
    return wishes.map(({ roomNid, inviter }) => {
      const shown = (byRoom.get(roomNid) ?? []).filter((entry) => this.#isShown(entry, inviter))
      return [...new Set(shown.map(({ eventNid }) => eventNid))].flatMap((nid) => events.get(nid) ?? [])
    })
  }

  /** Not to those whom others have invited: that would tell them who else invites. */
  #isShown({ type, stateKey }: CurrentStateEntry, inviter: UserId | undefined): boolean {
    if (type !== MEMBER || stateKey === inviter || this.#types.includes(MEMBER)) return true
    return this.#keys.some(([wanted, key]) => wanted === MEMBER && key === stateKey)
  }
}

const MEMBER = 'm.room.member'

function receivedState({ event }: StoredEvent): JsonValue | undefined {
  const { unsigned } = event.json as { readonly unsigned?: JsonValue }
  if (!isJsonObject(unsigned)) return undefined
  return unsigned[event.content['membership'] === 'knock' ? 'knock_room_state' : 'invite_room_state']
}
