import { badJson, MatrixError } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { sha256 } from '../../protocol/hashes.js'
import { parseRoomId, type EventId, type RoomId, type ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FederationInboxStore } from '../../storage/stores/federation-inbox.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'
import { pushTo } from '../../util/group-by.js'
import type { FederationClient } from '../remote/federation-client.js'
import type { EduDispatcher } from './edu-dispatcher.js'
import type { EventAges } from './event-ages.js'
import type { JoinsUnderWay } from './joins-under-way.js'
import type { PduIntake } from './pdu-intake.js'
import { pdusOf, type JsonWithText } from './pdu-sources.js'
import type { RoomInbox, StagedEvent } from './room-inbox.js'
import type { ServerAcls } from './server-acls.js'

/** Takes events of rooms that this server is not in: what becomes of its users' invitations and knocks. */
export interface OutsideEventHandler {
  receive(room: RoomRecord, event: Event): Promise<void>
}

interface Parts {
  readonly store: FederationInboxStore
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly acls: ServerAcls
  readonly intake: PduIntake
  readonly inbox: RoomInbox
  readonly edus: EduDispatcher
  readonly outside: OutsideEventHandler
  readonly joins: Pick<JoinsUnderWay, 'hold'>
  readonly ages?: Pick<EventAges, 'onReceived'> | undefined
  readonly client: Pick<FederationClient, 'isStopping'>
  readonly clock: Clock
  readonly logger: Logger
}

/** What is said to the sender of an event: nothing, or why it was refused. */
type PduResults = Record<EventId, { error?: string }>

interface Sorted {
  readonly results: PduResults
  readonly staged: readonly StagedEvent[]
  readonly outside: readonly StagedEvent[]
}

/** https://spec.matrix.org/latest/server-server-api/#transactions */
const MAX_PDUS = 50
const MAX_EDUS = 100
/** Longer names are kept as their hash. */
const MAX_TXN_ID_CHARS = 255

/** How long answers are kept for those who ask again. */
export const TRANSACTION_LIFETIME_MS = 24 * 60 * 60 * 1000

/** Takes in what other servers send of their own accord. */
export class InboundTransactions {
  readonly #db: Database
  readonly #parts: Parts
  readonly #flights = new SingleFlight<JsonObject>()

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The answer to a transaction: for each event that could be read nothing or an error. Events are judged later; EDUs
   * have been handed on when the answer comes. The same transaction gets the same answer and is dealt with once.
   * Throws 400 `M_BAD_JSON` for more than 50 PDUs or 100 EDUs, 429 `M_LIMIT_EXCEEDED` while too many of the sender's
   * events wait, and 503 `M_UNKNOWN` when this server stops before it has looked at all of it.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1sendtxnid
   */
  receive(origin: ServerName, txnId: string, body: JsonWithText): Promise<JsonObject> {
    const name = txnId.length > MAX_TXN_ID_CHARS ? sha256(txnId) : txnId
    return this.#flights.run(`${origin}\u0000${name}`, () => this.#receive(origin, name, body))
  }

  async #receive(origin: ServerName, txnId: string, body: JsonWithText): Promise<JsonObject> {
    const { store, inbox, edus, clock, ages } = this.#parts
    const answered = await store.getAnswer(this.#db.reader, origin, txnId)
    if (answered !== undefined) return JSON.parse(answered) as JsonObject
    const eduList = body.json['edus'] ?? []
    const pdus = pdusOf(body, 'pdus')
    if (!Array.isArray(eduList) || eduList.length > MAX_EDUS) throw badJson(`At most ${MAX_EDUS} EDUs`)
    if (pdus.length > MAX_PDUS) throw badJson(`At most ${MAX_PDUS} PDUs`)
    // What comes besides goes elsewhere, and waits for nothing.
    if (pdus.length > 0) await inbox.requirePlace(origin)
    const byRoom = groupByRoom(pdus)
    for (const [roomId, ofRoom] of byRoom) if (this.#hold(origin, roomId, ofRoom)) byRoom.delete(roomId)
    const { results, staged, outside } = await this.#sort(origin, byRoom)
    // What is said of an event whose keys were not waited for would be wrong for good.
    if (this.#parts.client.isStopping)
      throw new MatrixError('M_UNKNOWN', 'This server is stopping', { status: 503 })
    for (const { room, event } of outside) await this.#receiveOutside(origin, room, event)
    await edus.dispatch(origin, eduList)
    const answer: JsonObject = { pdus: results }
    if (pdus.length + eduList.length === 0) return answer
    const receipt = { origin, txnId, receivedTs: clock.now() }
    await this.#db.write('receive_transaction', async (tx) => {
      await store.insertAnswer(tx, receipt, JSON.stringify(answer))
      await inbox.stage(tx, receipt, staged)
    })
    const newest = Math.max(...[...staged, ...outside].map(({ event }) => event.originServerTs))
    if (Number.isFinite(newest)) ages?.onReceived(origin, newest)
    return answer
  }

