import type { Event } from '../../protocol/event.js'
import { parseHistoryVisibility, type HistoryVisibility } from '../../protocol/history-visibility.js'
import type { ServerName } from '../../protocol/ids.js'
import { redactEvent } from '../../protocol/redaction.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { ErasedUsers } from '../events/erased-users.js'
import { membershipOf, type StatePoints } from '../events/state-points.js'

interface Parts {
  readonly points: StatePoints
  readonly events: EventsStore
  readonly serverMembers: ServerMembersStore
  readonly stateKeys: StateKeysStore
  readonly snapshots: StateSnapshotsStore
  /** Whose messages other servers are not given any more. */
  readonly erased: Pick<ErasedUsers, 'list'>
}

const VISIBILITY_KEY = stateKeyOf('m.room.history_visibility', '')
/** Users of one server that are looked at; those who are in the room now come first. */
const MAX_USERS = 2_000

/**
 * What other servers may see of a room's history: whatever one of their users may. They get the rest in its redacted
 * form, without which they could not judge what comes after it.
 */
export class ServerVisibility {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The events of a room as a server that is in it may see them, in the same order. */
  async show(server: ServerName, room: RoomRecord, events: readonly StoredEvent[]): Promise<Event[]> {
    const visible = await this.filter(server, room, events)
    return events.map((stored) => (visible.has(stored) ? stored.event : redactEvent(stored.event)))
  }

  /** Those of the events of a room that a server which is in it may see whole. */
  async filter(
    server: ServerName,
    room: RoomRecord,
    events: readonly StoredEvent[],
  ): Promise<Set<StoredEvent>> {
    const snapshotNids = [...new Set(events.flatMap(snapshotsOf))]
    const points = await this.#parts.points.lookUp(
      this.#db.reader,
      snapshotNids.map((snapshotNid) => ({ snapshotNid, key: VISIBILITY_KEY })),
    )
    const visibilities = new Map(
      snapshotNids.map((nid) => [nid, parseHistoryVisibility(points.get(nid, VISIBILITY_KEY)?.event)]),
    )
    const narrow = snapshotNids.filter((nid) => isNarrow(visibilities.get(nid)))
    const present = await this.#presentAt(server, room, narrow, visibilities)
    const erased = await this.#parts.erased.list()
    const isOpen = (nid: number): boolean => !isNarrow(visibilities.get(nid)) || present.has(nid)
    return new Set(
      events.filter((stored) => {
        if (erased.has(stored.event.sender)) return false
        const snapshots = snapshotsOf(stored)
        // What has no place in the room is state that others were shown too.
        return snapshots.length === 0 || snapshots.some(isOpen)
      }),
    )
  }

  /** The states in which somebody of the server is in the room, or invited where that suffices. */
  async #presentAt(
    server: ServerName,
    room: RoomRecord,
    snapshotNids: readonly number[],
    visibilities: ReadonlyMap<number, HistoryVisibility>,
  ): Promise<Set<number>> {
    if (snapshotNids.length === 0) return new Set()
    const q = this.#db.reader
    const users = await this.#parts.serverMembers.listUsers(q, room.roomNid, server, MAX_USERS)
    const keys = users.map((userId) => stateKeyOf('m.room.member', userId))
    const keyNids = [...(await this.#parts.stateKeys.find(q, keys)).values()]
    const snapshots = await this.#parts.snapshots.getMany(q, snapshotNids)
    const members = new Map(
      [...snapshots].map(([nid, snapshot]) => [nid, keyNids.flatMap((key) => snapshot.get(key) ?? [])]),
    )
    const events = await this.#parts.events.getByNids(q, [...new Set([...members.values()].flat())])
    return new Set(
      [...members].flatMap(([nid, ofSnapshot]) => {
        const memberships = ofSnapshot.map((member) => membershipOf(events.get(member)))
        const isPresent =
          memberships.includes('join') ||
          (visibilities.get(nid) === 'invited' && memberships.includes('invite'))
        return isPresent ? nid : []
      }),
    )
  }
}

function isNarrow(visibility: HistoryVisibility | undefined): boolean {
  return visibility === 'joined' || visibility === 'invited'
}

/** The states around an event. */
function snapshotsOf({ stateBefore, stateAfter }: StoredEvent): number[] {
  if (stateBefore === null || stateAfter === null) return []
  return stateBefore === stateAfter ? [stateAfter] : [stateBefore, stateAfter]
}
