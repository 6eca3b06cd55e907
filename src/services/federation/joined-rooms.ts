import type { Event } from '../../protocol/event.js'
import { parseServerName, type RoomId, type ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { PartialStateRoom } from '../../storage/stores/partial-state.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { OutlierReceiver } from '../events/outlier-receiver.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RemoteRooms } from '../events/remote-rooms.js'
import type { RoomAdopter } from '../events/room-adoption.js'
import type { RoomState } from '../events/room-state.js'
import type { HandshakeOutcome } from './joining-handshakes.js'
import type { PduIntake } from './pdu-intake.js'
import { badAnswer } from './server-choice.js'

export interface JoinedRoomsDependencies {
  readonly db: Database
  readonly intake: PduIntake
  readonly outliers: OutlierReceiver
  readonly adopter: RoomAdopter
  readonly remoteRooms: RemoteRooms
  readonly partialRooms: PartialRooms
  readonly roomState: Pick<RoomState, 'findRoom'>
  readonly clock: Clock
  readonly logger: Logger
  /** Called when a room has been joined whose state is to be completed. */
  readonly onPartial: (room: RoomRecord) => void
}

/** A room whose members this server is still being told. */
export interface UnfinishedRoom {
  readonly room: RoomRecord
  readonly partial: PartialStateRoom
}

/** More servers than this are not remembered for a room whose members are not known yet. */
const MAX_SERVERS = 1_000

/**
 * Takes over a room that another server hands to us: nothing of it is believed but what can be checked.
 * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export class JoinedRooms {
  readonly #deps: JoinedRoomsDependencies

  constructor(deps: JoinedRoomsDependencies) {
    this.#deps = deps
  }

  /**
   * Checks and stores the answer to `send_join` of an event of ours, and begins the room with it. Throws 502
   * `M_CONNECTION_FAILED` where the answer cannot be a room's state, 403 `M_FORBIDDEN` where that state does not
   * allow the join.
   */
  async take(join: Event, server: ServerName, answer: JsonObject): Promise<HandshakeOutcome> {
    const { outliers, adopter, partialRooms, clock } = this.#deps
    const event = await this.signedEvent(join, answer)
    const state = await this.#deps.intake.check(join, listOf(answer, 'state'))
    const chain = await this.#deps.intake.check(join, listOf(answer, 'auth_chain'))
    const refused = new Map([...state.refused, ...chain.refused])
    if (refused.size > 0) this.#log(join, server, refused)
    const room = await this.#room(requireCreate(join, state.events))
    const { stored } = await outliers.receive(room, [...state.events, ...chain.events])
    const servers = answer['members_omitted'] === true ? serversOf(answer, server) : undefined
    const inState = new Set<string>(state.events.map(({ eventId }) => eventId))
    // Of the members that are omitted, those are known that the join is authorized by.
    if (servers) for (const id of memberIdsOf(join, chain.events)) inState.add(id)
    const { roomNid } = room
    await adopter.adopt({
      room,
      state: stored.filter((each) => each.roomNid === roomNid && isStateOf(each, inState)),
      event,
      inTransaction: async (tx, joinNid) => {
        if (servers) await partialRooms.insert(tx, { roomNid, joinNid, servers }, clock.now())
        // What was still to be completed is replaced by a state that is whole.
        else if (partialRooms.isPartial(roomNid)) await partialRooms.delete(tx, roomNid)
      },
    })
    if (servers) this.#deps.onPartial(room)
    return { room, eventId: event.eventId }
  }

  /** Undefined for rooms that this server knows nothing of, and for those that it knows whole. */
  async findUnfinished(roomId: RoomId): Promise<UnfinishedRoom | undefined> {
    const room = await this.#deps.roomState.findRoom(roomId)
    const partial = room && this.#deps.partialRooms.get(room.roomNid)
    return room && partial && { room, partial }
  }

  /** Has the members of a room asked for, also where that was given up since nobody of this server was in it. */
  async keepUnfinished({ room, partial }: UnfinishedRoom): Promise<void> {
    const { db, partialRooms, clock, onPartial } = this.#deps
    if (partialRooms.isPartial(room.roomNid)) return
    await db.write('keep_partial_room', (tx) => partialRooms.insert(tx, partial, clock.now()))
    onPartial(room)
  }

  /** The event as the answer has it: signed by the server of whoever lets the user in, where somebody has to. */
  async signedEvent(join: Event, answer: JsonObject): Promise<Event> {
    const given = answer['event']
    if (join.content['join_authorised_via_users_server'] === undefined || !isJsonObject(given)) return join
    const { events, refused } = await this.#deps.intake.check(join, [given])
    const [event] = events
    if (event?.eventId === join.eventId) return event
    throw badAnswer([...refused.values()][0] ?? 'The answer to send_join has another event')
  }

  async #room(create: Event): Promise<RoomRecord> {
    const { type } = create.content
    const facts = {
      roomId: create.roomId,
      rules: create.rules,
      creator: create.sender,
      roomType: typeof type === 'string' && !type.includes('\u0000') ? type : undefined,
    }
    const room = await this.#deps.remoteRooms.ensure(facts)
    return this.#deps.remoteRooms.correct(room, facts)
  }

  #log(join: Event, server: ServerName, refused: ReadonlyMap<string, string>): void {
    const reasons = Object.fromEntries([...refused].slice(0, 10))
    this.#deps.logger.warn(
      { room: join.roomId, server, refused: refused.size, reasons },
      'Left out events of the state of a room that was joined',
    )
  }
}

/** The room's create event, of the version that was agreed on. */
function requireCreate(join: Event, events: readonly Event[]): Event {
  const creates = events.filter(({ type, stateKey }) => type === 'm.room.create' && stateKey === '')
  const [create] = creates
  if (create === undefined || creates.length > 1) throw badAnswer('The state has no create event, or several')
  const version = create.content['room_version'] ?? '1'
  if (version !== join.rules.version) throw badAnswer('The create event has another room version')
  return create
}

function memberIdsOf(join: Event, events: readonly Event[]): string[] {
  const cited = new Set(join.authEventIds)
  return events.flatMap(({ eventId, type }) =>
    type === 'm.room.member' && cited.has(eventId) ? [eventId] : [],
  )
}

function isStateOf({ event, rejected }: StoredEvent, ids: ReadonlySet<string>): boolean {
  return rejected === null && event.isState() && ids.has(event.eventId)
}

function serversOf(answer: JsonObject, server: ServerName): ServerName[] {
  const named = listOf(answer, 'servers_in_room').flatMap((text) =>
    typeof text === 'string' ? (parseServerName(text) ?? []) : [],
  )
  return [...new Set([server, ...named])].slice(0, MAX_SERVERS)
}

function listOf(answer: JsonObject, key: string): JsonValue[] {
  const list = answer[key]
  if (list === undefined || list === null) return []
  if (!Array.isArray(list)) throw badAnswer(`${key} is no list`)
  return list
}
