import type { Database } from '../../storage/database.js'
import type { EventTextsStore } from '../../storage/stores/event-texts.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { MemberRecord, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomServersStore } from '../../storage/stores/room-servers.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import { pduJson, pduText } from '../../protocol/pdu.js'
import { splitStateKey } from '../../protocol/state-map.js'
import type { JsonObject } from '../../util/json.js'
import type { PrejoinState } from '../events/prejoin-state.js'
import type { AuthChains } from './auth-chains.js'

/** The answer to a join as JSON text: it may be some dozen megabytes, of which no objects need be made. */
export type JoinAnswer = string

interface Parts {
  readonly chains: Pick<AuthChains, 'listNids'>
  readonly prejoin: Pick<PrejoinState, 'list'>
  readonly members: RoomMembersStore
  readonly servers: RoomServersStore
  readonly snapshots: StateSnapshotsStore
  readonly stateKeys: StateKeysStore
  readonly texts: EventTextsStore
  readonly serverName: ServerName
}

/** Members without whom a room without a name cannot be called anything. */
const HEROES = 5
/** Events that are read at a time. */
const BATCH = 2_000

/** Puts rooms into words for servers that are about to join. */
export class ResidentAnswers {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The state before a join and what authorizes all of it. Without the members, where they are omitted, but for those
   * after whom the room is called; then with the servers that are in the room.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid
   */
  async toJoin(
    room: RoomRecord,
    join: StoredEvent,
    { omitMembers }: { omitMembers: boolean },
  ): Promise<JoinAnswer> {
    const q = this.#db.reader
    const { snapshots, serverName } = this.#parts
    if (join.stateBefore === null) throw new Error(`The state before ${join.event.eventId} is not known`)
    const snapshot = await snapshots.get(q, join.stateBefore)
    const state = omitMembers
      ? await this.#withoutMembers(room, join, [...snapshot.entries()])
      : [...snapshot.events]
    const chain = await this.#parts.chains.listNids([...state, join.eventNid])
    chain.delete(join.eventNid)
    if (omitMembers) for (const nid of state) chain.delete(nid)
    const texts = await this.#texts(room, [...new Set([...state, ...chain])])
    const list = (nids: Iterable<number>): string =>
      `[${[...nids].flatMap((nid) => texts.get(nid) ?? []).join(',')}]`
    const servers = omitMembers ? await this.#servers(room, join) : undefined
    return [
      `{"origin":${JSON.stringify(serverName)}`,
      `"members_omitted":${String(omitMembers)}`,
      ...(servers ? [`"servers_in_room":${JSON.stringify(servers)}`] : []),
      `"event":${pduText(join.event)}`,
      `"state":${list(state)}`,
      `"auth_chain":${list(chain)}}`,
    ].join(',')
  }

  /**
   * The state that tells an outsider which room that is, as whole events; with who invites them, so that they are shown a
   * name and not an ID alone.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1send_knockroomideventid
   */
  async identifyingState(room: RoomRecord, inviter?: UserId): Promise<JsonObject[]> {
    const [events] = await this.#parts.prejoin.list(this.#db.reader, [{ roomNid: room.roomNid, inviter }])
    return (events ?? []).map(({ event }) => pduJson(event))
  }

  async #withoutMembers(
    { roomNid }: RoomRecord,
    { event }: StoredEvent,
    entries: readonly (readonly [keyNid: number, eventNid: number])[],
  ): Promise<number[]> {
    const q = this.#db.reader
    const { stateKeys, members } = this.#parts
    const names = await stateKeys.names(
      q,
      entries.map(([keyNid]) => keyNid),
    )
    const heroes = new Set<string>(
      toHeroes(
        (await members.listForRoom(q, roomNid, ['join', 'invite'])).filter(
          ({ userId }) => userId !== event.stateKey,
        ),
      ),
    )
    return entries.flatMap(([keyNid, eventNid]) => {
      const name = names.get(keyNid)
      if (name === undefined) return []
      const [type, stateKey] = splitStateKey(name)
      return type !== 'm.room.member' || heroes.has(stateKey) ? [eventNid] : []
    })
  }

  async #texts(room: RoomRecord, eventNids: readonly number[]): Promise<Map<number, string>> {
    const texts = new Map<number, string>()
    for (let start = 0; start < eventNids.length; start += BATCH) {
      const batch = eventNids.slice(start, start + BATCH)
      for (const [nid, text] of await this.#parts.texts.list(this.#db.reader, room, batch))
        texts.set(nid, text)
    }
    return texts
  }

  /** Those who were there before the join. */
  async #servers({ roomNid }: RoomRecord, { event }: StoredEvent): Promise<ServerName[]> {
    const counts = await this.#parts.servers.listCounts(this.#db.reader, [roomNid])
    const joining = serverNameOf(event.sender)
    return counts.flatMap(({ server, members }) => (server === joining && members === 1 ? [] : [server]))
  }
}

function toHeroes(members: readonly MemberRecord[]): string[] {
  return [...members]
    .sort((a, b) => a.streamOrdering - b.streamOrdering)
    .slice(0, HEROES)
    .map(({ userId }) => userId)
}
