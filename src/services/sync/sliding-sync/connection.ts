import {
  LIVE,
  type ConnectionKey,
  type ToldRoomVersion,
  type ToldUpTo,
} from '../../../storage/stores/sliding-sync.js'
import { RequiredState } from './required-state.js'

/** What a connection was told of a room. */
export interface RoomMemory {
  readonly sent: ToldUpTo
  readonly accountData: ToldUpTo
  readonly receipts: ToldUpTo
  readonly timelineLimit: number
  readonly requiredState: RequiredState
  readonly isDm: boolean
}

/** What an answer changes in a connection's memory. */
export class ConnectionChanges {
  readonly #before: ReadonlyMap<number, RoomMemory>
  readonly rooms = new Map<number, RoomMemory>()
  /** Of members that were loaded lazily, by room and user: the events that were sent. */
  readonly members = new Map<string, number>()
  /** The rooms of which the client then has been told that somebody types; undefined: as before. */
  typing: ReadonlySet<number> | undefined

  constructor(before: ReadonlyMap<number, RoomMemory>) {
    this.#before = before
  }

  get isEmpty(): boolean {
    return this.rooms.size === 0 && this.members.size === 0 && this.typing === undefined
  }

  /** Notes what differs from now on; what stays the same is no change. */
  note(roomNid: number, change: Partial<RoomMemory>): void {
    const known = this.rooms.get(roomNid) ?? this.#before.get(roomNid) ?? UNTOLD
    const next = { ...known, ...change }
    if (!isSame(known, next)) this.rooms.set(roomNid, next)
  }
}

/** A room of which nothing was told. */
export const UNTOLD: RoomMemory = {
  sent: undefined,
  accountData: undefined,
  receipts: undefined,
  timelineLimit: 0,
  requiredState: RequiredState.none,
  isDm: false,
}

/** Of required state as text, which stands in memory as sets beside. */
const BYTES_PER_CHARACTER = 4

/** The key of a member among those that were loaded lazily. */
export function memberKeyOf(roomNid: number, userId: string): string {
  return `${roomNid} ${userId}`
}

/** An answer that the client has not come back from yet. */
interface Pending {
  readonly version: number
  readonly changes: ConnectionChanges
  readonly isStored: boolean
}

/**
 * One connection: what the client has been told, as of the last answer it came back from, and what the answer after that
 * has added, in case it gets lost.
 */
export class Connection {
  readonly nid: number
  readonly key: ConnectionKey
  readonly #rooms = new Map<number, RoomMemory>()
  readonly #members = new Map<string, number>()
  #typing: ReadonlySet<number> = new Set()
  readonly #maxMembers: number
  #version: number
  #lastVersion: number
  #pending: Pending | undefined
  lastUsedTs: number

  constructor(
    identity: { readonly nid: number; readonly key: ConnectionKey; readonly lastUsedTs: number },
    versions: { readonly version: number; readonly lastVersion: number },
    options: { readonly maxMembers: number },
  ) {
    this.nid = identity.nid
    this.key = identity.key
    this.lastUsedTs = identity.lastUsedTs
    this.#version = versions.version
    this.#lastVersion = versions.lastVersion
    this.#maxMembers = options.maxMembers
  }

  /** By nid. */
  get rooms(): ReadonlyMap<number, RoomMemory> {
    return this.#rooms
  }

  /** The rooms that the client looks at, and has been told of that somebody types there. */
  get typing(): ReadonlySet<number> {
    return this.#typing
  }

  /** The version that the client has. */
  get version(): number {
    return this.#version
  }

  /** Rough, in bytes. Most rooms share what is known of their required state. */
  get size(): number {
    const states = new Set([...this.#rooms.values()].map(({ requiredState }) => requiredState))
    const text = [...states].reduce((sum, state) => sum + state.toJson().length, 0)
    return 500 + this.#rooms.size * 150 + this.#members.size * 100 + text * BYTES_PER_CHARACTER
  }

  /** Takes rows as they were read, each room's oldest first; those after the version that the client has do not count. */
  restore(rows: readonly ToldRoomVersion[], configs: ReadonlyMap<number, RequiredState>): void {
    for (const row of rows) {
      if (row.version > this.#version) continue
      this.#rooms.set(row.roomNid, {
        sent: row.sent,
        accountData: row.accountData,
        receipts: row.receipts,
        timelineLimit: row.timelineLimit,
        requiredState: configs.get(row.configId) ?? RequiredState.none,
        isDm: row.isDm,
      })
    }
  }

  /**
   * The client comes back with a version. `lost`: it never received the last answer, whose rows are stored; undefined:
   * the version is none that it can have.
   */
  resume(version: number): 'known' | 'lost' | undefined {
    const pending = this.#pending
    if (pending?.version === version) {
      this.#pending = undefined
      this.#version = version
      for (const [roomNid, room] of pending.changes.rooms) this.#rooms.set(roomNid, room)
      this.#remember(pending.changes.members)
      this.#typing = pending.changes.typing ?? this.#typing
      return 'known'
    }
    if (version !== this.#version) return undefined
    this.#pending = undefined
    return pending?.isStored ? 'lost' : 'known'
  }

  /** The number of the next answer's version. */
  nextVersion(): number {
    return ++this.#lastVersion
  }

  /** An answer is sent. */
  await(version: number, changes: ConnectionChanges): void {
    this.#pending = { version, changes, isStored: changes.rooms.size > 0 }
  }

  /** The event of a member that was loaded lazily with an earlier answer. */
  sentMember(roomNid: number, userId: string): number | undefined {
    return this.#members.get(memberKeyOf(roomNid, userId))
  }

  /** Who has been sent longest ago is forgotten first: sending them again costs little. */
  #remember(members: ReadonlyMap<string, number>): void {
    for (const [key, eventNid] of members) {
      this.#members.delete(key)
      this.#members.set(key, eventNid)
    }
    for (const key of this.#members.keys()) {
      if (this.#members.size <= this.#maxMembers) return
      this.#members.delete(key)
    }
  }
}

/** The position up to which a connection that is at `position` was told. */
export function positionOf(told: ToldUpTo, position: number): number | undefined {
  return told === LIVE ? position : told
}

function isSame(a: RoomMemory, b: RoomMemory): boolean {
  return (
    a.sent === b.sent &&
    a.accountData === b.accountData &&
    a.receipts === b.receipts &&
    a.timelineLimit === b.timelineLimit &&
    a.isDm === b.isDm &&
    a.requiredState.toJson() === b.requiredState.toJson()
  )
}
