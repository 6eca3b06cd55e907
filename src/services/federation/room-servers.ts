import { LRUCache } from 'lru-cache'
import { serverNameOf, type ServerName } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomServersStore, StreamedEvent } from '../../storage/stores/room-servers.js'
import type { StateDelta, StateDeltasStore } from '../../storage/stores/state-deltas.js'
import type { EventTail } from '../events/event-tail.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import { upTo as boundedTo } from '../../util/lru-bounds.js'
import { Semaphore } from '../../util/semaphore.js'

/** Which servers were in the room of an event just before it, and just after it. */
export interface EventServers {
  readonly before: ReadonlySet<ServerName>
  readonly after: ReadonlySet<ServerName>
  /** So much has changed at once that both are who is there now: this server has just come in, most likely. */
  readonly isCrowded: boolean
}

interface Dependencies {
  readonly db: Database
  readonly store: RoomServersStore
  readonly deltas: StateDeltasStore
  readonly events: EventsStore
  readonly tail: Pick<EventTail, 'between'>
  /** Rooms whose members are not all known: the servers that were named instead. */
  readonly partialRooms: Pick<PartialRooms, 'get'>
}

/** Members by server; the servers without any are left out. */
type Counts = Map<ServerName, number>

const MAX_ROOMS = 20_000
/** A room in which so many memberships change at once is read anew. */
const MAX_DELTAS = 500
const NOBODY: ReadonlySet<ServerName> = new Set()

/**
 * Which servers are in which rooms, ours included, at the position of the events stream that its owner has come to. Rooms
 * are read once and then follow the changes of memberships.
 */
export class RoomServers {
  readonly #deps: Dependencies
  readonly #rooms = new LRUCache<number, Counts>(boundedTo(MAX_ROOMS))
  /** What is read at one position must not be kept at another. */
  readonly #turns = new Semaphore(1)
  #position = 0

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** Up to where memberships have been taken in. */
  get position(): number {
    return this.#position
  }

  /** Begins at a position; to be called before anything else. */
  startAt(position: number): void {
    this.#position = position
    this.#rooms.clear()
  }

