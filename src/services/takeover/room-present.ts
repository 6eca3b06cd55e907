import type { Database, Row, Tx } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import { RoomPresentStore, type PresentEntry, type PresentMember } from '../../storage/stores/room-present.js'
import {
  currentStateOf,
  forwardExtremitiesOf,
  localMembershipsOf,
  pastMembershipsOf,
} from '../../storage/synapse/memberships.js'
import { isTrue, readPages, textOf } from '../../storage/synapse/rows.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { serverNameOf, type ServerName } from '../../protocol/ids.js'
import { splitStateKey } from '../../protocol/state-map.js'
import { eventNidOf } from './source-events.js'

export interface RoomPresentParts {
  readonly db: Database
  readonly source: SynapseSource
  readonly snapshots: StateSnapshotsStore
  readonly stateKeys: StateKeysStore
  readonly events: EventsStore
  readonly serverName: ServerName
}

/** Entries of a state whose events are read together. */
const ENTRIES_AT_ONCE = 2_000
const MEMBERSHIPS: ReadonlySet<string> = new Set(['join', 'invite', 'knock', 'leave', 'ban'])

/** Copies how a room is now: its current state, its members, the ends of its graph. What was there is replaced. */
export class RoomPresent {
  readonly #parts: RoomPresentParts
  readonly #store = new RoomPresentStore()

  constructor(parts: RoomPresentParts) {
    this.#parts = parts
  }

  /** In one transaction, with whatever `inTransaction` writes. */
  async copy(room: RoomRecord, inTransaction: (tx: Tx) => Promise<void>): Promise<void> {
    const { db, source, serverName } = this.#parts
    await db.write('takeover_room', async (tx) => {
      const { roomNid, roomId } = room
      await this.#store.clear(tx, roomNid)
      let hasState = false
      for await (const page of readPages(source, currentStateOf(roomId))) {
        hasState = true
        await this.#putEntries(tx, roomNid, page.map(toEntry))
        await this.#putMembers(tx, roomNid, page)
      }
      for await (const page of readPages(source, forwardExtremitiesOf(roomId))) {
        await this.#store.putExtremities(tx, roomNid, page.map(nidOf))
      }
      // Nobody of this server is in the room any more: its state is as it was when the last one left.
      if (!hasState) await this.#putLastState(tx, roomNid)
      await this.#putLocalMembers(tx, room)
      for await (const page of readPages(source, pastMembershipsOf(roomId, serverName))) {
        await this.#store.putLocalMemberships(
          tx,
          roomNid,
          page.filter(isMembership).map((row) => ({
            userId: textOf(row['user_id']) ?? '',
            membership: textOf(row['membership']) ?? '',
            eventNid: nidOf(row),
            streamOrdering: Number(row['stream_ordering']),
          })),
        )
      }
      await this.#store.countMembers(tx, roomNid)
      await inTransaction(tx)
    })
  }

  async #putEntries(tx: Tx, roomNid: number, entries: readonly PresentEntry[]): Promise<void> {
    await this.#store.putEntries(tx, roomNid, entries)
  }

  async #putMembers(tx: Tx, roomNid: number, page: readonly Row[]): Promise<void> {
    const members = page.filter((row) => row['type'] === 'm.room.member' && isMembership(row))
    await this.#store.putMembers(
      tx,
      roomNid,
      members.map((row) => this.#toMember(row, textOf(row['state_key']) ?? '')),
    )
  }

  /** Also invitations and the like to rooms that this server is not in: outliers, which have a position all the same. */
  async #putLocalMembers(tx: Tx, { roomNid, roomId }: RoomRecord): Promise<void> {
    for await (const page of readPages(this.#parts.source, localMembershipsOf(roomId))) {
      const rows = page.filter(isMembership)
      const outside = rows.filter((row) => isTrue(row['outlier']))
      await this.#store.putMembers(
        tx,
        roomNid,
        rows.map((row) => ({
          ...this.#toMember(row, textOf(row['user_id']) ?? ''),
          forgotten: isTrue(row['forgotten']),
        })),
      )
      const entries = outside.map((row) => ({
        type: 'm.room.member',
        stateKey: textOf(row['user_id']) ?? '',
        eventNid: nidOf(row),
      }))
      await this.#store.putEntries(tx, roomNid, entries)
      await this.#store.putDeltas(
        tx,
        roomNid,
        outside.map((row, index) => ({
          ...entries[index]!,
          streamOrdering: Number(row['stream_ordering']),
        })),
      )
      await this.#store.putLocalMemberships(
        tx,
        roomNid,
        rows.map((row) => ({
          userId: textOf(row['user_id']) ?? '',
          membership: textOf(row['membership']) ?? '',
          eventNid: nidOf(row),
          streamOrdering: Number(row['stream_ordering']),
        })),
      )
    }
  }

  /** From the state after the newest of the room's ends. */
  async #putLastState(tx: Tx, roomNid: number): Promise<void> {
    const { snapshots, stateKeys, events } = this.#parts
    const last = await this.#store.lastState(tx, roomNid)
    if (last === undefined) return
    const entries = [...(await snapshots.get(tx, last)).entries()]
    for (let start = 0; start < entries.length; start += ENTRIES_AT_ONCE) {
      const some = entries.slice(start, start + ENTRIES_AT_ONCE)
      const names = await stateKeys.names(
        tx,
        some.map(([keyNid]) => keyNid),
      )
      const present = some.flatMap(([keyNid, eventNid]) => {
        const name = names.get(keyNid)
        if (name === undefined) return []
        const [type, stateKey] = splitStateKey(name)
        return [{ type, stateKey, eventNid }]
      })
      await this.#putEntries(tx, roomNid, present)
      const memberNids = present.flatMap(({ type, eventNid }) => (type === 'm.room.member' ? eventNid : []))
      const members = await events.getByNids(tx, memberNids)
      await this.#store.putMembers(
        tx,
        roomNid,
        [...members.values()].flatMap(({ event, eventNid, streamOrdering }) => {
          const { membership, displayname, avatar_url: avatarUrl } = event.content
          if (typeof membership !== 'string' || !MEMBERSHIPS.has(membership)) return []
          return [
            {
              userId: event.stateKey ?? '',
              membership,
              eventNid,
              streamOrdering: Math.max(0, streamOrdering ?? 0),
              sender: event.sender,
              displayName: textOf(displayname)?.replaceAll('\0', ''),
              avatarUrl: textOf(avatarUrl)?.replaceAll('\0', ''),
              isLocal: this.#isLocal(event.stateKey ?? ''),
              forgotten: false,
            },
          ]
        }),
      )
    }
  }

  #toMember(row: Row, userId: string): PresentMember {
    return {
      userId,
      membership: textOf(row['membership']) ?? 'leave',
      eventNid: nidOf(row),
      streamOrdering: Math.max(0, Number(row['stream_ordering'])),
      sender: textOf(row['sender']) ?? userId,
      displayName: textOf(row['display_name']),
      avatarUrl: textOf(row['avatar_url']),
      isLocal: this.#isLocal(userId),
      forgotten: false,
    }
  }

  #isLocal(userId: string): boolean {
    return serverNameOf(userId) === this.#parts.serverName
  }
}

function toEntry(row: Row): PresentEntry {
  return {
    type: textOf(row['type']) ?? '',
    stateKey: textOf(row['state_key']) ?? '',
    eventNid: nidOf(row),
  }
}

function nidOf(row: Row): number {
  return eventNidOf(Number(row['stream_ordering']))
}

function isMembership(row: Row): boolean {
  return MEMBERSHIPS.has(textOf(row['membership']) ?? '')
}