  /** Which events are to be dealt with how. */
  async #sort(origin: ServerName, byRoom: ReadonlyMap<RoomId, readonly unknown[]>): Promise<Sorted> {
    const rooms = await this.#parts.rooms.getByIds(this.#db.reader, [...byRoom.keys()])
    const results: PduResults = {}
    const staged: StagedEvent[] = []
    const outside: StagedEvent[] = []
    for (const [roomId, ofRoom] of byRoom) {
      const room = rooms.get(roomId)
      // Of what version their events are is not known, and so not even what they are called.
      if (!room) continue
      const { events, refused } = await this.#parts.intake.check(room, ofRoom)
      for (const [eventId, error] of refused) results[eventId] = { error }
      if (refused.size > 0) this.#logRefusals(origin, roomId, refused)
      const [isAllowed, isInRoom] = await Promise.all([
        this.#parts.acls.isAllowed(roomId, origin),
        this.#parts.members.hasLocalMember(this.#db.reader, room.roomNid),
      ])
      if (!isAllowed) {
        for (const { eventId } of events) results[eventId] = { error: 'Forbidden by server ACLs' }
        continue
      }
      for (const event of events) {
        results[event.eventId] = {}
        ;(isInRoom ? staged : outside).push({ room, event })
      }
    }
    return { results, staged, outside }
  }

  /** Whether events of a room wait until this server has come into it. Nothing is said of each to their sender. */
  #hold(origin: ServerName, roomId: RoomId, pdus: readonly unknown[]): boolean {
    return this.#parts.joins.hold(roomId, pdus.length, async () => {
      try {
        await this.#receiveHeld(origin, roomId, pdus)
      } catch (err) {
        this.#parts.logger.warn({ err, origin, roomId }, 'What came while a room was joined is lost')
      }
    })
  }

  async #receiveHeld(origin: ServerName, roomId: RoomId, pdus: readonly unknown[]): Promise<void> {
    const { inbox, clock } = this.#parts
    const { staged, outside } = await this.#sort(origin, new Map([[roomId, pdus]]))
    for (const { room, event } of outside) await this.#receiveOutside(origin, room, event)
    const receipt = { origin, receivedTs: clock.now() }
    await this.#db.write('receive_held_events', (tx) => inbox.stage(tx, receipt, staged))
  }

  async #receiveOutside(origin: ServerName, room: RoomRecord, event: Event): Promise<void> {
    try {
      await this.#parts.outside.receive(room, event)
    } catch (err) {
      const { eventId } = event
      this.#parts.logger.warn({ err, origin, eventId }, 'An event of a room that we are not in was refused')
    }
  }

  #logRefusals(origin: ServerName, roomId: RoomId, refused: ReadonlyMap<EventId, string>): void {
    this.#parts.logger.info({ origin, roomId, reasons: Object.fromEntries(refused) }, 'Refused events')
  }
}

/** PDUs by the room that they name, in the order in which they came. What names none is left out. */
function groupByRoom(pdus: readonly unknown[]): Map<RoomId, unknown[]> {
  const byRoom = new Map<RoomId, unknown[]>()
  for (const pdu of pdus) {
    const json: unknown = typeof pdu === 'string' ? JSON.parse(pdu) : pdu
    const named = isJsonObject(json) ? json['room_id'] : undefined
    const roomId = typeof named === 'string' ? parseRoomId(named) : undefined
    if (roomId === undefined) continue
    pushTo(byRoom, roomId, pdu)
  }
  return byRoom
}