  /** Goes back to a position, where what came of a step was lost. */
  rewindTo(position: number): Promise<void> {
    return this.#turns.run(() => {
      this.startAt(position)
      return Promise.resolve()
    })
  }

  /** The servers that are in these rooms, also those that rooms of partial state were said to have. */
  list(roomNids: Iterable<number>): Promise<Map<number, ReadonlySet<ServerName>>> {
    const wanted = [...new Set(roomNids)]
    return this.#turns.run(async () => {
      await this.#load(wanted)
      return new Map(wanted.map((roomNid) => [roomNid, this.#serversOf(roomNid)]))
    })
  }

  /**
   * Goes on to `upTo`, and gives for each of the events, which are all that matter of the stretch, who was in its room.
   */
  step(events: readonly StreamedEvent[], upTo: number): Promise<Map<number, EventServers>> {
    return this.#turns.run(() => this.#step(events, upTo))
  }

  async #step(events: readonly StreamedEvent[], upTo: number): Promise<Map<number, EventServers>> {
    await this.#load(events.map(({ roomNid }) => roomNid))
    const deltas = await this.#memberDeltas(this.#position, upTo)
    const found = new Map<number, EventServers>()
    let next = 0
    const applyUpTo = (position: number): void => {
      for (
        let delta = deltas.changes[next];
        delta && delta.position <= position;
        delta = deltas.changes[++next]
      )
        this.#apply(delta)
    }
    for (const { eventNid, roomNid, streamOrdering } of events) {
      applyUpTo(streamOrdering - 1)
      const before = this.#serversOf(roomNid)
      applyUpTo(streamOrdering)
      const after = this.#serversOf(roomNid)
      found.set(eventNid, { before, after, isCrowded: deltas.crowded.has(roomNid) })
    }
    applyUpTo(upTo)
    this.#position = upTo
    for (const roomNid of deltas.crowded) this.#rooms.delete(roomNid)
    return found
  }

  #serversOf(roomNid: number): ReadonlySet<ServerName> {
    const counts = this.#rooms.get(roomNid)
    const named = this.#deps.partialRooms.get(roomNid)?.servers
    if (counts === undefined) return named ? new Set(named) : NOBODY
    return new Set([...counts.keys(), ...(named ?? [])])
  }

  /** Reads rooms as they were at our position: as they are now, less what has changed since. */
  async #load(roomNids: readonly number[]): Promise<void> {
    const missing = [...new Set(roomNids)].filter((roomNid) => !this.#rooms.has(roomNid))
    if (missing.length === 0) return
    const { db, store } = this.#deps
    await db.read('load_room_servers', async (q) => {
      const loaded = new Map<number, Counts>(missing.map((roomNid) => [roomNid, new Map()]))
      for (const { roomNid, server, members } of await store.listCounts(q, missing))
        loaded.get(roomNid)?.set(server, members)
      const changes = await this.#changesSince(q, missing, this.#position)
      // The last first, so that no count is ever less than none.
      for (const change of changes.reverse()) {
        const counts = loaded.get(change.roomNid)
        if (counts) add(counts, change.server, -change.members)
      }
      for (const [roomNid, counts] of loaded) this.#rooms.set(roomNid, counts)
    })
  }

  async #changesSince(q: Query, roomNids: readonly number[], after: number): Promise<CountChange[]> {
    const windows = roomNids.map((roomNid) => ({ roomNid, after, upTo: Number.MAX_SAFE_INTEGER }))
    const deltas = (await this.#deps.deltas.listForRooms(q, windows)).filter(isMember)
    // Of those that have just been filled with members it does not matter who was there a moment before.
    const crowded = crowdedRooms(deltas)
    return this.#toChanges(
      q,
      deltas.filter(({ roomNid }) => !crowded.has(roomNid)),
    )
  }

  async #memberDeltas(
    after: number,
    upTo: number,
  ): Promise<{ changes: CountChange[]; crowded: ReadonlySet<number> }> {
    const q = this.#deps.db.reader
    const slice = await this.#deps.tail.between(after, upTo)
    const all = slice?.deltas ?? (await this.#deps.deltas.listStream(q, after, upTo))
    const deltas = all.filter((delta) => isMember(delta) && this.#rooms.has(delta.roomNid))
    const crowded = crowdedRooms(deltas)
    const changes = await this.#toChanges(
      q,
      deltas.filter(({ roomNid }) => !crowded.has(roomNid)),
    )
    // They are read anew: as they are then, which is at least as much.
    if (crowded.size > 0) await this.#reload(q, [...crowded])
    return { changes, crowded }
  }

  async #reload(q: Query, roomNids: readonly number[]): Promise<void> {
    const counts = new Map<number, Counts>(roomNids.map((roomNid) => [roomNid, new Map()]))
    for (const { roomNid, server, members } of await this.#deps.store.listCounts(q, roomNids))
      counts.get(roomNid)?.set(server, members)
    for (const [roomNid, ofRoom] of counts) this.#rooms.set(roomNid, ofRoom)
  }

  async #toChanges(q: Query, deltas: readonly StateDelta[]): Promise<CountChange[]> {
    const nids = deltas.flatMap(({ eventNid, prevEventNid }) => [eventNid, prevEventNid])
    const events = await this.#deps.events.getByNids(
      q,
      nids.filter((nid) => nid !== null),
    )
    const isJoin = (nid: number | null): number =>
      nid !== null && events.get(nid)?.event.content['membership'] === 'join' ? 1 : 0
    return deltas.flatMap(({ roomNid, stateKey, streamOrdering, eventNid, prevEventNid }) => {
      const members = isJoin(eventNid) - isJoin(prevEventNid)
      const server = serverNameOf(stateKey)
      return members === 0 ? [] : [{ roomNid, server, members, position: streamOrdering }]
    })
  }

  #apply({ roomNid, server, members }: CountChange): void {
    const counts = this.#rooms.get(roomNid)
    if (counts) add(counts, server, members)
  }
}

interface CountChange {
  readonly roomNid: number
  readonly server: ServerName
  /** How many more there are; negative for less. */
  readonly members: number
  readonly position: number
}

function add(counts: Counts, server: ServerName, members: number): void {
  const count = (counts.get(server) ?? 0) + members
  if (count > 0) counts.set(server, count)
  else counts.delete(server)
}

function isMember({ type }: StateDelta): boolean {
  return type === 'm.room.member'
}

function crowdedRooms(deltas: readonly StateDelta[]): Set<number> {
  const counts = new Map<number, number>()
  for (const { roomNid } of deltas) counts.set(roomNid, (counts.get(roomNid) ?? 0) + 1)
  return new Set([...counts].flatMap(([roomNid, count]) => (count > MAX_DELTAS ? roomNid : [])))
}
